"""The KV cache: keys and values of processed tokens.

Axes: R rows of the cache, n rows that decode, B x T the tokens of one forward, H query heads, K key/value heads,
G = H / K query heads per key/value head, D head size.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from tl.llama.attention import join, sdpa, split
from tl.llama.config import ModelConfig

BLOCK = 128  # capacities are multiples of this many tokens


def room_for(longest: int) -> int:
    """The capacity of rows that hold up to ``longest`` tokens."""
    return -(-longest // BLOCK) * BLOCK


class KVCache:
    """Keys and values of R rows of text; row r holds ``lengths[r]`` tokens, at most ``capacity``."""

    def __init__(
        self,
        config: ModelConfig,
        rows: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, capacity, config.head_dim)
        # Zeros, not empty: a short row attends to what lies after its end with weight 0, and 0 * NaN is NaN.
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = [0] * rows

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def reserve(self, rows: int, longest: int) -> None:
        """Makes room for ``rows`` rows of ``longest`` tokens. A cache that is too small gets that size; its rows keep
        what fits."""
        if rows <= len(self.lengths) and longest <= self.capacity:
            return
        capacity = room_for(longest)
        # One after the other: old and new of both at the same time would take twice the memory.
        self.keys = _resized(self.keys, rows, capacity)
        self.values = _resized(self.values, rows, capacity)
        kept = [min(held, capacity) for held in self.lengths[:rows]]
        self.lengths = kept + [0] * (rows - len(kept))

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Sets row ``target`` to the first ``length`` tokens of row ``source``, which may be the same row."""
        if source != target:
            for cached in (self.keys, self.values):
                cached[:, target, :, :length] = cached[:, source, :, :length]
        self.lengths[target] = length

    def swap(self, a: int, b: int) -> None:
        """Exchanges rows a and b."""
        if a == b:
            return
        longer = max(self.lengths[a], self.lengths[b])
        for cached in (*self.keys, *self.values):  # layer by layer: the copies take memory
            cached[[a, b], :, :longer] = cached[[b, a], :, :longer]
        self.lengths[a], self.lengths[b] = self.lengths[b], self.lengths[a]

    def attention(self, lengths: Sequence[int], x: Tensor) -> list[partial[Tensor]]:
        """For each layer, the attention function of a forward pass over x [B, T, C]: it takes q [B, T, H, D] and the
        new k, v [B, T, K, D], appends k and v to the rows, and returns what q reads from the rows, [B, T, H, D].

        ``lengths[r]`` of the flattened B*T tokens belong to row r (0: none). ``advance`` moves the rows' ends once all
        layers have run.
        """
        n, columns, device = *x.shape[:2], x.device
        held = self.lengths[:n]
        if columns > 1 or any(new != 1 for new in lengths[:n]):
            masks = [_causal(old, new, device) for old, new in zip(self.lengths, lengths, strict=True)]
            attend = partial(self._attend_ragged, lengths=lengths, masks=masks)
        elif min(held) == max(held):  # nothing to mask, as with a single row; attention is faster without
            attend = partial(self._attend_one, rows=slice(n), ends=held[0], mask=None)
        else:
            rows, ends = torch.arange(n, device=device), torch.tensor(held, device=device)
            mask = (torch.arange(max(held) + 1, device=device) <= ends[:, None])[:, None, None]  # [n, 1, 1, longest]
            attend = partial(self._attend_one, rows=rows, ends=ends, mask=mask)
        return [partial(attend, layer) for layer in range(len(self.keys))]

    def advance(self, lengths: Sequence[int]) -> None:
        self.lengths = [held + new for held, new in zip(self.lengths, lengths, strict=True)]

    def _attend_ragged(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], masks: Sequence[Tensor | None]
    ) -> Tensor:
        """``attention`` for any number of new tokens, row by row."""
        outputs = []
        for row, (q_, k_, v_) in enumerate(zip(*(split(x, lengths) for x in (q, k, v)), strict=True)):
            start, end = self.lengths[row], self.lengths[row] + lengths[row]
            if start == end:
                continue
            self.keys[layer, row, :, start:end], self.values[layer, row, :, start:end] = k_[0], v_[0]
            keys, values = (x[layer, row, None, :, :end] for x in (self.keys, self.values))
            outputs.append(sdpa(q_, keys, values, masks[row], is_causal=start == 0))
        return join(outputs, q)

    def _attend_one(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, rows: Tensor | slice, ends: Tensor | int, mask: Tensor | None
    ) -> Tensor:
        """``attention`` for one new token in each of the first n rows: one call for all, masked at each row's end."""
        n, _, kv_heads, size = k.shape
        self.keys[layer, rows, :, ends], self.values[layer, rows, :, ends] = k[:, 0], v[:, 0]
        longest = max(self.lengths[:n]) + 1
        # The G query heads that share keys and values stand where a sequence's positions would: [n, K, G, D].
        out = F.scaled_dot_product_attention(
            q.reshape(n, kv_heads, -1, size),
            self.keys[layer, :n, :, :longest],
            self.values[layer, :n, :, :longest],
            attn_mask=mask,
        )
        return out.reshape(q.shape)


def _causal(held: int, new: int, device: torch.device) -> Tensor | None:
    """Which of held + new tokens each new one attends to, [new, held + new]; None if SDPA needs no mask for that."""
    return torch.ones(new, held + new, dtype=torch.bool, device=device).tril(held) if held and new > 1 else None


def _resized(cached: Tensor, rows: int, capacity: int) -> Tensor:
    """``cached`` [layers, R, K, capacity, D] with this number of rows and this capacity; new places are zeros."""
    layers, old_rows, heads, old_capacity, size = cached.shape
    resized = cached.new_zeros(layers, rows, heads, capacity, size)
    rows, capacity = min(rows, old_rows), min(capacity, old_capacity)
    resized[:, :rows, :, :capacity] = cached[:, :rows, :, :capacity]
    return resized
