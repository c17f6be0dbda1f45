"""The rollouts of a step as tensors, and the forward passes over them. B rollouts, A actions of the longest.

Log-probabilities, values and rewards of actions are tensors [B, A]: a row holds the actions of a rollout in order,
without prompt and feedback, then padding where ``mask`` is False. These tensors are small, so every rank has those of
the whole global batch; only the forward passes are split between the ranks.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tl.llama.model import Critic, Llama
from tl.prompt import NO_TARGET, Example
from tl.rl.calls import Experience
from tl.rl.prefix_groups import PrefixSharing
from tl.training import distributed
from tl.training.batching import MicroBatch, collate, grouped_order, target_nll
from tl.training.distributed import World


@dataclass(frozen=True)
class PPOBatch:
    """The rollouts of all ranks. Its methods communicate: all ranks must call the same ones."""

    examples: list[Example]  # what the models read; the targets are the actions
    sharing: PrefixSharing
    mask: Tensor  # [B, A] True where a rollout has an action
    call_rewards: Tensor  # [B, A] R at the last action of each call
    call_index: Tensor  # [B, A] number of the call that an action belongs to, from 0
    groups: Tensor  # [B] equal for the rollouts of one prompt
    sampler_logp: Tensor  # [B, A] as computed by the sampler
    micro_tokens: int  # tokens of a forward pass
    world: World

    def __len__(self) -> int:
        return len(self.examples)

    @classmethod
    def of(cls, experiences: Sequence[Experience], micro_tokens: int, world: World) -> "PPOBatch":
        examples = [_example(e) for e in experiences]
        prompts = [e.ids[: e.positions[0] + 1] for e in experiences]
        return cls(
            examples,
            PrefixSharing(prompts, list(map(len, examples))),
            mask=_rows([[True] * len(e.actions) for e in experiences], torch.bool),
            call_rewards=_rows([e.rewards for e in experiences]),
            call_index=_rows([_call_numbers(e.positions) for e in experiences], torch.long),
            groups=_numbered([(e.id, *prompt) for e, prompt in zip(experiences, prompts, strict=True)]),
            sampler_logp=_rows([e.sampler_logprobs for e in experiences]),
            micro_tokens=micro_tokens,
            world=world,
        )

    def logp(self, model: Llama) -> Tensor:
        """log π of each action, [B, A]; padding is 0."""
        return self._per_action(lambda micro: -target_nll(model, micro))

    def values(self, critic: Critic) -> Tensor:
        """V at the position that predicts each action, [B, A]; padding is 0."""
        return self._per_action(lambda micro: action_values(critic, micro))

    @torch.no_grad()
    def _per_action(self, function: Callable[[MicroBatch], Tensor]) -> Tensor:
        numbers = torch.zeros(self.mask.shape)
        for micro, rows in self.micro_batches(range(len(self))):
            numbers[rows] = numbers[rows].masked_scatter(self.mask[rows], function(micro).float().cpu())
        return distributed.all_reduce(numbers)

    def micro_batches(self, rows: Sequence[int]) -> Iterator[tuple[MicroBatch, list[int]]]:
        """This rank's share of some rollouts in micro-batches, each with its rows."""
        shard = self.sharing.micro_batches(rows, self.micro_tokens, self.world.rank, self.world.size)
        for micro_rows, prefixes in shard:
            micro = collate([self.examples[row] for row in micro_rows], prefixes)
            yield micro.to(self.world.device), micro_rows

    def n_actions(self, rows: Sequence[int]) -> int:
        """Number of actions of some rollouts, over all ranks."""
        return int(self.mask[list(rows)].sum())

    def take(self, x: Tensor, rows: Sequence[int]) -> Tensor:
        """The entries of x [B, A] at the actions of these rollouts, in the order of a micro-batch's targets."""
        return x[list(rows)][self.mask[list(rows)]].to(self.world.device)

    def prefix_groups(self) -> list[list[int]]:
        """The rows of all rollouts in prefix groups."""
        return self.sharing.groups(range(len(self)))


def action_values(critic: Critic, micro: MicroBatch) -> Tensor:
    """V at the position that predicts each action of a micro-batch, [M]."""
    return critic(micro.input_ids, micro.lengths, micro.prefixes, at=micro.positions)[0]  # [1, M] -> [M]


def minibatches(groups: Sequence[Sequence[int]], size: int, epochs: int, seed: int) -> Iterator[list[int]]:
    """The rows of each update. Every epoch has all rollouts once, in a new order that keeps prefix groups together. It
    is split into the fewest minibatches of at most ``size``, of nearly equal size, since each makes one update."""
    n = sum(map(len, groups))
    parts = math.ceil(n / size)
    for epoch in range(epochs):
        order = grouped_order(groups, seed, epoch)
        yield from (order[n * part // parts : n * (part + 1) // parts] for part in range(parts))


def _example(experience: Experience) -> Example:
    """The model's input, with the actions as targets of weight 1. It has no turns, which only the SFT loss needs."""
    ids = torch.tensor(experience.ids)
    targets, weights = torch.full_like(ids, NO_TARGET), torch.zeros(len(ids))
    targets[experience.positions] = torch.tensor(experience.actions)
    weights[experience.positions] = 1.0
    return Example(experience.id, ids, targets, weights, torch.zeros_like(ids), (), 0)


def _call_numbers(positions: Sequence[int]) -> list[int]:
    """The number of the call that each action belongs to. Between two calls lie at least two tokens of feedback."""
    gaps = (here > before + 1 for before, here in itertools.pairwise(positions))
    return list(itertools.accumulate(gaps, initial=0))


def _numbered(keys: Sequence[Hashable]) -> Tensor:
    """Numbers from 0, equal for equal keys."""
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys], dtype=torch.long)


def _rows(lists: Sequence[Sequence[float]], dtype: torch.dtype = torch.float32) -> Tensor:
    """Lists of different lengths as the rows of a tensor, padded with zeros."""
    rows = torch.zeros(len(lists), max(map(len, lists), default=0), dtype=dtype)
    for row, values in zip(rows, lists, strict=True):
        row[: len(values)] = torch.tensor(values, dtype=dtype)
    return rows
