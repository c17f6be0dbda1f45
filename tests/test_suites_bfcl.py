"""BFCL: the reader, and calls scored by arguments, by results and against accepted values."""

import json
from dataclasses import replace

import pytest
from predictions import ALL, NAMES, NOTHING, TOOL, said

from tl.calls import Call, parse_call
from tl.datasets import DataError
from tl.evaluation.suites import bfcl, bfcl_scores, strict_score
from tl.evaluation.suites.bfcl_scores import COMPUTED, arguments_score, ast_scoring, executed_scores
from tl.evaluation.toolkits.bfcl_functions import Toolkit, whole_numbers
from tl.executor import Cause, Feedback, Session
from tl.executor.pool import Pool, PoolError
from tl.forms import Prediction
from tl.metrics import Question
from tl.schema import ToolSpec

AREA = {
    "name": "area",
    "description": "Area of a box",
    "parameters": {
        "type": "dict",
        "properties": {"w": {"type": "float"}, "sides": {"type": "tuple", "items": {"type": "float"}}},
        "required": ["w"],
    },
}
TRUTHS = {
    "exec_simple": ["area(w=1/4, sides=(1, 2))"],
    "exec_multiple": ["area(3)"],
    "exec_parallel": ["area(w=1)", "area(w=2)", "area(w=1)"],
    "exec_parallel_multiple": ["area(w=1)", "area(w=2, sides=[3])"],
}


def write_bfcl(folder, beside=True):
    for part in ("question", "possible_answer"):
        (folder / part).mkdir(exist_ok=True)
    for category, calls in TRUTHS.items():
        question = {"id": f"{category}_0", "question": [[{"role": "user", "content": "How big?"}]], "function": [AREA]}
        truth = {"id": f"{category}_0", "ground_truth": calls}
        name = f"{category}.jsonl" if beside else f"BFCL_v3_{category}.json"
        (folder / "question" / name).write_text(json.dumps(question if beside else question | truth) + "\n")
        if beside:
            (folder / "possible_answer" / name).write_text(json.dumps(truth) + "\n")
    return folder


@pytest.fixture
def boxes(tmp_path):
    return {q.group: q for q in bfcl.read(write_bfcl(tmp_path)).questions}


def test_bfcl_golden_calls_are_read_as_python(boxes):
    assert boxes["exec_simple"].answers == ((Call("area", {"w": 0.25, "sides": [1, 2]}),),)
    assert boxes["exec_multiple"].answers == ((Call("area", {"w": 3}),),)
    assert [boxes[c].n_calls for c in bfcl.CATEGORIES] == [1, 1, 3, 2]
    assert boxes["exec_simple"].tools[0].parameters["sides"]["type"] == "array"


def test_bfcl_of_older_files_has_its_answers_in_the_questions(tmp_path, boxes):
    other = tmp_path / "old"
    other.mkdir()
    assert {q.group: q for q in bfcl.read(write_bfcl(other, beside=False)).questions} == boxes


@pytest.mark.parametrize("score", [arguments_score, strict_score])
def test_parallel_calls_match_in_any_order_but_each_only_once(boxes, score):
    question = boxes["exec_parallel"]
    assert score(question, said("area(w=1)", "area(w=1)", "area(w=2.0)")) == ALL
    assert score(question, said("area(w=1)", "area(w=2)", "area(w=2)")) == NAMES
    assert score(question, said("area(w=1)", "area(w=2)", "area(sides=[1])")) == TOOL
    assert score(question, said("area(w=1)", "area(w=2)")) == NOTHING
    assert score(question, said("area(w=1)", "area(w=2)", "area(w=1)", "area(w=1)")) == TOOL  # it did not stop
    assert score(question, said("area(w=1)", "area(w=2)", "box(w=1)")) == NOTHING


