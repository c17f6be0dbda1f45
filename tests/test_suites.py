"""Readers of ToolAlpaca and ToolEyes, our own held-out sets, and the two scorings they share."""

import json
import re

import pytest
from predictions import ALL, NAMES, NOTHING, TOOL, said
from toolkits import quiet_executor

from tl.calls import Call, parse_call
from tl.datasets import DataError
from tl.evaluation.suites import catalogue, each, own, python_score, strict_score, toolalpaca, tooleyes
from tl.executor import Cause, Executor, ToolkitError
from tl.executor.driving import drive
from tl.forms import Prediction, read_prediction
from tl.mae import ErrorCategory
from tl.metrics import CallScore, Question
from tl.schema import BUILT_INS, ToolSpec
from tl.trajectory import Message

# ---- ToolAlpaca

TIDE = {
    "Name": "Tides",
    "Function_Description": {
        "tide_get": 'Height of the tide\nParameters: {"appid": "Required. string. Your key.", "port": "Required. '
        'string. Name. Or code.", "days": "integer. How many."}\nOutput: OK.\n - Format: text/plain\n - Structure:',
        "ports_get": "All ports\nParameters: {}\nOutput: OK.",
        "components": "Shapes: #Tide: Object{height}",
    },
    "Instructions": ["How high at Dover?", "Which ports?", "Compare Dover and Brest."],
    "Golden_Answers": [
        [{"Action": "tide_get", "Action_Input": '{"appid": "***", "port": "port": "Dover", "days": 1}'}],
        [{"Action": "ports_get", "Action_Input": "{}"}],
        [
            {"Action": "tide_get", "Action_Input": '{"appid": "***", "port": "Dover"}'},
            {"Action": "tide_get", "Action_Input": '{"appid": "***", "port": "Brest"}'},
        ],
    ],
}


@pytest.fixture
def tides(tmp_path):
    (tmp_path / "eval_real.json").write_text(json.dumps([TIDE]))
    return toolalpaca.read(tmp_path)


def test_toolalpaca_tools_come_from_their_text(tides):
    tide, ports, *built_in = tides.questions[0].tools
    assert (tide.name, tide.description, tide.required) == ("tide_get", "Height of the tide", ("appid", "port"))
    assert tide.parameters["port"] == {"type": "string", "description": "Name. Or code."}
    assert tide.parameters["days"]["type"] == "integer"
    assert (ports.name, ports.parameters) == ("ports_get", {})
    assert [tool.name for tool in built_in] == ["ask_to_user", "finish"]


def test_toolalpaca_takes_the_first_golden_step_and_says_so(tides):
    assert [q.id for q in tides.questions] == ["Tides/0", "Tides/1", "Tides/2"]
    assert tides.questions[2].answers == ((Call("tide_get", {"port": "Dover"}),),)
    assert "1 have more golden steps" in tides.notes[0] and "114" in tides.notes[0]


def test_toolalpaca_reads_a_key_that_stands_twice(tides):
    assert tides.questions[0].answers == ((Call("tide_get", {"port": "Dover", "days": 1}),),)


@pytest.mark.parametrize("score", [python_score, strict_score])
def test_credentials_do_not_count_given_or_not(tides, score):
    question = tides.questions[2]
    assert score(question, said('tide_get(port="Dover")')) == ALL
    assert score(question, said('tide_get(appid="mine", port="Dover")')) == ALL
    assert score(question, said('tide_get(appid="mine", port="Brest")')) == NAMES
    assert score(question, said('tide_get(appid="mine", port="Dover", days=1)')) == TOOL
    assert score(tides.questions[1], said("ports_get()")) == ALL
    assert score(tides.questions[1], said('ports_get(appid="mine")')) == TOOL  # that tool takes no credentials


def test_scorings_differ_in_what_equals_what(tides):
    question = tides.questions[0]
    prediction = said('tide_get(port="Dover", days=true)')
    assert python_score(question, prediction) == ALL and strict_score(question, prediction) == NAMES


