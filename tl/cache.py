"""The keys and values of texts that a model has read, so that it need not read them again.

Axes: R rows of the cache, n rows that decode, B x T the tokens of one forward, H query heads, K key/value heads,
G = H / K query heads per key/value head, D head size.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from tl.model import ModelConfig

BLOCK = 128  # capacities are multiples of this many tokens


class KVCache:
    """Keys and values of R rows of text; row r holds ``lengths[r]`` tokens, at most ``capacity``."""

    def __init__(
        self,
        config: "ModelConfig",
        rows: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, capacity, config.head_dim)
        # Zeros, not empty: a short row attends to what lies behind its end with weight 0, and 0 * NaN is NaN.
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = [0] * rows

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def reserve(self, capacity: int) -> None:
        """Makes room for rows of ``capacity`` tokens; what is held stays."""
        if capacity > self.capacity:
            self.keys, self.values = (_longer(x, -(-capacity // BLOCK) * BLOCK) for x in (self.keys, self.values))

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Row ``target`` becomes the first ``length`` tokens of row ``source``; with source = target it is cut."""
        if source != target:
            for cached in (self.keys, self.values):
                cached[:, target, :, :length] = cached[:, source, :, :length]
        self.lengths[target] = length

    def swap(self, a: int, b: int) -> None:
        """Rows a and b change places."""
        if a == b:
            return
        longer = max(self.lengths[a], self.lengths[b])
        for cached in (self.keys, self.values):
            cached[:, [a, b], :, :longer] = cached[:, [b, a], :, :longer]
        self.lengths[a], self.lengths[b] = self.lengths[b], self.lengths[a]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
        """Stores the new keys and values of one layer behind what each row holds and attends to both.

        q [B, T, H, D]; k, v [B, T, K, D]; ``lengths[r]`` of the flattened B*T tokens belong to row r (0: none).
        Returns [B, T, H, D]. ``advance`` moves the rows' ends once all layers have run.
        """
        if q.shape[1] == 1 and all(n == 1 for n in lengths[: len(q)]):
            return self._attend_one(layer, q, k, v)
        return self._attend_ragged(layer, q, k, v, lengths)

    def advance(self, lengths: Sequence[int]) -> None:
        self.lengths = [held + new for held, new in zip(self.lengths, lengths, strict=True)]

    def _attend_ragged(self, layer: int, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
        """``attend`` for any number of new tokens, row by row."""
        gqa = q.shape[2] != k.shape[2]
        split = (x.flatten(0, 1).transpose(0, 1).split(list(lengths), dim=1) for x in (q, k, v))  # [heads, new, D] each
        outputs = []
        for row, (q_, k_, v_) in enumerate(zip(*split, strict=True)):
            start, new = self.lengths[row], lengths[row]
            if new == 0:
                continue
            self.keys[layer, row, :, start : start + new] = k_
            self.values[layer, row, :, start : start + new] = v_
            keys, values = (x[layer, row, None, :, : start + new] for x in (self.keys, self.values))
            mask = torch.ones(new, start + new, dtype=torch.bool, device=q.device).tril(start) if start else None
            out = F.scaled_dot_product_attention(
                q_[None], keys, values, attn_mask=mask, is_causal=mask is None, enable_gqa=gqa
            )
            outputs.append(out[0])
        return torch.cat(outputs, dim=1).transpose(0, 1).reshape(q.shape)

    def _attend_one(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """``attend`` for one new token in each of the first n rows: one call for all, masked at each row's end."""
        n, _, kv_heads, size = k.shape
        held = self.lengths[:n]
        longest = max(held) + 1
        if min(held) == max(held):  # nothing to mask, as with a single row, where attention is faster without
            self.keys[layer, :n, :, longest - 1], self.values[layer, :n, :, longest - 1] = k[:, 0], v[:, 0]
            mask = None
        else:
            rows, ends = torch.arange(n, device=q.device), torch.tensor(held, device=q.device)
            self.keys[layer, rows, :, ends], self.values[layer, rows, :, ends] = k[:, 0], v[:, 0]
            mask = (torch.arange(longest, device=q.device) <= ends[:, None])[:, None, None]  # [n, 1, 1, longest]
        # The G query heads that share keys and values stand where a sequence's positions would: [n, K, G, D].
        out = F.scaled_dot_product_attention(
            q.reshape(n, kv_heads, -1, size),
            self.keys[layer, :n, :, :longest],
            self.values[layer, :n, :, :longest],
            attn_mask=mask,
        )
        return out.reshape(q.shape)


def _longer(cached: Tensor, capacity: int) -> Tensor:
    """Room for ``capacity`` tokens that starts with what ``cached`` holds. (A pad would write all of the new room.)"""
    longer = cached.new_zeros(*cached.shape[:3], capacity, cached.shape[4])
    longer[:, :, :, : cached.shape[3]] = cached
    return longer
