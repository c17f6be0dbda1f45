"""The rollouts of a step as tensors, and the forward passes over them. B rollouts, A actions of the longest.

A rollout's numbers per action are rows of [B, A], padded at the end and of no account where ``mask`` is False. They are
few next to what the models hold, so every rank has those of the whole global batch, and only forward passes are shared.

Rollouts whose prompts begin alike, several calls for one prompt or calls for the steps of one trajectory, form a tree:
its first one is read whole, of the others only the last token of the prompt and what the policy made of it::

    prompt + actions     read         and attends, in the first one, to
    p q r  + a b         p q r a
    p q r  + c d         r c          p q
    p q    + e f         q e          p                 (a last action is predicted, and never read)
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tl.prompt import NO_TARGET, Example
from tl.rl.steps import Experience
from tl.training import distributed
from tl.training.batching import MicroBatch, chains, collate, grouped_order, shares
from tl.training.distributed import World


@dataclass(frozen=True)
class PPOBatch:
    """Rollouts of all ranks."""

    examples: list[Example]  # what the models read; the targets are the actions
    prompts: list[list[int]]  # up to the token that predicts the first action
    mask: Tensor  # [B, A] True where a rollout has an action
    call_rewards: Tensor  # [B, A] R at the last action of each call
    sampler_logp: Tensor  # [B, A] of the actions, as the sampler saw them

    def __len__(self) -> int:
        return len(self.examples)

    @classmethod
    def of(cls, experiences: Sequence[Experience]) -> "PPOBatch":
        mask = _rows([[True] * len(e.actions) for e in experiences], torch.bool)
        rewards, logp = (_rows([getattr(e, f) for e in experiences]) for f in ("rewards", "sampler_logprobs"))
        prompts = [e.ids[: e.positions[0] + 1] for e in experiences]
        return cls([_example(e) for e in experiences], prompts, mask, rewards, logp)

    def n_actions(self, rows: Sequence[int]) -> int:
        """Number of actions of some rollouts, over all ranks."""
        return int(self.mask[list(rows)].sum())

    def micro_batches(
        self, rows: Sequence[int], micro_tokens: int, world: World
    ) -> Iterator[tuple[MicroBatch, list[int]]]:
        """This rank's share of some rollouts, with their rows; see ``shares``. Trees are cut where one is more
        than a micro-batch or a rank's share."""
        whole = self.trees(rows)
        most = min(micro_tokens, math.ceil(sum(map(self.n_read, whole)) / world.size))
        trees = [piece for tree in whole for piece in self.cut(tree, most)]
        for share in shares(list(map(self.n_read, trees)), micro_tokens, world.rank, world.size):
            mine = [row for i in share for row in trees[i]]
            prefixes = [prefix for i in share for prefix in self._prefixes(trees[i])]
            examples = [self.examples[row] for row in mine]
            yield collate(examples, prefixes if any(prefixes) else None).to(world.device), mine

    def trees(self, rows: Sequence[int]) -> list[list[int]]:
        """The rows in trees, in each of which every prompt is a beginning of the first one's."""
        return [[rows[i] for i in reversed(chain)] for chain in chains([self.prompts[row] for row in rows])]

    def cut(self, tree: Sequence[int], most: int) -> list[list[int]]:
        """A tree in pieces of one row or at most ``most`` tokens to read. What they begin with is read in each."""
        pieces = [[tree[0]]]
        for row in tree[1:]:
            if self.n_read([*pieces[-1], row]) > most:
                pieces.append([])
            pieces[-1].append(row)
        return pieces

    def n_read(self, tree: Sequence[int]) -> int:
        """Number of tokens that a model reads for a tree."""
        return sum(len(self.examples[row]) - prefix for row, prefix in zip(tree, self._prefixes(tree), strict=True))

    def _prefixes(self, tree: Sequence[int]) -> list[int]:
        """How many tokens of each row are read in the first one of the tree."""
        return [0, *(len(self.prompts[row]) - 1 for row in tree[1:])]

    def take(self, x: Tensor, rows: Sequence[int], device: torch.device) -> Tensor:
        """The entries of x [B, A] at the actions of these rollouts, in the order of a micro-batch's targets."""
        return x[list(rows)][self.mask[list(rows)]].to(device)

    @torch.no_grad()
    def per_action(self, function: Callable[[MicroBatch], Tensor], micro_tokens: int, world: World) -> Tensor:
        """``function`` gives a number for each target of a micro-batch; returns those of all rollouts, [B, A] on the
        CPU, 0 where there is no action. All ranks must call it."""
        numbers = torch.zeros(self.mask.shape)
        for micro, rows in self.micro_batches(range(len(self)), micro_tokens, world):
            numbers[rows] = numbers[rows].masked_scatter(self.mask[rows], function(micro).float().cpu())
        return distributed.all_reduce(numbers)


def minibatches(trees: Sequence[Sequence[int]], size: int, epochs: int, seed: int) -> Iterator[list[int]]:
    """The rows of each update: in every epoch all rollouts once, those of a tree side by side, the trees in an order of
    its own. An epoch is cut into as few minibatches of up to ``size`` as it takes, as equal as can be: each is worth
    one update, however large."""
    n = sum(map(len, trees))
    parts = math.ceil(n / size)
    for epoch in range(epochs):
        order = grouped_order(trees, seed, epoch)
        yield from (order[n * part // parts : n * (part + 1) // parts] for part in range(parts))


def _example(experience: Experience) -> Example:
    ids = torch.tensor(experience.ids)
    targets, weights = torch.full_like(ids, NO_TARGET), torch.zeros(len(ids))
    targets[experience.positions] = torch.tensor(experience.actions)
    weights[experience.positions] = 1.0
    return Example(experience.id, ids, targets, weights, torch.zeros_like(ids), (), 0)


def _rows(lists: Sequence[Sequence[float]], dtype: torch.dtype = torch.float32) -> Tensor:
    """Lists of different lengths as the rows of a tensor, filled up with zeros."""
    rows = torch.zeros(len(lists), max(map(len, lists), default=0), dtype=dtype)
    for row, values in zip(rows, lists, strict=True):
        row[: len(values)] = torch.tensor(values, dtype=dtype)
    return rows