def test_toolalpaca_names_golden_answers_that_contradict_their_documentation(tmp_path):
    odd = {"Action": "tide_get", "Action_Input": '{"port": "Dover", "days": "1"}'}
    answers = [[odd], *TIDE["Golden_Answers"][1:]]
    (tmp_path / "eval_real.json").write_text(json.dumps([TIDE | {"Golden_Answers": answers}]))
    assert "Tides/0: an argument of the golden answer is not of the documented" in toolalpaca.read(tmp_path).notes[2]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Golden_Answers", []),
        ("Golden_Answers", [[], [], []]),
        ("Golden_Answers", [[{"Action": ["tide_get"], "Action_Input": "{}"}], *TIDE["Golden_Answers"][1:]]),
        ("Function_Description", {"f": "no parameters"}),
        ("Function_Description", ["f"]),
    ],
)
def test_toolalpaca_names_the_api_that_is_not_as_expected(tmp_path, key, value):
    (tmp_path / "eval_real.json").write_text(json.dumps([TIDE | {key: value}]))
    with pytest.raises(DataError, match="API Tides"):
        toolalpaca.read(tmp_path)


# ---- ToolEyes


def write_tooleyes(folder, instructions, *paths):
    said = [{"from": "system", "value": instructions}, {"from": "user", "value": "Look at it."}]
    record = {"id": "Turn 1: Look at it.", "conversations": said, "scenario": "RS"}
    records = [record | {"path": path} for path in paths or ["ToolEyes/Tool_Library/Sight/Eye"]]
    (folder / "scenario_data_zero_processed.json").write_text(json.dumps(records))


@pytest.fixture
def eyes(tmp_path):
    finish = {"name": "finish", "parameters": {"type": "object", "properties": {"answer": {}}, "required": ["answer"]}}
    look = {"name": "look", "parameters": {"type": "object", "properties": {"at": {}, "how": {}}, "required": ["at"]}}
    said = f"Use tools. Specifically, {tooleyes.TOOLS_FOLLOW}\n{json.dumps([look, finish])}"
    write_tooleyes(tmp_path, said)
    return tooleyes.read(tmp_path)


def test_tooleyes_judges_calls_by_the_documentation_alone(eyes):
    with eyes.requests[0].open() as session:
        causes = [
            drive([session.steps(text)])[0].cause
            for text in (
                "look",
                "peek()",
                "look(it=1)",
                "look(how=1)",
                'look(at="x")',
                "finish()",
                'finish(answer="y")',
            )
        ]
        assert session.finished
    assert causes == [
        Cause.FORMAT_ERROR,
        Cause.UNKNOWN_TOOL,
        Cause.UNEXPECTED_KEYWORD,
        Cause.MISSING_ARGUMENT,
        Cause.OK,
        Cause.MISSING_ARGUMENT,
        Cause.OK,
    ]
    assert not eyes.has_backend and "CE and VA mean nothing" in eyes.notes[1]


def test_tooleyes_needs_the_tools_of_every_request(tmp_path, eyes):
    write_tooleyes(tmp_path, "Use tools.")
    with pytest.raises(DataError, match=r"record 1: ValueError: the instructions do not name tools"):
        tooleyes.read(tmp_path)


