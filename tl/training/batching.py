"""Turns tokenised trajectories into the order, batches and micro-batches of training."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from tl.llama.attention import on_device
from tl.llama.model import Llama
from tl.losses import token_nll
from tl.prompt import Example

T = TypeVar("T")


@dataclass(frozen=True)
class MicroBatch:
    """Concatenated examples: N tokens, of which M are weighted targets."""

    input_ids: Tensor  # [1, N]
    lengths: list[int]  # of the examples, sum N
    prefixes: list[int] | None  # tokens that each example shares with an earlier one; see Llama.forward
    positions: Tensor  # [M] where in the N tokens a target is predicted
    targets: Tensor  # [M] token ids
    weights: Tensor  # [M] > 0
    turn_index: Tensor  # [M] 0, 1, … over the trained turns of the micro-batch
    trained_turns: int

    def divisor(self, norm: Literal["call", "sum"]) -> int:
        """This micro-batch's part of the divisor of a step's loss: its trained turns or, with "sum", its targets."""
        return self.trained_turns if norm == "call" else len(self.targets)

    def to(self, device: torch.device) -> "MicroBatch":
        """A copy on ``device``."""
        tensors: dict[str, Any] = {n: on_device(x, device) for n, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **tensors)


def collate(examples: Sequence[Example], prefixes: Sequence[int] | None = None) -> MicroBatch:
    """Packs examples into one row without padding; the model separates them by ``lengths``. Without examples, the row
    is one token that is not a target and adds nothing to loss and gradients.

    An example with prefix n > 0 begins with the same n tokens as the latest example with prefix 0. These have no
    targets, and only the tokens after them are read.
    """
    if not examples:
        return _nothing()
    if prefixes is not None:
        examples = [e.after(n) if n else e for e, n in zip(examples, prefixes, strict=True)]
    weights = torch.cat([e.weights for e in examples])
    positions = weights.nonzero().squeeze(-1)
    offsets = torch.tensor([0, *(len(e.turns) for e in examples)]).cumsum(0)
    turns = torch.cat([e.turn_index + offset for e, offset in zip(examples, offsets, strict=False)])[positions]
    numbers, turn_index = turns.unique(return_inverse=True)
    return MicroBatch(
        input_ids=torch.cat([e.input_ids for e in examples])[None],
        lengths=[len(e) for e in examples],
        prefixes=list(prefixes) if prefixes is not None else None,
        positions=positions,
        targets=torch.cat([e.targets for e in examples])[positions],
        weights=weights[positions],
        turn_index=turn_index,
        trained_turns=len(numbers),
    )


def _nothing() -> MicroBatch:
    none = torch.zeros(0, dtype=torch.int64)
    return MicroBatch(torch.zeros(1, 1, dtype=torch.int64), [1], None, none, none, torch.zeros(0), none, 0)


def micro_batches(examples: Sequence[Example], micro_tokens: int, rank: int = 0, ranks: int = 1) -> list[MicroBatch]:
    """A rank's share of a global batch in micro-batches (see ``micro_batch_indices``)."""
    groups = micro_batch_indices(list(map(len, examples)), micro_tokens, rank, ranks)
    return [collate([examples[i] for i in group]) for group in groups]


def micro_batch_indices(lengths: Sequence[int], micro_tokens: int, rank: int, ranks: int) -> list[list[int]]:
    """The indices of a rank's examples in micro-batches (see ``pack``).

    All ranks get the same number of micro-batches, some of them empty if need be, since every forward and backward pass
    waits for the other ranks.
    """
    packed = [list(pack(share, micro_tokens, lengths.__getitem__)) for share in balanced_shards(lengths, ranks)]
    return packed[rank] + [[]] * (max(map(len, packed)) - len(packed[rank]))


def balanced_shards(lengths: Sequence[int], ranks: int) -> list[list[int]]:
    """Distributes examples over ranks: the longest first, each to the rank with the fewest tokens. Returns the indices
    of each rank's examples in ascending order."""
    shares: list[list[int]] = [[] for _ in range(ranks)]
    tokens = [0] * ranks
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        rank = tokens.index(min(tokens))
        shares[rank].append(i)
        tokens[rank] += lengths[i]
    return [sorted(share) for share in shares]


def pack(items: Iterable[T], micro_tokens: int, length: Callable[[Any], int] = len) -> Iterator[list[T]]:
    """Groups items, in order, so that a group has at most ``micro_tokens`` tokens or is a single item."""
    group: list[T] = []
    for item in items:
        if group and sum(map(length, group)) + length(item) > micro_tokens:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def epoch_order(n: int, seed: int, epoch: int) -> list[int]:
    """A permutation of range(n) that depends only on (n, seed, epoch)."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(n, generator=generator).tolist()


def grouped_order(groups: Sequence[Sequence[int]], seed: int, epoch: int) -> list[int]:
    """Like ``epoch_order``, with the members of a group adjacent."""
    return [i for group in epoch_order(len(groups), seed, epoch) for i in groups[group]]


def batches(
    n: int, batch_size: int, seed: int, start: int, stop: int, groups: Sequence[Sequence[int]] | None = None
) -> Iterator[list[int]]:
    """The indices of the samples numbered start … stop-1 in training order, ``batch_size`` at a time.

    Samples are counted over all epochs: number i is entry i % n of epoch i // n. The members of each of ``groups``,
    which have n members in all, stay adjacent.
    """
    groups = groups or [[i] for i in range(n)]
    orders: dict[int, list[int]] = {}  # epoch -> order, for the epochs of the batch
    for first in range(start, stop, batch_size):
        numbers = range(first, min(first + batch_size, stop))
        epochs = sorted({i // n for i in numbers})
        orders = {epoch: orders.get(epoch) or grouped_order(groups, seed, epoch) for epoch in epochs}
        yield [orders[i // n][i % n] for i in numbers]


def target_nll(model: Llama, micro: MicroBatch) -> Tensor:
    """−log p of each target of a micro-batch, [M], in float32 or wider."""
    return token_nll(target_hidden(model, micro), model.lm_head.weight, micro.targets)


def target_hidden(model: Llama, micro: MicroBatch) -> Tensor:
    """The final hidden states from which the targets of a micro-batch are predicted, [M, C]."""
    hidden = model(micro.input_ids, micro.lengths, micro.prefixes, at=micro.positions, return_hidden=True)  # [1, M, C]
    return hidden[0]
