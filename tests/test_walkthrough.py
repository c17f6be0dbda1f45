"""The walk-through says what the code does: what it computes by hand is what the code gives."""

import json
import re
from pathlib import Path

import pytest

from docs import walkthrough
from tl.cli import show

README = Path(__file__).resolve().parent.parent / "README.md"
CALL = 'get_papers_by_keywords(query="owls")'


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


def weights_in_the_walkthrough(text: str) -> list[tuple[str, float]]:
    """Piece and weight of each token of CALL, the trained one of section 3."""
    section = text[text.index("masked: tool hallucination") : text.index("Σ w·nll")]
    return [(piece, float(w)) for piece, w in re.findall(r"^'(.+?)' +(\d+\.\d+) ", section, re.MULTILINE)]


def test_key_tokens_and_weights_by_hand(text):
    pieces, weights = zip(*weights_in_the_walkthrough(text), strict=True)
    assert "".join(pieces) == f"▁{CALL}</s>" and len(pieces) == 16
    keys = {k: w for k, w in enumerate(weights) if w != 1}
    assert keys == {0: 7.0, 3: 7.0}  # (16 - 2) / 2
    assert [pieces[k] for k in keys] == ["▁get", "s"]  # get_paper ends where get_papers_by_keywords has its s


def test_the_picture_of_the_readme_has_the_same_key_tokens_and_weights(text):
    lines = README.read_text(encoding="utf-8").splitlines()
    row = next(i for i, line in enumerate(lines) if f"Assistant: {CALL}</s>" in line)
    marks, numbers = lines[row + 1], lines[row + 2]
    at = lines[row].index(CALL)
    marked = [(lines[row][m.start() : m.end()], m.start() - at) for m in re.finditer(r"\^+", marks)]
    weights = [float(number) for number in re.findall(r"\d\.\d", numbers.partition("14 others")[0])]
    expected, place = [], -1  # the mark of the first token has no character in the line
    for piece, weight in weights_in_the_walkthrough(text):
        if weight != 1:
            expected.append(((piece.removeprefix("▁"), max(place, 0)), weight))
        place += len(piece)
    assert list(zip(marked, weights, strict=True)) == expected
    assert "Output: name get_papers is not defined" in lines[row - 2]


def test_show_prints_the_same_key_tokens_and_weights(text, tmp_path, capsys):
    file = tmp_path / "owls.jsonl"
    file.write_text(json.dumps(walkthrough.RECORD))
    assert show.main([str(file)]) == 0
    expected = "".join(f"[{p}]×{w:g}" if w != 1 else p for p, w in weights_in_the_walkthrough(text)[:-1])
    assert f"Assistant:{expected} </s>".replace(":▁", ": ") in capsys.readouterr().out


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
