"""How much memory training takes, from the shapes alone; and activation checkpointing, which makes it less."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
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


def needs_fsdp(ranks: int, compute_bytes: int) -> bool:
    """Whether there are parameters to split over ranks, or to cast from float32 master weights. One process on a CPU
    has neither to do, and FSDP's copies of all parameters and gradients would cost it memory and time in every step."""
    return ranks > 1 or compute_bytes < 4


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes per rank at the peak."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    whole_layers: int  # copies that FSDP gathers for computing: embedding, head and two blocks; none without FSDP
    temporary: int  # the largest of what is there for a moment only

    @property
    def total(self) -> int:
        return sum(vars(self).values())

    def lines(self) -> list[str]:
        """The parts and their sum as text, a line each."""
        return size_lines(vars(self) | {"total": self.total})


def size_lines(sizes: Mapping[str, int]) -> list[str]:
    """Bytes by name as text, a line each."""
    return [f"{name.replace('_', ' '):<20}{size / 2**30:8.2f} GiB" for name, size in sizes.items()]


def count_parameters(config: ModelConfig) -> int:
    return root_parameters(config) + config.num_hidden_layers * block_parameters(config)


def training_memory(
    config: ModelConfig, tokens: int, ranks: int = 1, compute_bytes: int = 4, checkpointing: Checkpointing = "none"
) -> TrainingMemory:
    """Estimate for AdamW with float32 master weights over ``ranks``; ``tokens`` in one of several micro-batches.

    The peak is where the backward pass begins or, with a large vocabulary and few tokens, where it ends and FSDP
    reduces the gradients of embedding and head.
    """
    parameters = 4 * count_parameters(config) // ranks
    root, block = root_parameters(config), block_parameters(config)
    activations = tokens * compute_bytes * _activations_per_token(config, checkpointing)
    fsdp = needs_fsdp(ranks, compute_bytes)
    whole_layers = compute_bytes * (root + 2 * block) if fsdp else 0
    head_gradient = 4 * config.vocab_size * config.hidden_size
    logits = 2 * 4 * min(LOGITS_PER_CHUNK, tokens * config.vocab_size)
    reduction = (4 + compute_bytes) * root if fsdp else 0
    return TrainingMemory(
        parameters=parameters,
        gradients=parameters,
        optimizer=2 * parameters,
        activations=activations,
        whole_layers=whole_layers,
        temporary=max(head_gradient + logits, reduction - activations - whole_layers),
    )


def block_parameters(config: ModelConfig) -> int:
    """Of one layer."""
    hidden, size = config.hidden_size, config.head_dim
    attention = hidden * size * (2 * config.num_attention_heads + 2 * config.num_key_value_heads)
    return attention + 3 * hidden * config.intermediate_size + 2 * hidden


def root_parameters(config: ModelConfig) -> int:
    """Embedding, head and final norm."""
    return config.vocab_size * config.hidden_size * (1 if config.tie_word_embeddings else 2) + config.hidden_size


def _activations_per_token(config: ModelConfig, checkpointing: Checkpointing) -> int:
    """Numbers kept for the backward pass: what goes into each matrix product, norm and non-linearity of a block, or
    what is left of it; and all of the one block that is being computed again."""
    hidden, intermediate, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    everything = 4 * hidden + 3 * queries + 3 * keys + 4 * intermediate
    products = 3 * hidden + 2 * queries + 2 * keys + 2 * intermediate  # with the block's input
    per_block = {"none": everything, "selective": products, "full": hidden}[checkpointing]
    return layers * per_block + (everything - per_block) + 2 * hidden
