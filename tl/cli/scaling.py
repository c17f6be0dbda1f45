"""Estimates memory, communication and speed of FSDP training for CodeLLaMA's sizes (see docs/scaling.md).

    python -m tl scaling
    python -m tl scaling --tokens 4096 --length 4096 --checkpointing selective
    python -m tl scaling --model /ckpt/model --gpus 8 16            for this model's shape

A step is one micro-batch of --tokens tokens on each GPU. The GPUs are H200s, 8 per machine; the assumptions about them
are in tl/training/scaling.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tl.config import option, parse_config
from tl.llama.config import ModelConfig
from tl.llama.lora import LoRA
from tl.llama.weights import read_config
from tl.training.distributed import Checkpointing
from tl.training.memory import count_parameters
from tl.training.scaling import CODE_LLAMA, H200, Step, Work, estimate, least_tokens, model_flops

HEADER = (
    f"{'model':>6} {'GPUs':>5} {'GiB per GPU':>12} {'GFLOP/token':>12} {'GB sent':>8} {'matmuls':>9} {'transfers':>10} "
    f"{'tokens/s':>11} {'per GPU':>8} {'MFU':>5} {'hidden from':>12}"
)


@dataclass
class ScalingConfig:
    tokens: int = option(Work.tokens, "tokens in each GPU's micro-batch", at_least=1)
    length: int = option(Work.length, "tokens in each sequence", at_least=1)
    target_share: float = option(
        Work.target_share, "fraction of the tokens that are trained on and need logits", at_least=0, at_most=1
    )
    checkpointing: Checkpointing = option(Work.checkpointing, "activations to recompute in the backward pass")
    lora_rank: int = option(
        0, "train only LoRA adapters of this rank on all linear layers; 0: train all weights", at_least=0
    )
    gpus: list[int] = option([8, 64, 512], "numbers of GPUs to estimate for", at_least=1)
    model: str | None = option(None, "checkpoint folder whose model shape to use (default: CodeLLaMA's sizes)")


def main(argv: Sequence[str]) -> int:
    config = parse_config(ScalingConfig, argv, __doc__, prog="python -m tl scaling")
    lora = LoRA(config.lora_rank, 2.0 * config.lora_rank) if config.lora_rank else None
    work = Work(config.tokens, config.length, config.target_share, config.checkpointing, lora)
    models = {"given": read_config(config.model)} if config.model else CODE_LLAMA
    print("\n".join(table(models, config.gpus, work)))
    return 0


def table(models: dict[str, ModelConfig], gpus: Sequence[int], work: Work) -> list[str]:
    """The lines of the table, followed by the meaning of its columns."""
    lines = [
        f"{work.tokens:,} tokens per GPU and step, sequences of {work.length:,}, {work.target_share:.0%} trained on, "
        f"checkpointing {work.checkpointing}" + (f", LoRA of rank {work.lora.rank}" if work.lora else ""),
        HEADER,
    ]
    for name, config in models.items():
        lines += [row(name, config, ranks, estimate(config, ranks, work), work) for ranks in gpus]
    return [
        *lines,
        f"parameters: {', '.join(f'{name} {count_parameters(config):,}' for name, config in models.items())}",
        "!: does not fit. matmuls, transfers: ms per step, overlapping. MFU does not count recomputation. hidden from:",
        "tokens per GPU and step above which transfers take less time than matmuls.",
    ]


def row(name: str, config: ModelConfig, ranks: int, step: Step, work: Work) -> str:
    full = "!" if step.memory.total > H200.memory else " "
    per_token = model_flops(config, work) / work.tokens / 1e9
    return (
        f"{name:>6} {ranks:>5} {step.memory.total / 2**30:>11.1f}{full} {per_token:>12.1f} {step.sent / 1e9:>8.1f} "
        f"{step.compute_seconds * 1e3:>9,.0f} {step.transfer_seconds * 1e3:>10,.0f} {step.tokens_per_second:>11,.0f} "
        f"{step.tokens_per_second / ranks:>8,.0f} {step.utilisation:>5.0%} {least_tokens(config, ranks, work):>12,.0f}"
    )
