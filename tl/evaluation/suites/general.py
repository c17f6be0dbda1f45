"""General ability (paper, section 6.3 and Figure 5): suites of plain texts, and comparing two models on them.

The paper names three sets but shows only bars: no shots, no prompts, no numbers. So each suite says its settings, and
what counts is the difference between a base model and the model tuned from it, item by item under the same settings.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tl.evaluation.compare import HEADER, Pair, paired_line
from tl.metrics import percent, wilson_interval

Grades = dict[str, bool]  # name of a score -> whether the item is right by it


@dataclass(frozen=True)
class TextItem:
    """A text to continue: `header`, `shots`, `question`. With `choices`, one of them is to be chosen.

    `TextSuite.grade` compares the answer with `gold`.
    """

    id: str
    question: str
    gold: str
    header: str = ""
    shots: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    group: str = ""

    def prompt(self, fits: Callable[[str], bool] = lambda text: True) -> tuple[str, int]:
        """The text with as many of the first shots as fit, and how many were dropped."""
        for n in range(len(self.shots), 0, -1):
            text = self.header + "".join(self.shots[:n]) + self.question
            if fits(text):
                return text, len(self.shots) - n
        return self.header + self.question, len(self.shots)


@dataclass(frozen=True)
class TextSuite:
    """A set of texts. `grade` takes items and answers; the first of its scores is the suite's number.

    `stops` and `max_new_tokens` are for sets with written answers; `areas` maps groups to larger ones.
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
    """A model's answers to the items of a suite, with their grades, and the numbers of `cut` answers, `dropped` shots
    and items that were `too_long`."""

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
    """All answers and their grades."""
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
    """The scores of one or more models on the same items, and the differences of the later models to the first."""
    settings = suite.settings + (f"; at most {suite.max_new_tokens} new tokens" if suite.max_new_tokens else "")
    table = [
        f"{suite.title}: {len(suite.items)} items",
        *textwrap.wrap(settings, 100, initial_indent="  ", subsequent_indent="    "),
    ]
    for result in results:
        table.append(f"  {result.model}  ({result.seconds:.0f} s)")
        for score in result.grades[0]:
            table.append(f"    {score:<22}{_share(result.right(score))}")
        if suite.max_new_tokens:
            table.append(f"    {result.cut} answers cut at {suite.max_new_tokens} tokens")
        if result.dropped or result.too_long:
            table.append(f"    did not fit into its context: {result.dropped} shots, {result.too_long} whole items")
    base, *others = results
    for other in others:
        table += [f"  {other.model} (second) minus {base.model} (first), in points", HEADER]
        table += [paired_line(score, pairs(base.right(score), other.right(score))) for score in base.grades[0]]
    return table + _group_lines(suite, results)


def _group_lines(suite: TextSuite, results: Sequence[TextResult]) -> list[str]:
    """Shares of each area and of each group in it, with a column per model."""
    if not suite.areas:
        return []
    table = []
    for area in sorted(set(suite.areas.values())):
        groups = sorted({item.group for item in suite.items if suite.areas[item.group] == area})
        for name, members in ([(area, set(groups))] if groups else []) + [(f"  {g}", {g}) for g in groups]:
            at = [i for i, item in enumerate(suite.items) if item.group in members]
            score = next(iter(results[0].grades[0]))
            shares = (percent(sum(result.grades[i][score] for i in at), len(at)) for result in results)
            table.append(f"    {name:<40}{len(at):>6}" + "".join(f"{share:9.2f}" for share in shares))
    return table


def _share(right: Sequence[bool]) -> str:
    low, high = wilson_interval(sum(right), len(right))
    return f"{percent(sum(right), len(right)):6.2f} [{100 * low:6.2f}, {100 * high:6.2f}]"


def pairs(first: Sequence[bool], second: Sequence[bool]) -> list[list[Pair]]:
    """Two models on the same items; each item is a cluster of its own."""
    return [[pair] for pair in zip(first, second, strict=True)]
