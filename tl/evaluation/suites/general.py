"""General ability (paper, section 6.3 and Figure 5): what a suite of plain texts is, and how two models compare on it.

The paper names three sets and gives bars only: no shots, no prompts, no numbers. So each suite says its settings, and
what counts is the difference between a base model and the one tuned from it, item by item under the same settings.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tl.evaluation.compare import HEADER, Pair, paired_line
from tl.metrics import percent, wilson_interval

Grades = dict[str, bool]  # name of a score -> whether the item is right by it


@dataclass(frozen=True)
class TextItem:
    """A text to go on from, `header`, then `shots`, then `question`; with `choices`, one of them is to be chosen.

    `gold` is what `TextSuite.grade` compares with.
    """

    id: str
    question: str
    gold: str
    header: str = ""
    shots: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    group: str = ""

    def prompt(self, fits: Callable[[str], bool] = lambda text: True) -> tuple[str, int]:
        """The text with as many of the shots, from the first, as fit; and how many were dropped."""
        for n in range(len(self.shots), 0, -1):
            text = self.header + "".join(self.shots[:n]) + self.question
            if fits(text):
                return text, len(self.shots) - n
        return self.header + self.question, len(self.shots)


@dataclass(frozen=True)
class TextSuite:
    """A set of texts. `grade` takes items and what was said to each; its first score is the suite's number.

    `stops` and `max_new_tokens` are for sets whose answers are written; `areas` maps groups to what they belong to.
    """

    name: str
    title: str
    items: tuple[TextItem, ...]
    settings: str
    grade: Callable[[Sequence[TextItem], Sequence[str]], list[Grades]]
    stops: tuple[str, ...] = ()
    max_new_tokens: int = 0
    areas: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TextResult:
    """What a model said to the items of a suite, and how that was graded. `cut` (answers), `dropped` (shots) and
    `too_long` (items) are counts."""

    model: str
    said: list[str]
    grades: list[Grades]
    cut: int
    dropped: int
    too_long: int
    seconds: float

    def right(self, score: str) -> list[bool]:
        return [grades[score] for grades in self.grades]


def to_json(suite: TextSuite, results: Sequence[TextResult]) -> dict:
    """All that was said, and how it was graded."""
    models = [
        {
            "model": result.model,
            "cut": result.cut,
            "shots_dropped": result.dropped,
            "too_long": result.too_long,
            "seconds": round(result.seconds, 1),
            "scores": {score: percent(sum(result.right(score)), len(result.grades)) for score in result.grades[0]},
        }
        for result in results
    ]
    items = [
        {
            "id": item.id,
            "gold": item.gold,
            "said": [result.said[i] for result in results],
            "grades": [result.grades[i] for result in results],
        }
        for i, item in enumerate(suite.items)
    ]
    return {"settings": suite.settings, "n": len(items), "models": models, "items": items}


def lines(suite: TextSuite, results: Sequence[TextResult]) -> list[str]:
    """The scores of one or more models on the same items, the differences of the later ones to the first."""
    settings = suite.settings + (f"; at most {suite.max_new_tokens} new tokens" if suite.max_new_tokens else "")
    said = [
        f"{suite.title}: {len(suite.items)} items",
        *textwrap.wrap(settings, 100, initial_indent="  ", subsequent_indent="    "),
    ]
    for result in results:
        said.append(f"  {result.model}  ({result.seconds:.0f} s)")
        for score in result.grades[0]:
            said.append(f"    {score:<22}{_share(result.right(score))}")
        if suite.max_new_tokens:
            said.append(f"    {result.cut} answers cut at {suite.max_new_tokens} tokens")
        if result.dropped or result.too_long:
            said.append(f"    did not fit into its context: {result.dropped} shots, {result.too_long} whole items")
    base, *others = results
    for other in others:
        said += [f"  {other.model} (second) minus {base.model} (first), in points", HEADER]
        said += [paired_line(score, pairs(base.right(score), other.right(score))) for score in base.grades[0]]
    return said + _group_lines(suite, results)


def _group_lines(suite: TextSuite, results: Sequence[TextResult]) -> list[str]:
    """Shares of every area, and of every group in it, a column for each model."""
    if not suite.areas:
        return []
    said = []
    for area in sorted(set(suite.areas.values())):
        groups = sorted({item.group for item in suite.items if suite.areas[item.group] == area})
        for name, members in ([(area, set(groups))] if groups else []) + [(f"  {g}", {g}) for g in groups]:
            at = [i for i, item in enumerate(suite.items) if item.group in members]
            score = next(iter(results[0].grades[0]))
            shares = (percent(sum(result.grades[i][score] for i in at), len(at)) for result in results)
            said.append(f"    {name:<40}{len(at):>6}" + "".join(f"{share:9.2f}" for share in shares))
    return said


def _share(right: Sequence[bool]) -> str:
    low, high = wilson_interval(sum(right), len(right))
    return f"{percent(sum(right), len(right)):6.2f} [{100 * low:6.2f}, {100 * high:6.2f}]"


def pairs(first: Sequence[bool], second: Sequence[bool]) -> list[list[Pair]]:
    """Two models on the same items, each item on its own."""
    return [[pair] for pair in zip(first, second, strict=True)]
