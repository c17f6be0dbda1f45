"""Mixes data sets by shares of trajectories: `a.jsonl:0.4 b.json:0.3 c.traj:0.3`."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from typing import TypeVar

from tl.datasets.report import DataError

T = TypeVar("T")
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
    given = [share for _, share in split if share is not None]
    if given and (len(given) < len(split) or not all(0 < share < inf for share in given)):
        raise DataError("give every file a share greater than 0, such as a.jsonl:0.4, or none of them")
    return split


def drawn(sizes: Sequence[int], shares: Sequence[float], seed: int) -> list[int]:
    """Indices that `mixed` draws from sets of these sizes, numbered consecutively over all sets."""
    ends = accumulate(sizes, initial=0)
    return mixed([range(start, end) for start, end in pairwise(ends)], shares, seed)


def mixed(sets: Sequence[Sequence[T]], shares: Sequence[float], seed: int) -> list[T]:
    """Draws from the sets in proportion to the shares, without repetition, as many as the scarcest set allows.

    The chosen items keep their order within a set, and the sets are concatenated. Raises DataError if a set would give
    none.
    """
    total = min(len(items) / share for items, share in zip(sets, shares, strict=True))
    rng = random.Random(seed)
    chosen: list[T] = []
    for items, share in zip(sets, shares, strict=True):
        count = min(len(items), round(total * share))
        if count == 0:
            sizes = ", ".join(f"{len(one):,}" for one in sets)
            raise DataError(
                f"the share {share} gives no trajectory: the files have {sizes}. Raise it or leave a file out"
            )
        chosen += [items[at] for at in sorted(rng.sample(range(len(items)), count))]
    return chosen
