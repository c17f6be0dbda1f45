"""The critic of PPO: a Llama whose head says one number a token, what reward is still to come."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tl.model import Llama, ModelConfig


class Critic(Llama):
    """A Llama with a scalar head in place of the vocabulary's, of the actor's shape but with weights of its own.

    The head starts at zero, so that before any training every value is 0 and GAE sees the rewards alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        del self.lm_head
        self.value_head = nn.Linear(config.hidden_size, 1, bias=False)
        if not self.value_head.weight.is_meta:
            nn.init.zeros_(self.value_head.weight)

    def forward(
        self, input_ids: Tensor, lengths: Sequence[int] | None = None, prefixes: Sequence[int] | None = None
    ) -> Tensor:
        """input_ids [B, T] → values [B, T] in float32: of what the policy earns after token t.

        ``lengths`` and ``prefixes`` as in ``Llama.forward``.
        """
        hidden = super().forward(input_ids, lengths, return_hidden=True, prefixes=prefixes)
        precise = torch.promote_types(hidden.dtype, torch.float32)
        return hidden.to(precise) @ self.value_head.weight[0].to(precise)
