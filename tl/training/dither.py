"""Noise for float32 master weights that were stored in bfloat16, without which small updates are lost.

Such a weight starts in the middle of the numbers that round to it. The forward pass reads it rounded, so that training
changes nothing there until the weight has moved half a step of bfloat16, 1/512 to 1/256 of itself. (Rounding to the
nearest loses small updates: arXiv 2010.06192.) With uniform noise in that interval some weights round differently after
every update, as many as it takes for the mean rounded weight to move as the master does. Before the first update all
round to what was stored. See docs/bf16.md.
"""

import zlib

import torch
from torch import Tensor

BLOCK = 1024  # rows whose noise is drawn together
REACH = 0.49  # of the distance to the neighbours; from 0.5 on a weight would round to one of them


@torch.no_grad()
def dither(rows: Tensor, first: int, name: str, seed: int) -> None:
    """Adds noise in place to rows [n, …] of the tensor ``name``, which begin at its row ``first``; float32 numbers that
    bfloat16 has. The noise of a row depends on ``seed``, ``name`` and the row's number alone."""
    for start in range(first // BLOCK * BLOCK, first + len(rows), BLOCK):
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name} {start}".encode()))
        noise = torch.rand(BLOCK, *rows.shape[1:], generator=generator) * 2 - 1
        mine = slice(max(start, first), min(start + BLOCK, first + len(rows)))
        part = rows[mine.start - first : mine.stop - first]
        part.copy_(moved(part, noise[mine.start - start : mine.stop - start].to(rows.device)))


def moved(weights: Tensor, noise: Tensor) -> Tensor:
    """Each of ``weights`` moved by ``noise`` (-1 to 1) times REACH of the distance to its neighbour in bfloat16: away
    from zero where the noise is positive, else towards it. Zeros stay, and what has no finite neighbour there."""
    bits = weights.bfloat16().view(torch.int16)  # counts up with the magnitude, whatever the sign
    neighbours = (bits + torch.where(noise < 0, -1, 1).to(torch.int16)).view(torch.bfloat16)
    distance = neighbours.float() - weights
    return torch.where((weights != 0) & distance.isfinite(), weights + REACH * noise.abs() * distance, weights)
