"""Metrics of single calls: tool selection, parameter identification, content filling; intervals of shares."""

import random

import pytest

from tl.calls import Call, CallSyntaxError, parse_call
from tl.mae import ErrorCategory
from tl.metrics import (
    CallScore,
    EpisodeOutcome,
    match_calls,
    score_call,
    score_episodes,
    share_interval,
    wilson_interval,
)
from tl.schema import BUILT_INS, ToolSpec

TOOLS = (
    ToolSpec("search", "", {"query": {"type": "string"}, "limit": {"type": "integer"}}, ("query",)),
    ToolSpec("fetch", "", {"url": {"type": "string"}}, ("url",)),
    *BUILT_INS,
)
GOLDEN = 'search(query="cats", limit=3)'

NOTHING = CallScore(False, False, False)
TOOL = CallScore(True, False, False)
NAMES = CallScore(True, True, False)
ALL = CallScore(True, True, True)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (GOLDEN, ALL),
        ("search(limit=3, query='cats')", ALL),  # order and quotes do not count
        ('search(query="dogs", limit=3)', NAMES),
        ('search(query="cats")', TOOL),  # one missing
        ('search(query="cats", limit=3, page=1)', TOOL),  # one too many
        ("search()", TOOL),
        ('fetch(query="cats", limit=3)', NOTHING),  # right arguments of the wrong tool
        ('fetch(url="x")', NOTHING),
        ('query(query="cats", limit=3)', NOTHING),  # no such tool
        ('search("cats", limit=3)', NOTHING),
        ("I would search for cats.", NOTHING),
        ("", NOTHING),
    ],
)
def test_a_prediction_scores_as_far_as_it_is_right(prediction, expected):
    assert score_call(prediction, GOLDEN, TOOLS) == expected


@pytest.mark.parametrize(
    ("value", "golden", "same"),
    [
        ("3", "3.0", True),
        ("3e0", "3", True),
        ("true", "True", True),
        ("null", "None", True),
        ("true", "1", False),
        ("0", "false", False),
        ('"3"', "3", False),
        ("null", "false", False),
        ("[1, 2]", "[1.0, 2]", True),
        ("[1, 2]", "[2, 1]", False),
        ("[true]", "[1]", False),
        ("(1, 2)", "[1, 2]", True),
        ('{"a": 1, "b": [2]}', "{'b': [2.0], 'a': 1}", True),
        ('{"a": 1}', '{"a": 1, "b": null}', False),
        ('{"a": {"b": false}}', '{"a": {"b": 0}}', False),
        ("[1]", "[1, 1]", False),
        ("[]", "{}", False),
    ],
)
def test_values_compare_as_json_values(value, golden, same):
    expected = ALL if same else NAMES
    assert score_call(f"fetch(url={value})", f"fetch(url={golden})", TOOLS) == expected


def test_the_best_of_several_accepted_answers_counts():
    answers = ['search(query="cats")', Call("fetch", {"url": "cats.org"}), 'search(query="cat", limit=1)']
    assert score_call('search(query="cats")', answers, TOOLS) == ALL
    assert score_call('fetch(url="cats.org")', answers, TOOLS) == ALL
    assert score_call('search(query="dogs", limit=1)', answers, TOOLS) == NAMES
    assert score_call('search(query="cats", limit=1)', answers, TOOLS) == NAMES  # not mixed from two answers


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (["fetch(a=2)", "search(a=1)"], ALL),  # in any order
        (["search(a=2)", "fetch(a=1)"], NAMES),  # each has the other's value
        (["search(a=1)", "fetch(b=2)"], TOOL),
        (["search(a=1)", "search(a=1)"], NOTHING),
        (["search(a=1)"], NOTHING),
    ],
)
def test_several_calls_are_matched_as_a_whole(calls, expected):
    assert match_calls(list(map(parse_call, calls)), [parse_call("search(a=1)"), parse_call("fetch(a=2)")]) == expected


