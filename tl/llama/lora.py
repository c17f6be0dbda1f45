"""LoRA (arXiv 2106.09685): learns the product of two thin matrices in addition to a frozen weight W.

    h = W x + (α / r) B A x                                            (equation 3, scaled as in section 4.1)

A [r, in] starts random and B [out, r] at zero, so that training starts at the frozen model. Afterwards the product can
be added to W (section 4.1), which gives a plain Llama. Dropout is left out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from tl.llama.config import ModelConfig
from tl.llama.model import Llama

LinearLayer = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LINEAR_LAYERS: tuple[LinearLayer, ...] = get_args(LinearLayer)  # of a block

L = TypeVar("L", bound=Llama)


@dataclass(frozen=True)
class LoRA:
    """Settings of the adapters: a product of rank ``rank`` for each of the blocks' layers ``on``."""

    rank: int
    alpha: float
    on: tuple[LinearLayer, ...] = LINEAR_LAYERS


class LoRALinear(nn.Linear):
    """A frozen linear layer with its A and B. Weight and bias keep their names, so that checkpoints fit."""

    def __init__(self, linear: nn.Linear, lora: LoRA) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.lora = lora
        self.lora_A = nn.Linear(linear.in_features, lora.rank, bias=False)
        self.lora_B = nn.Linear(lora.rank, linear.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] → [..., out]."""
        base, low = super().forward(x), self.lora_A(x)
        h = torch.addmm(base.flatten(0, -2), low.flatten(0, -2), self.lora_B.weight.T, alpha=self._scale)
        return h.view_as(base)

    def merged(self) -> nn.Linear:
        """A plain layer with W + (α / r) B A, summed in float32 or wider; of the dtype of W."""
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        precise = torch.promote_types(self.weight.dtype, torch.float32)
        w, a, b = (x.detach().to(precise) for x in (self.weight, self.lora_A.weight, self.lora_B.weight))
        linear.weight = nn.Parameter((w + self._scale * (b @ a)).to(self.weight.dtype))
        linear.bias = self.bias
        return linear

    @property
    def _scale(self) -> float:
        return self.lora.alpha / self.lora.rank


def add_lora(model: L, lora: LoRA) -> L:
    """Adds an A and a B to the layers that ``lora`` names and returns the model. From now on only they, and a critic's
    value head, have gradients. On the meta device A has no numbers yet (see ``initial_a``)."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("value_head."))
    for parent, name, layer in _linear_layers(model):
        if name in lora.on:
            setattr(parent, name, LoRALinear(layer, lora))
    return model


def lora_of(model: Llama) -> LoRA | None:
    """The settings that ``add_lora`` was called with for this model; None if it was not."""
    return next((layer.lora for _, _, layer in _linear_layers(model) if isinstance(layer, LoRALinear)), None)


def initial_a(model: Llama, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Each A of the model under its parameter's name, whole and random: uniform within ±1 / √in (Kaiming's with √5, as
    nn.Linear has it). The same on every rank."""
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear):
            a = torch.empty(module.lora_A.weight.shape, device="cpu")
            yield f"{name}.lora_A.weight", nn.init.kaiming_uniform_(a, math.sqrt(5), generator=generator)


def merge(model: L) -> L:
    """Adds the adapters to the model's weights, removes them and returns the model."""
    for parent, name, layer in _linear_layers(model):
        if isinstance(layer, LoRALinear):
            setattr(parent, name, layer.merged())
    return model


def adapter_parameters(config: ModelConfig, lora: LoRA) -> int:
    """Number of parameters in all A and B of a model: r (in + out) of each layer."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    in_and_out = {
        "q_proj": hidden + queries,
        "k_proj": hidden + keys,
        "v_proj": hidden + keys,
        "o_proj": queries + hidden,
        "gate_proj": hidden + intermediate,
        "up_proj": hidden + intermediate,
        "down_proj": intermediate + hidden,
    }
    return config.num_hidden_layers * lora.rank * sum(in_and_out[name] for name in lora.on)


def _linear_layers(model: Llama) -> list[tuple[nn.Module, str, nn.Linear]]:
    """(module that has it, its name there, layer) of each linear layer of the blocks."""
    return [
        (parent, name, layer)
        for parent in model.layers.modules()
        for name, layer in parent.named_children()
        if name in LINEAR_LAYERS and isinstance(layer, nn.Linear)
    ]
