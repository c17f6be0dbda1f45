"""Rejection sampling: what of the episodes of a policy becomes training data."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from toolkits import INVENTORY, quiet_executor

import train_sft
from tl.__main__ import main as tl_main
from tl.assets import TINY
from tl.cli import rejection
from tl.config import parse_config
from tl.datasets import DataError, read
from tl.datasets.preferences import read_pairs
from tl.executor import Cause, Executor, Feedback, Session, Verdict
from tl.mae import erroneous_calls
from tl.rollout.dialogue import Dialogue, Response, StopReason
from tl.rollout.tasks import read_tasks
from tl.synthesis.rejection import sample_kept
from tl.synthesis.teacher import resumed

SELL, BAD = 'sell_item(name="chair", count=4)', 'sell_item(name="chair", number=4)'
RIGHT, WRONG = 'finish(answer="Sold 4 chairs, 0 are left.")', 'finish(answer="Sold 9.")'
REFUSED = 'finish(answer="I cannot handle the task.")'
CUT = 'finish(answer="Sold 4 chairs, and'
FULL = Response(stop=StopReason.CONTEXT)


@pytest.fixture(scope="module")
def executor():
    with quiet_executor(INVENTORY, workers=1) as executor:
        yield executor


def kept(
    executor: Executor,
    tmp_path: Path,
    scripts: list[list],
    answer: str | None,
    per_task: int = 8,
    check: str | None = None,
    servable: bool = True,
):
    """(trajectories of one task, left out by reason); script k is what sample k says, turn by turn."""
    file = tmp_path / "tasks.jsonl"
    file.write_text(json.dumps({"query": "Sell 4 chairs.", "answer": answer, "check": check}) + "\n")

    def scripted(dialogues: Sequence[Dialogue]) -> list[Response]:
        said = [scripts[d.number][sum(m.is_call for m in d.messages)] for d in dialogues]
        return [
            FULL if text is FULL else Response((text,), stop=StopReason.CUT if text == CUT else None) for text in said
        ]

    dropped: Counter[str] = Counter()
    tasks = [replace(task, servable=servable) for task in read_tasks([str(file)], executor)]
    [found] = sample_kept(tasks, executor, lambda *_: scripted, len(scripts), per_task, 0, 8, dropped)
    return found.kept, dict(dropped), found.pairs


def test_episodes_with_a_right_answer_are_kept_once(executor, tmp_path):
    scripts = [[SELL, RIGHT], [SELL, WRONG], [SELL, RIGHT], [SELL, REFUSED], [BAD, SELL, RIGHT]]
    found, dropped, _ = kept(executor, tmp_path, scripts, "Sold 4 chairs, 0 are left.")
    assert [[call.content for call, _ in t.calls()] for t in found] == [[SELL, RIGHT], [BAD, SELL, RIGHT]]
    assert [t.id for t in found] == ["tasks/00001#0", "tasks/00001#1"]
    assert dropped == {"a wrong answer": 1, "the same calls once more": 1, "no real answer": 1}
    assert erroneous_calls(found[1]) == [True, False, False], "the error stays in the context, and is not trained on"


def test_an_error_that_nothing_recovered_from_is_left_out_though_no_answer_is_known(executor, tmp_path):
    found, dropped, _ = kept(executor, tmp_path, [[SELL, BAD, RIGHT], [BAD, SELL, RIGHT]], None)
    assert [len(t.calls()) for t in found] == [3] and found[0].calls()[0][0].content == BAD
    assert dropped == {"its last call failed": 1}


def test_no_more_than_per_task_are_kept_and_the_rest_is_counted(executor, tmp_path):
    scripts = [[SELL, RIGHT], [BAD, SELL, RIGHT], [SELL, BAD, RIGHT]]
    found, dropped, _ = kept(executor, tmp_path, scripts, None, per_task=1)
    assert len(found) == 1 and dropped == {"more than --per_task": 1, "its last call failed": 1}


def test_what_a_task_is_answered_depends_on_the_seed_and_its_number_alone(executor, tmp_path):
    """Each answer is the seed of its sample, and nobody knows the right one."""
    file = tmp_path / "tasks.jsonl"
    file.write_text("".join(json.dumps({"query": f"Sell {n}."}) + "\n" for n in range(3)))
    tasks, at_a_time = read_tasks([str(file)], executor), []

    def policy_of(requests, seeds):
        at_a_time.append(len(requests))
        return lambda dialogues: [Response((f'finish(answer="{seeds[d.number]}")',)) for d in dialogues]

    def answers(parallel: int, seed: int = 0, first: int = 0) -> list[tuple[str, list[str]]]:
        sampled = sample_kept(tasks, executor, policy_of, 2, 8, seed, parallel, Counter(), first)
        return [(kept[0].messages[0].content, [t.messages[-1].content for t in kept]) for kept, _ in sampled]

    whole = answers(parallel=4)
    assert [query for query, _ in whole] == ["Sell 0.", "Sell 1.", "Sell 2."] and at_a_time == [4, 2]
    assert answers(parallel=1) == answers(parallel=99) == whole and answers(parallel=1, first=1) == whole[1:]
    assert len({answer for _, both in whole + answers(4, seed=1) for answer in both}) == 12


def preferred(
    executor: Executor,
    tmp_path: Path,
    scripts: list[list[str]],
    answer: str | None = "Sold 4 chairs, 0 are left.",
    **task,
):
    """(calls of the common history, chosen call, rejected call) of each pair."""
    pairs = kept(executor, tmp_path, scripts, answer, **task)[2]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(pair.to_line({}) for pair in pairs))
    assert not pairs or read_pairs([str(path)])[0] == pairs
    assert all(not call.trained for pair in pairs for side in pair for call, _ in side.calls()[:-1])
    return [
        ([c.content for c, _ in a.calls()[:-1]], a.calls()[-1][0].content, b.calls()[-1][0].content) for a, b in pairs
    ]


INVENTED = 'finish(answer="Sold 1 chair.")'


def test_a_call_that_helps_is_chosen_over_one_that_fails_and_over_an_invented_result(executor, tmp_path):
    scripts = [[SELL, RIGHT], [BAD, SELL, RIGHT], [INVENTED], [SELL, BAD, RIGHT], [SELL, WRONG], ["sell", RIGHT]]
    found = preferred(executor, tmp_path, scripts)
    assert [pair for pair in found if not pair[0]] == [([], SELL, BAD), ([], SELL, INVENTED), ([], SELL, "sell")]
    assert [pair for pair in found if pair[0] == [SELL]] == [([SELL], RIGHT, BAD), ([SELL], RIGHT, WRONG)]


def test_two_calls_that_both_work_and_the_end_of_an_episode_that_failed_elsewhere_are_no_pair(executor, tmp_path):
    fewer = 'sell_item(name="chair", count=1)'
    assert preferred(executor, tmp_path, [[SELL, RIGHT], [fewer, WRONG]]) == []
    assert preferred(executor, tmp_path, [[SELL, WRONG], [BAD, SELL, WRONG]]) == [], "none of them worked"
    assert preferred(executor, tmp_path, [[SELL, RIGHT], [INVENTED]], None) == [], "no answer is known to be right"
    assert preferred(executor, tmp_path, [[INVENTED], [BAD, RIGHT]], None) == [], "nor is one better than an error"
    looked = 'get_item(name="chair")'
    assert preferred(executor, tmp_path, [[looked, SELL, RIGHT], [SELL, FULL]]) == [], "the last call, but no answer"


def test_where_a_check_or_a_refusal_tells_what_is_right_the_end_of_an_episode_is_chosen_too(executor, tmp_path):
    checked, refused = {"check": "four_chairs_are_sold"}, {"servable": False}
    assert ([SELL], RIGHT, BAD) in preferred(executor, tmp_path, [[SELL, RIGHT], [SELL, BAD, RIGHT]], None, **checked)
    assert ([], REFUSED, BAD) in preferred(executor, tmp_path, [[REFUSED], [BAD, REFUSED]], None, **refused)


def test_a_call_that_failed_in_one_sample_and_worked_in_another_is_no_pair_with_itself(executor, tmp_path, monkeypatch):
    made = []

    def fails_once(session, text, steps=Session.steps):
        made.append(text)
        feedback = yield from steps(session, text)
        return Feedback("Connection lost", Cause.TOOL_EXCEPTION) if made == [SELL] else feedback

    monkeypatch.setattr(Session, "steps", fails_once)
    assert preferred(executor, tmp_path, [[SELL, RIGHT]] * 2, None) == []


def test_a_call_that_is_cut_ends_its_episode_and_is_in_no_pair(executor, tmp_path):
    scripts = [[SELL, RIGHT], [CUT], [SELL, CUT]]
    assert preferred(executor, tmp_path, scripts) == [], "text in a file ends, and these did not"
    assert kept(executor, tmp_path, scripts, "Sold 4 chairs, 0 are left.")[1] == {"no finish": 2}


def test_an_episode_that_the_context_had_no_room_for_is_told_apart(executor, tmp_path):
    scripts = [[FULL], [SELL, FULL], [SELL, CUT]]
    dropped = kept(executor, tmp_path, scripts, "Sold 4 chairs, 0 are left.")[1]
    assert dropped == {"no room for another call": 2, "no finish": 1}


def test_an_answer_that_could_not_be_checked_is_not_taken_for_a_wrong_one(executor, tmp_path, monkeypatch):
    def checked(session, name, answer):
        yield from ()
        return Verdict(True) if answer in RIGHT else Verdict(None, "gone")

    monkeypatch.setattr(Session, "check_steps", checked)
    scripts = [[SELL, RIGHT], [SELL, WRONG]]
    found, dropped, pairs = kept(executor, tmp_path, scripts, None, check="four_chairs_are_sold")
    assert len(found) == 1 and dropped == {"the executor failed": 1} and pairs == []


def test_no_more_pairs_than_per_task(executor, tmp_path):
    scripts = [[SELL, RIGHT], [BAD, SELL, RIGHT], [INVENTED], [WRONG]]
    assert len(kept(executor, tmp_path, scripts, "Sold 4 chairs, 0 are left.", per_task=1)[2]) == 1


def test_the_same_seed_draws_the_same_episodes_and_an_interrupted_file_is_continued(tmp_path, capsys, monkeypatch):
    """The embedded base solves nothing, so every episode is taken for good here."""
    monkeypatch.setattr("tl.synthesis.rejection.fault_of", lambda *_: "")
    monkeypatch.setattr("tl.synthesis.rejection._unrecovered", lambda *_: "")
    out = tmp_path / "kept.jsonl"
    flags = f"--model {TINY} --out {out} --size 3 --samples 2 --max_new_tokens 8 --seed 3".split()
    assert rejection.main(flags) == 0
    whole = out.read_bytes()
    assert "3 tasks, 2 episodes each" in capsys.readouterr().out
    trajectories, _ = read([str(out)])
    assert {t.id.rpartition("#")[2] for t in trajectories} <= {"0", "1"} and len(trajectories) >= 3
    lines = whole.splitlines(keepends=True)
    first_task = json.loads(lines[0])["id"].rpartition("#")[0]
    done = [line for line in lines if json.loads(line)["id"].startswith(f"{first_task}#")]
    out.write_bytes(b"".join(done) + lines[-1][:40])
    assert rejection.main(flags) == 0
    assert out.read_bytes() == whole
    with pytest.raises(
        DataError, match=r"made with other settings: samples: 2 -> 3\. Delete it, or choose another name"
    ):
        rejection.main([*flags, "--samples", "3"])
    monkeypatch.setattr(rejection, "digest_of_model", lambda model: "those of a model that was trained again")
    with pytest.raises(DataError, match="was made with other settings: weights: .* -> those of a model"):
        rejection.main(flags)
    assert out.read_bytes() == whole


def test_pairs_are_made_of_the_same_episodes_and_an_interrupted_file_is_continued(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tl.synthesis.rejection.fault_of", lambda *_: "")
    monkeypatch.setattr("tl.synthesis.rejection._unrecovered", lambda *_: "")
    monkeypatch.setattr("tl.synthesis.rejection._failed", lambda rollout, call: rollout.trajectory.calls() == [])
    monkeypatch.setattr("tl.synthesis.rejection._answers_wrongly", lambda *_: True)
    out, pairs = tmp_path / "kept.jsonl", tmp_path / "pairs.jsonl"
    flags = f"--model {TINY} --out {out} --size 3 --samples 2 --max_new_tokens 8 --seed 3".split()
    assert rejection.main([*flags, "--pairs", str(pairs)]) == 0
    whole = out.read_bytes(), pairs.read_bytes()
    assert len(read_pairs([str(pairs)])[0]) >= 3
    task = json.loads(whole[0].splitlines()[0])["id"].rpartition("#")[0]  # the second one's pairs were written last
    out.write_bytes(b"".join(line for line in whole[0].splitlines(keepends=True) if f'"{task}#'.encode() in line))
    pairs.write_bytes(b"".join(whole[1].splitlines(keepends=True)[:3]))
    assert rejection.main([*flags, "--pairs", str(pairs)]) == 0
    assert (out.read_bytes(), pairs.read_bytes()) == whole
    assert tl_main(["rejection", *flags, "--pairs", str(tmp_path / "other.jsonl")]) == 2
    assert "was begun without --pairs" in capsys.readouterr().err
    out.unlink()  # the pairs of other episodes are not these episodes'
    with pytest.raises(DataError, match=r"pairs.jsonl was made with other settings: max_new_tokens: 8 -> 9"):
        rejection.main([*flags, "--pairs", str(pairs), "--max_new_tokens", "9"])
    assert pairs.read_bytes() == whole[1]


def test_rounds_sample_with_the_model_of_the_round_before_and_go_on_where_they_stopped(toy_sft, tmp_path, monkeypatch):
    """What the processes would do: leave data, leave a model. The second training is stopped at once."""
    started = []

    def run(command: list[str], log: None) -> tuple[int, bool]:
        model, kept = (Path(command[len(command) - command[::-1].index(f)]) for f in ("--model", "--out"))
        started.append((Path(command[1]).name, model, kept))
        if command[1] == "-m":
            assert command[2:4] == ["tl", "rejection"]
            sampling = parse_config(rejection.RejectionConfig, command[4:], "")
            rejection.check(sampling)
            assert sampling.rounds == 0
            kept.write_text("data")
            return 0, False
        assert train_sft.resolve_config(command[2:]).max_steps == 1
        if len(started) == 4:
            return -15, True
        shutil.copytree(base, kept)
        return 0, False

    monkeypatch.setattr("tl.experiments.parts.run", run)
    base, out = toy_sft / "model", tmp_path / "star"
    flags = ["--model", str(base), "--out", str(out), "--rounds", "2", "--train", "--max_steps 1 --max_length 4096"]
    assert rejection.main(flags) == 143
    assert rejection.main(flags) == 0
    one, two = (out / f"round-{n}" for n in (1, 2))
    assert started[:2] == [("-m", base, one / "kept.jsonl"), ("train_sft.py", base, one / "model")]
    second = [("-m", one / "model", two / "kept.jsonl"), ("train_sft.py", base, two / "model")]
    assert started[2:] == second * 2, "the training had not begun, so the sampling is looked at once more"
    started.clear()
    assert rejection.main(flags) == 0 and started == [], "all is done"
    for changed, told in ((["--model", str(TINY)], "model, weights"), (["--from", "last"], "from")):
        with pytest.raises(DataError, match=rf"star has rounds of other settings \({told}\): choose another --out"):
            rejection.main([*flags, *changed])
    other = [*flags, "--from", "last", "--out", str(tmp_path / "other")]
    assert (rejection.main(other), rejection.main(other)) == (143, 0)
    assert started[-1] == ("train_sft.py", *(tmp_path / "other" / f"round-{n}" / "model" for n in (1, 2)))


def test_a_round_that_keeps_nothing_ends_the_rounds(tmp_path, capsys, monkeypatch):
    def run(command: list[str], log: None) -> tuple[int, bool]:
        Path(command[-1]).touch()
        return 0, False

    monkeypatch.setattr("tl.experiments.parts.run", run)
    flags = ["--model", str(TINY), "--out", str(tmp_path / "star"), "--rounds", "2"]
    assert tl_main(["rejection", *flags]) == 2
    assert "round 1: nothing was kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "name the model"),
        (["--model", "nowhere", "--tools", INVENTORY], "--tools needs --tasks"),
        (["--model", "nowhere"], "nowhere: no such folder"),
        (["--model", "nowhere", "--rounds", "2", "--pairs", "pairs.jsonl"], "--pairs is for one sampling"),
        (["--model", "nowhere", "--from", "last"], "--train and --from need --rounds"),
        (["--model", "nowhere", "--pairs", "k.jsonl", "--out", "k.jsonl"], "name the same file"),
        (["--model", "nowhere", "--pairs", "none/k.jsonl"], "the folder none does not exist"),
        (["--model", "nowhere", "--out", "tests"], "tests is not a regular file"),
    ],
)
def test_bad_flags_are_told_in_a_line(tmp_path, capsys, flags, message):
    assert tl_main(["rejection", "--out", str(tmp_path / "kept.jsonl"), *flags]) == 2
    assert message in capsys.readouterr().err


def test_flags_for_the_training_are_read_before_anything_is_sampled(tmp_path, capsys):
    flags = ["rejection", "--model", str(TINY), "--out", str(tmp_path / "star"), "--rounds", "1", "--train"]
    assert tl_main([*flags, "'"]) == 2 and "--train: No closing quotation" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tl_main([*flags, "--epocs 2"])
    assert "unrecognized arguments: --epocs" in capsys.readouterr().err and not (tmp_path / "star").exists()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "kept.jsonl").write_text('{"id": "mine"}\n')
    with pytest.raises(Exception, match="choose another name"):
        resumed(tmp_path / "kept.jsonl", {"tasks/00001#0": "How many?"})
