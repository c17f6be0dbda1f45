"""Models compared over seeds: means, and 95 % intervals of the differences from a reference, paired seed by seed.

A pair is two models of one seed: the same data in the same order, evaluated on the same items. The interval is
Student's, from the spread of the pairs' differences. It covers the chance in data, order and items, which all depend on
the seed. With three seeds it has two degrees of freedom and is wide; with one seed there is none.

For metrics that are a mean over items, there is a second interval, from a bootstrap over seeds and items. With one
seed it is over the items alone: it says whether these two models would differ on other items. With few seeds it is too
narrow: with three, it contains two thirds of the variance between seeds.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from tl.evaluation.compare import Pair, differences, paired, percentile_interval, resampled_means
from tl.metrics import CallScore, Interval

# 97.5 % quantiles of Student's t with 1 to 30 degrees of freedom.
T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)

Reports = Sequence[Mapping | None]  # one per seed; None where there is no model
Values = Sequence[float | None]  # one per seed, in percent; None where there was nothing to count


@dataclass(frozen=True)
class Column:
    """A metric: its place in the report of an evaluation, and its title in a table.

    ``group`` is a group of a single-turn suite, "" for all items; suites of episodes have no groups. ``scoring`` is how
    single turns are scored.
    """

    table: str  # columns of one table stand side by side
    title: str
    suite: str
    metric: str
    group: str = ""
    higher_is_better: bool = True
    scoring: str = "strict"

    @property
    def key(self) -> str:
        return ".".join(filter(None, (self.suite, self.group, self.metric)))

    def value(self, report: Mapping) -> float | None:
        """The metric in a report.json of ``evaluate.py``; None if the report has no such item."""
        scores = self._scores(report)
        return scores[self.metric] if scores else None

    def items(self, report: Mapping) -> int:
        """The number of the report's items that the metric is computed on."""
        scores = self._scores(report)
        return scores["n"] if scores else 0

    def pairs(self, report: Mapping, reference: Mapping) -> list[list[Pair]]:
        """The items of a reference's report and of another report, paired by id. Empty if the metric is not a mean over
        items, or if it is a group's."""
        keys = {"answer_accuracy": ["right"], "reward": ["reward"]} | {
            name: ["scores", self.scoring, name] for name in CallScore._fields
        }
        if self.group or self.metric not in keys:
            return []
        return paired(reference["suites"][self.suite], report["suites"][self.suite], keys[self.metric])

    def _scores(self, report: Mapping) -> Mapping | None:
        scores = report["suites"][self.suite]
        if self.group:
            scores = scores["groups"].get(self.group)
        return scores and scores.get(self.scoring, scores)

    @property
    def head(self) -> str:
        """The title with an arrow in the better direction."""
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"

    def to_json(self) -> dict:
        return {"key": self.key, **asdict(self)}


def columns_of(results: Mapping) -> list[Column]:
    """The columns of a results' file."""
    names = [field.name for field in fields(Column)]
    return [Column(**{name: column[name] for name in names if name in column}) for column in results["columns"]]


def single_turn_columns(table: str, suite: str, group: str = "", scoring: str = "strict") -> list[Column]:
    return [Column(table, metric.upper(), suite, metric, group, scoring=scoring) for metric in ("ts", "pi", "cf")]


def episode_columns(table: str, suite: str) -> list[Column]:
    return [
        *(Column(table, metric.upper(), suite, metric, higher_is_better=False) for metric in ("de", "ce")),
        Column(table, "VA", suite, "va"),
        Column(table, "answers", suite, "answer_accuracy"),
        Column(table, "refusals", suite, "refusal_accuracy"),
    ]


def t_interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of the mean, by Student's t; None for fewer than two values. Beyond 31 values it is a little too
    wide, with the quantile of 31."""
    n = len(values)
    if n < 2:
        return None
    half = T_975[min(n - 1, len(T_975)) - 1] * statistics.stdev(values) / math.sqrt(n)
    mean = statistics.fmean(values)
    return mean - half, mean + half


def spread(values: Values) -> dict:
    """``{"mean": …, "interval": [low, high]}``, both None where a seed has no value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "interval": None}
    return {"mean": statistics.fmean(known), "interval": t_interval(known)}


