"""Packed weights: the same products, only while they are asked for, only where they pay."""

import pytest
import torch
from torch import nn

from tl.llama.packed import MIN_ELEMENTS, PackedProduct, pack, used

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch comes without oneDNN")


def linear(outputs: int = 1024, inputs: int = 512) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=False)


@needs_onednn
@pytest.mark.parametrize("shape", [(1, 512), (2, 512), (8, 1, 512), (64, 512), (1, 65, 512)])
def test_a_packed_product_equals_the_plain_one(shape: tuple[int, ...]) -> None:
    module, x = linear(), torch.randn(shape)
    with torch.no_grad(), used(pack(module)):
        packed = module(x)
    assert packed.shape == (*shape[:-1], 1024)
    torch.testing.assert_close(packed, module(x), rtol=1e-4, atol=1e-5)


@needs_onednn
def test_the_copy_is_used_for_few_rows_and_only_meanwhile() -> None:
    module = linear()
    few, many, products = torch.randn(8, 512), torch.randn(100, 512), pack(module)
    with torch.no_grad():
        before = module(few)
        module.weight.zero_()  # the copy stays as it was
        with used(products):
            torch.testing.assert_close(module(few), before, rtol=1e-4, atol=1e-5)
            assert not module(many).any()
        assert not module(few).any()


@needs_onednn
def test_the_plain_products_are_back_after_an_error() -> None:
    module = linear()
    with pytest.raises(KeyboardInterrupt), used(pack(module)):
        raise KeyboardInterrupt
    assert module(torch.randn(8, 512)).requires_grad


@needs_onednn
def test_only_large_float32_weights_are_packed() -> None:
    rows = MIN_ELEMENTS // 512
    model = nn.ModuleList([linear(rows), linear(rows - 1), linear(rows).double(), linear(rows).bfloat16()])
    assert list(pack(model)) == [model[0]] and isinstance(pack(model)[model[0]], PackedProduct)


def test_nothing_is_packed_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert pack(linear()) == {}
