"""Pairs of a chosen and a rejected completion of one prompt (TRL's layout), for preference training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tl.datasets.companions import joined_records
from tl.datasets.readers import trl
from tl.datasets.report import BadRecord, ReadReport
from tl.trajectory import Notes, Trajectory


class Pair(NamedTuple):
    """Two ways on from one history; what is before them has weight 0 in both."""

    chosen: Trajectory
    rejected: Trajectory


def read_pairs(paths: Sequence[str], on_bad: Literal["error", "skip"] = "error") -> tuple[list[Pair], ReadReport]:
    """All pairs of one or more files. Raises DataError as `tl.datasets.read` does."""
    pairs, report = [], ReadReport()
    for path in paths:
        for place, raw in joined_records(Path(path)):
            notes: Notes = Counter()
            try:
                pairs.append(_pair(raw, f"{path}, {place}", notes))
            except (ValueError, RecursionError) as error:
                report.bad.append(BadRecord(str(path), place, str(error)))
            else:
                report.add(notes, f"{path}, {place}")
    report.read = len(pairs)
    if on_bad == "error":
        report.check()
    return pairs, report


def _pair(raw: object, default_id: str, notes: Notes) -> Pair:
    if not isinstance(raw, dict) or "chosen" not in raw or "rejected" not in raw:
        raise ValueError("a pair needs `chosen` and `rejected`")
    sides = [Trajectory.from_openai(side(raw, notes), default_id, notes) for side in (trl.preferred, trl.rejected)]
    if sides[0].messages == sides[1].messages:
        raise ValueError("what is chosen and what is rejected are the same")
    return Pair(*sides)
