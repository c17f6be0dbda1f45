"""evaluate.py from the command line: predictions, the report, error analysis, resuming, endpoints, bad input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import evaluate
from tl.calls import format_call
from tl.datasets import DataError
from tl.datasets.questions import read_questions
from tl.evaluation.results import intervals, summary
from tl.evaluation.suites import bfcl, note_too_long, own
from tl.evaluation.suites.catalogue import read_suites
from tl.executor import IsolationError
from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.sampling import cache_size
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import save_model
from tl.metrics import CallScore, questions_of, share_interval
from tl.prompt import encode_prompt
from tl.rollout.dialogue import Response, StopReason
from tl.rollout.endpoint import texts_of
from tl.synthesis import held_out, synthesize
from tl.training.config import RunError
from tl.training.loop import run_script

REPO = Path(__file__).resolve().parent.parent
TOOLS = [
    {"name": name, "parameters": {"type": "object", "properties": dict.fromkeys(keys, {"type": "string"})}}
    for name, keys in (("find", "ab"), ("find_all", "a"), ("list", ""), ("ask_to_user", "q"), ("finish", "z"))
]
GOLDEN = [("find", {"a": "Big cat", "b": "2"}), ("find_all", {"a": "x"}), ("list", {}), ("find", {"a": "1"})]


def item(number, name, arguments):
    system = f"You have the following tools:\n{json.dumps(TOOLS)}\n\nLet's Begin!"
    answer = f"Thought:\nAction: {name}\nAction Input: {json.dumps(arguments)}"
    turns = [("system", system), ("user", f"Do {number}\nBegin!"), ("assistant", [answer])]
    conversations = [{"from": role, "value": value} for role, value in turns]
    return {"id": f"Response 1: {number}", "scenario": "TG" if number < 2 else "RS", "conversations": conversations}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "rotbench" / "First_Turn"
    folder.mkdir(parents=True)
    (folder / "clean.json").write_text(json.dumps([item(i, *golden) for i, golden in enumerate(GOLDEN)]))
    return tmp_path


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def score(data, records, *flags):
    """The report on predictions for the small RoTBench."""
    predictions = write(data / "predictions.jsonl", records)
    report = data / "out" / "report.json"
    flags = ["--suite", "rotbench", "--data", str(data), "--predictions", str(predictions), *flags]
    assert evaluate.main([*flags, "--report", str(report)]) == 0
    return json.loads(report.read_text())["suites"]["rotbench"]


RECORDS = [
    {"id": "Response 1: 0", "prediction": 'find(a="big-cat", b="2")'},
    {"id": "Response 1: 1", "call": {"name": "find", "arguments": {"a": "x"}}},
    {"id": "Response 1: 2", "prediction": "list()"},
    {"id": "Response 1: 3", "prediction": 'Action: find\nAction Input: {"b": "2", "c": 3}'},
]


def test_the_report_has_both_scorings_and_every_item(data, capsys):
    suite = score(data, RECORDS)
    assert suite["official"] == {"n": 4, "ts": 50.0, "pi": 25.0, "cf": 0.0}
    assert suite["strict"] == {"n": 4, "ts": 75.0, "pi": 50.0, "cf": 25.0}
    assert [i["id"] for i in suite["items"]] == [r["id"] for r in RECORDS]
    strict = suite["intervals"]["strict"]  # Wilson's, of 3, 2 and 1 of 4
    assert [x for name in ("ts", "pi", "cf") for x in strict[name]] == pytest.approx(
        [30.06, 95.44, 15.00, 85.00, 4.56, 69.94], abs=0.005
    )
    assert suite["items"][0] == {
        "id": "Response 1: 0",
        "group": "TG",
        "prediction": 'find(a="big-cat", b="2")',
        "calls": [{"name": "find", "arguments": {"a": "big-cat", "b": "2"}}],
        "answers": [['find(a="Big cat", b="2")']],
        "scores": dict.fromkeys(("official", "strict"), {"ts": True, "pi": True, "cf": False}),
        "reason": 'content of a: expected find(a="Big cat", b="2")',
    }
    assert [i["reason"] for i in suite["items"]] == [
        'content of a: expected find(a="Big cat", b="2")',
        "find instead of find_all",
        "right",
        "find: hallucination c; redundancy b; missing a",
    ]
    assert {group: scores["strict"] for group, scores in suite["groups"].items()} == {
        "TG": {"n": 2, "ts": 50.0, "pi": 50.0, "cf": 0.0},
        "RS": {"n": 2, "ts": 100.0, "pi": 50.0, "cf": 50.0},
    }
    printed = " ".join(capsys.readouterr().out.split())
    assert "strict 4 75.00 [ 30.06, 95.44] 50.00 [ 15.00, 85.00] 25.00 [ 4.56, 69.94] paper" in printed
    assert "TG (official) 2 50.00 [ 9.45, 90.55] 50.00 [ 9.45, 90.55] 0.00 [ 0.00, 65.76]" in printed
    assert "paper: TL-CodeLLaMA-2 7B" in printed and "83.81" in printed and "paper counts 105" in printed


def test_an_item_whose_content_is_not_compared_counts_for_the_other_metrics():
    scores = [CallScore(True, True, None), CallScore(True, False, False), None]
    assert summary(scores) == {"n": 2, "ts": 100.0, "pi": 50.0, "cf": 0.0, "n_cf": 1}
    assert intervals("abc", scores)["cf"] == share_interval([(0, 1)])
    assert summary([None]) == {"n": 0, "ts": 0.0, "pi": 0.0, "cf": 0.0}


def test_errors_are_shared_out_as_in_table_1(data):
    errors = score(data, RECORDS)["errors"]
    assert errors["Tool"] == {"n": 1, "First": 0.0, "Prefix": 100.0, "No such tool": 0.0}
    assert errors["Parameter"] == {"n": 1, "Redundancy": 100.0, "Missing": 100.0, "Hallucination": 100.0}
    assert errors["Content"] == {"n": 1, "Alike": 100.0, "Others": 0.0}


def test_predictions_match_by_id_whatever_their_order_or_by_line_without(data):
    expected = score(data, RECORDS)["strict"]
    assert score(data, RECORDS[::-1])["strict"] == expected
    assert score(data, [{k: v for k, v in r.items() if k != "id"} for r in RECORDS])["strict"] == expected


def test_the_form_can_be_named(data):
    assert score(data, RECORDS, "--format", "call")["items"][3]["reason"].startswith("format error")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (RECORDS[:3], "1 of 4 items have no prediction: Response 1: 3"),
        ([*RECORDS, {"id": "Response 1: 9", "prediction": ""}], "not in this set: Response 1: 9"),
        ([{"prediction": "f()"}] * 3, "3 predictions for 4 items"),
        ([*RECORDS[:3], RECORDS[0]], "record 4: has the id 'Response 1: 0', but item 4 is 'Response 1: 3'"),
        ([{"id": r["id"]} for r in RECORDS], 'needs a "prediction"'),
        ([{"id": r["id"], "call": "f()"} for r in RECORDS], "a call has to be"),
        ([{"id": r["id"], "prediction": [{"function": {"name": "list"}}]} for r in RECORDS], 'needs a "prediction"'),
    ],
)
def test_predictions_that_do_not_fit_are_refused(data, records, message):
    with pytest.raises(DataError) as error:
        score(data, records)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "m", "--predictions", "p"], "use only one of"),
        (["--endpoint", "http://x"], "must be given together"),
        (["--judge", "http://x", "--judge_model", "m", "--suite", "bfcl"], "only judges --suite toolalpaca"),
        (["--model", "m", "--format", "json"], "--format is for --predictions and --endpoint"),
        (["--predictions", "p", "--template", "chatml"], "--template is for a local model"),
        (["--suite", "bfcl", "--data", "d", "--on_bad_data", "skip"], "--on_bad_data is for trajectory files"),
        (["--data_format", "openai"], "--data_format is for trajectory files"),
        (["--predictions", "p", "--suite", "held-out:all"], "one file per suite, but got 1 for 5 suites: held-out,"),
        (["--suite", "bfcl"], "needs --data"),
        (["--refusals", "no way", " "], "an empty phrase is in every answer"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(flags, message):
    with pytest.raises((RunError, DataError), match=message):
        evaluate.main(flags)


@pytest.mark.parametrize("flags", [["--limit", "0"], ["--seed", "-1"], ["--seed", "1048577"]])
def test_a_number_out_of_its_range_is_a_usage_error(flags, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(flags)
    assert f"{flags[0]} is {flags[1]}; it must be" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, 96),
        ({"data": ["bench"]}, 512),
        ({"tasks": ["tasks.jsonl"]}, 512),
        ({"endpoint": "http://localhost", "endpoint_model": "m"}, 512),
        ({"tasks": ["tasks.jsonl"], "max_new_tokens": 40}, 40),
    ],
)
def test_only_turns_of_a_local_model_on_generated_requests_are_short(settings, tokens):
    assert evaluate.EvaluationConfig(**settings).turn_tokens == tokens


def test_more_episodes_than_there_are_is_an_error_that_a_user_can_fix(monkeypatch):
    monkeypatch.setattr("tl.synthesis.MAX_TRIES", 0)
    with pytest.raises(DataError, match="ask for fewer"):
        evaluate.main(["--suite", "episodes"])


def test_a_fault_of_our_own_is_no_message_to_the_user(monkeypatch):
    def fault(_config):
        raise ValueError("zip() argument 2 is shorter than argument 1")

    monkeypatch.setattr(evaluate, "check", fault)
    monkeypatch.setattr("sys.argv", ["evaluate.py"])
    with pytest.raises(ValueError, match="shorter"):
        run_script(evaluate.main)


def test_an_error_is_one_line(tmp_path):
    command = [sys.executable, "evaluate.py", "--model", str(tmp_path / "nothing")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr


# ---- with a model


@pytest.fixture
def model(tmp_path, small_tokenizer):
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ModelConfig(
        vocab_size=small_tokenizer.vocab_size,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1400,
        **size,
    )
    save_model(Llama(config), tmp_path / "model", small_tokenizer.path)
    return tmp_path / "model"


def test_a_model_is_evaluated_on_the_default_sets(model, tmp_path, capsys):
    report = tmp_path / "report.json"
    flags = ["--model", str(model), "--limit", "3", "--max_new_tokens", "3", "--report", str(report)]
    assert evaluate.main(flags) == 0
    suites = json.loads(report.read_text())["suites"]
    assert suites["held-out"]["strict"] == {"n": 3, "ts": 0.0, "pi": 0.0, "cf": 0.0}
    assert suites["episodes"]["n"] == 3 and suites["episodes"]["ce"] == 100.0
    assert all("did not stop" in i["reason"] or "not fit" in i["reason"] for i in suites["held-out"]["items"])
    for item in suites["held-out"]["items"]:  # what was said and what is right, beside the scores of the same names
        assert isinstance(item["calls"], list) and all(isinstance(answer, list) for answer in item["answers"])
        assert list(item["scores"]) == ["calls", "answers", "strict"]
    printed = capsys.readouterr().out
    assert "TS" in printed and "VA" in printed and "cannot handle" in printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "report.json"]


class Oracle:
    """A policy that knows the answers; `fails(n)` tells whether the n-th item cannot be asked."""

    def __init__(self, fails, items_seed=0):
        [suite] = read_suites(["held-out"], None, items_seed)
        self.answers = {q.messages: q.answers[0] for q in suite.questions}
        self.fails, self.asked = fails, 0

    def __call__(self, dialogues):
        return [self.answer(d) for d in dialogues]

    def answer(self, dialogue):
        self.asked += 1
        if self.fails(self.asked):
            return Response(note="out of reach", stop=StopReason.POLICY)
        return Response(tuple(map(format_call, self.answers[dialogue.messages])))


def test_items_that_could_not_be_asked_are_named_and_asked_again(tmp_path, monkeypatch, capsys):
    report = tmp_path / "report.json"
    flags = ["--suite", "held-out", "--limit", "20", "--report", str(report)]
    first, second = Oracle(lambda n: n > 12), Oracle(lambda n: False)
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (first, {"model": "oracle"}))
    with pytest.warns(UserWarning, match="out of reach"):
        assert evaluate.main(flags) == 1
    suite = json.loads(report.read_text())["suites"]["held-out"]
    assert suite["strict"]["n"] == 12 and len(suite["missing"]) == 8
    assert "8 items got no answer" in capsys.readouterr().err
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (second, {"model": "oracle"}))
    assert evaluate.main(flags) == 0
    assert second.asked == 8
    assert json.loads(report.read_text())["suites"]["held-out"]["strict"] == {"n": 20, "ts": 100, "pi": 100, "cf": 100}


def test_a_run_without_any_answer_does_not_replace_the_report_of_a_good_one(tmp_path, monkeypatch):
    report = tmp_path / "report.json"
    flags = ["--suite", "held-out", "--limit", "3", "--report", str(report)]
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (Oracle(lambda n: False), {"model": "oracle"}))
    assert evaluate.main(flags) == 0
    good = report.read_text()
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (Oracle(lambda n: True), {"model": "another"}))
    with (
        pytest.warns(UserWarning, match="out of reach"),
        pytest.raises(RunError, match="none of 3 items got an answer"),
    ):
        evaluate.main(flags)
    assert report.read_text() == good


def test_an_interruption_loses_nothing_that_was_asked(tmp_path, monkeypatch):
    def interrupt(n):
        if n == 7:
            raise KeyboardInterrupt

    flags = ["--suite", "held-out", "--limit", "10", "--batch_size", "1", "--report", str(tmp_path / "report.json")]
    first, second = Oracle(interrupt), Oracle(lambda n: False)
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (first, {"model": "oracle"}))
    with pytest.raises(KeyboardInterrupt):
        evaluate.main(flags)
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (second, {"model": "oracle"}))
    assert evaluate.main(flags) == 0
    assert second.asked == 6  # four at a time are written


STOCK = '''def get_stock(name: str) -> int:
    """Items in stock.

    Args:
        name: Name of the item.
    """
    return 4
'''


@pytest.mark.parametrize(("returned", "asked"), [("return 4", 4), ("return 5", 10)])
def test_an_interrupted_evaluation_is_not_resumed_with_other_tools(returned, asked, tmp_path, monkeypatch):
    class Finishing:
        def __init__(self, most: int) -> None:
            self.asked, self.most = 0, most

        def __call__(self, dialogues):
            if self.asked == self.most:
                raise KeyboardInterrupt
            self.asked += len(dialogues)
            return [Response(('finish(answer="4")',))] * len(dialogues)

    (tmp_path / "tools.py").write_text(STOCK)
    (tmp_path / "tasks.jsonl").write_text("".join(f'{{"query": "Request {n}"}}\n' for n in range(10)))
    flags = ["--tools", str(tmp_path / "tools.py"), "--tasks", str(tmp_path / "tasks.jsonl"), "--batch_size", "1"]
    flags += ["--report", str(tmp_path / "report.json")]
    first, second = Finishing(6), Finishing(11)
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (first, {"model": "stub"}))
    with pytest.raises(KeyboardInterrupt):
        evaluate.main(flags)
    (tmp_path / "tools.py").write_text(STOCK.replace("return 4", returned))
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (second, {"model": "stub"}))
    assert evaluate.main(flags) == 0
    assert second.asked == asked


def test_a_report_in_the_models_folder_does_not_make_it_another_model(model, tmp_path, monkeypatch):
    flags = [
        "--model",
        str(model),
        "--suite",
        "held-out",
        "--batch_size",
        "1",
        "--max_new_tokens",
        "2",
        "--limit",
        "12",
    ]
    report, asked, policy = model / "report.json", [], evaluate.LlamaPolicy.__call__

    def ask(self, dialogues):
        asked.append(len(dialogues))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return policy(self, dialogues)

    monkeypatch.setattr(evaluate.LlamaPolicy, "__call__", ask)
    with pytest.raises(KeyboardInterrupt):
        evaluate.main([*flags, "--report", str(report)])
    asked.clear()
    assert evaluate.main([*flags, "--report", str(report)]) == 0
    assert sum(asked) == 4


@pytest.mark.parametrize("suite", ["held-out", "episodes"])
def test_dry_run_shows_the_memory_of_the_largest_cache_and_asks_nothing(suite, model, tmp_path, capsys):
    """The texts of episodes have any length, up to the model's context: at 1,024 tokens, 32 rows fill the cache."""
    report = tmp_path / "report.json"
    flags = ["--model", str(model), "--suite", suite, "--limit", "5", "--report", str(report), "--dry_run"]
    assert evaluate.main(flags) == 0 and not report.exists()
    cached = 32 * 1024
    if suite == "held-out":
        tokenizer, [held_out] = Tokenizer(model), read_suites([suite], None, 0, 40, False)
        prompts = [encode_prompt(q.tools, q.messages, tokenizer) for q in held_out.questions[:5]]
        cached = cache_size(32, {len(prompt) + evaluate.SHORT_TURN for prompt in prompts})
    keys_and_values = 2 * 2 * 8 * 4  # bytes of a token: one layer of 2 heads of 8 float32
    shown = capsys.readouterr().out
    assert f"{suite:<20}5" in shown and f"kv cache{1.5 * keys_and_values * cached / 2**30:20.2f} GiB" in shown


