"""Noise for float32 master weights that were stored in bfloat16. Without it, small updates are lost.

Such a weight starts in the middle of the interval of numbers that round to it. The forward pass uses it rounded, so
training has no effect there until the weight has moved half a bfloat16 step, 1/512 to 1/256 of its value (rounding to
nearest loses small updates: arXiv 2010.06192). With uniform noise within that interval, every update changes how some
weights round, in such numbers that the mean rounded weight moves as the master weight does. Before the first update,
all weights round to what was stored. See docs/bf16.md.
"""

import zlib

import torch
from torch import Tensor

BLOCK = 1024  # rows whose noise is drawn together
REACH = 0.49  # maximum noise as a share of the distance to the neighbours; from 0.5 on, a weight would round to one


@torch.no_grad()
def dither(rows: Tensor, first: int, name: str, seed: int) -> None:
    """Adds noise in place to ``rows`` [n, …] of the tensor ``name``, starting at its row ``first``. They are float32
    with values that bfloat16 can hold. The noise of a row depends only on ``seed``, ``name`` and the row's number."""
    for start in range(first // BLOCK * BLOCK, first + len(rows), BLOCK):
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name} {start}".encode()))
        noise = torch.rand(BLOCK, *rows.shape[1:], generator=generator) * 2 - 1
        mine = slice(max(start, first), min(start + BLOCK, first + len(rows)))
        part = rows[mine.start - first : mine.stop - first]
        part.copy_(moved(part, noise[mine.start - start : mine.stop - start].to(rows.device)))


def moved(weights: Tensor, noise: Tensor) -> Tensor:
    """Moves each weight by ``noise`` (-1 to 1) times REACH times the distance to its bfloat16 neighbour: away from zero
    if the noise is positive, otherwise towards zero. Zeros and weights without a finite neighbour stay unchanged."""
    bits = weights.bfloat16().view(torch.int16)  # counts up with the magnitude, whatever the sign
    neighbours = (bits + torch.where(noise < 0, -1, 1).to(torch.int16)).view(torch.bfloat16)
    distance = neighbours.float() - weights
    return torch.where((weights != 0) & distance.isfinite(), weights + REACH * noise.abs() * distance, weights)
