"""RoTBench: the reader, and the official scoring against a slow transcription of the released scorer's rules."""

import copy
import gzip
import json
import random
from functools import partial

import pytest
from growth import seconds

from tl.calls import Call, format_call
from tl.datasets import DataError
from tl.evaluation.error_analysis import Fault, diagnose, name_words
from tl.evaluation.suites import rotbench, strict_score
from tl.evaluation.suites.rotbench import official_score
from tl.forms import Prediction, read_prediction
from tl.metrics import CallScore, Question
from tl.prompt import name_ids
from tl.schema import ToolSpec

NOTHING, TOOL = CallScore(False, False, False), CallScore(True, False, False)
NAMES, ALL = CallScore(True, True, False), CallScore(True, True, True)


def tool(name, *parameters):
    properties = {key: {"type": "string", "description": f"the {key}"} for key in parameters}
    schema = {"type": "object", "properties": properties, "required": [*parameters]}
    return {"name": name, "description": f"does {name}", "parameters": schema}


def action(name, arguments, thought=""):
    return f"Thought:{thought}\nAction: {name}\nAction Input: {json.dumps(arguments)}"


def record(query, tools, *answers, history=(), scenario="TG"):
    system = f"Use the tools. You can use the following tools:\n{json.dumps(tools)}\n\nLet's Begin!"
    turns = [("system", system), ("user", f"{query}\nBegin!\n"), *history, ("assistant", list(answers))]
    conversations = [{"from": role, "value": value} for role, value in turns]
    return {"id": f"Turn 1: {query}", "conversations": conversations, "scenario": scenario}


PLAIN = [
    tool("rate", "base", "to", "date"),
    tool("rates", "base"),
    tool("ask_to_user", "question"),
    tool("finish", "answer"),
]
NOISY = [tool("etar", "base", "to"), tool("finish", "word"), tool("qestion", "q"), tool("hsinif", "answer")]
RECORDS = [
    record(
        "Euro in yen?",
        PLAIN,
        action("rate", {"base": "EUR", "to": "JPY", "date": "None"}),
        action("rate", {"base": "1", "to": "2", "date": "None"}),
        action("rates", {"base": "EUR"}),
    ),
    record("Which euro?", PLAIN, action("ask_to_user", {"question": "Which one?"}), scenario="PL"),
    record("Thanks", NOISY, action("hsinif", {"answer": "You are welcome."}), action("finish", {"word": "x"})),
    record("Spell x", NOISY, action("finish", {"word": "x"}), action("hsinif", {"answer": "x"}), scenario="PL"),
    record("List", PLAIN, action("rates", {}), action("rates", {"base": "EUR"})),
    record("Numbers", NOISY, action("etar", {"base": 1, "to": [True, {"a": 1.0}]}), scenario="AM"),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "First_Turn").mkdir()
    (tmp_path / "First_Turn" / "clean.json").write_text(json.dumps(RECORDS))
    return tmp_path


@pytest.fixture
def suite(folder):
    return rotbench.read(folder)


def official(question, text):
    return rotbench.official_score(question, read_prediction([text], "auto", question.tools))


# ---- reading


def test_an_item_has_its_tools_in_order_its_question_and_its_answers(suite):
    first = suite.questions[0]
    assert [t.name for t in first.tools] == ["rate", "rates", "ask_to_user", "finish"]
    assert [(m.role, m.content) for m in first.messages] == [("user", "Euro in yen?")]
    assert [answer.name for (answer,) in first.answers] == ["rate", "rate", "rates"]
    assert [q.group for q in suite.questions] == ["TG", "PL", "TG", "PL", "TG", "AM"]
    assert "105" in suite.notes[0] and suite.paper == "RoTBench"


def test_the_built_in_tools_of_an_item_are_those_it_brings(suite):
    assert [t.name for t in suite.questions[2].tools] == ["etar", "finish", "qestion", "hsinif"]


