"""How much memory PPO takes, from the shapes alone: three models, of which one at a time is updated or sampled from."""

from dataclasses import dataclass

from tl.generate import MAX_PREFILL
from tl.memory import Checkpointing, count_parameters, needs_fsdp, size_lines, training_memory
from tl.model import ModelConfig


@dataclass(frozen=True)
class PPOMemory:
    """Bytes per rank. The peak is in an update or in sampling, never in both: an update frees its gradients."""

    parameters: int  # of actor and critic, in float32
    optimizer: int  # of both
    reference: int  # in the compute dtype
    gradients: int  # in an update: of one model
    activations: int  # in an update: of one model
    gathered: int  # in an update: what FSDP gathers of one model, and what is there for a moment only
    kv_cache: int  # in sampling
    copies: int  # in sampling: of the actor in the compute dtype, and the reading of prompts

    @property
    def held(self) -> int:
        """What is there all the time."""
        return self.parameters + self.optimizer + self.reference

    @property
    def update(self) -> int:
        """What is there in an update only."""
        return self.gradients + self.activations + self.gathered

    @property
    def sampling(self) -> int:
        """What is there in sampling only."""
        return self.kv_cache + self.copies

    @property
    def total(self) -> int:
        return self.held + max(self.update, self.sampling)

    def lines(self) -> list[str]:
        """The parts and the peaks as text, a line each."""
        peaks = {"peak in updates": self.held + self.update, "peak in sampling": self.held + self.sampling}
        return size_lines(vars(self) | peaks | {"peak": self.total})


def ppo_memory(
    config: ModelConfig,
    tokens: int,
    cached: int,
    ranks: int = 1,
    compute_bytes: int = 4,
    checkpointing: Checkpointing = "none",
    critic: bool = True,
) -> PPOMemory:
    """Estimate for AdamW with float32 master weights over ``ranks``: ``tokens`` in a micro-batch of an update,
    ``cached`` tokens that a rank's KV cache has room for while it samples. The critic is taken to be as large as the
    actor.

    Prompts are read block by block: the residual stream, its norm, and three arrays of the SwiGLU are there at once. On
    a CPU the sampler keeps a rearranged copy of the weights (tl.packed).
    """
    trained = 2 if critic else 1
    model = training_memory(config, tokens, ranks, compute_bytes, checkpointing)
    weights = compute_bytes * count_parameters(config)
    copies = needs_fsdp(ranks, compute_bytes) + (compute_bytes == 4)  # gathered, rearranged
    keys_and_values = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    reading = min(cached, MAX_PREFILL) * (2 * config.hidden_size + 3 * config.intermediate_size)
    return PPOMemory(
        parameters=trained * model.parameters,
        optimizer=trained * model.optimizer,
        reference=weights // ranks,
        gradients=model.gradients,
        activations=model.activations,
        gathered=model.whole_layers + model.temporary,
        kv_cache=compute_bytes * keys_and_values * cached,
        copies=copies * weights + compute_bytes * reading,
    )
