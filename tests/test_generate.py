"""Generation: the cached, batched sampler against a slow reference that reads the whole text again for every token."""

import random

import pytest
import torch

from tl.generate import generate
from tl.model import Llama, ModelConfig

EOS = 2
CONFIG = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=512,
)


@pytest.fixture(scope="module")
def model() -> Llama:
    """Weights so large that the next token depends on all that came before, in float64 so that no argmax is a tie."""
    torch.manual_seed(0)
    model = Llama(CONFIG).double()
    model.init_weights(std=0.4)
    return model


def random_ids(n: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(3, CONFIG.vocab_size) for _ in range(n)]


RAGGED = [random_ids(n, seed=n) for n in (1, 40, 7, 23, 64, 2, 11)]
SHARED = [random_ids(50, seed=99) + random_ids(n, seed=n) for n in (3, 30, 1, 8)]
MIXED = RAGGED + SHARED + [SHARED[1]]


@torch.no_grad()
def reference(model: Llama, prompt: list[int], max_new_tokens: int) -> list[int]:
    """Greedy decoding by definition: one text, a full forward for each token."""
    ids = list(prompt)
    while len(ids) < len(prompt) + max_new_tokens:
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        if ids[-1] == EOS:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_greedy_output_equals_the_slow_reference(model: Llama, batch_size: int) -> None:
    expected = [reference(model, prompt, 20) for prompt in MIXED]
    assert len({tuple(ids) for ids in expected}) > len(MIXED) // 2  # the model is not a constant
    assert any(ids[-1] == EOS for ids in expected) and any(len(ids) == 20 for ids in expected)
    assert generate(model, MIXED, 20, batch_size=batch_size) == expected
