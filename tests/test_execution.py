"""Execution: whatever happens to a call becomes feedback, in Python's words and with its cause."""

import inspect
import itertools
import json

import pytest

from tl.executor.execution import (
    MAX_FEEDBACK_CHARACTERS,
    UNKNOWN_ANSWER,
    Cause,
    Feedback,
    InProcessExecutor,
    execute,
)
from tl.executor.library import Tool
from tl.mae import ErrorCategory, classify_feedback
from tl.metrics import EpisodeOutcome, score_episodes
from tl.schema import ToolSpec


def add(first: int, second: int, third: int = 0) -> int:
    return first + second + third


def fail(how: str):
    raise {"value": ValueError, "key": KeyError, "runtime": RuntimeError, "memory": _ArrayMemoryError}[how]("it broke")


class _ArrayMemoryError(MemoryError):
    """As numpy's."""


def disconnect(how: str):
    raise {"refused": ConnectionRefusedError("Connection refused"), "slow": TimeoutError("Connection timed out")}[how]


def give(what: str):
    error = {"error": "scan not found"}
    return {"bytes": b"x", "nan": float("nan"), "error": error, "long": "x" * 10_000, "null": None}[what]


def say(what: str):
    return what


def tool(function):
    """A tool that binds as the function does; the hints do not matter."""
    parameters = inspect.signature(function).parameters.values()
    required = tuple(parameter.name for parameter in parameters if parameter.default is parameter.empty)
    return Tool(ToolSpec(function.__name__, "", {parameter.name: {} for parameter in parameters}, required), function)


TOOLS = {function.__name__: tool(function) for function in (add, fail, disconnect, give, say)}

