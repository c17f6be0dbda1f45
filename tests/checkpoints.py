"""Small models and broken checkpoints, for the tests of tl.llama.weights."""

import json

import torch
from safetensors.torch import load_file, save_file

from tl.llama import Llama, ModelConfig

CONFIG = ModelConfig(
    vocab_size=400,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=128,
)
SHARDED = 30_000  # bytes; some five shards


def make_model(seed: int = 0, **changes) -> Llama:
    torch.manual_seed(seed)
    return Llama(ModelConfig(**CONFIG.__dict__ | changes))


@torch.no_grad()
def with_large_weights(model: Llama, factor: float = 20) -> Llama:
    """The model with new weights, all matrices that much larger: each of its next tokens depends on all before it."""
    model.init_weights()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.mul_(factor)
    return model


def assert_same_weights(left: Llama, right: Llama) -> None:
    ours, theirs = dict(left.named_parameters()), dict(right.named_parameters())
    assert ours.keys() == theirs.keys()
    for name, parameter in ours.items():
        assert parameter.dtype == theirs[name].dtype and torch.equal(parameter, theirs[name]), name


def edit_config(path, **changes) -> None:
    """Set keys of a config.json; None removes one."""
    raw = json.loads((path / "config.json").read_text()) | changes
    kept = {key: value for key, value in raw.items() if value is not None}
    (path / "config.json").write_text(json.dumps(kept))


def edit_weights(path, **changes) -> None:
    """Set tensors of a single-file checkpoint, `__` in a name standing for a dot; None removes one."""
    weights = load_file(path / "model.safetensors")
    for name, tensor in changes.items():
        weights[name.replace("__", ".")] = tensor
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, path / "model.safetensors")