def test_bfcl_reads_positions_and_arithmetic_which_strict_refuses(boxes):
    prediction = said("area(1/4, (1, 2))", form="call")
    assert arguments_score(boxes["exec_simple"], prediction) == ALL
    assert strict_score(boxes["exec_simple"], prediction) == NOTHING


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({"id": "exec_simple_1", "ground_truth": ["area(w=1)"]}, "different ids"),
        ({"id": "exec_simple_0", "ground_truth": ["area(w=x)"]}, "record 1.*literal"),
        ({"id": "exec_simple_0", "ground_truth": []}, "no golden call"),
        ({"id": "exec_simple_0"}, "ground_truth"),
    ],
)
def test_bfcl_answers_that_do_not_fit_are_named(tmp_path, truth, message):
    write_bfcl(tmp_path)
    (tmp_path / "possible_answer" / "exec_simple.jsonl").write_text(json.dumps(truth) + "\n")
    with pytest.raises(DataError, match=message):
        bfcl.read(tmp_path)


def test_a_missing_file_is_told_with_its_published_names(tmp_path):
    with pytest.raises(DataError, match="exec_simple.jsonl or .*/BFCL_v3_exec_simple.json or .*/BFCL_v4_exec_simple"):
        bfcl.read(tmp_path)


def test_lines_that_are_not_json_are_named(tmp_path):
    write_bfcl(tmp_path)
    (tmp_path / "question" / "exec_simple.jsonl").write_text('{"id": 1}\nnonsense\n')
    with pytest.raises(DataError, match="exec_simple.jsonl, record 2: not JSON"):
        bfcl.read(tmp_path)


# ---- by arguments and by results

TOOLS = tuple(
    ToolSpec.from_openai({"name": name, "parameters": {"type": "dict", "properties": properties}})
    for name, properties in {
        "math_gcd": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "math_factorial": {"n": {"type": "integer"}},
        "geometry_area_circle": {"radius": {"type": "integer"}},
        "calculate_density": {"mass": {"type": "float"}, "volume": {"type": "float"}},
        "sort_array": {"array": {"type": "array"}, "reverse": {"type": "boolean", "default": False}},
        "estimate_derivative": {"function": {"type": "string"}, "x": {"type": "integer"}},
        "get_stock_history": {
            "stock_name": {"type": "string"},
            "diffandsplits": {"type": "string", "description": "Allows true|false. Default to false"},
        },
    }.items()
)


def due(*golden):
    return Question("q", TOOLS, (), (tuple(map(parse_call, golden)),), to_the_end=True)


@pytest.mark.parametrize(
    ("golden", "given", "by_arguments", "by_results"),
    [
        ("math_gcd(a=12, b=18)", "math_gcd(a=18, b=12)", ALL, ALL),  # commutative
        ("calculate_density(mass=6, volume=3)", "calculate_density(mass=3, volume=6)", NAMES, NAMES),
        ("calculate_density(mass=6, volume=3)", "calculate_density(mass=12, volume=6)", NAMES, ALL),  # the same result
        ("sort_array(array=[2, 1])", "sort_array(array=[2, 1], reverse=False)", ALL, ALL),  # a declared default
        ("sort_array(array=[2, 1], reverse=False)", "sort_array(array=[2, 1])", ALL, ALL),
        ("sort_array(array=[2, 1])", "sort_array(array=[1, 2])", NAMES, ALL),
        ("sort_array(array=[2, 1])", "sort_array(array=[2, 1], reverse=True)", NAMES, NAMES),
        ("math_factorial(n=5)", "math_factorial(n=5.0)", NAMES, NAMES),  # a whole number is needed
        ("geometry_area_circle(radius=5)", "geometry_area_circle(radius=5.0)", ALL, ALL),  # and here it is not
        (
            'estimate_derivative(function="lambda x: 3*x**2", x=2)',
            'estimate_derivative(function="lambda t: (3 * t ** 2)", x=2)',
            NAMES,
            ALL,
        ),
        (
            'estimate_derivative(function="lambda x: x", x=2)',
            'estimate_derivative(function="lambda x: open(x)", x=2)',  # is data and never evaluated
            NAMES,
            NAMES,
        ),
        ("math_factorial(n=0)", "math_gcd(a=1, b=1)", NOTHING, ALL),  # the released scorer looks at results alone
        ('get_stock_history(stock_name="A")', 'get_stock_history(stock_name="A", diffandsplits="false")', ALL, ALL),
        ('get_stock_history(stock_name="A")', 'get_stock_history(stock_name="B")', NAMES, NAMES),  # not run here
    ],
)
def test_calls_are_scored_by_what_they_mean(golden, given, by_arguments, by_results):
    question, prediction = due(golden), said(given)
    assert arguments_score(question, prediction) == by_arguments
    assert executed_scores([(question, prediction)]) == [by_results]


