"""Prefix groups: rollouts whose prompts begin alike, which are several calls for one prompt, or calls for the steps of
one trajectory. The models read once what they share.

The rollout with the longest prompt is the first of its group and read whole; of the others only the last token of the
prompt and what the policy made of it::

    prompt + actions     read         and attends, in the first one, to
    p q r  + a b         p q r a
    p q r  + c d         r c          p q
    p q    + e f         q e          p                 (a last action is predicted, and never read)
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
    """What is read of rollouts, which are given by their rows in a batch."""

    prompts: list[list[int]]  # up to the token that predicts the first action
    lengths: list[int]  # tokens that a model reads of a rollout by itself

    def groups(self, rows: Sequence[int]) -> list[list[int]]:
        """The rows in prefix groups, the longest prompt of each first."""
        return [[rows[i] for i in reversed(group)] for group in prefix_groups([self.prompts[row] for row in rows])]

    def prefixes(self, group: Sequence[int]) -> list[int]:
        """How many tokens of each rollout of a group are read in the first one."""
        return [0, *(len(self.prompts[row]) - 1 for row in group[1:])]

    def n_read(self, group: Sequence[int]) -> int:
        """Number of tokens that a model reads for a group."""
        return sum(self.lengths[row] for row in group) - sum(self.prefixes(group))

    def cut(self, group: Sequence[int], most: int) -> list[list[int]]:
        """A group in parts of one rollout or at most ``most`` tokens to read. Each part reads its own first one."""
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
