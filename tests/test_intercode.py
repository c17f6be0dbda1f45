"""InterCode-bash without Docker: the split of an action, the file systems, the reward by hand, tasks of our own."""

import json

import pytest

from tl.__main__ import main
from tl.cli import intercode
from tl.datasets import DataError
from tl.evaluation.suites.intercode import COUNTS, Environment, Task, episodes, read
from tl.evaluation.suites.intercode.episodes import Played, ShellSession, lines
from tl.evaluation.suites.intercode.folders import FILE_SYSTEMS
from tl.evaluation.suites.intercode.reward import changes_part, content_part, output_part, similarity
from tl.evaluation.suites.intercode.shell import joined
from tl.executor.driving import drive


@pytest.fixture
def work(machines):
    """Opens the environment of a golden command and works on it."""
    opened = []

    def environment(gold, file_system="1"):
        opened.append(Environment(machines, Task(file_system, 0, "?", gold)))
        return lambda action: (drive([opened[-1].step(action)])[0], opened[-1].rewards[-1])

    yield environment
    for one in opened:
        one.close()


# ---- the reward, by hand


@pytest.mark.parametrize(("differing", "part"), [(0, 0.33), (1, 0.05), (2, 0.0), (7, 0.0)])
def test_changes_that_one_side_alone_made_cost_by_the_error_function(differing, part):
    common, more = [("a", "M")], [(f"b{n}", "??") for n in range(differing)]
    assert changes_part(common + more, common) == changes_part(common, common + more) == part


def test_the_content_of_added_files_counts_by_the_share_that_is_equal():
    new, other = ("a.txt", "??"), ("b.txt", "??")
    assert content_part({new: "1"}, {other: "1"}) == content_part({}, {}) == 0.33  # none in common
    assert content_part({new: "1", other: "2"}, {new: "1", other: "3"}) == 0.17  # half of them: 0.165
    assert content_part({new: "1"}, {new: "2"}) == 0.0


def test_outputs_are_compared_as_tf_idf_vectors():
    """ "the cat" and "the dog": the common word weighs ln(3/3)+1 = 1, each of the others ln(3/2)+1."""
    other = 1.4054651081
    assert similarity("the cat", "The DOG") == pytest.approx(1 / (1 + other**2))
    assert similarity("5 files", "6 files") == pytest.approx(1)  # a digit alone is no word
    assert (similarity("5", "6"), similarity("5", "5"), similarity("", "word")) == (0, 1, 0)
    assert output_part("a b", "a b") == 0.33


# ---- the shell


def test_double_quotes_within_an_action_vanish(work):
    act = work("ls")
    assert act('echo "*.txt"')[0].text == "*.txt\n"  # nothing in / matches
    assert act("cd /testbed")[0].valid and act('echo "*.txt"')[0].text == "recent.txt textfile7.txt\n"
    assert act("echo '*.txt'")[0].text == "*.txt\n"
    assert act('echo "')[0].text == "Malformed command"


def test_cd_moves_where_that_succeeds(work):
    act = work("pwd")
    assert act("cd testbed/dir1/../dir2")[0].valid and act("pwd")[0].text == "/testbed/dir2\n"
    assert not act("cd nowhere")[0].valid and act("pwd")[0].text == "/testbed/dir2\n"
    assert act("cd /testbed/dir1 && ls")[0].valid  # the whole text is taken for the folder, as released
    assert not act("pwd")[0].valid


@pytest.mark.parametrize(
    ("folder", "target", "there"), [("/a/b", "../c", "/a/c"), ("/a", "/x/./y/", "/x/y"), ("/", "../..", "/")]
)
def test_a_folder_is_named_without_a_look_at_what_is_there(folder, target, there):
    assert joined(folder, target) == there


def test_a_command_that_does_not_end(work, monkeypatch):
    monkeypatch.setattr("tl.evaluation.suites.intercode.shell.SECONDS", 0.3)
    assert work("true")("sleep 60")[0].text == "Command timed out"


def test_output_that_is_no_text(work):
    assert work("ls", "2")("cat /system/a.out")[0].text == "Malformed command"


def test_the_state_counts_as_well_as_the_output(work):
    act = work("echo new > /testbed/a.txt")
    assert act("true")[1] == pytest.approx(0.01 + 0.05 + 0.33 + 0.33)  # a.txt is missing
    assert act("echo other > /testbed/a.txt")[1] == pytest.approx(0.01 + 0.33 + 0 + 0.33)
    assert act("echo new > /testbed/a.txt; echo done")[1] == pytest.approx(0.01 + 0.33 + 0.33 + 0)
    assert act("cat /testbed/a.txt > /dev/null")[1] == 1.0  # nothing is put back between two actions


def test_the_slips_of_the_setup_scripts_are_kept(work):
    act = work("true", "3")
    listed = act("ls -A /workspace")[0].text.split()
    assert {"recent1.txt", "old2.txt"} <= set(listed) and not {"recent.txt", "old.txt", "test"} & set(listed)
    assert act("cat /workspace/dir1/file.txt | tr -d '\\000' | wc -c")[0].text == "0\n"
    second = {file.path: file.content for file in FILE_SYSTEMS["2"]}
    assert second["/system/folder1/text3.txt"].startswith(b"- e ") and "/.placeholder" in second
    first = {file.path: file.content for file in FILE_SYSTEMS["1"]}
    assert first["/testbed/dir1/subdir1/textfile4.txt"] == b"Text file 4\\nGene 1\n"


def test_a_golden_command_that_this_machine_lacks_judges_nothing(machines):
    environment = Environment(machines, Task("4", 0, "", "no_such_program"))
    assert not environment.judged
    environment.close()


# ---- tasks, from files in the released layout