def test_no_executor_is_started_where_nothing_has_to_be_run(monkeypatch):
    monkeypatch.setattr(bfcl_scores, "executor_of_functions", lambda: pytest.fail("it was started"))
    equal = due("math_gcd(a=12, b=18)"), said("math_gcd(a=18, b=12)")
    elsewhere = due('get_stock_history(stock_name="A")'), said('get_stock_history(stock_name="B")')
    fewer = due("math_gcd(a=1, b=2)", "math_gcd(a=3, b=4)"), said("math_gcd(a=1, b=1)")
    assert executed_scores([equal, elsewhere, fewer]) == [ALL, NAMES, NOTHING]


def test_an_executor_that_fails_makes_no_call_wrong(monkeypatch):
    def refuse(*_):
        raise PoolError("no room")

    monkeypatch.setattr(Pool, "open", refuse)
    with pytest.raises(PoolError, match="The executor failed: no room"):
        executed_scores([(due("math_factorial(n=3)"), said("math_gcd(a=6, b=12)"))])


@pytest.mark.parametrize("cause", [Cause.TIME_OUT, Cause.MEMORY, Cause.WORKER_DIED, Cause.TOOL_EXCEPTION])
def test_a_call_that_takes_its_process_down_is_wrong(monkeypatch, cause):
    """Were it to return, its result would be the golden one."""
    run = Session.run
    end = Feedback("the end", cause)
    monkeypatch.setattr(Session, "run", lambda session, text: end if "factorial" in text else run(session, text))
    assert executed_scores([(due("math_gcd(a=6, b=12)"), said("math_factorial(n=3)"))]) == [NOTHING]


def test_each_result_stands_for_one_golden_call_and_a_further_call_is_wrong():
    question = due("math_factorial(n=3)", "math_gcd(a=6, b=12)")  # 6 and 6
    twice = [(question, said("math_gcd(a=6, b=6)", "math_factorial(n=3)")), (question, said("math_factorial(n=3)"))]
    assert executed_scores(twice) == [ALL, NOTHING]
    assert executed_scores([(question, said(*["math_factorial(n=3)"] * 3))]) == [NOTHING]
    five = due("math_factorial(n=3)", "math_gcd(a=5, b=10)")
    assert executed_scores([(five, said("math_factorial(n=3)", "math_factorial(n=3)"))]) == [NOTHING]


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("add_binary_numbers", {"a": "0011", "b": "1100"}, "1111"),
        ("calc_binomial_probability", {"n": 2, "k": 1, "p": 0.5}, 0.5),
        ("calculate_cosine_similarity", {"vectorA": [3, 4], "vectorB": [4, 3]}, 24 / 25),
        ("calculate_displacement", {"initial_velocity": 1, "acceleration": 2, "time": 3}, 12),
        ("calculate_final_velocity", {"initial_velocity": 1, "acceleration": 2, "time": 3}, 7),
        ("calculate_future_value", {"present_value": 100, "interest_rate": 0.5, "periods": 2}, 225),
        ("calculate_permutations", {"n": 5, "k": 2}, 20),
        ("calculate_standard_deviation", {"numbers": [2, 4, 4, 4, 5, 5, 7, 9]}, 2),
        ("estimate_derivative", {"function": "lambda x: 3*x**2 + 2*x + 1", "x": 5}, 32),
        ("get_fibonacci_sequence", {"n": 7}, [0, 1, 1, 2, 3, 5, 8]),
        ("get_fibonacci_number", {"n": 6}, 8),
        ("get_prime_factors", {"number": 84}, [2, 2, 3, 7]),
        ("linear_regression", {"x": [1, 2, 3], "y": [4, 5, 6], "point": 10}, 13),
        ("mat_mul", {"matA": [[1, 2], [3, 4]], "matB": [[5, 6], [7, 8]]}, [[19, 22], [43, 50]]),
        ("math_lcm", {"a": 24, "b": 18}, 72),
        ("maxPoints", {"points": [[1, 1], [2, 2], [3, 4], [5, 5]]}, 3),
        ("mortgage_calculator", {"loan_amount": 1200, "interest_rate": 0.12, "loan_period": 1}, 106.6185),
        ("order_food", {"item": ["a", "b"], "quantity": [10, 7], "price": [5, 2]}, 64),
        ("polygon_area", {"vertices": [[0, 0], [4, 0], [4, 3]]}, 6),
        ("quadratic_roots", {"a": 1, "b": -3, "c": 2}, [[2, 0], [1, 0]]),
    ],
)
def test_a_function_computes_what_its_documentation_says(name, arguments, result):
    found = getattr(Toolkit(), name)(**arguments)
    if isinstance(result, int | float):
        assert found == pytest.approx(result, rel=1e-6)
    else:
        assert found == result


