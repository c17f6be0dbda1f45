"""PKT, prioritizing key tokens (paper section 3.2, Theorem A.2): which tokens decide the tool, and their weight.

The weights are computed once per trajectory, from its own tool list, before training; the loss only multiplies by them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def shared_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading tokens that two names have in common."""
    n = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        n += 1
    return n


def key_positions(name_ids: Sequence[int], other_names: Sequence[Sequence[int]]) -> list[int]:
    """Positions, counted from the start of the call, whose token decides which tool is called. Sorted; 0 is always in.

    Position n is a key position if another tool's name shares exactly the first n >= 1 tokens, so that the two names
    diverge there. If the shared prefix is the whole called name, it is the token after the name. Tools of the same name
    cannot be told apart by any token and add nothing.
    """
    name = list(name_ids)
    diverging = {shared_prefix(name, other) for other in other_names if list(other) != name}
    return sorted({0} | diverging)


def call_weights(n_tokens: int, key_positions: Sequence[int], w_max: float = 9.0) -> Tensor:
    """Weight of each of a call's ``n_tokens`` trained tokens (the closing ``</s>`` included), float32 [n_tokens].

    Key tokens get CLIP(|NK| / |K|, 1, w_max), all others 1 (Theorem A.2). Without key positions, as in a turn of plain
    text, all weights are 1. Raises ValueError if a position lies outside the call.
    """
    keys = sorted(set(key_positions))
    if keys and not 0 <= keys[0] <= keys[-1] < n_tokens:
        raise ValueError(f"key positions {keys} do not lie within a call of {n_tokens} tokens")
    weights = torch.ones(n_tokens)
    if keys:
        ratio = (n_tokens - len(keys)) / len(keys)
        weights[keys] = min(max(ratio, 1.0), w_max)
    return weights
