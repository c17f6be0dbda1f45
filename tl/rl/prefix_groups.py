"""Prefix groups: rollouts of which each prompt is the beginning of the next one, or equal to it. They are several calls
for one prompt, or calls for the steps of one trajectory. The models read their common tokens once.

The rollout with the longest prompt comes first in its group and is read whole. Of each other one the models read only
the last token of the prompt and the actions; these attend to the rest of their prompt in the first one::

    prompt + actions     read         and attends, in the first one, to
    p q r  + a b         p q r a
    p q r  + c d         r c          p q
    p q    + e f         q e          p                 (the last action is predicted, but never read)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tl.training.batching import micro_batch_indices


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
    """Which tokens the models read of the rollouts of a batch. A rollout is named by its row in the batch."""

    prompts: list[list[int]]  # up to the token that predicts the first action
    lengths: list[int]  # tokens of a rollout that is read whole

    def groups(self, rows: Sequence[int]) -> list[list[int]]:
        """The rows in prefix groups, the longest prompt of each first."""
        return [[rows[i] for i in reversed(group)] for group in prefix_groups([self.prompts[row] for row in rows])]

    def prefixes(self, group: Sequence[int]) -> list[int]:
        """How many tokens of each rollout of a group the first one holds already."""
        return [0, *(len(self.prompts[row]) - 1 for row in group[1:])]

    def n_read(self, group: Sequence[int]) -> int:
        """Number of tokens that a model reads for a group."""
        return sum(self.lengths[row] for row in group) - sum(self.prefixes(group))

    def cut(self, group: Sequence[int], most: int) -> list[list[int]]:
        """A group in parts that are one rollout or have at most ``most`` tokens to read. Each part is a group."""
        parts = [[group[0]]]
        for row in group[1:]:
            if self.n_read([*parts[-1], row]) > most:
                parts.append([])
            parts[-1].append(row)
        return parts

    def micro_batches(
        self, rows: Sequence[int], micro_tokens: int, rank: int, ranks: int
    ) -> list[tuple[list[int], list[int]]]:
        """A rank's share of some rollouts in micro-batches, each as (rows, prefixes); see ``micro_batch_indices``. A
        group that is more than a micro-batch or a rank's share is cut."""
        groups = self.groups(rows)
        most = min(micro_tokens, math.ceil(sum(map(self.n_read, groups)) / ranks))
        parts = [part for group in groups for part in self.cut(group, most)]
        return [
            ([row for i in indices for row in parts[i]], [n for i in indices for n in self.prefixes(parts[i])])
            for indices in micro_batch_indices(list(map(self.n_read, parts)), micro_tokens, rank, ranks)
        ]
