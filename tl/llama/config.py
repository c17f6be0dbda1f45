"""The shape of a Llama, as in config.json."""

from dataclasses import MISSING, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a Llama; the fields carry Hugging Face's names. ``from_hf`` and ``to_hf`` read and write config.json."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] | None = None  # {"rope_type": "linear" | "llama3", "factor": …}
    tie_word_embeddings: bool = False
    bos_token_id: int = 1
    eos_token_id: int = 2

    @classmethod
    def from_hf(cls, raw: dict[str, Any]) -> "ModelConfig":
        """Reads the contents of a config.json, rotary embeddings in the old form (``rope_theta``, ``rope_scaling``) or
        the new one (``rope_parameters``). ValueError names the key that does not describe a plain Llama."""
        if raw.get("model_type") != "llama":
            raise ValueError(f"model_type is {raw.get('model_type')!r}, expected 'llama': take a checkpoint of a Llama")
        for key, only in (("hidden_act", "silu"), ("attention_bias", False), ("mlp_bias", False)):
            if raw.get(key, only) != only:
                raise ValueError(f"{key} is {raw[key]!r}; this Llama has {only!r}: take a checkpoint without")
        derived = ("num_key_value_heads", "head_dim")  # from the others, where a file leaves them out
        required = [f.name for f in fields(cls) if f.default is MISSING and f.name not in derived]
        if missing := [key for key in required if not raw.get(key)]:
            raise ValueError(f"{', '.join(missing)}: missing or zero")
        heads = raw["num_attention_heads"]
        theta, scaling = _read_rope(raw)
        optional = ("tie_word_embeddings", "bos_token_id", "eos_token_id")
        return cls(
            **{key: raw[key] for key in required},
            num_key_value_heads=raw.get("num_key_value_heads") or heads,
            head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
            rms_norm_eps=raw.get("rms_norm_eps") or 1e-6,  # what a file that leaves it out means
            rope_theta=theta,
            rope_scaling=scaling,
            **{key: raw[key] for key in optional if raw.get(key) is not None},
        )

    def to_hf(self) -> dict[str, Any]:
        """The contents of a config.json that both old and new readers understand."""
        rope = {"rope_type": "default", "rope_theta": self.rope_theta} | (self.rope_scaling or {})
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            **self.__dict__,
            "rope_parameters": rope,
        }

    def __post_init__(self) -> None:
        for field in fields(self):
            value, lowest = getattr(self, field.name), 0 if field.name.endswith("_token_id") else 1
            if field.type is int and (type(value) is not int or value < lowest):
                raise ValueError(f"{field.name} is {value!r}, expected a whole number of at least {lowest}")
            if field.type is float and type(value) not in (int, float):
                raise ValueError(f"{field.name} is {value!r}, expected a number")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) is not a multiple of "
                f"num_key_value_heads ({self.num_key_value_heads})"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; rotary embeddings need an even one")


def _read_rope(raw: dict[str, Any]) -> tuple[float, dict[str, Any] | None]:
    """(theta, scaling) from either form of config.json; scaling is None for plain rotary embeddings."""
    rope = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    theta = float(rope.pop("rope_theta", raw.get("rope_theta", 10000.0)))
    kind = rope.pop("rope_type", None) or rope.pop("type", None) or "default"
    rope.pop("type", None)
    needed = {
        "default": (),
        "linear": ("factor",),
        "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    }
    if kind not in needed:
        raise ValueError(f"rope type {kind!r} is not supported; known are {', '.join(needed)}")
    if missing := [key for key in needed[kind] if key not in rope]:
        raise ValueError(f"rope type {kind!r} needs {', '.join(missing)}")
    return theta, None if kind == "default" else {"rope_type": kind, **{key: rope[key] for key in needed[kind]}}
