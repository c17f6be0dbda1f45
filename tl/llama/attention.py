"""Causal attention within each of several concatenated documents, in the fastest form for the device.

Documents that begin with the same tokens may form a prefix group: the first one contains these tokens, and the others
attend to them there, so they are encoded once.

Axes: B rows, T positions, N = B*T tokens, H query heads, K key/value heads, D head size.
"""

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
KERNEL_GROUPS_HEADS = "enable_gqa" in inspect.signature(varlen_attn).parameters  # not in torch 2.11
KERNEL_HEAD_SIZES = range(8, 257, 8)  # of the variable-length kernel

# cuDNN's attention makes a plan for each new shape, and here every document and every decoded token brings one.
torch.backends.cuda.enable_cudnn_sdp(False)


def document_attention(
    lengths: Sequence[int], x: Tensor, head_dim: int, prefixes: Sequence[int] | None = None
) -> partial[Tensor]:
    """A function of q [B, T, H, D] and k, v [B, T, K, D] that gives [B, T, H, D], for all blocks of one forward pass.

    ``lengths`` and ``prefixes`` as in ``Llama.forward``; ``x`` has the device and dtype of the computation. In half
    precision on a GPU that is one variable-length kernel (FlashAttention in torch.nn.attention.varlen), if it takes
    heads of this size; elsewhere, and where a prefix is reused, a loop over the documents, which on a CPU is much
    faster than one dense mask.
    """
    if prefixes is not None and any(prefixes):
        return partial(attend_groups, groups=prefix_group_masks(lengths, prefixes, x))
    if x.is_cuda and x.dtype in (torch.bfloat16, torch.float16) and head_dim in KERNEL_HEAD_SIZES:
        bounds = on_device(torch.tensor([0, *lengths]).cumsum(0).to(torch.int32), x.device)
        return partial(attend_varlen, bounds=bounds, longest=max(lengths))
    return partial(attend_documents, lengths=lengths)


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on ``device``. A copy to a GPU starts from pinned memory, so the CPU does not wait for it."""
    return x if device.type == "cpu" else x.pin_memory().to(device, non_blocking=True)


def attention_at(at: Tensor, attend: partial[Tensor]) -> Attend:
    """``attend`` for the queries [1, M, H, D] of the tokens ``at`` [M] (in the flattened order) only."""
    if attend.func is attend_documents and at.device.type == "cpu":
        lengths = attend.keywords["lengths"]
        bounds = torch.tensor([0, *lengths]).cumsum(0)
        parts = at.tensor_split(torch.searchsorted(at, bounds[1:-1]))
        masks = [torch.arange(n) <= (part - s)[:, None] for part, s, n in zip(parts, bounds, lengths, strict=False)]
        return partial(attend_masked, lengths=lengths, masks=masks)
    return partial(attend_some, attend=attend, at=at)


def attend_masked(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], masks: Sequence[Tensor]) -> Tensor:
    """Attention document by document; ``masks[i]`` [m, n] is True where a query of document i attends to a token."""
    pieces = zip(split(q, list(map(len, masks))), split(k, lengths), split(v, lengths), masks, strict=True)
    return join([sdpa(q_, k_, v_, mask) for q_, k_, v_, mask in pieces], q)


def attend_some(q: Tensor, k: Tensor, v: Tensor, attend: Attend, at: Tensor) -> Tensor:
    """The same by an ``attend`` that needs a query for each token: the queries of the other tokens are zeros, and their
    outputs are dropped."""
    queries = q.new_zeros(k.shape[:2].numel(), *q.shape[2:]).index_copy(0, at, q[0])
    return take(attend(queries.view(*k.shape[:2], *q.shape[2:]), k, v), at)


def take(x: Tensor, at: Tensor | None) -> Tensor:
    """x [B, T, …] → [1, M, …], the tokens ``at`` [M] of its flattened order; x itself if ``at`` is None."""
    return x if at is None else x.flatten(0, 1).index_select(0, at)[None]


def attend_varlen(q: Tensor, k: Tensor, v: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """All documents in one kernel; document i is tokens ``bounds[i]`` to ``bounds[i + 1]`` of the flattened order."""
    groups = q.shape[2] // k.shape[2]
    options: dict[str, Any] = {"window_size": (-1, 0)}
    if groups > 1 and KERNEL_GROUPS_HEADS:
        options["enable_gqa"] = True
    elif groups > 1:
        k, v = (x.repeat_interleave(groups, dim=2) for x in (k, v))
    q_, k_, v_ = (x.flatten(0, 1) for x in (q, k, v))  # [N, heads, D] each
    return cast(Tensor, varlen_attn(q_, k_, v_, bounds, bounds, longest, longest, **options)).view(q.shape)


def attend_documents(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """One document after the other."""
    if len(set(lengths)) == 1:  # equal documents are a plain batch
        q_, k_, v_ = (x.reshape(len(lengths), lengths[0], *x.shape[2:]).transpose(1, 2) for x in (q, k, v))
        return sdpa(q_, k_, v_, is_causal=True).transpose(1, 2).reshape(q.shape)
    pieces = zip(*(split(x, lengths) for x in (q, k, v)), strict=True)
    return join([sdpa(q_, k_, v_, is_causal=True) for q_, k_, v_ in pieces], q)


@dataclass(frozen=True)
class PrefixGroupMask:
    """The attention mask of a prefix group: a first document, and others that reuse its first tokens."""

    first: int  # number of tokens in the first document
    mask: Tensor  # [n, first + n]: 0 where a token of another document attends to a token of the group, else -inf


def prefix_group_masks(lengths: Sequence[int], prefixes: Sequence[int], x: Tensor) -> list[PrefixGroupMask]:
    """A mask for each prefix group of documents with these lengths and prefixes; ``x`` has device and dtype."""
    firsts = [i for i, n in enumerate(prefixes) if n == 0]
    bounds = itertools.pairwise([*firsts, len(lengths)])
    return [_prefix_group_mask(lengths[first:end], prefixes[first:end], x) for first, end in bounds]


def _prefix_group_mask(lengths: Sequence[int], prefixes: Sequence[int], x: Tensor) -> PrefixGroupMask:
    first, *others = lengths
    counts = torch.tensor(others, dtype=torch.long)
    document = on_device(torch.arange(len(others)).repeat_interleave(counts), x.device)  # of each token in the others
    prefix = on_device(torch.tensor(prefixes[1:], dtype=torch.long).repeat_interleave(counts), x.device)
    place = torch.arange(sum(others), device=x.device)
    of_first = torch.arange(first, device=x.device) < prefix[:, None]
    of_own = (document == document[:, None]) & (place <= place[:, None])
    seen = torch.cat((of_first, of_own), dim=1)
    return PrefixGroupMask(first, x.new_zeros(seen.shape).masked_fill_(~seen, -math.inf))


def attend_groups(q: Tensor, k: Tensor, v: Tensor, groups: Sequence[PrefixGroupMask]) -> Tensor:
    """For each group, attention in its first document, then in all others at once."""
    lengths, outputs = [group.mask.shape[1] for group in groups], []
    for group, q_, k_, v_ in zip(groups, *(split(x, lengths) for x in (q, k, v)), strict=True):
        n = group.first
        outputs.append(sdpa(q_[:, :, :n], k_[:, :, :n], v_[:, :, :n], is_causal=True))
        if len(group.mask):
            outputs.append(sdpa(q_[:, :, n:], k_, v_, group.mask))
    return join(outputs, q)


def sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """PyTorch's attention of q [B, H, n, D] to k, v [B, K, m, D]. On GPUs no fast kernel takes both a mask and fewer
    heads of keys than of queries; with a mask they are repeated."""
    groups = q.shape[1] // k.shape[1]
    if mask is not None and groups > 1:
        k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal, enable_gqa=grouped)


def split(x: Tensor, lengths: Sequence[int]) -> tuple[Tensor, ...]:
    """x [B, T, heads, D] as consecutive pieces [1, heads, n, D] of the flattened B*T tokens."""
    return x.flatten(0, 1).transpose(0, 1)[None].split(list(lengths), dim=2)


def join(pieces: Sequence[Tensor], like: Tensor) -> Tensor:
    """The inverse of ``split``, with the shape of ``like``."""
    return torch.cat(list(pieces), dim=2)[0].transpose(0, 1).reshape(like.shape)
