"""Estimates the cost of an FSDP training step on many GPUs: operations, bytes between ranks, seconds. Memory comes
from ``tl.training.memory``.

A step is one micro-batch per rank. Matmuls and transfers overlap, so it takes as long as the longer of the two. What
cannot overlap (the first gather, the last reduction, the optimizer) is not included.
"""

from dataclasses import dataclass

from tl.llama.config import ModelConfig
from tl.llama.lora import LoRA, adapter_parameters
from tl.losses import LOGITS_PER_CHUNK
from tl.training.distributed import Checkpointing
from tl.training.memory import TrainingMemory, block_matrices, block_parameters, root_parameters, training_memory


@dataclass(frozen=True)
class Cluster:
    """Machines with several GPUs. Speeds are per GPU and second; links count one direction."""

    flops: float  # of large bfloat16 products, as measured
    utilisation: float  # share of ``flops`` that a whole step reaches
    memory: float  # bytes
    link_inside: float  # bytes between GPUs of a machine
    link_outside: float  # bytes between machines
    hop: float  # seconds of latency per message
    per_machine: int = 8

    def link(self, ranks: int) -> float:
        """Speed of the slowest link of a ring over ``ranks``."""
        return self.link_inside if ranks <= self.per_machine else self.link_outside


H200 = Cluster(
    flops=790e12,  # measured; the data sheet says 989e12
    utilisation=0.55,
    memory=141e9,
    link_inside=450e9,  # NVLink 4
    link_outside=50e9,  # a network card of 400 Gb/s for each GPU
    hop=5e-6,
)


def llama(hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int, vocabulary: int) -> ModelConfig:
    return ModelConfig(vocabulary, hidden, intermediate, layers, heads, kv_heads, hidden // heads, 16384)


CODE_LLAMA = {
    "7B": llama(4096, 11008, 32, 32, 32, 32016),
    "13B": llama(5120, 13824, 40, 40, 40, 32016),
    "34B": llama(8192, 22016, 48, 64, 8, 32000),
    "70B": llama(8192, 28672, 80, 64, 8, 32016),
}


@dataclass(frozen=True)
class Work:
    """The work of each rank in a step: ``tokens`` in sequences of ``length``, ``target_share`` of them trained on."""

    tokens: int = 8192
    length: int = 8192
    target_share: float = 0.1
    checkpointing: Checkpointing = "full"
    lora: LoRA | None = None  # the adapters to train; None: all weights


def forward_flops(config: ModelConfig, tokens: int, length: int, target_share: float = 1.0) -> tuple[float, float]:
    """Floating-point operations of a forward pass: (blocks, head). A product of [a, b] and [b, c] takes 2abc.

    Causal attention reads (length + 1) / 2 tokens on average; norms and the like are left out. The head is applied to
    the targets alone.
    """
    matrices = config.num_hidden_layers * block_matrices(config)
    queries = config.num_attention_heads * config.head_dim
    attention = config.num_hidden_layers * 4 * queries * (length + 1) / 2
    head = config.vocab_size * config.hidden_size * target_share
    return tokens * (2 * matrices + attention), tokens * 2 * head


def model_flops(config: ModelConfig, work: Work) -> float:
    """Operations of forward and backward pass without recomputation, as counted by model-FLOPs utilisation."""
    forward = sum(forward_flops(config, work.tokens, work.length, work.target_share))
    return 3 * (forward + _adapter_flops(config, work)) - _frozen_flops(config, work)


def _adapter_flops(config: ModelConfig, work: Work) -> float:
    """Operations of the adapters in a forward pass."""
    return 0.0 if work.lora is None else work.tokens * 2 * adapter_parameters(config, work.lora)


def _frozen_flops(config: ModelConfig, work: Work) -> float:
    """Operations that the backward pass saves if weights are frozen. Their gradients would take as many as their
    products in the forward pass."""
    if work.lora is None:
        return 0.0
    head = config.vocab_size * config.hidden_size * work.target_share
    return work.tokens * 2 * (config.num_hidden_layers * block_matrices(config) + head)


def executed_flops(config: ModelConfig, work: Work) -> float:
    """Operations including recomputation. The head recomputes its logits if they are more than one chunk
    (``tl.losses``). "full" checkpointing recomputes the blocks, "selective" none of their products."""
    blocks, head = forward_flops(config, work.tokens, work.length, work.target_share)
    blocks += _adapter_flops(config, work)
    chunks = work.tokens * work.target_share * config.vocab_size > LOGITS_PER_CHUNK
    passes = (4 if work.checkpointing == "full" else 3) * blocks + (4 if chunks else 3) * head
    return passes - _frozen_flops(config, work)


def sent_bytes(config: ModelConfig, ranks: int, lora: LoRA | None = None) -> float:
    """Bytes that each rank sends in a step: (ranks − 1) / ranks of what is gathered or reduced around a ring.

    Blocks are gathered twice in bfloat16, for the forward and the backward pass, embedding and head once. All gradients
    are reduced in float32.
    """
    blocks, root = config.num_hidden_layers * block_parameters(config), root_parameters(config)
    trained = blocks + root
    if lora is not None:
        trained = adapter_parameters(config, lora)
        blocks += trained
    return (ranks - 1) / ranks * (blocks * (2 + 2) + root * 2 + trained * 4)


def transfer_seconds(config: ModelConfig, ranks: int, cluster: Cluster, lora: LoRA | None = None) -> float:
    """Time of ``sent_bytes`` over the slowest link, plus the hops of the rings: ranks − 1 hops for each ring, of which
    a layer has three."""
    rings = 3 * config.num_hidden_layers + 2
    return sent_bytes(config, ranks, lora) / cluster.link(ranks) + rings * (ranks - 1) * cluster.hop


@dataclass(frozen=True)
class Step:
    """A training step. All figures are per rank, except ``tokens_per_second``, which is the total."""

    memory: TrainingMemory  # bytes
    sent: float  # bytes
    compute_seconds: float
    transfer_seconds: float
    tokens_per_second: float
    utilisation: float  # model FLOPs divided by the FLOPs that the GPUs could do

    @property
    def seconds(self) -> float:
        return max(self.compute_seconds, self.transfer_seconds)

    def lines(self) -> list[str]:
        return [
            f"matmuls             {self.compute_seconds:,.3f} s, {self.utilisation:.0%} of the GPUs' speed used",
            f"transfers           {self.transfer_seconds:,.3f} s, {self.sent / 1e9:,.1f} GB sent per GPU, overlapping",
            f"speed               {self.tokens_per_second:,.0f} tokens/s",
        ]


def estimate(config: ModelConfig, ranks: int, work: Work, cluster: Cluster = H200) -> Step:
    compute = executed_flops(config, work) / (cluster.flops * cluster.utilisation)
    transfer = transfer_seconds(config, ranks, cluster, work.lora)
    seconds = max(compute, transfer)
    useful = model_flops(config, work)
    return Step(
        memory=training_memory(config, work.tokens, ranks, 2, work.checkpointing, lora=work.lora),
        sent=sent_bytes(config, ranks, work.lora),
        compute_seconds=compute,
        transfer_seconds=transfer,
        tokens_per_second=ranks * work.tokens / seconds,
        utilisation=useful / seconds / cluster.flops,
    )


def least_tokens(config: ModelConfig, ranks: int, work: Work, cluster: Cluster = H200) -> float:
    """Tokens per rank and step above which matmuls take longer than transfers, so that transfers cost nothing."""
    per_token = executed_flops(config, work) / work.tokens / (cluster.flops * cluster.utilisation)
    return transfer_seconds(config, ranks, cluster, work.lora) / per_token