def test_results_are_of_the_items_that_were_asked(tmp_path, monkeypatch):
    flags = ["--suite", "held-out", "--limit", "6", "--report", str(tmp_path / "report.json")]

    def asked(items_seed):
        oracle = Oracle(lambda n: n > 4, items_seed)
        monkeypatch.setattr(evaluate, "make_policy", lambda *_: (oracle, {"model": "oracle"}))
        monkeypatch.setattr(evaluate, "read_suites", lambda names, data, *_: read_suites(names, data, items_seed))
        with pytest.warns(UserWarning, match="out of reach"):
            assert evaluate.main(flags) == 1
        return oracle.asked

    assert [asked(0), asked(1)] == [6, 6]


def test_a_report_holds_any_text_and_is_whole_or_not_there(data, monkeypatch):
    records = [*RECORDS[:3], {"id": "Response 1: 3", "prediction": 'find(a="\ud83d")'}]
    item = score(data, records)["items"][3]
    assert item["prediction"] == 'find(a="\ud83d")'
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        score(data, RECORDS)
    assert json.loads((data / "out" / "report.json").read_text())["suites"]["rotbench"]["items"][3] == item


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is not a regular file"),
        ("data.jsonl", "is not a report"),
        ("data.jsonl/r.json", "is not a writable folder"),
    ],
)
def test_a_report_that_cannot_be_written_or_would_replace_something_else_is_refused_first(name, message, tmp_path):
    (tmp_path / "data.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=message):
        evaluate.main(["--suite", "held-out", "--report", str(tmp_path / name)])
    assert (tmp_path / "data.jsonl").read_text() == "{}\n"


def test_a_report_in_a_folder_that_is_a_dead_link_is_refused_first(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="gone is not a writable folder"):
        evaluate.main(["--suite", "held-out", "--report", str(tmp_path / "gone" / "report.json")])


def test_an_empty_file_may_become_the_report(data):
    (data / "out").mkdir()
    (data / "out" / "report.json").write_text("")
    assert score(data, RECORDS)["items"]


def test_own_sets_take_no_data_and_data_without_an_item_are_an_error(tmp_path):
    (tmp_path / "bad.jsonl").write_text("{}\n")
    report = ["--report", str(tmp_path / "report.json")]
    with pytest.raises(DataError, match="--suite held-out is generated and takes no --data"):
        evaluate.main(["--suite", "held-out", "--data", str(tmp_path), *report])
    with (
        pytest.warns(UserWarning, match="skipped bad records"),
        pytest.raises(DataError, match="Calls of trajectories: nothing to evaluate: all 0 items; .*bad.jsonl"),
    ):
        evaluate.main(["--data", str(tmp_path / "bad.jsonl"), "--on_bad_data", "skip", *report])
    api = {"Name": "Tides", "Function_Description": {}, "Instructions": [], "Golden_Answers": []}
    (tmp_path / "eval_real.json").write_text(json.dumps([api]))
    with pytest.raises(DataError, match="ToolAlpaca, eval_real: nothing to evaluate: eval_real: all 0 requests"):
        evaluate.main(["--suite", "toolalpaca", "--data", str(tmp_path), *report])


def test_environments_stand_in_one_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (lambda ds: [Response(("f()",)) for _ in ds], {}))
    flags = ["--suite", "held-out:all", "--limit", "2", "--report", str(tmp_path / "report.json")]
    assert evaluate.main(flags) == 0
    table = capsys.readouterr().out.partition("noisy tools (section 6.1)")[2]
    rows = [line.split(",")[0].strip() for line in table.splitlines()[2:7]]
    assert rows == ["clean", "slight", "medium", "heavy", "union"]


