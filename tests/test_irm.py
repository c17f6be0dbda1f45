"""The reward table of section 3.3, row by row, with the boundaries between the rows."""

import pytest

from tl.calls import Call, CallSyntaxError
from tl.irm import REWARDS, RewardCase, call_reward
from tl.schema import BUILT_INS, ToolSpec

TEXT = {"type": "string"}
TOOLS = (
    ToolSpec("search", "", {"query": TEXT, "limit": {"type": "integer"}, "lang": TEXT}, ("query",)),
    ToolSpec("fetch", "", {"url": TEXT}, ("url",)),
    *BUILT_INS,
)
GOLDEN = 'search(query="cats", limit=3)'


@pytest.mark.parametrize(
    ("prediction", "value", "case"),
    [
        ("search(query=", -2, "format error"),
        ('search(query="cats") and more', -2, "format error"),
        ("", -2, "format error"),
        ("search('cats')", -2, "format error"),
        ('google(query="cats", limit=3)', -2, "tool hallucination"),
        ('Search(query="cats", limit=3)', -2, "tool hallucination"),
        ('fetch(url="x")', -1.5, "wrong tool"),
        ('finish(answer="x")', -1.5, "wrong tool"),
        ('search(query="cats", lang="en", n=3)', -1.8, "hallucinated, redundant and missing parameters"),
        ('search(query="cats", limit=3, lang="en", n=3)', -1.3, "hallucinated and redundant or missing parameters"),
        ('search(query="cats", n=3)', -1.3, "hallucinated and redundant or missing parameters"),
        ('search(query="cats", lang="en")', -1.0, "redundant and missing parameters"),
        ('search(query="cats", limit=3, n=3)', -0.8, "hallucinated parameters"),
        ('search(query="cats", limit=3, url="x")', -0.8, "hallucinated parameters"),  # another tool's parameter
        ('search(query="cats", limit=3, lang="en")', -0.5, "redundant or missing parameters"),
        ('search(query="cats")', -0.5, "redundant or missing parameters"),
        ("search()", -0.5, "redundant or missing parameters"),
        ('search(query="dogs", limit=3)', -0.25, "wrong content"),
        ('search(query="cats", limit="3")', -0.25, "wrong content"),
        ('search(query="cats", limit=3)', 1, "all right"),
        ("search(limit=3.0, query='cats')", 1, "all right"),
    ],
)
def test_every_row_of_the_table(prediction, value, case):
    reward = call_reward(prediction, GOLDEN, TOOLS)
    assert (reward.value, reward.case.value) == (value, case)


def test_earlier_rows_win():
    # Unknown tool with wrong parameters, and a wrong tool with hallucinated ones: the tool decides.
    assert call_reward("google(n=1)", GOLDEN, TOOLS).case is RewardCase.TOOL_HALLUCINATION
    assert call_reward("fetch(n=1)", GOLDEN, TOOLS).case is RewardCase.WRONG_TOOL
    # Wrong names hide wrong values.
    assert call_reward('search(query="dogs")', GOLDEN, TOOLS).case is RewardCase.REDUNDANT_OR_MISSING


def test_table_covers_every_case_and_only_a_right_call_is_rewarded():
    assert set(REWARDS) == set(RewardCase)
    assert [case for case, value in REWARDS.items() if value > 0] == [RewardCase.ALL_RIGHT]


@pytest.mark.parametrize(
    ("prediction", "golden", "value"),
    [
        ('search(query="dogs")', 'search(query="cats")', -0.25),  # double quotes
        ('search(query="cats")', "search(query='cats')", 1),
        ('search(query="x", limit=3)', 'search(query="x", limit=4)', -0.25),  # numbers
        ('search(query="x", limit=3)', 'search(query="x", limit=3)', 1),
        ('search(query=["a", "b"])', 'search(query=["b", "a"])', -0.25),  # lists keep their order
        ('search(query="a), b(")', 'search(query="a), b(")', 1),  # brackets inside strings
        ("search(query=true)", "search(query=True)", 1),
        ("search(query=true)", "search(query=1)", -0.25),
        ('search(query={"a": 1, "b": null})', "search(query={'b': None, 'a': 1.0})", 1),
    ],
)
def test_values_that_a_pattern_for_quoted_strings_misses(prediction, golden, value):
    assert call_reward(prediction, golden, TOOLS).value == value


def test_best_of_several_golden_calls_counts():
    golden = ['fetch(url="x")', 'search(query="cats", limit=3)', Call("search", {"query": "cats"})]
    assert call_reward('search(query="cats")', golden, TOOLS).value == 1
    assert call_reward('search(query="dogs")', golden, TOOLS).value == -0.25
    assert call_reward('ask_to_user(question="?")', golden, TOOLS).value == -1.5


def test_keyword_of_a_golden_call_is_no_hallucination_even_outside_the_schema():
    golden = ['search(query="cats", sort="new")', 'search(query="cats")']
    assert call_reward('search(query="cats", sort="new")', golden, TOOLS).value == 1
    assert call_reward('search(query="cats", sort="new", n=1)', golden, TOOLS).case is RewardCase.HALLUCINATED
    assert call_reward('search(sort="old", query="cats")', golden, TOOLS).case is RewardCase.CONTENT


def test_free_text_is_compared_unless_told_otherwise():
    golden = 'finish(answer="It is 3 degrees.")'
    assert call_reward('finish(answer="3 degrees")', golden, TOOLS).value == -0.25
    assert call_reward('finish(answer="3 degrees")', golden, TOOLS, free_text=("finish",)).value == 1
    assert call_reward("finish()", golden, TOOLS, free_text=("finish",)).value == -0.5


def test_golden_call_that_does_not_parse_is_an_error_of_the_data():
    with pytest.raises(CallSyntaxError):
        call_reward(GOLDEN, "search(", TOOLS)
    with pytest.raises(ValueError, match="no golden call"):
        call_reward(GOLDEN, [], TOOLS)
