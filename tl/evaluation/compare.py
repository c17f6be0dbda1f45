"""Two reports of the same items, compared item by item: paired differences, with bootstrap intervals and McNemar's
test (McNemar, 1947)."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tl.datasets import DataError
from tl.evaluation.report_file import read_report
from tl.metrics import CallScore, cluster_of

RESAMPLES = 10_000
EPISODE_METRICS = ("valid", "real", "right")  # keys of an episode's item
HEADER = (
    f"  {'':<22}{'n':>5}{'first':>8}{'second':>8}{'difference':>12}  {'95 % interval':<18}{'better':>9}{'worse':>7}"
    f"{'McNemar p':>11}"
)
Pair = tuple[float, float]  # of an item in the first report and in the second: 1 if it is right, or its reward


def compare_reports(first: Path, second: Path) -> list[str]:
    """A table for each common suite. Raises DataError for files that are not reports or have no common items."""
    reports = [read_report(path) for path in (first, second)]
    shared = [name for name in reports[0] if name in reports[1]]
    if not shared:
        has = " and ".join(
            f"{path} has {', '.join(report)}" for path, report in zip((first, second), reports, strict=True)
        )
        raise DataError(f"the reports have no suite in common: {has}")
    lines = [f"second report ({second}) minus first ({first}), on the same items, in points"]
    for name in shared:
        lines += _suite_lines(name, *(report[name] for report in reports))
    return lines


def _suite_lines(name: str, first: Mapping, second: Mapping) -> list[str]:
    sides = [by_key(suite) for suite in (first, second)]
    keys = [key for key in sides[0] if key in sides[1]]
    alone = [len(suite["items"]) - len(keys) for suite in (first, second)]
    if not keys:
        raise DataError(f"{name}: the reports have no item in common")
    lines = ["", f"{first.get('title', 'Suite')} ({name})"]
    if any(alone):
        lines.append(f"  {alone[0]} items are only in the first report and {alone[1]} only in the second: not compared")
    lines.append(HEADER)
    for metric in _metrics(sides[0][keys[0]]):
        if clusters := paired(first, second, metric):
            lines.append(paired_line(", ".join(metric[-2:]), clusters))
    return lines


def paired(first: Mapping, second: Mapping, metric: Sequence[str]) -> list[list[Pair]]:
    """The pairs of the items that two reports have in common in a suite, those of one cluster together; without items
    that do not count for the metric, which is named by its keys in an item."""
    ours, theirs = by_key(first), by_key(second)
    clusters: dict[str, list[Pair]] = defaultdict(list)
    for key in (key for key in ours if key in theirs):
        a, b = _value(ours[key], metric), _value(theirs[key], metric)
        if a is not None and b is not None:
            clusters[cluster_of(key[0])].append((a, b))
    return [*clusters.values()]


def by_key(suite: Mapping) -> dict[tuple[str, str, int], Mapping]:
    """Items by (id, golden answers, n), where n numbers those that are otherwise alike. Without the copies of a request
    that did not all get an answer: which did is not known."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for item in suite["items"]:
        if item["id"] not in suite.get("missing", ()):
            alike = item["id"], json.dumps(item.get("answers", item.get("truth")))
            found[*alike, seen[alike]] = item
            seen[alike] += 1
    return found


def _metrics(item: Mapping) -> list[tuple[str, ...]]:
    if "trajectory" in item:
        return [(name,) for name in EPISODE_METRICS]
    return [("scores", scoring, field) for scoring in item["scores"] for field in CallScore._fields]


def _value(item: Mapping, metric: Sequence[str]) -> float | None:
    if metric[0] in ("valid", "real") and item.get("servable") is False:  # not counted, as in VA
        return None
    value: object = item
    for key in metric:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def paired_line(name: str, clusters: Sequence[Sequence[Pair]]) -> str:
    """A line under HEADER: the shares of both sides, and their paired difference. A cluster is items that belong
    together, and counts once in McNemar's test."""
    pairs = [pair for cluster in clusters for pair in cluster]
    n = len(pairs)
    shares = [100 * sum(pair[side] for pair in pairs) / n for side in (0, 1)]
    better, worse = pairs.count((False, True)), pairs.count((True, False))
    changes = differences(clusters)
    low, high = bootstrap_interval(changes)
    p = mcnemar(sum(change > 0 for change, _ in changes), sum(change < 0 for change, _ in changes))
    return (
        f"  {name:<22}{n:>5}{shares[0]:8.2f}{shares[1]:8.2f}{shares[1] - shares[0]:+12.2f}"
        f"  [{low:+7.2f}, {high:+7.2f}]{better:>9}{worse:>7}{p:11.4f}"
    )


def differences(clusters: Sequence[Sequence[Pair]]) -> list[tuple[float, int]]:
    """(sum, count) of second minus first in each cluster."""
    return [(sum(b - a for a, b in cluster), len(cluster)) for cluster in clusters]


def bootstrap_interval(clusters: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """95 % percentile interval, in percent, of the mean of clustered values, from (sum, count) of each cluster. The
    same values always give the same interval."""
    return percentile_interval(resampled_means(clusters, np.random.default_rng(0)))


def resampled_means(clusters: Sequence[tuple[float, int]], rng: np.random.Generator) -> np.ndarray:
    """The mean, in percent, in each of RESAMPLES resamples of the clusters."""
    kinds = Counter(clusters)  # a resample is given by its count of each kind: a few numbers, not one per cluster
    shares = [n / len(clusters) for n in kinds.values()]
    weights = rng.multinomial(len(clusters), shares, size=RESAMPLES)
    sums = weights @ np.array(list(kinds), dtype=float)
    return 100 * sums[:, 0] / sums[:, 1]


def percentile_interval(means: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def mcnemar(better: int, worse: int) -> float:
    """Two-sided exact p-value: the probability that a fair coin splits the changed items (or clusters) at least as
    unevenly."""
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1)) / 2**n
    return min(1.0, 2 * tail)