def test_a_tool_that_is_not_offered_is_wrong_even_where_the_answer_names_it():
    assert score_call("ghost(a=1)", "ghost(a=1)", TOOLS) == NOTHING


def test_a_score_unpacks_as_three_flags():
    ts, pi, cf = score_call('search(query="dogs", limit=3)', GOLDEN, TOOLS)
    assert (ts, pi, cf) == (True, True, False)


def test_an_answer_that_is_no_call_is_an_error_of_the_data():
    with pytest.raises(CallSyntaxError):
        score_call(GOLDEN, "search for cats", TOOLS)
    with pytest.raises(ValueError, match="no accepted answer"):
        score_call(GOLDEN, [], TOOLS)


@pytest.mark.parametrize(
    ("category", "de", "ce"),
    [
        (ErrorCategory.TOOL_HALLUCINATION, 100, 0),
        (ErrorCategory.PARAMETER_HALLUCINATION, 100, 0),
        (ErrorCategory.PARAMETER_MISSING, 100, 0),
        (ErrorCategory.TOOL_CALL_FAILURE, 0, 100),
        (ErrorCategory.TOOL_INSTABILITY, 0, 100),
        (ErrorCategory.OTHER, 0, 100),
        (ErrorCategory.ALL_RIGHT, 0, 0),
        (None, 0, 0),
    ],
)
def test_every_error_is_one_against_the_documentation_or_another(category, de, ce):
    scores = score_episodes([EpisodeOutcome((category,), servable=True, finished=True, valid=True)])
    assert (scores.de, scores.ce, scores.n_calls) == (de, ce, 1)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(50, 100, 0.4038, 0.5962), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval_against_published_values(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-4)


def test_wilson_interval_is_one_of_shares_to_the_last_bit():
    intervals = [wilson_interval(successes, n) for n in range(1, 200) for successes in (0, n)]
    assert all(0 <= low < high <= 1 for low, high in intervals)


def percent(interval):
    return pytest.approx((100 * interval[0], 100 * interval[1]))


def test_single_trials_have_wilsons_interval():
    assert share_interval([(1, 1)] * 3 + [(0, 1)] * 7) == percent(wilson_interval(3, 10))
    assert share_interval([]) == (0, 100)


def test_trials_that_repeat_one_another_count_once():
    """Ten calls of an episode that are all right or all wrong say no more than one."""
    assert share_interval([(10, 10)] * 3 + [(0, 10)] * 7) == percent(wilson_interval(3, 10))
    assert share_interval([(0, 9)] * 40 + [(0, 0)] * 3) == percent(wilson_interval(0, 40))
    assert share_interval([(9, 9)] * 40) == percent(wilson_interval(40, 40))


def test_an_interval_by_hand_for_clusters_of_unequal_size():
    """4 of 8; residuals 1 - 1, 2 - 1 and 1 - 2: variance 2/64 instead of 1/32, so 8 independent trials."""
    assert share_interval([(1, 2), (2, 2), (1, 4)]) == percent(wilson_interval(4, 8))


def test_clusters_that_happen_to_agree_do_not_count_as_more_trials_than_there_are():
    assert share_interval([(10, 20), (11, 20)]) == percent(wilson_interval(21, 40))
    assert share_interval([(10, 20)] * 2) == percent(wilson_interval(20, 40))


def test_an_interval_of_clustered_calls_holds_its_share():
    """Beta-distributed episodes of up to nine calls: 95 % within a binomial error of 300 trials; Wilson's has 70 %."""
    rng = random.Random(0)
    held = alone = 0
    for _ in range(300):
        clusters = []
        for _ in range(100):
            share, n = rng.betavariate(0.3, 0.7), rng.randint(1, 9)
            clusters.append((sum(rng.random() < share for _ in range(n)), n))
        low, high = share_interval(clusters)
        held += low <= 30 <= high
        low, high = wilson_interval(sum(c for c, _ in clusters), sum(n for _, n in clusters))
        alone += low <= 0.3 <= high
    assert 0.92 <= held / 300 <= 0.98 and alone / 300 < 0.85
