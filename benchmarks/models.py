"""What the benchmarks work on: texts, and models of three sizes with random weights, on which time does not depend."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tl.llama import Llama, ModelConfig, save_model

NEVER = -1  # an end-of-text id that no token has

SMALL = ModelConfig(  # about the size of the embedded model, and as many pieces
    vocab_size=4096,
    hidden_size=192,
    intermediate_size=512,
    num_hidden_layers=6,
    num_attention_heads=6,
    num_key_value_heads=3,
    head_dim=32,
    max_position_embeddings=4096,
)
MEDIUM = ModelConfig(  # 56 M parameters, over half of them in the two 32,016-row matrices
    vocab_size=32016,
    hidden_size=512,
    intermediate_size=1376,
    num_hidden_layers=8,
    num_attention_heads=8,
    num_key_value_heads=4,
    head_dim=64,
    max_position_embeddings=4096,
)
LARGE = ModelConfig(  # 1.3 billion parameters
    vocab_size=32016,
    hidden_size=2048,
    intermediate_size=5504,
    num_hidden_layers=24,
    num_attention_heads=16,
    num_key_value_heads=16,
    head_dim=128,
    max_position_embeddings=4096,
)


def random_model(config: ModelConfig) -> Llama:
    torch.manual_seed(0)
    return Llama(config)


@contextmanager
def random_checkpoint(config: ModelConfig) -> Iterator[str]:
    """A folder with a checkpoint of random weights, which both sides of a comparison can read."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(random_model(config), folder)
        yield folder


def random_texts(config: ModelConfig, count: int, shortest: int, longest: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(3, config.vocab_size) for _ in range(rng.randint(shortest, longest))] for _ in range(count)]
