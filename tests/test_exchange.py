"""Evaluation in and out: reports compared, items and prompts exported, a judge beside the rules."""

import json

import pytest

import evaluate
from tl.calls import Call
from tl.datasets import DataError
from tl.evaluation.compare import bootstrap_interval, compare_reports, mcnemar, paired_line
from tl.evaluation.judge import Judge
from tl.evaluation.suites import python_score
from tl.forms import read_calls, read_prediction
from tl.metrics import CallScore, Question
from tl.rollout.endpoint import Endpoint, EndpointError, Reply
from tl.schema import BUILT_INS, ToolSpec
from tl.templates.baselines import PROMPTS
from tl.training.config import RunError
from tl.trajectory import Message

# ---- two reports


def report(path, right, ids=None, suite="s", golden="f()", missing=()):
    items = [
        {
            "id": id,
            "group": "",
            "answers": [[golden]],
            "scores": {"strict": {"ts": True, "pi": value, "cf": value}, "answers": None},
        }
        for id, value in zip(ids or map(str, range(len(right))), right, strict=True)
    ]
    path.write_text(json.dumps({"suites": {suite: {"title": "A suite", "missing": missing, "items": items}}}))
    return path


def row(lines, name):
    """The numbers behind a name, those of the interval too."""
    [line] = [line for line in lines if line.startswith(f"  {name:<22}")]
    return [float(number.strip("[],")) for number in line[24:].replace("[", " ").split()]


def test_items_are_compared_in_pairs(tmp_path):
    """Of ten items three are better and one is worse: +20 points; p = 2 · (1 + 4) / 16."""
    first = report(tmp_path / "a", [True] * 4 + [False] * 6)
    second = report(tmp_path / "b", [False] + [True] * 6 + [False] * 3)
    lines = compare_reports(first, second)
    n, a, b, difference, low, high, better, worse, p = row(lines, "strict, cf")
    assert (n, a, b, difference, better, worse, p) == (10, 40, 60, 20, 3, 1, 0.625)
    assert -30 <= low < 0 < high <= 60
    assert row(lines, "strict, ts") == [10, 100, 100, 0, 0, 0, 0, 0, 1]


def test_items_of_one_report_alone_are_counted_and_copies_of_a_request_are_one_cluster(tmp_path):
    ids = ["x", "y", "x", "y"]
    first, second = report(tmp_path / "a", [False] * 4, ids), report(tmp_path / "b", [True, False] * 2, ids)
    assert "not compared" not in "".join(compare_reports(first, second))
    assert row(compare_reports(first, second), "strict, cf")[4:6] == [
        0,
        100,
    ]
    calls = ["x#1", "x#3", "x#5", "x#7"]  # of one trajectory
    first, second = (report(tmp_path / name, [right] * 4, calls) for name, right in (("d", False), ("e", True)))
    assert row(compare_reports(first, second), "strict, cf")[6:] == [4, 0, 1]
    first = report(tmp_path / "a", [False] * 4, ids)
    fewer = report(tmp_path / "c", [True, False], ids[:2])
    assert "2 items are only in the first report and 0 only in the second" in "".join(compare_reports(first, fewer))


def test_only_the_same_items_are_paired(tmp_path):
    """A copy of a request may lack an answer, and another set may use the same ids."""
    first = report(tmp_path / "a", [True, True, False], ["x", "y", "x"])
    second = report(tmp_path / "b", [True, False], ["y", "x"], missing=["x"])
    lines = compare_reports(first, second)
    assert row(lines, "strict, cf")[:4] == [1, 100, 100, 0]
    assert "2 items are only in the first report and 1 only in the second" in "".join(lines)
    with pytest.raises(DataError, match="no item in common"):
        compare_reports(first, report(tmp_path / "c", [True, True, False], ["x", "y", "x"], golden="g()"))


