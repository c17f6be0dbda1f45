"""Prefix groups: rollouts in which each prompt begins with the one before it, or equals it, such as several samples for
one prompt, or calls for the steps of one trajectory. The models read their common tokens once.

The rollout with the longest prompt comes first in its group and is read whole. Of every other rollout, the models read
only the last prompt token and the actions; these attend to the rest of their prompt in the first rollout::

    prompt + actions     read         and attends, in the first one, to
    p q r  + a b         p q r a
    p q r  + c d         r c          p q
    p q    + e f         q e          p                 (the last action is predicted, but never read)
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from tl.training.batching import balanced_shards, micro_batch_indices


def prefix_groups(texts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The indices of the texts in groups: each text of a group begins with all of the one before it."""
    groups: list[list[int]] = []
    for i in sorted(range(len(texts)), key=lambda i: list(texts[i])):  # a text comes before all that begin with it
        if groups and texts[i][: len(texts[groups[-1][-1]])] == texts[groups[-1][-1]]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


@dataclass(frozen=True)
class PrefixSharing:
    """Which tokens of a batch's rollouts the models read. Rollouts are identified by their row in the batch."""

    prompts: list[list[int]]  # ids up to the token that predicts the first action
    lengths: list[int]  # tokens of each rollout if it is read whole

    def groups(self, rows: Sequence[int]) -> list[list[int]]:
        """The rows in prefix groups, each with its longest prompt first."""
        return [[rows[i] for i in reversed(group)] for group in prefix_groups([self.prompts[row] for row in rows])]

    def prefixes(self, group: Sequence[int]) -> list[int]:
        """Number of tokens of each rollout of a group that are read in the group's first rollout instead."""
        return [0, *(len(self.prompts[row]) - 1 for row in group[1:])]

    def n_read(self, group: Sequence[int]) -> int:
        """Number of tokens that a model reads for a group."""
        return sum(self.lengths[row] for row in group) - sum(self.prefixes(group))

    def cut(self, group: Sequence[int], most: int) -> list[list[int]]:
        """Splits a group into parts with at most ``most`` tokens to read, or of a single rollout. Each part is a group
        of its own, whose first prompt is read again."""
        parts: list[list[int]] = []
        room = 0
        for row in group:
            more = self.lengths[row] - len(self.prompts[row]) + 1  # the part already holds its prompt
            if more > room:
                parts.append([])
                more, room = self.lengths[row], most
            parts[-1].append(row)
            room -= more
        return parts

    def micro_batches(
        self, rows: Sequence[int], micro_tokens: int, rank: int, ranks: int
    ) -> list[tuple[list[int], list[int]]]:
        """A rank's share of some rollouts in micro-batches, each as (rows, prefixes); see ``micro_batch_indices``.
        Groups larger than a micro-batch or than a rank's share are split. The share is the smallest number of tokens
        that suffices for all ranks, including those that are read again because of the splits."""
        groups = self.groups(rows)

        def parts_of(share: int) -> list[list[int]]:
            return [part for group in groups for part in self.cut(group, min(share, micro_tokens))]

        def suffices(share: int) -> bool:
            sizes = list(map(self.n_read, parts_of(share)))
            return all(sum(sizes[i] for i in mine) <= share for mine in balanced_shards(sizes, ranks))

        total = sum(map(self.n_read, groups))
        parts = parts_of(bisect_left(range(total), True, lo=math.ceil(total / ranks), key=suffices))
        return [
            ([row for i in indices for row in parts[i]], [n for i in indices for n in self.prefixes(parts[i])])
            for indices in micro_batch_indices(list(map(self.n_read, parts)), micro_tokens, rank, ranks)
        ]
