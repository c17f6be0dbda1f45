"""Attention within documents: its forms give the same outputs and gradients.

The GPU's kernel itself runs where there is a GPU. Elsewhere a dense mask stands in for it behind the same arguments, so
that everything but the kernel is held here.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tl.llama import attention
from tl.llama.attention import (
    attend_documents,
    attend_groups,
    attend_varlen,
    document_attention,
    prefix_group_masks,
    sdpa,
)

SPLITS = [[12], [5, 7], [1, 3, 1, 7], [4, 4, 4]]
HEADS = [(2, 2), (4, 2)]


def dense_varlen(q, k, v, bounds, bounds_k, longest, longest_k, *, window_size, enable_gqa=False) -> Tensor:
    """torch.nn.attention.varlen.varlen_attn for causal windows, on any device: attention under one dense mask."""
    assert torch.equal(bounds, bounds_k) and longest == longest_k == bounds.diff().max() and window_size == (-1, 0)
    document = torch.repeat_interleave(torch.arange(len(bounds) - 1), bounds.diff())
    mask = (document[:, None] == document) & torch.ones(len(q), len(q), dtype=torch.bool).tril()
    heads_first = (x.transpose(0, 1)[None] for x in (q, k, v))
    return F.scaled_dot_product_attention(*heads_first, attn_mask=mask, enable_gqa=enable_gqa)[0].transpose(0, 1)


def inputs(heads: tuple[int, int], rows: int = 1, dtype=torch.float64, device="cpu") -> list[Tensor]:
    torch.manual_seed(0)
    shapes = [(rows, 12 // rows, n, 16) for n in (heads[0], heads[1], heads[1])]
    return [torch.randn(shape, dtype=dtype, device=device, requires_grad=True) for shape in shapes]


def outcome(attend, qkv: list[Tensor]) -> list[Tensor]:
    """Output and gradients under a loss that weighs every element differently."""
    output = attend(*qkv)
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype, device=output.device).view(output.shape)
    return [output, *torch.autograd.grad((output * weight).sum(), qkv)]


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("lengths", SPLITS)
@pytest.mark.parametrize("kernel_groups_heads", [True, False])
def test_the_variable_length_form_equals_the_loop(monkeypatch, lengths, heads, kernel_groups_heads):
    monkeypatch.setattr(attention, "varlen_attn", dense_varlen)
    monkeypatch.setattr(attention, "KERNEL_GROUPS_HEADS", kernel_groups_heads)
    bounds = torch.tensor([0, *lengths]).cumsum(0).int()
    rows = len(lengths) if len(set(lengths)) == 1 else 1
    one = outcome(lambda *x: attend_documents(*x, lengths), inputs(heads, rows))
    other = outcome(lambda *x: attend_varlen(*x, bounds, max(lengths)), inputs(heads, rows))
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_document_sees_itself_and_no_other():
    q, k, v = inputs((2, 2))
    whole = attend_documents(q, k, v, [5, 7])
    apart = [attend_documents(q[:, s], k[:, s], v[:, s], [n]) for s, n in ((slice(5), 5), (slice(5, 12), 7))]
    torch.testing.assert_close(whole, torch.cat(apart, dim=1))
    assert torch.equal(whole[:, 0], v[:, 0]) and torch.equal(whole[:, 5], v[:, 5])  # first tokens see themselves


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("prefixes", [[0, 2, 4, 4], [0, 1, 0, 3], [0, 0, 0, 5], [0, 0, 0, 0]])
def test_a_document_that_continues_another_one_sees_its_beginning_and_itself(heads, prefixes):
    """Against the same documents written out, one after the other, with the beginning that they share."""
    lengths = [4, 1, 5, 2]
    q, k, v = inputs(heads)
    spans = [slice(sum(lengths[:i]), sum(lengths[: i + 1])) for i in range(4)]

    def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        outputs = []
        for i, held in enumerate(prefixes):
            first = max(j for j in range(i + 1) if prefixes[j] == 0)
            whole = [torch.cat((x[:, spans[first]][:, :held], x[:, spans[i]]), dim=1) for x in (q, k, v)]
            outputs.append(attend_documents(*whole, [held + lengths[i]])[:, held:])
        return torch.cat(outputs, dim=1)

    ours = outcome(lambda *x: attend_groups(*x, prefix_group_masks(lengths, prefixes, x[0])), [q, k, v])
    for a, b in zip(ours, outcome(written_out, [q, k, v]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_the_arguments_are_those_of_the_kernel():
    """Shapes and dtypes pass the checks of the real operator, which needs no GPU for that."""
    with torch.device("meta"):
        q, k, v = (torch.empty(1, 12, n, 16, dtype=torch.bfloat16) for n in (4, 2, 2))
        assert attend_varlen(q, k, v, torch.zeros(3, dtype=torch.int32), 7).shape == (1, 12, 4, 16)


def test_a_cpu_takes_the_loop():
    assert document_attention([5, 7], torch.empty(1, 12, 16), 16).func is attend_documents


@pytest.mark.parametrize(
    ("dtype", "head_dim", "form"),
    [
        (torch.bfloat16, 128, attend_varlen),
        (torch.float16, 64, attend_varlen),
        (torch.float32, 64, attend_documents),
        (torch.bfloat16, 100, attend_documents),  # the kernel takes multiples of 8, up to 256
        (torch.bfloat16, 264, attend_documents),
    ],
)
def test_a_gpu_takes_the_kernel_where_that_knows_type_and_head_size(dtype, head_dim, form, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)  # which fake tensors do not have
    with FakeTensorMode():  # tensors without memory, on whatever device
        x = torch.empty(1, 12, head_dim, dtype=dtype, device="cuda")
        assert document_attention([5, 7], x, head_dim).func is form


@pytest.mark.parametrize("heads", HEADS)
def test_masked_attention_of_grouped_heads_equals_that_of_each_head_alone(heads):
    q, k, v = (x.transpose(1, 2) for x in inputs(heads))
    mask = (torch.rand(12, 12, generator=torch.Generator().manual_seed(0)) < 0.5) | torch.eye(12, dtype=torch.bool)
    of = [head * heads[1] // heads[0] for head in range(heads[0])]  # whose keys a query head reads
    scores = torch.stack([q[0, h] @ k[0, of[h]].T for h in range(heads[0])]) / 16**0.5
    expected = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ torch.stack([v[0, i] for i in of])
    torch.testing.assert_close(sdpa(q, k, v, mask)[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("lengths", SPLITS)
def test_a_gpu_takes_the_kernel_and_it_equals_the_loop(lengths, heads):
    qkv = inputs(heads, dtype=torch.bfloat16, device="cuda")
    attend = document_attention(lengths, qkv[0], qkv[0].shape[-1])
    assert attend.func is attend_varlen
    exact = outcome(lambda *x: attend_documents(*x, lengths), [x.detach().double().requires_grad_() for x in qkv])
    for a, b in zip(outcome(attend, qkv), exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=2e-2, atol=2e-2)
