"""What the calls of an episode earn by rules, worked out by hand."""

import pytest

from tl.calls import parse_call
from tl.executor import Cause, Feedback
from tl.irm import RewardCase
from tl.rl.step_rewards import step_rewards
from tl.schema import BUILT_INS, ToolSpec

TOOLS = (
    ToolSpec("search", "", {"query": {"type": "string"}, "limit": {"type": "integer"}}, ("query",)),
    ToolSpec("book", "", {"id": {"type": "integer"}}, ("id",)),
    *BUILT_INS,
)
SEARCH, BOOK, FINISH = 'search(query="Oslo")', "book(id=7)", 'finish(answer="Done.")'
SOLUTION = [parse_call(text) for text in (SEARCH, BOOK, FINISH)]
GOOD, FAILED = Feedback("[7]", Cause.OK), Feedback("ValueError: no such id", Cause.TOOL_EXCEPTION)
UNKNOWN, OUTAGE = Feedback("name find is not defined", Cause.UNKNOWN_TOOL), Feedback("timeout", Cause.TIME_OUT)
NO_CALL, EXECUTOR = Feedback("SyntaxError: ", Cause.FORMAT_ERROR), Feedback("gone", Cause.INFRASTRUCTURE)


def earned(*calls: tuple[str, Feedback | None], solution=SOLUTION, free_text=("finish",)) -> list[float]:
    return [step.reward for step in step_rewards(calls, solution, TOOLS, free_text)]


def test_each_step_along_the_solution_earns_1():
    assert earned((SEARCH, GOOD), (BOOK, GOOD), (FINISH, GOOD)) == [1, 1, 1]


def test_what_is_said_to_the_user_is_compared_unless_it_is_free():
    said = [(SEARCH, GOOD), (BOOK, GOOD), ('finish(answer="Booked.")', GOOD)]
    assert earned(*said) == [1, 1, 1] and earned(*said, free_text=()) == [1, 1, -0.25]


def test_a_call_that_fails_leaves_the_golden_one_due():
    steps = list(step_rewards([("find()", UNKNOWN), (SEARCH, GOOD), ("book(id=8)", FAILED)], SOLUTION, TOOLS))
    assert [step.reward for step in steps] == [-2, 1, -0.25]
    assert [step.golden for step in steps] == [SOLUTION[0], SOLUTION[0], SOLUTION[1]]
    assert steps[0].case is RewardCase.TOOL_HALLUCINATION and steps[2].case is RewardCase.CONTENT


def test_a_golden_call_is_due_until_its_tool_works_and_as_often_as_the_solution_makes_it():
    assert earned((SEARCH, OUTAGE), (SEARCH, GOOD), (BOOK, GOOD), (FINISH, GOOD)) == [0, 1, 1, 1]
    twice = [SOLUTION[0], SOLUTION[0], *SOLUTION[1:]]
    assert earned((SEARCH, GOOD), (SEARCH, GOOD), (BOOK, GOOD), (FINISH, GOOD), solution=twice) == [1, 1, 1, 1]
    assert earned((SEARCH, GOOD), (BOOK, GOOD), solution=twice) == [1, -1.5]


def test_another_call_that_works_abandons_the_solution_and_then_the_feedback_decides():
    said = [('search(query="Bergen")', GOOD), (SEARCH, GOOD), ("book(id=8)", FAILED), (FINISH, GOOD)]
    assert earned(*said) == [-0.25, 0, -0.25, 0]
    assert [s.golden for s in step_rewards(said, SOLUTION, TOOLS)] == [SOLUTION[0], None, None, None]


def test_without_a_solution_the_feedback_decides_from_the_start():
    said = [(SEARCH, GOOD), ("book(id=8)", OUTAGE), ("book(id=8)", EXECUTOR), ("find()", UNKNOWN)]
    assert earned(*said, solution=[]) == [0, 0, 0, -2]


@pytest.mark.parametrize(
    ("said", "reward"),
    [
        ("name find is not defined", -2),
        ("book() got an unexpected keyword argument 'x'", -0.8),
        ("book() missing 1 required positional argument: 'id'", -0.5),
        ("ValueError: no such id", -0.25),
        ("User not found.", -0.25),  # an error of another kind
        ("Connection refused", 0),
    ],
)
def test_feedback_earns_what_the_corresponding_case_does(said, reward):
    assert earned((BOOK, Feedback(said, Cause.REPORTED_ERROR)), solution=[]) == [reward]


@pytest.mark.parametrize(
    ("said", "rewards"),
    [
        (["find()", "find()", "find()"], [-2, 0, 0]),  # -2 for each would teach to give up at once
        (["ask_to_user()", "find()", "find()"], [-1.5, -0.5, 0]),  # wrong tool, then what is worse by 0.5
        (["find()", SEARCH, "find()"], [-2, 1, -2]),
        (['search(query="Bergen")', 'search(query="Bergen")'], [-0.25, 0]),
    ],
)
def test_failures_in_a_row_cost_as_much_as_the_worst(said, rewards):
    assert earned(*((text, GOOD if text == SEARCH else UNKNOWN) for text in said)) == rewards


def test_text_that_is_no_call_and_a_call_that_was_cut_are_format_errors_on_and_off_the_solution():
    assert earned(("I will search.", NO_CALL), (SEARCH, GOOD), (BOOK, None)) == [-2, 1, -2]
    assert earned((BOOK, GOOD), ("I will search.", NO_CALL)) == [-1.5, -2]  # the one before worked
    assert earned((SEARCH, None), solution=[]) == [-2]
