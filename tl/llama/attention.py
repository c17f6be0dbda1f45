"""Causal attention within each of several documents that lie end to end, in the form that suits the device.

A document may continue another one: it then attends to the first tokens of that one, too, so that these are read once
for all documents that begin with them.

Axes: B rows, T positions, N = B*T tokens, H query heads, K key/value heads, D head size.
"""

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

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
) -> Attend:
    """A function of q [B, T, H, D] and k, v [B, T, K, D] that gives [B, T, H, D], for all blocks of one forward pass.

    ``lengths`` of the documents, in the flattened [N] order; ``x`` has the device and dtype of the computation. In half
    precision on a GPU that is one variable-length kernel (FlashAttention in torch.nn.attention.varlen), whatever the
    lengths, for the head sizes that it takes; elsewhere a loop over the documents, which on a CPU is much faster than
    one dense mask.

    With ``prefixes``, a document of prefix n > 0 continues the first n tokens of the last one before it of prefix 0;
    that is a loop over these (``attend_trees``) everywhere.
    """
    if prefixes is not None:
        return partial(attend_trees, trees=split_trees(lengths, prefixes, x))
    if x.is_cuda and x.dtype in (torch.bfloat16, torch.float16) and head_dim in KERNEL_HEAD_SIZES:
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
    if len(set(lengths)) == 1:  # equal documents are a plain batch
        q_, k_, v_ = (x.reshape(len(lengths), lengths[0], *x.shape[2:]).transpose(1, 2) for x in (q, k, v))
        return sdpa(q_, k_, v_, is_causal=True).transpose(1, 2).reshape(q.shape)
    pieces = zip(*(_split(x, lengths) for x in (q, k, v)), strict=True)
    return _join([sdpa(*piece, is_causal=True) for piece in pieces], q)


@dataclass(frozen=True)
class Tree:
    """A document and those that continue it, which lie after it."""

    trunk: int  # tokens of the document
    mask: Tensor  # [n, trunk + n] 0 where a token after the trunk attends to one of the tree, else -inf

    @property
    def length(self) -> int:
        return self.mask.shape[1]

    @classmethod
    def of(cls, lengths: Sequence[int], prefixes: Sequence[int], x: Tensor) -> "Tree":
        """``lengths`` of its documents, and how many tokens of the first one they continue. x: device and dtype."""
        trunk, *branches = lengths
        counts = torch.tensor(branches, dtype=torch.long)
        branch = torch.arange(len(branches)).repeat_interleave(counts).to(x.device)  # of each token after the trunk
        prefix = torch.tensor(prefixes[1:], dtype=torch.long).repeat_interleave(counts).to(x.device)
        place = torch.arange(sum(branches), device=x.device)
        of_trunk = torch.arange(trunk, device=x.device) < prefix[:, None]
        of_branch = (branch == branch[:, None]) & (place <= place[:, None])
        seen = torch.cat((of_trunk, of_branch), dim=1)
        return cls(trunk, x.new_zeros(seen.shape).masked_fill_(~seen, -math.inf))


def split_trees(lengths: Sequence[int], prefixes: Sequence[int], x: Tensor) -> list[Tree]:
    """The trees that documents make up, which lie one after the other; ``x`` has device and dtype."""
    firsts = [i for i, n in enumerate(prefixes) if n == 0]
    bounds = itertools.pairwise([*firsts, len(lengths)])
    return [Tree.of(lengths[first:end], prefixes[first:end], x) for first, end in bounds]


def attend_trees(q: Tensor, k: Tensor, v: Tensor, trees: Sequence[Tree]) -> Tensor:
    """One document after the other, and all that continue it at once."""
    lengths, outputs = [tree.length for tree in trees], []
    for tree, q_, k_, v_ in zip(trees, *(_split(x, lengths) for x in (q, k, v)), strict=True):
        n = tree.trunk
        outputs.append(sdpa(q_[:, :, :n], k_[:, :, :n], v_[:, :, :n], is_causal=True))
        if n < tree.length:
            outputs.append(sdpa(q_[:, :, n:], k_, v_, tree.mask))
    return _join(outputs, q)


def sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """PyTorch's attention of q [B, H, n, D] to k, v [B, K, m, D]. On GPUs no fast kernel takes both a mask and fewer
    heads of keys than of queries; with a mask they are repeated."""
    groups = q.shape[1] // k.shape[1]
    if mask is not None and groups > 1:
        k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal, enable_gqa=grouped)


def _split(x: Tensor, lengths: Sequence[int]) -> tuple[Tensor, ...]:
    """x [B, T, heads, D] in pieces [1, heads, n, D] of the flattened order."""
    return x.flatten(0, 1).transpose(0, 1)[None].split(list(lengths), dim=2)


def _join(pieces: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.cat(list(pieces), dim=2)[0].transpose(0, 1).reshape(like.shape)