@pytest.mark.parametrize("suite", [["episodes"], ["bfcl", "--data", "."]])
def test_required_isolation_that_is_not_there_refuses_to_run_tools(suite, tmp_path, monkeypatch):
    monkeypatch.setattr("tl.executor.missing_layers", lambda *_: ["network namespace", "seccomp"])
    flags = ["--suite", *suite, "--limit", "1", "--report", str(tmp_path / "report.json"), "--require_isolation"]
    with pytest.raises(IsolationError, match="does not permit: network namespace, seccomp. docs/executor.md"):
        evaluate.main(flags)


# ---- what is read, and as what


def message(content=None, **more):
    return {"role": "assistant", "content": content, **more}


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        (message("The cats."), 'finish(answer="The cats.")'),  # a message without tool calls is an answer
        (message("The cats.", tool_calls=None), 'finish(answer="The cats.")'),
        (message([{"type": "text", "text": "The cats."}]), 'finish(answer="The cats.")'),
        (message(None, tool_calls=[{"function": {"name": "list", "arguments": "{}"}}]), "list()"),
        (message('Action: list\nAction Input: {"x": 1}'), "list(x=1)"),
    ],
)
def test_a_message_says_the_same_in_a_file_and_through_an_endpoint(data, prediction, said):
    assert texts_of(prediction) == [said]
    item = score(data, [*RECORDS[:3], {"id": "Response 1: 3", "prediction": prediction}])["items"][3]
    assert item["prediction"] == said and len(item["calls"]) == 1