def test_episodes_are_compared_by_their_answers(tmp_path):
    for name, valid in (("a", False), ("b", True)):
        items = [{"id": "e", "trajectory": {}, "servable": True, "valid": valid, "real": valid, "right": None}]
        items.append(items[0] | {"id": "out of scope", "servable": False, "valid": not valid, "real": not valid})
        (tmp_path / name).write_text(json.dumps({"suites": {"episodes": {"title": "E", "items": items}}}))
    lines = compare_reports(tmp_path / "a", tmp_path / "b")
    assert row(lines, "valid") == row(lines, "real") == [1, 0, 100, 100, 100, 100, 1, 0, 1]
    assert not any(line.strip().startswith("right") for line in lines)  # no truth is known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is not a report"),
        ("{}", "is not a report"),
        ('{"suites": {"t": {"items": []}}}', "no suite in"),
        ('{"suites": {"s": {"items": [{"id": "0", "reward": 1}]}}}', "s: not from evaluate.py"),
        ('{"suites": {"s": {"items": [{"scores": {}}]}}}', "s: not from evaluate.py"),
    ],
)
def test_what_cannot_be_compared_is_named(tmp_path, text, message):
    (tmp_path / "b").write_text(text)
    with pytest.raises(DataError, match=message):
        compare_reports(report(tmp_path / "a", [True]), tmp_path / "b")


def test_a_report_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(DataError, match="none.json: cannot be read: No such file or directory"):
        compare_reports(report(tmp_path / "a", [True]), tmp_path / "none.json")


def test_two_reports_from_the_command_line(tmp_path, capsys):
    paths = [str(report(tmp_path / name, [True])) for name in "ab"]
    assert evaluate.main(["--compare", *paths]) == 0
    assert "McNemar" in capsys.readouterr().out
    with pytest.raises(RunError, match="two reports"):
        evaluate.main(["--compare", paths[0]])
    with pytest.raises(RunError, match="leave the other settings out"):
        evaluate.main(["--compare", *paths, "--model", "runs/sft"])


def test_mcnemars_exact_test_by_hand():
    assert mcnemar(0, 0) == 1 and mcnemar(2, 2) == 1
    assert mcnemar(7, 1) == mcnemar(1, 7) == pytest.approx(2 * (1 + 8) / 256)
    assert mcnemar(0, 5) == pytest.approx(1 / 16)


def test_copies_of_a_request_count_once_in_mcnemars_test():
    line = paired_line("ts", [[(False, True), (False, True)]] * 5 + [[(False, True), (True, False)]])
    assert line.split()[-3:] == ["11", "1", f"{2 / 32:.4f}"]


def test_the_bootstrap_of_equal_values_is_that_value_and_of_many_about_the_normal_one():
    assert bootstrap_interval([(2, 4)] * 9) == (50, 50)
    low, high = bootstrap_interval([(1, 1)] * 50 + [(0, 1)] * 50)
    assert (low, high) == (pytest.approx(50 - 9.8, abs=1.1), pytest.approx(50 + 9.8, abs=1.1))


# ---- items and prompts

ADVICE = ToolSpec("random_advice", "Returns advice.", {"n": {"type": "integer", "description": "How many"}}, ("n",))
ASKED = (Message("user", "Any advice?"),)
GONE_ON = (*ASKED, Message("assistant", "random_advice(n=1)", is_call=True), Message("tool", '["Sleep."]'))


@pytest.mark.parametrize("form", PROMPTS)
def test_a_prompt_has_the_tools_and_the_request_and_ends_where_the_model_speaks(form):
    text = PROMPTS[form]((ADVICE,), ASKED)
    assert "random_advice" in text and "How many" in text and text.count("Any advice?") == 1
    assert text.rstrip().endswith(("assistant", "Assistant:", "<|assistant|>", "<|end_header_id|>", "<human_end>"))


@pytest.mark.parametrize("form", [form for form in PROMPTS if "nexus" not in form])
def test_a_history_has_its_calls_in_the_form_of_the_model_and_their_feedback(form):
    before, after = PROMPTS[form]((ADVICE,), ASKED), PROMPTS[form]((ADVICE,), GONE_ON)
    said = after[len(before) :]
    assert after.startswith(before.rstrip()[:-12]) and "Sleep." in after
    call = said.split("<|")[0] if "[" not in said.split("\n")[0] else said
    assert read_calls(call.split("\nOutput:")[0].split("\nFunction:")[0].split("\nObservation:")[0])[0] == Call(
        "random_advice", {"n": 1}
    )


def test_nexusraven_has_no_history():
    assert PROMPTS["nexusraven-2 (Table 7)"]((ADVICE,), GONE_ON) is None