def test_whole_numbers_are_needed_where_things_are_counted():
    assert whole_numbers("math_factorial") == {"n"} and whole_numbers("calc_binomial_probability") == {"n", "k"}
    assert whole_numbers("math_gcd") == whole_numbers("get_stock_history") == set()


def test_every_golden_call_of_the_real_items_can_be_run(shared):
    toolkit, computed = Toolkit(), 0
    for question in bfcl.read(shared / "data").questions:
        calls = question.answers[0]
        if all(call.name in COMPUTED for call in calls):
            computed += 1
            assert [getattr(toolkit, call.name)(**call.arguments) for call in calls]
    assert computed == 134


# ---- accepted values

TRIP = ToolSpec.from_openai(
    {
        "name": "trip.plan",
        "parameters": {
            "type": "dict",
            "properties": {
                "to": {"type": "string"},
                "days": {"type": "integer"},
                "price": {"type": "float"},
                "stops": {"type": "array", "items": {"type": "string"}},
                "who": {"type": "dict"},
                "slow": {"type": "boolean"},
                "name": {"type": "string"},
                "cards": {"type": "array", "items": {"type": "string"}},
                "legs": {"type": "array", "items": {"type": "float"}},
            },
            "required": ["to"],
        },
    }
)
ACCEPTED = {
    "to": ["New York", "NYC"],
    "days": [3],
    "price": [2.0],
    "stops": [["St. John's"], []],
    "who": [{"age": [30, 31], "name": ["", "Al"]}],
    "slow": ["", True],
    "name": ["", True],  # of another type than declared
    "cards": ["", [["Al"], ["Bo"]]],
    "legs": ["", [1.0, 2.5], [3, 4]],
}
RIGHT = {"to": "NYC", "days": 3, "price": 2.0, "stops": [], "who": {"age": 30}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ALL),
        ({"to": "new-york"}, ALL),  # case, blanks and punctuation
        ({"to": "York"}, NAMES),
        ({"price": 2}, ALL),  # a whole number may stand for a float
        ({"days": 3.0}, NAMES),  # and a float for no whole number
        ({"days": True}, NAMES),
        ({"days": "3"}, NAMES),
        ({"slow": True}, ALL),
        ({"name": True}, ALL),
        ({"name": 1}, NAMES),
        ({"cards": [["Al"], ["Bo"]]}, ALL),
        ({"cards": [["Al"], "Bo"]}, NAMES),
        ({"slow": False}, NAMES),
        ({"slow": ""}, NAMES),  # "" among the accepted values only says that it may be left out,
        ({"name": ""}, ALL),  # but is itself accepted as a text,
        ({"cards": []}, ALL),  # and stands for an empty list
        ({"legs": [1.0, 2.5]}, ALL),
        ({"legs": [1, 2.5]}, NAMES),  # in a list, a whole number stands for no float
        ({"legs": [3.0, 4.0]}, ALL),
        ({"legs": [3, 4]}, ALL),  # unless the accepted list has it
        ({"slow": 1}, NAMES),
        ({"stops": ['st john"s']}, ALL),
        ({"stops": ["St. John's", "x"]}, NAMES),
        ({"who": {"age": 31, "name": "al"}}, ALL),
        ({"who": {"name": "al"}}, NAMES),
        ({"who": {"age": 30, "more": 1}}, NAMES),
        ({"days": None}, NAMES),
        ({"unknown": 1}, TOOL),
    ],
)
def test_accepted_values_by_the_released_checkers_rules(change, expected):
    question = Question("q", (TRIP,), (), ((Call("trip.plan", RIGHT),),), to_the_end=True)
    prediction = replace(said("f()"), calls=(Call("trip_plan", RIGHT | change),))  # dots become underscores
    assert ast_scoring({"q": ACCEPTED})([(question, prediction)]) == [expected]