def test_the_history_of_a_third_turn_is_calls_and_their_feedback(tmp_path):
    history = (
        ("assistant", action("ask_to_user", {"question": "To?"}, " hm")),
        ("user", "Yen."),
        ("assistant", action("rates", {"base": "EUR"})),
        ("function", '{"JPY": 160}'),
    )
    records = [record("Euro?", PLAIN, action("finish", {"answer": "160"}), history=history)]
    (tmp_path / "heavy.json.gz").write_bytes(gzip.compress(json.dumps(records).encode()))
    [question] = rotbench.read(tmp_path, "rotbench-third:heavy", "third", "heavy").questions
    assert [(m.role, m.content, m.is_call) for m in question.messages] == [
        ("user", "Euro?", False),
        ("assistant", 'ask_to_user(question="To?")', True),
        ("tool", "Yen.", False),
        ("assistant", 'rates(base="EUR")', True),
        ("tool", '{"JPY": 160}', False),
    ]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: r.pop("scenario"), "scenario"),
        (lambda r: r["conversations"][0].update(value=None), "AttributeError"),
        (lambda r: r["conversations"][0].update(value="no tools here"), "substring not found"),
        (lambda r: r["conversations"][-1].update(value=[]), "answers"),
        (lambda r: r["conversations"][-1].update(value=["Action: rate"]), "neither"),
        (lambda r: r["conversations"][-1].update(value=[action("ghost", {"a": "b"})]), "answers that call them"),
        (lambda r: r["conversations"][0].update(value='following tools:\n[{"name": 3}]'), "without a name"),
    ],
)
def test_a_record_that_is_not_as_expected_is_named(folder, damage, message):
    records = copy.deepcopy(RECORDS)
    damage(records[1])
    (folder / "First_Turn" / "clean.json").write_text(json.dumps(records))
    with pytest.raises(DataError, match=f"clean.json, record 2.*{message}"):
        rotbench.read(folder)


def test_a_folder_without_the_file_is_told_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="rotbench/First_Turn/clean.json"):
        rotbench.read(tmp_path)


# ---- the documented rules, one each


def test_a_call_without_arguments_is_wrong_even_if_it_is_the_answer(suite):
    assert official(suite.questions[4], "rates()") == NOTHING
    assert strict_score(suite.questions[4], read_prediction(["rates()"])) == ALL


def test_an_argument_that_is_none_in_the_answer_is_free(suite):
    assert official(suite.questions[0], 'rate(base="EUR", to="JPY", date="today")') == ALL
    assert official(suite.questions[0], 'rate(base="EUR", to="JPY")') == TOOL


def test_a_free_argument_counts_for_nothing_in_strict_scores_and_diagnoses_either(suite):
    question = suite.questions[0]
    right, wrong = (read_prediction([f'rate(base="EUR", to="{to}", date="today")']) for to in ("JPY", "USD"))
    assert strict_score(question, right) == ALL and strict_score(question, wrong) == NAMES
    assert diagnose(question, right, list).reason == "right"
    assert diagnose(question, wrong, list).reason == 'content of to: expected rate(base="EUR", to="JPY", date="today")'
    assert strict_score(question, read_prediction(['rate(base="EUR", to="JPY")'])) == TOOL


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("get_allNews", ["get", "_", "all", "News"]),
        ("HTTPGet2", ["HTTP", "Get", "2"]),
        ("api.v2-search", ["api", ".", "v", "2", "-", "search"]),
        ("", []),
    ],
)
def test_the_words_of_a_name(name, words):
    assert name_words(name) == words


@pytest.mark.parametrize(("called", "fault"), [("get_rates", Fault.PREFIX), ("add_rate", Fault.FIRST)])
def test_wrong_tools_are_told_apart_by_what_their_names_begin_with(called, fault, small_tokenizer):
    """Both names begin with a bare word mark in this vocabulary, which is no beginning."""
    names = ("get_rate", "get_rates", "add_rate")
    assert {small_tokenizer.piece(small_tokenizer.encode(name)[0]) for name in names} == {"▁"}
    question = Question("q", tuple(ToolSpec(n, "", {}, ()) for n in names), (), ((Call("get_rate", {}),),))
    for split in (name_words, partial(name_ids, tokenizer=small_tokenizer)):
        assert diagnose(question, read_prediction([f"{called}()"]), split).faults == {fault}


def test_a_free_argument_is_gone_for_later_answers_of_the_same_keywords(suite):
    assert official(suite.questions[0], 'rate(base="1", to="2", date="today")') == NAMES


