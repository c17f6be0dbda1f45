"""The shape of a Llama, read from and written to config.json."""

import math
from dataclasses import MISSING, dataclass, fields
from typing import Any, NamedTuple


class Family(NamedTuple):
    """Models of one ``model_type``: transformers' class for them, what their attention has in addition to Llama's, and
    defaults for keys that a config.json leaves out."""

    architecture: str
    qkv_bias: bool = False  # on the projections to q, k and v
    qk_norm: bool = False  # an RMSNorm over each head of q and k
    bos: int | None = 1
    eos: int | None = 2
    window: int | None = None


FAMILIES = {
    "llama": Family("LlamaForCausalLM"),
    "mistral": Family("MistralForCausalLM", window=4096),
    "qwen2": Family("Qwen2ForCausalLM", qkv_bias=True, bos=None, eos=None),
    "qwen3": Family("Qwen3ForCausalLM", qk_norm=True, bos=None, eos=None),
}

MAX_LAYERS = 1000  # several times as many as any Llama has; a damaged file may ask for millions


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
    bos_token_id: int | None = 1
    eos_token_id: int = 2  # </s>, which is trained; the first if a file names several
    other_eos_token_ids: tuple[int, ...] = ()  # others that end a text
    model_type: str = "llama"
    sliding_window: int | None = None  # number of tokens that attention spans

    @property
    def family(self) -> Family:
        return FAMILIES[self.model_type]

    @property
    def context_length(self) -> int:
        """Maximum sequence length. Attention always covers the whole sequence, so it must fit into a sliding window."""
        return min(self.max_position_embeddings, self.sliding_window or self.max_position_embeddings)

    @classmethod
    def from_hf(cls, raw: dict[str, Any]) -> "ModelConfig":
        """Reads the contents of a config.json, rotary embeddings in the old form (``rope_theta``, ``rope_scaling``) or
        the new one (``rope_parameters``). ValueError names the key that does not describe such a model."""
        family = _family(raw)
        for key, only in (
            ("hidden_act", "silu"),
            ("attention_bias", family.qkv_bias),
            ("mlp_bias", False),
            ("use_sliding_window", False),
            ("partial_rotary_factor", 1.0),
        ):
            if raw.get(key) not in (None, only):
                raise ValueError(f"{key} is {raw[key]!r}; this Llama has {only!r}: take a checkpoint without")
        if others := [kind for kind in raw.get("layer_types") or () if kind != "full_attention"]:
            raise ValueError(
                f"layer_types has {others[0]!r}; this Llama has 'full_attention': take a checkpoint without"
            )
        derived = ("num_key_value_heads", "head_dim")  # from the others, where a file leaves them out
        required = [f.name for f in fields(cls) if f.default is MISSING and f.name not in derived]
        if missing := [key for key in required if not raw.get(key)]:
            raise ValueError(f"{', '.join(missing)}: missing or zero")
        heads = raw["num_attention_heads"]
        theta, scaling = _read_rope(raw)
        ends = token_ids(raw.get("eos_token_id", family.eos))
        if not ends:
            raise ValueError("eos_token_id: missing here and in generation_config.json; name the token that ends texts")
        return cls(
            **{key: raw[key] for key in required},
            num_key_value_heads=raw.get("num_key_value_heads") or heads,
            head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
            rms_norm_eps=raw.get("rms_norm_eps") or 1e-6,  # what a file that leaves it out means
            rope_theta=theta,
            rope_scaling=scaling,
            tie_word_embeddings=bool(raw.get("tie_word_embeddings")),
            bos_token_id=raw.get("bos_token_id", family.bos),
            eos_token_id=ends[0],
            other_eos_token_ids=tuple(ends[1:]),
            model_type=raw["model_type"],
            sliding_window=raw.get("sliding_window", family.window) if family.window else None,
        )

    def to_hf(self) -> dict[str, Any]:
        """The contents of a config.json that both old and new readers understand."""
        rope = {"rope_type": "default", "rope_theta": self.rope_theta} | (self.rope_scaling or {})
        others = self.other_eos_token_ids
        return {
            "architectures": [self.family.architecture],
            "hidden_act": "silu",
            "attention_bias": self.family.qkv_bias,
            "mlp_bias": False,
            **{key: value for key, value in self.__dict__.items() if key != "other_eos_token_ids"},
            "eos_token_id": [self.eos_token_id, *others] if others else self.eos_token_id,
            "rope_parameters": rope,
        }

    def __post_init__(self) -> None:
        if self.model_type not in FAMILIES:
            raise ValueError(f"model_type is {self.model_type!r}; known are {', '.join(FAMILIES)}")
        for id in self.other_eos_token_ids:
            if type(id) is not int or id < 0:
                raise ValueError(f"eos_token_id has {id!r}, expected whole numbers of at least 0")
        for field in fields(self):
            value, lowest = getattr(self, field.name), 0 if field.name.endswith("_token_id") else 1
            is_int = field.type is int or (field.type == int | None and value is not None)
            if is_int and (type(value) is not int or value < lowest):
                raise ValueError(f"{field.name} is {value!r}, expected a whole number of at least {lowest}")
            if field.type is float and not _is_positive(value):
                raise ValueError(f"{field.name} is {value!r}, expected a number above 0")
        if self.num_hidden_layers > MAX_LAYERS:
            raise ValueError(f"num_hidden_layers is {self.num_hidden_layers}, expected at most {MAX_LAYERS}")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) is not a multiple of "
                f"num_key_value_heads ({self.num_key_value_heads})"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; rotary embeddings need an even one")


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def token_ids(value: Any) -> list[Any]:
    """The ids in a config.json's or a generation_config.json's ``eos_token_id``: one, several, or none."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _family(raw: dict[str, Any]) -> Family:
    kind, known = raw.get("model_type"), ", ".join(FAMILIES)
    if raw.get("num_experts") or raw.get("num_local_experts") or "moe" in str(kind):
        raise ValueError(f"model_type is {kind!r}, a mixture of experts: take a dense checkpoint of {known}")
    if kind not in FAMILIES:
        raise ValueError(f"model_type is {kind!r}, expected one of {known}: take a checkpoint of one of these")
    return FAMILIES[kind]


def _read_rope(raw: dict[str, Any]) -> tuple[float, dict[str, Any] | None]:
    """(theta, scaling) from either form of config.json; scaling is None for plain rotary embeddings."""
    for key in ("rope_parameters", "rope_scaling"):
        if not isinstance(raw.get(key) or {}, dict):
            raise ValueError(f"{key} is {raw[key]!r:.80}, expected an object")
    new, old = (dict(raw.get(key) or {}) for key in ("rope_parameters", "rope_scaling"))
    theta, inner = raw.get("rope_theta"), new.pop("rope_theta", None)
    if new and (scaling := _rope_scaling(new)) != (_rope_scaling(old) if old else scaling):
        raise ValueError(f"rope_scaling is {old}, rope_parameters are {new}: leave out what is not meant")
    if None not in (theta, inner) and theta != inner:
        raise ValueError(f"rope_theta is {theta}, that of rope_parameters {inner}: leave out one of them")
    return next((t for t in (inner, theta) if t is not None), 10000.0), _rope_scaling(new or old)


def _rope_scaling(rope: dict[str, Any]) -> dict[str, Any] | None:
    kind = str(rope.get("rope_type") or rope.get("type") or "default")
    needed = {
        "default": (),
        "linear": ("factor",),
        "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    }
    if kind not in needed:
        raise ValueError(
            f"rope type {kind!r} is not supported; known: {', '.join(needed)}. Take a checkpoint without it, or leave "
            "it out for texts of the length that the model was trained with"
        )
    known = {"rope_type", "type", "original_max_position_embeddings", *needed[kind]}
    if unknown := [key for key, value in rope.items() if key not in known and value is not None]:
        found = f"{unknown[0]} of rope type {kind!r} is {rope[unknown[0]]!r:.80}"
        raise ValueError(f"{found}, which is not supported: take a checkpoint without")
    if missing := [key for key in needed[kind] if key not in rope]:
        raise ValueError(f"rope type {kind!r} needs {', '.join(missing)}")
    for key in needed[kind]:
        if not _is_positive(rope[key]):
            raise ValueError(f"{key} of rope type {kind!r} is {rope[key]!r}, expected a number above 0")
    return None if kind == "default" else {"rope_type": kind, **{key: rope[key] for key in needed[kind]}}
