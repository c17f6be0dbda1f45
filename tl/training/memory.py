"""Estimates the memory of training from shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tl.llama.config import ModelConfig
from tl.llama.lora import LoRA, adapter_parameters
from tl.llama.sampling import MAX_PREFILL
from tl.losses import LOGITS_PER_CHUNK
from tl.training.config import TrainingConfig
from tl.training.distributed import Checkpointing, World, needs_fsdp


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes per rank. The peak is in a step or while the model generates, since a step frees its gradients."""

    parameters: int  # PPO: of actor and critic; with LoRA, the shared base and both sets of adapters
    optimizer: int  # PPO: of actor and critic
    gradients: int  # in a step; PPO: of one model, as the next three
    activations: int  # in a step
    whole_layers: int  # in a step: FSDP's unsharded copies of embedding, head and two blocks; 0 without FSDP
    temporary: int  # in a step: the largest short-lived tensors
    kv_cache: int  # in an evaluation or a rollout
    copies: int  # in an evaluation or a rollout: the model in the compute dtype, and activations of reading prompts
    reference: int = 0  # PPO: in the compute dtype, 0 with LoRA, which shares the base; plus a process reward model

    @property
    def held(self) -> int:
        return self.parameters + self.optimizer + self.reference

    @property
    def step(self) -> int:
        """Additional memory in a step."""
        return self.gradients + self.activations + self.whole_layers + self.temporary

    @property
    def generation(self) -> int:
        """Additional memory in an evaluation or a rollout."""
        return self.kv_cache + self.copies

    @property
    def total(self) -> int:
        return self.held + max(self.step, self.generation)

    def lines(self) -> list[str]:
        """The parts that there are, and the peaks, as text, a line each."""
        parts = {name: size for name, size in vars(self).items() if size}
        peaks = {"peak in steps": self.held + self.step, "peak in generation": self.held + self.generation}
        return size_lines(parts | peaks | {"peak": self.total})


def size_lines(sizes: Mapping[str, int]) -> list[str]:
    """Bytes by name as text, a line each."""
    return [f"{name.replace('_', ' '):<20}{size / 2**30:8.2f} GiB" for name, size in sizes.items()]


def count_parameters(config: ModelConfig) -> int:
    return root_parameters(config) + config.num_hidden_layers * block_parameters(config)


def largest_micro_batch(lengths: Sequence[int], config: TrainingConfig) -> int:
    """Tokens of the largest micro-batch that samples of these lengths can form."""
    ordered = sorted(lengths)
    return min(max(config.micro_tokens, ordered[-1]), sum(ordered[-config.batch_size :]))


def step_section(
    config: TrainingConfig, model: ModelConfig, tokens: int, world: World, cached: int = 0, when: str = ""
) -> dict[str, list[str]]:
    """A section of text with the memory that training takes on each rank (see ``training_memory``)."""
    memory = training_memory(
        model, tokens, world.size, world.compute_dtype.itemsize, config.checkpointing, cached, config.lora
    )
    return {f"memory of each rank{when}, {parameters_text(model, config.lora)}, {world.text()}": memory.lines()}


def parameters_text(config: ModelConfig, lora: LoRA | None) -> str:
    """The number of parameters of the model and, with ``lora``, of its adapters."""
    adapters = "" if lora is None else f", frozen, and {adapter_parameters(config, lora):,} of adapters"
    return f"{count_parameters(config):,} parameters{adapters}"


def training_memory(
    config: ModelConfig,
    tokens: int,
    ranks: int = 1,
    compute_bytes: int = 4,
    checkpointing: Checkpointing = "none",
    cached: int = 0,
    lora: LoRA | None = None,
) -> TrainingMemory:
    """Estimate for AdamW with float32 master weights, sharded over ``ranks``. ``tokens`` is the size of a micro-batch,
    one of several in a step, and ``cached`` that of a rank's KV cache in an evaluation (0: no evaluation). With
    ``lora`` the model's own weights are in the compute dtype and have no gradients; inputs of layers without adapters
    are counted as well.

    The peak of a step is at one of three places: at the start of the backward pass; in a block, where three arrays of
    the SwiGLU exist while FSDP reduces the gradients of the previous block; or, with a large vocabulary and few tokens,
    at the end of the pass, where FSDP reduces the gradients of embedding and head.
    """
    adapters = 0 if lora is None else adapter_parameters(config, lora)
    frozen = 0 if lora is None else compute_bytes * count_parameters(config)
    trained = 4 * (count_parameters(config) if lora is None else adapters) // ranks
    root, block = root_parameters(config), block_parameters(config) + adapters // config.num_hidden_layers
    activations = tokens * compute_bytes * _activations_per_token(config, checkpointing, lora)
    fsdp = needs_fsdp(ranks, compute_bytes)
    whole_layers = compute_bytes * (root + 2 * block) if fsdp else 0
    head = config.vocab_size * config.hidden_size if lora is None else 0
    logits = 2 * 4 * min(LOGITS_PER_CHUNK, tokens * config.vocab_size)
    of_block = block if lora is None else adapters // config.num_hidden_layers
    in_block = fsdp * ((4 + compute_bytes) * of_block + compute_bytes * head)
    in_block += compute_bytes * tokens * 3 * config.intermediate_size
    reduction = (4 + compute_bytes) * root if fsdp and lora is None else 0
    sampling = sampling_memory(config, cached, compute_bytes, lora)
    return TrainingMemory(
        parameters=trained + frozen // ranks,
        optimizer=2 * trained,
        gradients=trained,
        activations=activations,
        whole_layers=whole_layers,
        temporary=max(4 * head + logits, in_block, reduction - activations - whole_layers),
        kv_cache=sampling.kv_cache,
        copies=sampling.copies(ranks, compute_bytes) if cached else 0,
    )