EVERY_CAUSE = [
    ("add(first=1, second=2)", Cause.OK, "3"),
    ('give(what="null")', Cause.OK, "null"),
    ("add(first=1, second=2", Cause.FORMAT_ERROR, None),
    ("What is one plus two?", Cause.FORMAT_ERROR, None),
    ("add(first=__import__('os'), second=2)", Cause.FORMAT_ERROR, None),
    ("plus(first=1)", Cause.UNKNOWN_TOOL, "name plus is not defined"),
    ("add(first=1, secnd=2)", Cause.UNEXPECTED_KEYWORD, "add() got an unexpected keyword argument 'secnd'"),
    ("add(first=1)", Cause.MISSING_ARGUMENT, "add() missing 1 required positional argument: 'second'"),
    ("add()", Cause.MISSING_ARGUMENT, "add() missing 2 required positional arguments: 'first' and 'second'"),
    (
        'add(first=1, second="2")',
        Cause.VALUE_OR_TYPE,
        "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    ),
    ('fail(how="value")', Cause.VALUE_OR_TYPE, "ValueError: it broke"),
    ('fail(how="key")', Cause.VALUE_OR_TYPE, "KeyError: 'it broke'"),
    ('fail(how="runtime")', Cause.TOOL_EXCEPTION, "RuntimeError: it broke"),
    ('fail(how="memory")', Cause.MEMORY, "MemoryError: it broke"),
    ('disconnect(how="refused")', Cause.CONNECTION, "ConnectionRefusedError: Connection refused"),
    ('disconnect(how="slow")', Cause.CONNECTION, "TimeoutError: Connection timed out"),
    ('give(what="error")', Cause.REPORTED_ERROR, '{"error": "scan not found"}'),
    ('give(what="bytes")', Cause.NOT_SERIALISABLE, "TypeError: Object of type bytes is not JSON serializable"),
    ('give(what="nan")', Cause.NOT_SERIALISABLE, None),
    ('give(what="long")', Cause.OUTPUT_CUT, None),
]


@pytest.mark.parametrize(("text", "cause", "feedback"), EVERY_CAUSE)
def test_every_cause_has_its_feedback_and_the_classifier_agrees_with_the_table(text, cause, feedback):
    result = execute(TOOLS, text)
    assert result.cause is cause
    assert feedback is None or result.text == feedback
    assert classify_feedback(result.text) is result.category
    assert result.category.is_error is (cause not in (Cause.OK, Cause.OUTPUT_CUT))


@pytest.mark.parametrize("name", ["files/read", "@files/read", "a.b:c-$d", "x" * 127])
def test_errors_of_tools_with_long_and_odd_names_are_classified_as_what_they_are(name):
    tools = {name: Tool(ToolSpec(name, "", {"path": {}}, ("path",)), lambda path: path)}
    for text in (f"{name}2()", f"{name[1:]}()", f"{name}()", f'{name}(path="a", mode="r")'):
        feedback = execute(tools, text)
        assert feedback.category is classify_feedback(feedback.text) and feedback.category.is_error


# What tools return instead of raising, and its category.
RETURNED_ERRORS = [
    ("Error: flight HAT030 not available", ErrorCategory.TOOL_CALL_FAILURE),
    ([{"error": "no such order"}], ErrorCategory.OTHER),
    ({"result": {"status": 400, "message": "bad id"}}, ErrorCategory.TOOL_CALL_FAILURE),
    ("404 Client Error: Not Found for url: https://x.org/a", ErrorCategory.TOOL_INSTABILITY),
    ({"success": False, "message": "The seat is taken."}, ErrorCategory.OTHER),
    ('Traceback (most recent call last):\n  File "t.py", line 1\nKeyError: 3', ErrorCategory.TOOL_CALL_FAILURE),
    ({"error": "connection timed out"}, ErrorCategory.TOOL_INSTABILITY),
]


@pytest.mark.parametrize(("returned", "category"), RETURNED_ERRORS)
def test_an_error_that_a_tool_returns_is_one_for_executor_metrics_reward_and_mae(returned, category):
    feedback = execute({"tool": tool(lambda: returned)}, "tool()")
    assert (feedback.cause, feedback.category) == (Cause.REPORTED_ERROR, category)
    assert feedback.category is classify_feedback(feedback.text)
    outcome = EpisodeOutcome((feedback.category,), True, True, True)
    assert score_episodes([outcome]).ce == 100


def test_an_error_in_the_part_that_is_cut_out_is_none_that_anybody_reads():
    padding = "x " * MAX_FEEDBACK_CHARACTERS
    feedback = execute(TOOLS, f'say(what="{padding} Error: {padding}")')
    assert (feedback.cause, feedback.category) == (Cause.OUTPUT_CUT, classify_feedback(feedback.text))


def test_whatever_a_tool_raises_is_an_error_in_its_feedback_too():
    names, messages = ("KeyError", "E2eError", "odd", "A" * 80 + "Error"), ("", " ", "\n", "null", "0 errors")
    for name, message in itertools.product(names, messages):
        feedback = execute({"tool": tool(_raiser(type(name, (Exception,), {})(message)))}, "tool()")
        assert feedback.category.is_error, feedback


def _raiser(error):
    def fails():
        raise error

    return fails


def test_only_infrastructure_has_no_category():
    assert [c for c in Cause if Feedback("ValueError: x", c).category is None] == [Cause.INFRASTRUCTURE]


def test_what_a_user_answers_is_no_error_of_a_tool(executor):
    with executor.session(answer=lambda question: "Error: 404, as we say.") as session:
        assert session.run('ask_to_user(question="Which room?")').cause is Cause.OK


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_missing_arguments_are_listed_as_python_lists_them(count):
    namespace = {1: lambda a: 0, 2: lambda a, b: 0, 3: lambda a, b, c: 0, 4: lambda a, b, c, d: 0}
    with pytest.raises(TypeError) as raised:
        namespace[count]()
    python = str(raised.value).partition("() ")[2]
    assert execute({"tool": tool(namespace[count])}, "tool()").text == f"tool() {python}"


def test_a_surplus_keyword_is_reported_before_a_missing_one_as_python_does():
    with pytest.raises(TypeError) as raised:
        add(frst=1)
    assert execute(TOOLS, "add(frst=1)").text == str(raised.value)


def test_a_long_result_is_cut_in_the_middle():
    text = execute(TOOLS, 'give(what="long")').text
    assert len(text) <= MAX_FEEDBACK_CHARACTERS
    assert text.startswith("xxx") and text.endswith("xxx")


def test_a_text_result_is_given_as_it_is_and_everything_else_as_json():
    tools = {"text": tool(lambda: 'say "hi"'), "data": tool(lambda: {"name": "Zoë", "ids": [1, None]})}
    assert execute(tools, "text()").text == 'say "hi"'
    assert execute(tools, "data()").text == '{"name": "Zoë", "ids": [1, null]}'


def test_the_time_of_a_call_is_measured():
    assert 0 < execute(TOOLS, "add(first=1, second=2)").seconds < 1


@pytest.fixture(scope="module")
def executor():
    return InProcessExecutor()


def test_the_state_of_a_session_lasts_for_the_session_and_no_longer(executor):
    create = 'create_event(title="lunch with Ada", date="2026-05-01", start="12:00")'
    with executor.session(seed=1) as session:
        event_id = json.loads(session.run(create).text)["event_id"]
        assert event_id in session.run('list_events(date="2026-05-01")').text
    with executor.session(seed=1) as session:
        assert event_id not in session.run('list_events(date="2026-05-01")').text


def test_two_open_sessions_do_not_share_state(executor):
    create = 'create_event(title="lunch with Ada", date="2026-05-01", start="12:00")'
    with executor.session(seed=1) as one, executor.session(seed=1) as other:
        one.run(create)
        assert "lunch" not in other.run('list_events(date="2026-05-01")').text


def test_finish_ends_the_episode_without_feedback(executor):
    with executor.session() as session:
        assert session.run('finish(answer="Done.")').text == ""
        assert session.finished
        with pytest.raises(RuntimeError, match="finished"):
            session.run('finish(answer="Done.")')


def test_a_finish_that_is_not_accepted_does_not_end_the_episode(executor):
    with executor.session() as session:
        assert session.run("finish()").cause is Cause.MISSING_ARGUMENT
        assert not session.finished


def test_the_user_answers_from_the_facts_or_with_a_fixed_sentence(executor):
    with executor.session(answer=lambda question: f"{question} Oslo.") as session:
        assert session.run('ask_to_user(question="Which city?")').text == "Which city? Oslo."
    with executor.session() as session:
        assert session.run('ask_to_user(question="Which city?")').text == UNKNOWN_ANSWER


def test_a_tool_outside_the_episode_is_not_defined(executor):
    with executor.session(tools=["get_weather"]) as session:
        assert session.run('get_weather(city="Oslo")').cause is Cause.OK
        feedback = session.run('get_air_quality(city="Oslo")')
    assert feedback.text == "name get_air_quality is not defined"
    assert feedback.category is ErrorCategory.TOOL_HALLUCINATION


def test_only_the_toolkits_asked_for_are_there():
    executor = InProcessExecutor(["weather"])
    assert set(executor.toolkit_of.values()) == {"weather"}
    assert executor.specs.keys() == executor.toolkit_of.keys()