def compare(values: Mapping[str, Values], reference: Mapping[str, Values]) -> dict[str, dict]:
    """The ``spread`` of each metric's difference from ``reference``, seed by seed."""
    more = {
        key: [None if a is None or b is None else a - b for a, b in zip(values[key], reference[key], strict=True)]
        for key in values
    }
    return {key: spread(difference) for key, difference in more.items()}


def over_items(column: Column, reports: Reports, references: Reports) -> Interval | None:
    """95 % interval of a metric's difference from the reference, by a bootstrap that draws seeds, and items of each
    seed. With one seed it is that of ``evaluate.py --compare``. None if a seed has no report or the metric no items."""
    each = [differences(column.pairs(a, b)) if a and b else [] for a, b in zip(reports, references, strict=True)]
    if not all(each):
        return None
    rng = np.random.default_rng(0)
    means = np.stack([[resampled_means(clusters, rng) for clusters in each] for _ in each])  # [place, seed, resample]
    seeds = rng.integers(len(each), size=(len(each), 1, means.shape[2]))  # the seed drawn for each place
    return percentile_interval(np.take_along_axis(means, seeds, axis=1).mean(axis=(0, 1)))


def row_json(name: str, values: Mapping[str, Values], reference: Mapping[str, Values] | None, **more: object) -> dict:
    """A model's row: values per seed, their mean and interval, and the paired difference from ``reference``, which is
    None for the reference itself."""
    spreads = {key: spread(list_) for key, list_ in values.items()}
    return {
        "name": name,
        **more,
        "values": {key: list(list_) for key, list_ in values.items()},
        "mean": {key: s["mean"] for key, s in spreads.items()},
        "interval": {key: s["interval"] for key, s in spreads.items()},
        "difference": None if reference is None else compare(values, reference),
    }


# ---- tables


def tables(columns: Sequence[Column], rows: Sequence[dict]) -> dict[str, list[list[str]]]:
    """Title of a table -> its lines of cells, heads first: means, and in brackets the difference from the reference
    with its interval."""
    found = {}
    for title in dict.fromkeys(column.table for column in columns):
        own = [column for column in columns if column.table == title]
        heads = ["", *(column.head for column in own)]
        found[title] = [heads, *([row["name"], *(cell(row, column.key) for column in own)] for row in rows)]
    return found


def cell(row: dict, key: str) -> str:
    """``63.1 (+4.0 [-1.2, 9.2])``: with one seed, the interval is over items. The reference has no difference."""
    mean, difference = row["mean"][key], row["difference"]
    if mean is None:
        return "–"
    if difference is None or difference[key]["mean"] is None:
        return f"{mean:.1f}"
    of = difference[key]
    return f"{mean:.1f} ({_signed(of['mean'], of['interval'] or of.get('items'))})"


def _signed(mean: float, interval: Interval | None) -> str:
    return f"{mean:+.1f} [{interval[0]:+.1f}, {interval[1]:+.1f}]" if interval else f"{mean:+.1f}"


def item_table(columns: Sequence[Column], rows: Sequence[dict]) -> dict[str, list[list[str]]]:
    """Like ``tables``: the differences with their intervals over seeds and items."""
    _, *others = rows
    own = [c for c in columns if any(row["difference"][c.key]["items"] for row in others)]

    def cells(row: dict) -> list[str]:
        found = [row["difference"][column.key] for column in own]
        return [_signed(of["mean"], of["items"]) if of["items"] else "–" for of in found]

    heads = ["", *(f"{column.table}: {column.head}" for column in own)]
    lines = [[row["name"], *cells(row)] for row in others]
    return {"Differences, with intervals over seeds and items": [heads, *lines]}


def markdown_lines(found: Mapping[str, list[list[str]]]) -> list[str]:
    """Tables as Markdown, with aligned columns so that the source is readable, too."""
    lines = []
    for title, table in found.items():
        widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
        head, *rows = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in table)
        bars = [f"| {' | '.join(cells)} |" for cells in (head, ["-" * max(width, 3) for width in widths], *rows)]
        lines += [f"### {title}", "", *bars, ""]
    return lines
