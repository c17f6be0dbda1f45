"""How much memory training takes, from the shapes alone; and activation checkpointing, which makes it less."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.attention.varlen  # registers the operator that PRODUCTS names
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts, noop_context_fn

from tl.losses import LOGITS_PER_CHUNK
from tl.model import ModelConfig

Checkpointing = Literal["none", "selective", "full"]

PRODUCTS = [  # what takes long to compute again
    torch.ops.aten.mm.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.torch_attn._varlen_attn.default,
]


def checkpoint_activations(layer: nn.Module, mode: Checkpointing) -> None:
    """Lets a block forget its activations and compute them again in the backward pass: all of them ("full"), or all
    but the results of matrix products and attention ("selective"). Results stay the same to the last bit."""
    if mode != "none":
        contexts = partial(create_selective_checkpoint_contexts, PRODUCTS) if mode == "selective" else noop_context_fn
        layer.forward = partial(
            checkpoint, layer.forward, use_reentrant=False, context_fn=contexts, preserve_rng_state=False
        )


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes per rank."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return sum(vars(self).values())

    def lines(self) -> list[str]:
        """The parts and their sum as text, a line each."""
        parts = [*vars(self).items(), ("total", self.total)]
        return [f"{name:<20}{size / 2**30:8.2f} GiB" for name, size in parts]


def count_parameters(config: ModelConfig) -> int:
    hidden, size = config.hidden_size, config.head_dim
    attention = hidden * size * (2 * config.num_attention_heads + 2 * config.num_key_value_heads)
    block = attention + 3 * hidden * config.intermediate_size + 2 * hidden
    embeddings = config.vocab_size * hidden * (1 if config.tie_word_embeddings else 2)
    return embeddings + config.num_hidden_layers * block + hidden


def training_memory(config: ModelConfig, tokens: int, ranks: int = 1, compute_bytes: int = 4) -> TrainingMemory:
    """Estimate for AdamW with float32 master weights, sharded over ``ranks``; ``tokens`` in one micro-batch.

    Activations are what a block keeps for its backward pass: inputs of every matrix product and non-linearity.
    """
    parameters = 4 * count_parameters(config) // ranks
    hidden, size = config.hidden_size, config.head_dim
    queries, keys = config.num_attention_heads * size, config.num_key_value_heads * size
    per_block = 4 * hidden + 3 * queries + 3 * keys + 4 * config.intermediate_size
    activations = tokens * compute_bytes * (config.num_hidden_layers * per_block + 2 * hidden)
    return TrainingMemory(
        parameters=parameters,
        gradients=parameters,
        optimizer=2 * parameters,
        activations=activations,
        logits=2 * 4 * min(LOGITS_PER_CHUNK, tokens * config.vocab_size),
    )