@pytest.fixture
def data(tmp_path):
    tasks = [{"query": "Count the lines of MANIFEST", "gold": "cat /system/MANIFEST | wc -l"}]
    (tmp_path / "nl2bash_fs_2.json").write_text(json.dumps(tasks))
    return tmp_path


def test_tasks_are_read(data):
    (task,) = read(data, ["2"])
    assert (task.id, task.gold, task.unstable) == ("2/0", "cat /system/MANIFEST | wc -l", False)
    with pytest.raises(DataError, match="nl2bash_fs_1.json"):
        read(data)
    (data / "nl2bash_fs_2.json").write_text('[{"query": "?"}]')
    with pytest.raises(DataError, match="record 0: expected texts for query and gold"):
        read(data, ["2"])


def test_the_released_tasks_are_all_there(shared):
    tasks = read(shared / "data" / "intercode", list(COUNTS))
    assert {name: sum(task.file_system == name for task in tasks) for name in COUNTS} == COUNTS


def test_an_episode_ends_when_the_task_is_solved(machines, data):
    environment = Environment(machines, *read(data, ["2"]))
    with ShellSession(environment) as session:
        assert session.run('bash(command="cat /system/MANIFEST")').text == "text1.txt\ntext3.txt\n"
        assert "unexpected keyword" in session.run('bash(line="ls")').text and not session.finished
        assert session.run('bash(command="wc -l < /system/MANIFEST")').text == "2\n" and session.finished
    assert environment.rewards == [0.67, 1.0]


def test_recorded_actions_are_replayed(machines, data, capsys):
    turns = {"actions": ["ls", "wc -l < /system/MANIFEST"], "rewards": [0.67, 1.0]}
    record = {"dataset": "./data/nl2bash/nl2bash_fs_2.json", "task_id": 0, "turn_history": turns}
    (data / "recorded.json").write_text(json.dumps({"0": record}))
    flags = ["--replay", str(data / "recorded.json"), "--data", str(data), "--file_systems", "2"]
    assert main(["intercode", *flags, "--report", str(data / "report.json")]) == 0
    printed = capsys.readouterr().out
    assert "same success as recorded in 1 of 1 tasks" in printed and "after 2 of 2 actions" in printed
    assert json.loads((data / "report.json").read_text())["suites"]["intercode"]["items"][0]["rewards"] == [0.67, 1.0]
    flags.insert(1, str(data / "recorded.json"))
    assert main(["intercode", *flags]) == 2
    assert "task 2/0 was already recorded in these files" in capsys.readouterr().err


def test_a_model_works_on_tasks(machines, data, toy_sft, capsys):
    flags = [str(toy_sft / "model"), "--data", str(data), "--file_systems", "2", "--max_new_tokens", "3"]
    assert main(["intercode", *flags, "--report", str(data / "report.json")]) == 0
    assert "InterCode-bash, " in capsys.readouterr().out
    (record,) = json.loads((data / "report.json").read_text())["suites"]["intercode"]["items"]
    assert not record["success"] and len(record["episode"]["trajectory"]["messages"]) > 1


def test_a_second_model_that_fails_does_not_lose_the_results_of_the_first(machines, data, toy_sft, monkeypatch):
    first, second, played_by = str(toy_sft / "model"), str(data / "second"), intercode.played_by

    def play(name, *rest):
        if name == second:
            raise OSError("no memory")
        return played_by(name, *rest)

    monkeypatch.setattr(intercode, "played_by", play)
    flags = ["--data", str(data), "--file_systems", "2", "--max_new_tokens", "3", "--report", str(data / "report.json")]
    assert main(["intercode", first, second, *flags]) == 2
    assert not (data / "report.json").exists()  # it is not there, which is told before the first has run
    (data / "second").symlink_to(first)
    assert main(["intercode", first, second, *flags]) == 2
    assert len(json.loads((data / "report.json").read_text())["suites"]["intercode"]["items"]) == 1


def test_an_episode_of_ppo_is_right_if_its_commands_have_the_golden_effect(machines, data, monkeypatch):
    monkeypatch.setattr(episodes, "NL2BASH", ("2",))
    (task,) = episodes.shell_tasks(data)
    request = task.request(None)
    with request.open() as session:
        assert session.run('bash(command="wc -l < /system/MANIFEST")').text == "2\n" and not session.finished
        assert drive([session.check_steps(request.check, "anything")])[0].right
    with request.open() as session:
        session.run('bash(command="ls")')
        assert session.run('finish(answer="2")') and session.finished
        assert not drive([session.check_steps(request.check, "2")])[0].right


def test_success_reward_and_turns_of_a_group_by_hand():
    tasks = [Task("1", 0, "", ""), Task("1", 12, "", ""), Task("4", 0, "", "")]
    rows = lines([Played(tasks[0], (0.67, 1.0)), Played(tasks[1], (0.5,), judged=False), Played(tasks[2], ())])
    assert [row.split()[:1] + row.split()[-2:] for row in rows[1:]] == [
        ["file", "0.750", "1.50"],
        ["file", "0.000", "0.00"],
        ["files,", "0.750", "1.50"],
        ["all", "0.500", "1.00"],
        ["all", "0.500", "1.00"],  # the second one is left out
    ]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--data", "d"], "name either models or --replay"),
        (["m", "--data", "d", "--file_systems", "5"], "unknown file system 5"),
        (["--replay", "f", "--data", "d", "--batch_size", "4"], "--batch_size needs models"),
        (["m", "--data", "d"], "no data/nl2bash/nl2bash_fs_1.json"),
    ],
)
def test_bad_flags_of_intercode_are_told_in_one_line(flags, reason, capsys):
    assert main(["intercode", *flags]) == 2
    assert reason in capsys.readouterr().err
