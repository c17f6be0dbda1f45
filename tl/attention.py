"""Causal attention within each of several documents that lie end to end, in the form that suits the device.

Axes: B rows, T positions, N = B*T tokens, H query heads, K key/value heads, D head size.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
KERNEL_GROUPS_HEADS = "enable_gqa" in inspect.signature(varlen_attn).parameters  # not in torch 2.11


def document_attention(lengths: Sequence[int], x: Tensor) -> Attend:
    """A function of q [B, T, H, D] and k, v [B, T, K, D] that gives [B, T, H, D], for all blocks of one forward pass.

    ``lengths`` of the documents, in the flattened [N] order; ``x`` has the device and dtype of the computation. In half
    precision on a GPU that is one variable-length kernel (FlashAttention in torch.nn.attention.varlen), whatever the
    lengths; elsewhere a loop over the documents, which on a CPU is much faster than one dense mask.
    """
    if x.is_cuda and x.dtype in (torch.bfloat16, torch.float16):
        bounds = torch.tensor([0, *lengths]).cumsum(0).to(x.device, torch.int32)
        return partial(attend_varlen, bounds=bounds, longest=max(lengths))
    return partial(attend_documents, lengths=lengths)


def attend_varlen(q: Tensor, k: Tensor, v: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """All documents in one kernel; document i is tokens ``bounds[i]`` to ``bounds[i + 1]`` of the flattened order."""
    groups, options = q.shape[2] // k.shape[2], {}
    if groups > 1 and KERNEL_GROUPS_HEADS:
        options = {"enable_gqa": True}
    elif groups > 1:
        k, v = (x.repeat_interleave(groups, dim=2) for x in (k, v))
    flat = (x.flatten(0, 1) for x in (q, k, v))  # [N, heads, D] each
    return varlen_attn(*flat, bounds, bounds, longest, longest, window_size=(-1, 0), **options).view(q.shape)


def attend_documents(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """One document after the other."""
    gqa = q.shape[2] != k.shape[2]
    sdpa = partial(F.scaled_dot_product_attention, is_causal=True, enable_gqa=gqa)
    if len(set(lengths)) == 1:  # equal documents are a plain batch
        q_, k_, v_ = (x.reshape(len(lengths), lengths[0], *x.shape[2:]).transpose(1, 2) for x in (q, k, v))
        return sdpa(q_, k_, v_).transpose(1, 2).reshape(q.shape)
    split = (x.flatten(0, 1).transpose(0, 1).split(list(lengths), dim=1) for x in (q, k, v))  # [heads, n, D] each
    outputs = [sdpa(q_[None], k_[None], v_[None])[0] for q_, k_, v_ in zip(*split, strict=True)]
    return torch.cat(outputs, dim=1).transpose(0, 1).reshape(q.shape)