def test_raw_text_that_is_no_call_is_a_format_error_both_ways(data):
    assert texts_of(message("The cats."), "call") == ["The cats."]
    for said in ("The cats.", None, []):
        item = score(data, [*RECORDS[:3], {"id": "Response 1: 3", "prediction": said}])["items"][3]
        assert item["calls"] == [] and not item["scores"]["strict"]["ts"] and item["reason"] != "right"


def test_published_results_of_rotbench_are_read(data):
    records = [item(i, *golden) for i, golden in enumerate(GOLDEN)]
    for record in records:
        record["conversations"][-1]["value"] = record["conversations"][-1]["value"][0]
    (data / "results.json").write_text(json.dumps(records))
    report = data / "report.json"
    flags = ["--suite", "rotbench", "--data", str(data), "--predictions", str(data / "results.json")]
    assert evaluate.main([*flags, "--report", str(report)]) == 0
    assert json.loads(report.read_text())["suites"]["rotbench"]["strict"]["cf"] == 100


def test_published_results_of_bfcl_are_read_from_their_folder(tmp_path):
    """One file a category, as text or as calls with JSON arguments; the files of other categories are left out."""
    tool = {"name": "area", "parameters": {"type": "dict", "properties": {"w": {"type": "float"}}}}
    folder = tmp_path / "model"
    folder.mkdir()
    for part in ("question", "possible_answer"):
        (tmp_path / part).mkdir()
    said = ["[area(w=1/4)]", [{"area": '{"w": 0.25}'}], "area(w=0.25)", []]
    for category, result in zip(bfcl.CATEGORIES, said, strict=True):
        name = f"{category}_0"
        write(
            tmp_path / "question" / f"{category}.jsonl",
            [{"id": name, "question": [[{"role": "user", "content": "?"}]], "function": [tool]}],
        )
        write(tmp_path / "possible_answer" / f"{category}.jsonl", [{"id": name, "ground_truth": ["area(w=0.25)"]}])
        write(folder / f"BFCL_v3_{category}_result.json", [{"id": name, "result": result, "latency": 1.0}])
    write(folder / "BFCL_v3_java_result.json", [{"id": "java_0", "result": "x"}])
    flags = ["--suite", "bfcl", "--data", str(tmp_path), "--report", str(tmp_path / "report.json")]
    with pytest.warns(UserWarning, match="1 of 5 files have no predictions"):
        assert evaluate.main([*flags, "--predictions", str(folder)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())["suites"]["bfcl"]
    assert [one["scores"]["arguments"]["cf"] for one in report["items"]] == [True, True, True, False]
    assert report["scorings"] == ["arguments", "executed", "strict"] and report["executed"]["cf"] == 75
    files = [str(folder / f"BFCL_v3_{category}_result.json") for category in bfcl.CATEGORIES]
    assert evaluate.main([*flags, "--predictions", *files]) == 0
    with pytest.raises(DataError, match="1 of 4 items have no prediction: exec_parallel_multiple_0"):
        evaluate.main([*flags, "--predictions", *files[:3]])


def test_a_file_whose_records_end_in_the_golden_call_gives_one_item_each(tmp_path):
    questions = held_out(40)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(question.solved().to_line() for question in questions))
    asked = read_questions([str(prompts)])
    assert [q.golden for q in asked] == [q.golden for q in questions]
    assert [q.messages for q in asked] == [q.messages for q in questions]
    whole = tmp_path / "whole.jsonl"
    made = synthesize(5)
    whole.write_text("".join(trajectory.to_line() for trajectory in made))
    assert len(read_questions([str(whole)])) == sum(len(questions_of(trajectory)) for trajectory in made)


