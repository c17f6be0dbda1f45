"""How much memory training takes, from the shapes alone."""

from dataclasses import dataclass

from tl.losses import LOGITS_PER_CHUNK
from tl.model import ModelConfig


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
