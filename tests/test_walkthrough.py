"""The walk-through says what the code does: what it computes by hand is what the code gives."""

import re

import pytest

from docs import walkthrough


@pytest.fixture(scope="module")
def text():
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *parts, end="\n": lines.append(" ".join(map(str, parts)) + end))
        walkthrough.main()
    return "".join(lines)


def test_every_number_that_is_computed_twice_comes_out_the_same(text):
    pairs = re.findall(r"^(.*?) +by hand (\S+) +by code (\S+)$", text, re.MULTILINE)
    names = ["loss", "sum of the rewards", "advantage of the first token"]
    names += [
        "whitened advantage of the first token",
        "tokens whose gradient the clip stops",
        "policy loss",
        "value loss",
    ]
    assert [name for name, _, _ in pairs] == names
    for name, by_hand, by_code in pairs:
        assert float(by_hand) == pytest.approx(float(by_code), rel=1e-4, abs=2e-6), name


def test_the_call_of_a_tool_that_does_not_exist_weighs_nothing(text):
    masked = text[text.index("== 3.") : text.index("masked: tool hallucination")]
    weights = re.findall(r"^'.+?' +(\d\.\d{4}) ", masked, re.MULTILINE)
    assert weights and set(weights) == {"0.0000"}


def test_the_rewards_are_those_of_the_table(text):
    rows = re.findall(
        r"^(\S.*?) {2,}(-?\d\.\d{4}) +(\S.*?) *$", text[text.index("== 5.") : text.index("== 6.")], re.MULTILINE
    )
    assert [(float(value), case) for _, value, case in rows] == [
        (1.0, "all right"),
        (-2.0, "tool hallucination"),
        (-1.5, "wrong tool"),
        (-1.3, "hallucinated and redundant or missing parameters"),
        (-0.5, "redundant or missing parameters"),
        (-0.25, "wrong content"),
        (-2.0, "format error"),
    ]


def test_the_clip_of_the_update_acts(text):
    assert float(re.search(r"the clip stops +by hand (\S+)", text)[1]) >= 1