def test_only_a_parameter_with_the_empty_text_among_its_values_may_be_left_out():
    question = Question("q", (TRIP,), (), ((Call("trip.plan", RIGHT),),), to_the_end=True)
    score = ast_scoring({"q": ACCEPTED})
    for key, expected in (("days", TOOL), ("to", TOOL)):
        left = {k: v for k, v in RIGHT.items() if k != key}
        assert score([(question, replace(said("f()"), calls=(Call("trip.plan", left),)))]) == [expected]
    call = Call("trip.plan", RIGHT)
    assert score([(question, replace(said("f()"), calls=(call, call)))]) == [TOOL]
    assert score([(question, said("I do not know."))]) == [NOTHING]


def test_a_turn_that_was_cut_is_wrong_though_its_text_is_a_call(boxes):
    cut = Prediction(("area(1/4, (1, 2))\n\n",), (), "did not stop within 96 tokens", is_whole=False)
    assert arguments_score(boxes["exec_simple"], said(*cut.texts, form="call")) == ALL
    assert arguments_score(boxes["exec_simple"], cut) == NOTHING


def write_accepted(folder, times=1):
    for part in ("question", "possible_answer"):
        (folder / part).mkdir()
    for category in bfcl.AST_CATEGORIES:
        tool = TRIP.to_openai()["function"]
        question = {"id": f"{category}_0", "question": [[{"role": "user", "content": "Plan."}]], "function": [tool]}
        truth = {"id": f"{category}_0", "ground_truth": [{"trip.plan": ACCEPTED}]}
        (folder / "question" / f"{category}.jsonl").write_text(times * f"{json.dumps(question)}\n")
        (folder / "possible_answer" / f"{category}.jsonl").write_text(times * f"{json.dumps(truth)}\n")
    return folder


def test_two_items_with_one_id_are_refused(tmp_path):
    with pytest.raises(DataError, match="simple_python.jsonl, record 2: ValueError: another item has the id"):
        bfcl.read_ast(write_accepted(tmp_path, times=2))


def test_the_accepted_values_become_answers_that_are_compared_strictly(tmp_path):
    suite = bfcl.read_ast(write_accepted(tmp_path))
    assert [q.group for q in suite.questions] == ["simple_python", "multiple"]
    assert len(suite.questions[0].answers) == 2 * 1 * 1 * 2 * 4 * 2 * 2 * 2 * 3
    golden = replace(said("f()"), calls=(Call("trip.plan", RIGHT),))
    assert strict_score(suite.questions[0], golden) == ALL
    assert suite.scorings["accepted"]([(suite.questions[0], golden)]) == [ALL]