def test_items_are_exported_with_ids_tools_messages_and_prompts(tmp_path, capsys):
    out = tmp_path / "items.jsonl"
    assert evaluate.main(["--suite", "held-out", "--limit", "3", "--export", str(out)]) == 0
    items = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(items) == 3 and {*items[0]} == {"suite", "id", "tools", "messages", "prompts"}
    assert items[0]["suite"] == "held-out" and len(items[0]["prompts"]) == len(PROMPTS) == 7
    assert "3 items" in capsys.readouterr().out
    with pytest.raises(DataError, match="consists of whole episodes"):
        evaluate.main(["--suite", "episodes", "--episodes", "2", "--export", str(tmp_path / "episodes.jsonl")])


def test_an_export_replaces_no_file_and_says_so_before_anything_is_loaded(tmp_path, monkeypatch):
    data = tmp_path / "mine.jsonl"
    data.write_text("precious")
    monkeypatch.setattr(evaluate, "load_suites", None)
    with pytest.raises(DataError, match="mine.jsonl already exists: delete it, or choose another file"):
        evaluate.main(["--data", str(data), "--export", str(data)])
    with pytest.raises(DataError, match="mine.jsonl is not a writable folder"):
        evaluate.main(["--suite", "held-out", "--export", str(data / "items.jsonl")])
    assert data.read_text() == "precious"


# ---- a judge

SEARCH = ToolSpec("search", "Finds.", {"q": {"type": "string"}}, ("q",))
QUESTION = Question("q", (SEARCH, *BUILT_INS), (Message("user", "Cats?"),), ((Call("search", {"q": "cats"}),),))


class Server(Endpoint):
    """Says what `answers` has for the predicted call."""

    answers: dict = {}
    asked: list = []

    def chat(self, messages, tools=(), **options):
        text = messages[0]["content"]
        self.asked.append(text)
        call = text.split("Assistant's call: ")[1].split("\n")[0]
        if call not in self.answers:
            raise EndpointError("gone")
        return Reply({"content": self.answers[call]}, "stop")


def judged(tmp_path, **answers):
    server = type("One", (Server,), {"answers": answers.pop("answers"), "asked": []})("http://x", "judge")
    judge = Judge(server, tmp_path / "kept.jsonl")
    calls = ['search(q="cats")', 'search(q="cat")', 'search(q="dogs")', "no call", 'search(q="?")']
    return server, judge, [(QUESTION, read_prediction([text], "call")) for text in calls]


ANSWERS = {'search(q="cat")': "Well... Yes.", 'search(q="dogs")': "No", 'search(q="?")': "I cannot say."}


def test_a_judge_decides_what_is_not_equal_anyway_and_is_asked_once_for_each_verdict(tmp_path):
    server, judge, answered = judged(tmp_path, answers=ANSWERS)
    with pytest.warns(UserWarning, match="neither yes nor no for 1 items"):
        scores = judge.scores(answered)
    right, names = CallScore(True, True, True), CallScore(True, True, False)
    assert scores == [right, right, names, python_score(*answered[3]), None]
    assert len(server.asked) == 3 and "Request: Cats?" in server.asked[0] and "def search(" in server.asked[0]
    with pytest.warns(UserWarning, match="neither"):
        assert judge.scores(answered) == scores
    assert len(server.asked) == 4, "only what it had left open is asked again"
    server.answers['search(q="?")'] = "yes"
    assert judge.scores(answered) == [*scores[:4], right]


def test_the_verdicts_of_an_interrupted_judge_are_kept(tmp_path):
    _, judge, answered = judged(tmp_path, answers={'search(q="cat")': "yes"})
    with pytest.raises(EndpointError):
        judge.scores(answered[:3])
    (tmp_path / "kept.jsonl").open("a").write('["torn')
    server, judge, answered = judged(tmp_path, answers={'search(q="dogs")': "no"})
    assert [score.cf for score in judge.scores(answered[:3])] == [True, True, False]
    assert len(server.asked) == 1


def test_a_judge_needs_both_flags():
    with pytest.raises(RunError, match="--judge and --judge_model"):
        evaluate.main(["--judge", "http://x"])
