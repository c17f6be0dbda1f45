"""What a model says of given tokens."""

from torch import Tensor

from tl.batching import MicroBatch
from tl.losses import token_nll
from tl.model import Llama


def target_nll(model: Llama, micro: MicroBatch) -> Tensor:
    """−log p of each target of a micro-batch, [M], in float32 or wider."""
    hidden = model(micro.input_ids, micro.lengths, return_hidden=True, prefixes=micro.prefixes)  # [1, N, C]
    return token_nll(hidden[0, micro.positions], model.lm_head.weight, micro.targets)