def test_tooleyes_tools_run_where_a_clone_is_given(tmp_path):
    look = {"name": "look", "parameters": {"type": "object", "properties": {"at": {}}, "required": ["at"]}}
    declared = [look, look | {"name": "gone"}, look | {"name": "finish"}]
    for category in ("Sight", "Hearing", "Smell"):
        folder = tmp_path / "Tool_Library" / category / "Organ"
        folder.mkdir(parents=True)
        (folder / "config_gpt4.json").write_text(json.dumps(declared))
        (folder / "words.py").write_text(f"WORD = {category!r}\n")
        broken = "import nonsense_package\n" if category == "Smell" else ""
        (folder / "tool.py").write_text(f"{broken}from .words import *\n\ndef look(at=''):\n    return WORD + at[0]\n")
    said = f"Specifically, {tooleyes.TOOLS_FOLLOW}\n{json.dumps(declared)}"
    (tmp_path / "Test_Data").mkdir()
    asked = [f"ToolEyes/Tool_Library/{c}/Organ" for c in ("Sight", "Smell", "Hearing", "Taste", "Smell")]
    write_tooleyes(tmp_path / "Test_Data", said, *asked)
    with quiet_executor(str(tmp_path), workers=1) as executor:
        reason = "line 1: ModuleNotFoundError: No module named 'nonsense_package'"
        assert list(executor.broken) == ["Smell/Organ"] and executor.broken["Smell/Organ"].endswith(reason)
        left_out = (
            "left out: 2 for Smell/Organ (ModuleNotFoundError: No module named 'nonsense_package')",
            "left out: 1 for Taste/Organ (--tools has no such folder)",
        )
        with pytest.warns(UserWarning, match=re.escape(f"3 of 5 requests are {'; '.join(left_out)}")):
            suite = tooleyes.read(tmp_path, executor)
        assert [request.id for request in suite.requests] == ["001/RS", "003/RS"] and suite.has_backend
        assert suite.notes[2:] == left_out
        for request, word in zip(suite.requests, ("Sight", "Hearing"), strict=True):
            with request.open() as session:
                assert session.run("look(at='x')").text == f"{word}x"
                assert session.run("look(at=7)").category is ErrorCategory.TOOL_CALL_FAILURE
                gone = session.run("gone(at='x')")  # declared, but not there: not the model's hallucination
                assert "no attribute 'gone'" in gone.text and gone.category is ErrorCategory.TOOL_CALL_FAILURE
    with pytest.raises(ToolkitError, match="has no Tool_Library"):
        Executor([str(tmp_path / "Test_Data")], workers=1)


# ---- our own


def asked(golden, *feedback):
    messages = (Message("user", "How much?"), *(Message("tool", text) for text in feedback))
    tools = (ToolSpec("price_get", "", {"item": {"type": "string"}}, ("item",)), *BUILT_INS)
    return Question("q", tools, messages, ((parse_call(golden),),))


@pytest.mark.parametrize(
    ("said_text", "expected"),
    [
        ('finish(answer="Together that is 12.50 euros.")', ALL),
        ('finish(answer="12.5")', ALL),  # the same number
        ('finish(answer="It costs 13 euros.")', NAMES),
        ('finish(answer="I cannot help, 12.5 or not.")', NAMES),
        ('finish(text="12.5")', TOOL),
        ('price_get(item="12.5")', NOTHING),
        ("12.5", NOTHING),
    ],
)
def test_an_answer_is_right_where_it_has_the_facts_of_the_truth(said_text, expected):
    question = asked('finish(answer="It costs 12.5 euros.")', '{"price": 12.5}')
    assert own.answers_score(question, said(said_text)) == expected
    assert own.calls_score(question, said(said_text)) is None


@pytest.mark.parametrize(
    "golden", ['ask_to_user(question="What is the item?")', 'finish(answer="I cannot handle the task.")']
)
def test_questions_to_the_user_and_answers_without_facts_have_no_content(golden):
    other = golden.replace("What is the item", "Which one").replace("I cannot handle the task", "No")
    assert own.answers_score(asked(golden), said(other)) == CallScore(True, True, None)
    assert own.answers_score(asked(golden), said("price_get(item=1)")) == CallScore(False, False, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('price_get(item="pen")', 1.0),
        ('{"name": "price_get", "arguments": {"item": "pen"}}', 1.0),
        ('price_get(item="ink")', -0.25),
        ("price_get()", -0.5),
        ('finish(answer="12.5")', -1.5),
        ('price_find(item="pen")', -2.0),
        ("12.5", -2.0),
        ('price_get(item="pen")\nprice_get(item="ink")', -2.0),
    ],
)
def test_the_reward_of_an_item_is_that_of_ppo(text, expected):
    assert own.irm_reward(asked('price_get(item="pen")'), read_prediction([text])) == expected


def test_text_for_the_user_is_not_compared_in_a_reward():
    assert own.irm_reward(asked('finish(answer="12.5")'), said('finish(answer="no")')) == 1.0


