"""Tasks for tools of one's own: read, played, judged by answer and check, and turned into trajectories."""

import json
import re
import warnings
from collections import Counter
from pathlib import Path

import pytest
from toolkits import INVENTORY, quiet_executor

import evaluate
from tl.__main__ import main as tl_main
from tl.calls import format_call
from tl.cli.synthesis import main
from tl.datasets import DataError
from tl.errors import UserError
from tl.evaluation.suites.own import task_suite
from tl.executor import InProcessExecutor
from tl.mae import erroneous_calls
from tl.rollout.dialogue import Response
from tl.rollout.episodes import Rollout, outcome, play
from tl.rollout.tasks import read_tasks
from tl.synthesis import conversations
from tl.synthesis.episodes import Repertoire
from tl.synthesis.scenarios import Scenario, call
from tl.synthesis.teacher import rehearse, write_taught
from tl.training.config import RunError
from tl.trajectory import Trajectory

EXAMPLES = Path(__file__).parent.parent / "examples"
TRAIN, TEST = (str(EXAMPLES / name) for name in ("inventory_train.jsonl", "inventory_test.jsonl"))
SELL = {"query": "Sell 4 chairs.", "calls": ['sell_item(name="chair", count=4)']}


@pytest.fixture(scope="module")
def executor():
    with quiet_executor(INVENTORY, workers=1) as executor:
        yield executor


