"""Mixes data sets by shares of trajectories: `a.jsonl:0.4 b.json:0.3 c.traj:0.3`."""

import random
import re
from collections.abc import Sequence
from itertools import accumulate
from math import inf
from pathlib import Path

from tl.datasets.report import DataError

_SHARE = re.compile(r"(.+):((?:\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?)")


def split_share(name: str) -> tuple[str, float | None]:
    """Path and share of `path:share`. No share if a file with the whole name exists."""
    found = _SHARE.fullmatch(name)
    if Path(name).exists() or not found:
        return name, None
    return found[1], float(found[2])


def shares_of(names: Sequence[str]) -> list[tuple[str, float | None]]:
    """Path and share of each name. Raises DataError if only some names have a share, or one is 0 or infinite."""
    split = [split_share(name) for name in names]
    wrong = [name for name, (_, share) in zip(names, split, strict=True) if share is None or not 0 < share < inf]
    if wrong and any(share is not None for _, share in split):
        raise DataError(f"{wrong[0]}: give every file a share greater than 0, such as a.jsonl:0.4, or none of them")
    return split


def drawn(sizes: Sequence[int], shares: Sequence[float], seed: int) -> list[int]:
    """Indices of items of sets with these sizes, numbered consecutively over all sets: in proportion to the shares,
    without repetition, as many as the scarcest set allows. Ascending. Raises DataError if a set would give none."""
    total = min(size / share for size, share in zip(sizes, shares, strict=True))
    rng = random.Random(seed)
    chosen: list[int] = []
    for start, size, share in zip(accumulate(sizes, initial=0), sizes, shares, strict=False):
        count = min(size, round(total * share))
        if count == 0:
            found = ", ".join(f"{size:,}" for size in sizes)
            raise DataError(
                f"the share {share} gives no trajectory: the files have {found}. Raise it or leave a file out"
            )
        chosen += [start + at for at in sorted(rng.sample(range(size), count))]
    return chosen