def test_finish_stands_for_the_renamed_last_tool(suite):
    assert official(suite.questions[2], 'finish(answer="Bye")') == ALL
    assert official(suite.questions[2], 'hsinif(answer="Bye")') == ALL


def test_a_finish_that_became_the_last_tool_stays_it(suite):
    assert official(suite.questions[2], 'finish(word="y")') == TOOL
    assert official(suite.questions[3], 'finish(word="y")') == ALL


def test_the_values_of_the_last_two_tools_do_not_count(suite):
    assert official(suite.questions[1], 'ask_to_user(question="What?")') == ALL
    assert official(suite.questions[1], 'ask_to_user(text="What?")') == TOOL


def test_values_compare_as_in_python(suite):
    assert official(suite.questions[5], 'etar(base=true, to=[1.0, {"a": true}])') == ALL
    assert official(suite.questions[5], 'etar(base="1", to=[true, {"a": 1}])') == NAMES


def test_text_in_the_benchmarks_own_form_is_cut_as_the_released_scorer_does(suite):
    question = suite.questions[4]
    assert official(question, action("rates", {"base": "EUR"})) == ALL
    assert official(question, action(" rates", {"base": "EUR"})) == NOTHING
    assert official(question, action("rates", {"base": "EUR"}) + "\nObservation: 1") == NOTHING
    assert official(question, action("rates", ["EUR"])) == NOTHING


@pytest.mark.parametrize("text", ["\n", "\n ", "(", "a='x', "])
def test_time_is_linear_in_the_length_of_an_output(suite, text):
    long, short = (seconds(partial(official, suite.questions[0]), "Call: " + text * n) for n in (12_000, 1_500))
    assert long < 24 * short + 0.01  # of eight times the length; quadratic: 64


def test_a_turn_that_was_cut_is_wrong_though_its_text_is_a_call(suite):
    cut = Prediction((action("rates", {"base": "EUR"}) + "\n\n",), (), "did not stop within 96 tokens", is_whole=False)
    assert official_score(suite.questions[4], cut) == NOTHING


def test_text_that_is_no_call_is_wrong(suite):
    assert official(suite.questions[0], "I would ask the bank.") == NOTHING


# ---- NexusRaven's form


def raven(calls):
    return f"Call: {calls}<bot_end> \nThought: because"


def test_the_first_of_several_calls_counts_and_of_nested_ones_the_innermost(suite):
    question = suite.questions[0]
    assert official(question, raven("rates(base='EUR')")) == ALL
    assert official(question, "Call: rates(base='EUR')") == ALL
    assert official(question, raven("rates(base='EUR'); finish(answer='x')")) == ALL
    assert official(question, raven("finish(answer='x'); rates(base='EUR')")) == NOTHING
    assert official(question, raven("finish(answer=rates(base='EUR'))")) == ALL
    assert official(question, raven("rate(base=rates(base='EUR'), to='x', date='y')")) == ALL


def test_empty_arguments_go_and_what_cannot_be_cut_is_wrong(suite):
    question = suite.questions[0]
    assert official(question, raven("rates(base='EUR', date='')")) == ALL
    assert official(question, raven("rates(base='')")) == NOTHING  # no argument is left
    assert official(question, raven("rates(base='E;UR')")) == NOTHING  # cut within the text
    assert official(question, raven("rates(base='a=b')")) == NOTHING
    assert official(question, raven("rates(base='(EUR)')")) == NOTHING
    assert official(question, "Call: no call") == NOTHING


# ---- against a slow transcription


def transcription(raw: dict, text: str) -> CallScore:
    """The released scorer as a reading of its source gives it: three passes over the answers, each with its own state.

    It would crash on arguments that are no object; they count as wrong here.
    """
    system = raw["conversations"][0]["value"]
    names = [t["name"] for t in json.JSONDecoder().raw_decode(system[system.find("[") :])[0]]
    answers = []
    for answer in raw["conversations"][-1]["value"]:
        answers.append(split(answer))
    name, given = split(text)
    if not isinstance(given, dict) or len(given) == 0:
        return NOTHING
    passes = []
    for depth in (1, 2, 3):
        own_name, own = name, dict(given)
        reached = 0
        for golden_name, golden in answers:
            if own_name == "finish" and golden_name == names[-1]:
                own_name = names[-1]
            if own_name != golden_name:
                continue
            reached = max(reached, 1)
            if depth == 1:
                break
            if set(own) != set(golden):
                continue
            reached = max(reached, 2)
            if depth == 2:
                break
            kept = dict(golden)
            for key in golden:
                if golden[key] == "None":
                    del kept[key], own[key]
            exempt = golden_name in ("finish", "ask_to_user") or golden_name in names[-2:]
            if exempt or kept == own:
                reached = 3
                break
        passes.append(reached >= depth)
    return CallScore(*passes)