@dataclass(frozen=True)
class SamplingMemory:
    """Bytes of a model in the compute dtype that generates text."""

    weights: int
    kv_cache: int
    reading: int  # activations while prompts are read, block by block

    def copies(self, ranks: int, compute_bytes: int) -> int:
        """Memory in addition to the cache and the model in training: all its weights if FSDP gathers them, and
        ``reading``."""
        return needs_fsdp(ranks, compute_bytes) * self.weights + self.reading

    def lines(self) -> list[str]:
        """The parts and their sum as text, a line each."""
        return size_lines(vars(self) | {"total": sum(vars(self).values())})


def sampling_memory(config: ModelConfig, cached: int, compute_bytes: int, lora: LoRA | None = None) -> SamplingMemory:
    """Estimate for a KV cache with room for ``cached`` tokens (``tl.llama.sampling.cache_size``). While prompts are
    read, the residual stream, its norm, and three arrays of the SwiGLU exist at once."""
    keys_and_values = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    adapters = 0 if lora is None else adapter_parameters(config, lora)
    reading = min(cached, MAX_PREFILL) * (2 * config.hidden_size + 3 * config.intermediate_size)
    return SamplingMemory(
        weights=compute_bytes * (count_parameters(config) + adapters),
        kv_cache=compute_bytes * keys_and_values * cached,
        reading=compute_bytes * reading,
    )


def block_parameters(config: ModelConfig) -> int:
    """Parameters of one layer: its matrices, two norms and, in some families, biases or two more norms."""
    heads, size = config.num_attention_heads + 2 * config.num_key_value_heads, config.head_dim
    bias, norms = config.family.qkv_bias * size * heads, config.family.qk_norm * 2 * size
    return block_matrices(config) + 2 * config.hidden_size + bias + norms


def block_matrices(config: ModelConfig) -> int:
    """Parameters in the matrices of one layer."""
    hidden, size = config.hidden_size, config.head_dim
    attention = hidden * size * (2 * config.num_attention_heads + 2 * config.num_key_value_heads)
    return attention + 3 * hidden * config.intermediate_size


def root_parameters(config: ModelConfig) -> int:
    """Parameters of embedding, head and final norm."""
    return config.vocab_size * config.hidden_size * (1 if config.tie_word_embeddings else 2) + config.hidden_size


def _activations_per_token(config: ModelConfig, checkpointing: Checkpointing, lora: LoRA | None) -> int:
    """Numbers kept for the backward pass: the inputs of each matrix product, norm and non-linearity of a block, less
    those that checkpointing discards, plus all of the block that is being recomputed. An adapter keeps A x."""
    hidden, intermediate, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    everything = 4 * hidden + 3 * queries + 3 * keys + 4 * intermediate
    everything += config.family.qk_norm * (queries + keys)
    products = 3 * hidden + 2 * queries + 2 * keys + 2 * intermediate  # with the block's input
    if lora is not None:
        everything, products = (numbers + lora.rank * len(lora.on) for numbers in (everything, products))
    per_block = {"none": everything, "selective": products, "full": hidden}[checkpointing]
    return layers * per_block + (everything - per_block) + 2 * hidden


def ppo_memory(
    config: ModelConfig,
    tokens: int,
    cached: int,
    ranks: int = 1,
    compute_bytes: int = 4,
    checkpointing: Checkpointing = "none",
    critic: bool = True,
    lora: LoRA | None = None,
    prm: bool = False,
) -> TrainingMemory:
    """Estimate for AdamW with float32 master weights, sharded over ``ranks``. ``tokens`` is the size of a micro-batch
    of an update, ``cached`` that of a rank's KV cache while it samples. Critic and process reward model (``prm``) are
    assumed to be as large as the actor.
    """
    trained = 2 if critic else 1
    model = training_memory(config, tokens, ranks, compute_bytes, checkpointing, cached, lora)
    reference = compute_bytes * count_parameters(config) // ranks
    shared = 0 if lora is None else reference
    return replace(
        model,
        parameters=shared + trained * (model.parameters - shared),
        optimizer=trained * model.optimizer,
        reference=(1 + prm) * reference - shared,
    )