def test_calls_and_answers_share_out_the_items_and_the_old_cf_stays():
    suite = own.read_held_out(0)
    golden = [(question, Prediction((), question.answers[0])) for question in suite.questions]
    calls, answers = (suite.scorings[name](golden) for name in ("calls", "answers"))
    assert all((call is None) != (answer is None) for call, answer in zip(calls, answers, strict=True))
    assert (calls.count(ALL), calls.count(None)) == (225, 175)
    assert (answers.count(ALL), answers.count(CallScore(True, True, None))) == (69, 106)
    assert "225 items that need a tool" in suite.notes[1] and "README and docs quote" in suite.notes[2]


def test_held_out_answers_are_right_in_every_environment():
    for environment in ("clean", "heavy"):
        suite = own.read_held_out(0, environment=environment)
        question = suite.questions[0]
        prediction = Prediction((), question.answers[0])
        assert strict_score(question, prediction) == ALL
        assert question.answers[0][0].name in {tool.name for tool in question.tools}
        assert suite.variant == f"{environment}, unseen phrasings and values"


def test_own_episodes_start_at_the_request_and_know_the_truth():
    suite = own.read_episodes(seed=0, size=20)
    for request in suite.requests:
        assert [m.role for m in request.messages] == ["user"]
        assert (request.truth is not None) == request.servable
    assert any(request.facts for request in suite.requests)
    assert not all(request.servable for request in suite.requests)


# ---- by name


@pytest.mark.parametrize("name", ["nonsense", "bfcl:heavy", "rotbench:loud", "every-held-out:heavy"])
def test_a_name_that_does_not_exist_is_told_those_that_do(name, tmp_path):
    with pytest.raises(DataError, match=rf"unknown suite {name}; choose from .*rotbench-third.*held-out:clean\|slight"):
        catalogue.read_suites([name], tmp_path, 0)


def test_a_suite_needs_its_folder():
    with pytest.raises(DataError, match="--suite bfcl rotbench-third:heavy needs --data"):
        catalogue.read_suites(["bfcl", "rotbench-third:heavy"], None, 0)


def test_a_level_stands_behind_the_name_and_all_of_them_are_five_environments(tmp_path):
    with pytest.raises(DataError, match="Third_Turn/union.json"):
        catalogue.read_suites(["rotbench-third:union"], tmp_path, 0)
    suites = catalogue.read_suites(["held-out:clean", "held-out:all"], None, 0)
    levels = ["held-out:slight", "held-out:medium", "held-out:heavy", "held-out:union"]
    assert [s.name for s in suites] == ["held-out", *levels]
    assert [s.variant.split(",")[0] for s in suites] == ["clean", "slight", "medium", "heavy", "union"]


def test_the_number_of_episodes_can_be_given():
    [suite] = catalogue.read_suites(["episodes"], None, 0, n_episodes=3)
    assert len(suite.requests) == 3


def test_every_held_out_set_has_a_name_and_stands_in_the_same_table():
    suites = catalogue.read_suites(["every-held-out"], None, 0)
    assert len({s.family for s in suites}) == 1 and len({s.variant for s in suites}) == len(suites) == 8
    assert len({s.questions[0].messages[0].content for s in suites[:4]}) == 4  # other requests, not other names alone


# ---- the official files


def test_the_official_files_have_the_papers_counts_and_golden_answers_are_right(shared):
    data = shared / "data"
    counts = {"toolalpaca": 114, "bfcl": 240, "bfcl-ast": 600}
    for suite in catalogue.read_suites(list(counts), data, 0):
        assert len(suite.questions) == counts[suite.name]
        golden = [(question, Prediction((), question.answers[0])) for question in suite.questions]
        for scoring in (*suite.scorings.values(), each(strict_score)):
            assert scoring(golden) == [ALL] * len(golden)
    [eyes] = catalogue.read_suites(["tooleyes"], data / "tooleyes", 0)
    assert len(eyes.requests) == 382
    assert {"finish", "ask_to_user"} <= {tool.name for tool in eyes.requests[0].tools}


def test_calls_of_own_items_are_text_that_parses():
    suite = own.read_unseen_tools(0)
    assert all(parse_call(m.content) for q in suite.questions[:50] for m in q.messages if m.is_call)