@pytest.fixture
def write(tmp_path):
    def write(*records, name="tasks.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return str(path)

    return write


def test_a_line_needs_no_more_than_a_query(executor, write):
    [task] = read_tasks([write({"query": "What does a lamp cost?"})], executor)
    assert [tool.name for tool in task.tools] == ["get_item", "sell_item", "set_item_price", "ask_to_user", "finish"]
    assert (task.calls, task.truth, task.check) == ((), None, None)


def test_a_task_has_its_tools_and_the_call_that_answers(executor, write):
    record = {**SELL, "tools": ["sell_item"], "answer": "No chair is left, 0.", "check": "four_chairs_are_sold"}
    [task] = read_tasks([write(record)], executor)
    assert [tool.name for tool in task.tools] == ["sell_item", "ask_to_user", "finish"]
    assert [format_call(call) for call in task.calls] == [*SELL["calls"], 'finish(answer="No chair is left, 0.")']
    assert task.facts == ("0",)
    [task] = read_tasks([write({**SELL, "answer": "sold out"})], executor)
    assert task.facts == ("sold out",)  # there is no figure in it


BAD = [
    ("nonsense", "not a task|must be an object"),
    ({"calls": []}, "`query` must be"),
    ({"query": "x", "tool": ["get_item"]}, "unknown keys tool; a task may have query, tools, calls, answer, check"),
    ({"query": "x", "tools": ["get_price"]}, "`tools` names unknown tools: get_price; known: get_item, sell_item"),
    ({"query": "x", "tools": "get_item"}, "`tools` must be a list"),
    ({"query": "x", "calls": ["get_item("]}, "'get_item\\(' is not a call"),
    ({"query": "x", "calls": ["get_price()"]}, "get_price is not one of the task's tools"),
    (
        {"query": "x", "calls": ["sell_item(name='a')"], "tools": ["get_item"]},
        "sell_item is not one of the task's tools",
    ),
    ({"query": "x", "calls": ["get_item(item='a')"]}, "get_item takes no item"),
    ({"query": "x", "calls": ["get_item()"]}, "lacks name"),
    ({"query": "x", "calls": []}, "`calls` must be a list of one or more strings"),
    ({"query": "x", "calls": ["finish(answer='a')", "get_item(name='a')"]}, "finish ends the task, but other calls"),
    ({"query": "x", "answer": 7}, "`answer` must be a string or null, not 7"),
    ({"query": "x", "check": "is_sold"}, "is not a function .*'is_sold'; known: four_chairs_are_sold"),
]


@pytest.mark.parametrize(("record", "problem"), BAD)
def test_what_is_no_task_is_told_with_its_line(record, problem, executor, write):
    path = write({"query": "x"}, record)
    with pytest.raises(DataError, match=f"^{re.escape(path)}, line 2: .*({problem})"):
        read_tasks([path], executor)


def test_the_golden_calls_are_executed_and_kept_where_they_end_in_a_right_answer(executor, write):
    sold = {**SELL, "check": "four_chairs_are_sold"}
    tasks = read_tasks(
        [
            write(
                sold,  # the answer tells what the last tool gave
                {**SELL, "calls": ['sell_item(name="chair")'], "check": "four_chairs_are_sold"},
                {**SELL, "calls": ['sell_item(name="chair", count=9)']},
                {**SELL, "calls": ['get_item(name="sofa")']},
                {**SELL, "answer": "I am unable to."},
            )
        ],
        executor,
    )
    faults = Counter()
    with pytest.warns(UserWarning, match="left out: .* gave ") as told:
        [kept] = rehearse(tasks, [task.request(executor) for task in tasks], faults)
    assert [m.content for m in kept.messages] == [
        "Sell 4 chairs.",
        SELL["calls"][0],
        '{"stock": 0, "price": 75}',
        'finish(answer="The stock is 0 and the price is 75.")',
    ]
    assert faults == {"a wrong answer": 1, "a golden call failed": 2, "no real answer": 1}
    assert sorted(str(w.message).partition(" gave ")[2] for w in told) == [
        "LookupError: there is no item 'sofa'",
        '{"error": "only 4 in stock"}',
    ]


def test_tasks_without_golden_calls_want_a_teacher(executor, write, tmp_path):
    tasks = read_tasks([write(SELL, {"query": "x"})], executor)
    with pytest.raises(DataError, match="1 of 2 tasks have no golden calls, tasks/00002 first: .*--teacher"):
        write_taught(tmp_path / "taught.jsonl", tasks, executor, None)


def test_answer_and_check_decide_together_whether_an_episode_is_right(executor, write):
    sold = {**SELL, "check": "four_chairs_are_sold"}
    suite = task_suite(
        [write(sold, {**sold, "answer": "0 left"}, {"query": "x", "answer": "0"}, {"query": "x"})], executor
    )

    def says(calls):
        def policy(dialogues):
            return [Response((calls[min(sum(m.is_call for m in d.messages), len(calls) - 1)],)) for d in dialogues]

        rollouts = dict(play(suite.requests, policy, 4))
        again = {i: Rollout.from_json(json.loads(json.dumps(r.to_json()))) for i, r in rollouts.items()}
        assert again == rollouts
        return [outcome(request, again[i]).right for i, request in enumerate(suite.requests)]

    assert says([*SELL["calls"], 'finish(answer="There are 0.")']) == [True, True, True, None]
    assert says([*SELL["calls"], 'finish(answer="Done.")']) == [True, False, False, None]
    assert says(['finish(answer="There are 0.")']) == [False, False, True, None]
    assert says(SELL["calls"]) == [False, False, False, None]  # nine turns without an end


def test_the_examples_tasks_are_solved_by_their_golden_calls(tmp_path, capsys):
    out = tmp_path / "inventory.jsonl"
    assert main(["--tools", INVENTORY, "--tasks", TRAIN, TEST, "--out", str(out)]) == 0
    records = [Trajectory.from_openai(json.loads(line)) for line in out.read_text().splitlines()]
    assert len(records) == 60 and not any(any(erroneous_calls(record)) for record in records)
    assert "left out: none" in capsys.readouterr().out
    queries = [{json.loads(line)["query"] for line in Path(path).read_text().splitlines()} for path in (TRAIN, TEST)]
    assert not queries[0] & queries[1]
    assert len(Path(INVENTORY).read_text().splitlines()) < 60


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--tools", INVENTORY], "no generated requests exist for .*inventory.py: give tasks .* with --tasks"),
        (["--tools", "/nowhere.py", "--tasks", TRAIN], "no file '/nowhere.py'"),
        (["--tasks", TRAIN, "--kind", "prompts"], "leave --kind, --size, --seed and --mix out"),
        (["--tasks", TRAIN, "--seed", "1"], "leave --kind, --size, --seed and --mix out"),
        (["--tasks", TRAIN], "line 1: .*set_item_price is not one of the task's tools"),
        (["--allow_network"], "--allow_network needs --tasks"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, problem, tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert tl_main(["synthesis", *flags, "--out", str(tmp_path / "x.jsonl")]) == 2
    assert re.search(problem, capsys.readouterr().err)


def test_a_toolkit_of_one_tool_is_enough_and_what_its_scenarios_lack_is_said(monkeypatch, tmp_path):
    shelf = tmp_path / "shelf.py"
    shelf.write_text("def stock(item: str) -> int:\n    return len(item)\n")

    def plan(draw):
        item = draw.one([f"item{number}" for number in range(99)])
        yield {"item": item}
        yield call("stock", item=item)

    executor = InProcessExecutor([str(shelf)])
    scenarios = (Scenario("shelf.stock", plan, ("How many {item}s?",), ("Count {item}.",)),)
    repertoire = Repertoire(executor, scenarios, {"stock": 10})
    monkeypatch.setattr(Repertoire, "of", lambda toolkits: repertoire)
    [[episode]] = conversations([1], mix=(1, 0, 0), toolkits=["shelf"])
    assert [tool.name for tool in episode.trajectory.tools] == ["stock", "ask_to_user", "finish"]
    lacks = [((60, 40, 0), "can fail by outage.*: use --mix 60,0,0"), ((60, 0, 40), "leaves .*: use --mix 60,0,0")]
    for mix, lack in lacks:
        with pytest.raises(DataError, match=f"no scenario of shelf .*{lack}, or add one"):
            conversations([1] * 20, mix=mix, toolkits=["shelf"])


def test_evaluation_plays_the_tasks(toy_sft, tmp_path, capsys):
    report = tmp_path / "report.json"
    model = ["--model", str(toy_sft / "model"), "--max_new_tokens", "4", "--limit", "2", "--report", str(report)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert evaluate.main([*model, "--tools", INVENTORY, "--tasks", TEST, "--allow_network"]) == 0
    out = capsys.readouterr().out
    assert "20 tasks of" in out and "of 2 servable requests with the correct answer" in out
    assert "2 episodes have a call that was cut off at the token limit" in out
    assert "3 tools of inventory" in out and "tools may open network connections" in out
    assert json.loads(report.read_text())["suites"]["tasks"]
    with pytest.raises(UserError, match="--tools needs --tasks"):
        evaluate.main([*model, "--tools", INVENTORY])
    with pytest.raises(RunError, match="cannot be combined with --suite"):
        evaluate.main([*model, "--tasks", TEST, "--suite", "episodes"])


def test_a_file_of_tasks_is_read_as_other_files_are(executor, tmp_path):
    """A line separator within a text ends no line, and a byte order mark is none of it."""
    path = tmp_path / "tasks.jsonl"
    path.write_text('\ufeff{"query": "Sell a lamp.\u2028Thanks."}\n', encoding="utf-8")
    assert [task.query for task in read_tasks([str(path)], executor)] == ["Sell a lamp.\u2028Thanks."]


@pytest.mark.parametrize("record", ['{"query": "\\ud800"}', '{"query": "q", "check": ["a"]}'])
def test_half_a_surrogate_and_a_check_that_is_no_name_are_told(executor, tmp_path, record):
    (tmp_path / "tasks.jsonl").write_text(record + "\n")
    with pytest.raises(DataError, match=r"tasks.jsonl, line 1: "):
        read_tasks([str(tmp_path / "tasks.jsonl")], executor)


def test_files_of_one_name_are_refused_since_their_tasks_could_not_be_told_apart(executor, tmp_path):
    paths = [tmp_path / folder / "tasks.jsonl" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text('{"query": "Sell a lamp."}\n')
    with pytest.raises(DataError, match="two files have the same name"):
        read_tasks(list(map(str, paths)), executor)


def test_golden_calls_may_be_more_than_the_turns_of_a_model(executor, write):
    lamp = 'get_item(name="lamp")'
    tasks = read_tasks([write({"query": "Look ten times.", "calls": [lamp] * 10})], executor)
    faults: Counter[str] = Counter()
    [made] = rehearse(tasks, [task.request(executor) for task in tasks], faults)
    assert len(made.calls()) == 11 and not faults


def test_an_evaluation_says_which_tasks_need_more_turns_than_a_model_gets(executor, write):
    lamp = 'get_item(name="lamp")'
    records = [
        {"query": "Look.", "calls": calls} for calls in ([lamp] * 8, [lamp] * 9, [lamp] * 8 + ["finish(answer='')"])
    ]
    *_, note = task_suite([write(*records)], executor).notes
    assert note.startswith(
        "1 tasks have more golden calls, finish included, than an episode has turns (9), tasks/00002"
    )
    assert len(task_suite([write(*records[:1])], executor).notes) == 2


def test_a_file_of_ones_own_is_not_run_to_find_that_it_has_no_scenario(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n\ndef look() -> str:\n    return ''\n")
    with pytest.raises(DataError, match="no generated requests exist for .*own.py"):
        conversations([1], toolkits=[str(own)])
    assert not (tmp_path / "ran").exists()
