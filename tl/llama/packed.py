"""Weights in the layout that a CPU multiplies a few rows by fastest. Only time depends on it.

``x @ weight.T`` first rearranges the weight for the processor. Over thousands of rows that costs nothing, but a decode
step has one row per text, and spends up to two thirds of its products' time on it. oneDNN keeps the rearranged copy:
with 8 rows and 2 cores, a product took 0.6 of the time with 1,376 x 512 weights, 0.4 with 32,016 x 512.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_ELEMENTS = 2**18  # of a weight, and
ROWS = range(1, 65)  # of the input, between which it pays: measured


class PackedProduct:
    """``F.linear(x, weight)``, from a rearranged copy of the weight where that is faster."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach())

    def __call__(self, x: Tensor) -> Tensor:
        if x.numel() // x.shape[-1] not in ROWS:
            return F.linear(x, self.weight)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, None, "none", [], "")


def pack(model: nn.Module) -> dict[nn.Linear, PackedProduct]:
    """Copies of the weights that gain from it: the large ones in float32 on a CPU, where torch comes with oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return {}
    return {
        module: PackedProduct(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Linear)
        and type(module.weight) is nn.Parameter  # not sharded
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and module.weight.numel() >= MIN_ELEMENTS
    }


@contextmanager
def used(products: dict[nn.Linear, PackedProduct]) -> Iterator[None]:
    """Lets the modules multiply with their copies meanwhile: for inference, as long as the weights stay as they are."""
    for module, product in products.items():
        module.forward = product
    try:
        yield
    finally:
        for module in products:
            del module.forward