def split(text: str):
    before, _, arguments = text.partition("Action Input:")
    name = before[before.find("Action:") + len("Action:") :][1:]
    try:
        return name.removesuffix("\n"), json.loads(arguments)
    except ValueError:
        return name.removesuffix("\n"), None


def perturbed(raw: dict, rng: random.Random) -> str:
    """A golden answer with zero to three changes."""
    system = raw["conversations"][0]["value"]
    tools = json.JSONDecoder().raw_decode(system[system.find("[") :])[0]
    name, arguments = split(rng.choice(raw["conversations"][-1]["value"]))
    values = ["None", "", "x", 1, True, 1.0, None, [], {"a": [1]}]
    for _ in range(rng.randrange(4)):
        change = rng.randrange(7)
        key = rng.choice([*arguments, "new"])
        if change == 0:
            name = rng.choice([*(t["name"] for t in tools), "finish", "ask_to_user", "ghost", name.upper(), " " + name])
        elif change == 1:
            arguments.pop(key, None)
        elif change == 2:
            arguments[rng.choice(["new", "base", "answer", *tools[0]["parameters"]["properties"]])] = rng.choice(values)
        elif change == 3 and key in arguments:
            arguments[key] = rng.choice([*values, str(arguments[key]).upper()])
        elif change == 4:
            arguments = dict(reversed(arguments.items()))
        elif change == 5:
            _, other = split(rng.choice(raw["conversations"][-1]["value"]))
            arguments = other
        elif change == 6 and rng.random() < 0.2:
            arguments = {}
    text = action(name, arguments, rng.choice(["", " I think.", " so\nwhat"]))
    return text if rng.random() < 0.95 else text + rng.choice(["}", "\nObservation:", " "])


def disagreements(records, questions, count, seed):
    """Perturbed answers, as text of the benchmark and as calls of our own form, that are scored otherwise."""
    rng = random.Random(seed)
    seen, wrong = set(), []
    for _ in range(count):
        at = rng.randrange(len(records))
        text = perturbed(records[at], rng)
        expected = transcription(records[at], text)
        seen.add(expected)
        predictions = [text]
        name, arguments = split(text)
        if isinstance(arguments, dict) and name == name.strip():
            predictions.append(format_call(Call(name, arguments)))
        wrong += [(p, expected) for p in predictions if official(questions[at], p) != expected]
    return wrong, seen


def test_official_agrees_with_the_transcription_on_perturbed_answers(suite):
    wrong, seen = disagreements(RECORDS, suite.questions, 1500, seed=1)
    assert wrong == []
    assert seen == {NOTHING, TOOL, NAMES, ALL}


@pytest.mark.parametrize("turn", ["first", "third"])
@pytest.mark.parametrize("environment", rotbench.ENVIRONMENTS)
def test_official_agrees_with_the_transcription_on_the_real_files(shared, turn, environment):
    path = shared / "data" / "rotbench" / rotbench.TURNS[turn] / f"{environment}.json.gz"
    records = json.loads(gzip.decompress(path.read_bytes()))
    suite = rotbench.read(shared / "data", "rotbench", turn, environment)
    assert len(suite.questions) == len(records)
    wrong, seen = disagreements(records, suite.questions, 100, seed=2)
    assert wrong == []
    assert {NOTHING, ALL} <= seen


def test_golden_answers_of_the_real_file_are_right_but_for_those_without_arguments(shared):
    suite = rotbench.read(shared / "data" / "rotbench")
    scores = [official(q, format_call(q.answers[0][0])) for q in suite.questions]
    assert (len(scores), scores.count(ALL), scores.count(NOTHING)) == (105, 97, 8)
    assert sum(any(q.free) for q in suite.questions) >= 10
    assert sum(q.group == "TG" for q in suite.questions) == 15
