"""Llama from scratch: RMSNorm, rotary embeddings, grouped-query attention, SwiGLU; and PPO's critic. Mistral is the
same, Qwen 2 adds a bias to the projections of q, k and v, Qwen 3 a norm on q and k.

Axes: B rows, T positions, C hidden size, H query heads, K key/value heads, D head size, V vocabulary.
Parameter names are Hugging Face's without their leading ``model.`` (see ``tl/llama/weights.py``).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tl.llama.attention import Attend, attention_at, document_attention, on_device, take
from tl.llama.cache import KVCache
from tl.llama.config import ModelConfig


def rotary_frequencies(config: ModelConfig, device: torch.device | str = "cpu") -> Tensor:
    """Angle per position of each pair of channels, [D/2] float64: theta^(-2i/D), then the configured scaling."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float64, device=device) / config.head_dim
    frequencies = config.rope_theta**-exponents
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    if scaling["rope_type"] == "linear":
        return frequencies / scaling["factor"]
    # llama3: stretch long wavelengths, keep short ones, blend those in between.
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    keep = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (keep + (1 - keep) / scaling["factor"])


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates the pairs (i, i + D/2) of x [B, T, heads, D] by the angles of cos, sin [B, T, 1, D/2]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) * weight over the last axis."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        bias, self.head_dim = config.family.qkv_bias, config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=bias)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)
        self.q_norm = RMSNorm(self.head_dim, config.rms_norm_eps) if config.family.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.head_dim, config.rms_norm_eps) if config.family.qk_norm else nn.Identity()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend, at: Tensor | None = None) -> Tensor:
        q, k, v = (  # [B, T, heads, D]; q [1, M, H, D] with ``at``
            y.unflatten(-1, (-1, self.head_dim)) for y in (self.q_proj(take(x, at)), self.k_proj(x), self.v_proj(x))
        )
        out = attend(rotate(self.q_norm(q), take(cos, at), take(sin, at)), rotate(self.k_norm(k), cos, sin), v)
        return self.o_proj(out.flatten(-2))


class SwiGLU(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend, at: Tensor | None = None) -> Tensor:
        """x [B, T, C] → [B, T, C]. With ``at`` [M], only the outputs of these tokens of the flattened order, [1, M, C];
        of the other tokens, keys and values are enough."""
        x = take(x, at) + self.self_attn(self.input_layernorm(x), cos, sin, attend, at)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Token ids → logits. A new model has random weights; one on the meta device has none (see ``load_model``)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight
        if not self.embed_tokens.weight.is_meta:
            self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Random weights: normal(0, 0.02), the projections back into the residual stream scaled by 1/sqrt(2 layers).
        Norms start at 1, biases at 0."""
        std = 0.02
        back = std / math.sqrt(2 * len(self.layers))
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                into_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                parameter.normal_(0.0, back if into_residual else std)

    def forward(
        self,
        input_ids: Tensor,
        lengths: Sequence[int] | None = None,
        prefixes: Sequence[int] | None = None,
        *,
        cache: KVCache | None = None,
        at: Tensor | None = None,
        return_hidden: bool = False,
    ) -> Tensor:
        """input_ids [B, T] → logits [B, T, V], or the final hidden states [B, T, C] with ``return_hidden``.

        Args:
            lengths: of the documents that the flattened B*T tokens are split into (default: each row is one).
                Attention is causal within a document, whose positions start at 0.
            prefixes: a document whose prefix is n > 0 reuses the first n tokens of the latest document with prefix 0:
                its positions start at n, and it attends to those tokens, too.
            cache: document b continues row b of the cache, and its keys and values are appended there. Not together
                with ``prefixes``.
            at: [M] ascending; only the outputs of these tokens of the flattened order are returned, [1, M, …] (default:
                all). The last block computes only keys and values of the others.
        """
        rows, columns = input_ids.shape
        lengths = list(lengths) if lengths is not None else [columns] * rows
        if sum(lengths) != rows * columns:
            raise ValueError(f"lengths add up to {sum(lengths)}, but input_ids has {rows} x {columns} tokens")
        x = self.embed_tokens(input_ids)
        starts = cache.lengths if cache is not None else prefixes or [0] * len(lengths)
        cos, sin = self._rotary(starts, lengths, x)
        if cache is not None:
            attends = cache.attention(lengths, x)
        else:
            attends = [document_attention(lengths, x, self.config.head_dim, prefixes)] * len(self.layers)
        *before, last = zip(self.layers, attends, strict=True)
        for layer, attend in before:
            x = layer(x, cos, sin, attend)
        layer, attend = last
        x = layer(x, cos, sin, attend if at is None else attention_at(at, attend), at)
        if cache is not None:
            cache.advance(lengths)
        hidden = self.norm(x)
        return hidden if return_hidden else self.head(hidden)

    def head(self, hidden: Tensor) -> Tensor:
        """Final hidden states [B, T, C] → logits [B, T, V]."""
        return self.lm_head(hidden)

    def _rotary(self, starts: Sequence[int], lengths: Sequence[int], x: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin [B, T, 1, D/2] of the tokens' positions, which begin at ``starts[i]`` in document i; computed in
        float64, returned in x's dtype."""
        positions = torch.cat([torch.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)])
        positions = on_device(positions, x.device)
        angles = positions[:, None] * rotary_frequencies(self.config, x.device)
        angles = angles.view(*x.shape[:2], 1, -1)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


class Critic(Llama):
    """A Llama with a scalar head instead of the vocabulary's: V(s_t) in PPO. It shares no trained weight with the
    policy. The head's weight starts at zero, and PPO sets its bias to the mean return of the first rollouts."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        del self.lm_head
        self.value_head = nn.Linear(config.hidden_size, 1)
        if not self.value_head.weight.is_meta:
            for parameter in self.value_head.parameters():
                nn.init.zeros_(parameter)

    def head(self, hidden: Tensor) -> Tensor:
        """Final hidden states [B, T, C] → values [B, T] in float32: of what the policy earns after token t."""
        precise = torch.promote_types(hidden.dtype, torch.float32)
        return hidden.to(precise) @ self.value_head.weight[0].to(precise) + self.value_head.bias.to(precise)