def test_golden_calls_beyond_the_limit_of_a_turn_are_counted(model, tmp_path, capsys):
    flags = ["--model", str(model), "--suite", "held-out", "--limit", "1", "--report", str(tmp_path / "report.json")]
    assert evaluate.main([*flags, "--max_new_tokens", "3"]) == 0
    assert "400 items have golden calls of more than 3 tokens" in capsys.readouterr().out
    assert "golden calls of more than" not in "".join(note_too_long(own.read_held_out(0), 9, lambda call: 9).notes)


def test_an_interval_takes_the_calls_of_a_trajectory_together():
    """Two right calls of one trajectory are not two trajectories."""
    right = CallScore(True, True, True)
    assert intervals(["a#1", "a#3", "b#1"], [right] * 3) == intervals(["a", "b"], [right] * 2)


def test_an_interval_takes_the_copies_of_a_request_together(data):
    """A level of noise has every request twice: two right copies of one request are no two requests."""
    folder = data / "rotbench" / "First_Turn"
    (folder / "slight.json").write_text(json.dumps([item(i, *golden) for i, golden in enumerate(GOLDEN)] * 2))
    said = write(data / "twice.jsonl", [{k: v for k, v in record.items() if k != "id"} for record in RECORDS * 2])
    flags = ["--suite", "rotbench:slight", "--data", str(data), "--predictions", str(said)]
    assert evaluate.main([*flags, "--report", str(data / "report.json")]) == 0
    level = json.loads((data / "report.json").read_text())["suites"]["rotbench:slight"]
    once = score(data, RECORDS)
    assert level["strict"]["n"] == 8 and level["intervals"]["strict"]["ts"] == once["intervals"]["strict"]["ts"]
