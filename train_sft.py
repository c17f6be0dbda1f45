"""Supervised fine-tuning for tool use: MAE masks erroneous calls, PKT weighs the tokens that decide the tool.

    python train_sft.py                               the embedded tiny model and generated data, minutes on a laptop
    python train_sft.py --model /ckpt/CodeLlama-7b-hf --data trajectories.jsonl         the paper's hyperparameters
    torchrun --nproc_per_node 8 train_sft.py --model …

Where it departs from the paper: a trajectory is one sample, encoded once (the released code feeds its history again for
each call), and ``batch_size`` counts trajectories over all ranks.
"""

import json
import math
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.optim import AdamW
from tqdm import tqdm

from tl import distributed
from tl.assets import TINY
from tl.batching import batches, collate, pack
from tl.config import option, parse_config
from tl.data import TrainingData, load_items, load_training_data
from tl.distributed import World
from tl.losses import token_nll, weighted_cross_entropy
from tl.memory import count_parameters, training_memory
from tl.model import Llama
from tl.prompt import EncodingOptions, Example
from tl.single_turn import Prepared, golden_loss, percentages, predict, prepare, score
from tl.tokenizer import Tokenizer, TokenizerError
from tl.trajectory import DataError
from tl.weights import CheckpointError, check_vocabulary, load_model, read_config, save_model


@dataclass
class SFTConfig:
    """The defaults are the paper's; without --model the preset EMBEDDED stands in for them."""

    model: str | None = option(None, "checkpoint in Hugging Face layout; none: the embedded tiny base model")
    data: list[str] = option([], "trajectory files, .jsonl or .json, also .gz; none: generated with the tool library")
    eval_data: list[str] = option([], "held-out trajectory files; none: the generated ones, if --data is not given")
    out: str = option("runs/sft", "run directory: the model, metrics.jsonl, sft_config.json")
    overwrite: bool = option(False, "replace an existing run directory")
    on_bad_data: Literal["error", "skip"] = option("error", "after listing all bad records: stop, or go on without")
    mae: bool = option(True, "mask erroneous calls (MAE)")
    pkt: bool = option(True, "weigh key tokens (PKT)")
    w_max: float = option(9.0, "largest weight of a key token")
    norm: Literal["call", "sum"] = option("call", "each call counts alike, or each weighted token")
    learning_rate: float = option(1e-6, "peak, after linear warm-up; falls to 0 along a cosine")
    warmup_ratio: float = option(0.01, "share of the steps spent on warm-up")
    weight_decay: float = option(0.01, "AdamW's, on matrices")
    beta2: float = option(0.95, "AdamW's second-moment decay")
    max_grad_norm: float = option(1.0, "gradients are scaled down to this norm")
    epochs: float = option(1.0, "passes over the data")
    max_steps: int | None = option(None, "stop (and schedule) after this many steps")
    batch_size: int = option(4, "trajectories a step, over all ranks and micro-batches")
    micro_tokens: int = option(8192, "tokens a forward pass, over which a batch is split into micro-batches")
    max_length: int = option(8192, "tokens of a trajectory; what lies behind is cut at a turn")
    max_feedback_tokens: int = option(2048, "tokens of one tool feedback; longer ones are cut in the middle")
    eval_every: int = option(100, "steps between evaluations on held-out requests; 0: only at the end")
    eval_items: int = option(64, "held-out requests for the evaluations during training; the last one takes all")
    seed: int = option(0, "order of the data, and the generated data")
    threads: int = option(0, "CPU threads; 0: PyTorch's choice")
    dry_run: bool = option(False, "show configuration, data and memory, train nothing")


EMBEDDED = {"learning_rate": 1e-3, "warmup_ratio": 0.05, "epochs": 2.0, "max_length": 1024, "micro_tokens": 4096}


def learning_rate(step: int, steps: int, peak: float, warmup_ratio: float) -> float:
    """Linear warm-up over ``warmup_ratio`` of the steps, then a cosine from ``peak`` to 0. Steps count from 0."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def make_optimizer(model: Llama, config: SFTConfig) -> AdamW:
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=True)


def train_step(
    model: Llama, optimizer: AdamW, examples: list[Example], config: SFTConfig, world: World
) -> dict[str, float]:
    """One optimizer step on a global batch; returns the step's loss and gradient norm.

    Every part is divided by the total of the whole step, so that micro-batches and ranks change nothing but rounding.
    """
    micro_batches = [collate(group) for group in pack(examples, config.micro_tokens)]
    [total] = distributed.all_sum([sum(m.divisor(config.norm) for m in micro_batches)], world)
    step_loss = 0.0
    for micro in micro_batches:
        micro = micro.to(world.device)
        hidden = model(micro.input_ids, micro.lengths, return_hidden=True)  # [1, N, C]
        nll = token_nll(hidden[0, micro.positions], model.lm_head.weight, micro.targets)
        loss = weighted_cross_entropy(nll, micro.weights, micro.turn_index, config.norm, total)
        (loss * world.size).backward()  # FSDP averages gradients over the ranks; the loss is a sum
        step_loss += loss.item()
    grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    [step_loss] = distributed.all_sum([step_loss], world)
    return {"loss": step_loss, "grad_norm": float(grad_norm)}


def evaluate(model: Llama, tokenizer: Tokenizer, held_out: list[Prepared], config: SFTConfig) -> dict[str, float]:
    """Loss on the accepted calls of held-out requests, and TS, PI and CF (percent) of the model's greedy ones."""
    model.eval()
    loss = golden_loss(model, held_out, config.micro_tokens).item()
    scores = percentages(score(held_out, predict(model, tokenizer, held_out)))
    model.train()
    return {"eval_loss": loss, **scores}


def train(
    model: Llama,
    tokenizer: Tokenizer,
    examples: list[Example],
    held_out: list[Prepared],
    config: SFTConfig,
    world: World,
) -> str:
    """Goes over the examples for ``epochs`` or ``max_steps``; writes a line of metrics.jsonl a step. Returns a summary
    of what was seen."""
    samples = math.ceil(len(examples) * config.epochs)
    if config.max_steps is not None:
        samples = min(samples, config.max_steps * config.batch_size)
    steps = math.ceil(samples / config.batch_size)
    optimizer = make_optimizer(model, config)
    bar = tqdm(total=steps, desc="train", unit="step", disable=not world.is_main)
    tokens, seconds = 0, 0.0
    with (Path(config.out) / "metrics.jsonl").open("a") as log:
        for step, indices in enumerate(batches(len(examples), config.batch_size, config.seed, 0, samples), start=1):
            rate = learning_rate(step - 1, steps, config.learning_rate, config.warmup_ratio)
            for group in optimizer.param_groups:
                group["lr"] = rate
            started = time.perf_counter()
            batch = [examples[i] for i in indices]
            metrics = train_step(model, optimizer, batch, config, world)
            seconds += time.perf_counter() - started
            tokens += sum(map(len, batch))
            metrics |= {"learning_rate": rate, "tokens": tokens, "tokens_per_second": tokens / seconds}
            if held_out and (step == steps or (config.eval_every and step % config.eval_every == 0)):
                items = held_out if step == steps else held_out[: config.eval_items]
                scores = evaluate(model, tokenizer, items, config)
                bar.write(f"step {step}, {len(items)} held-out requests: {format_scores(scores)}")
                metrics |= scores
            bar.set_postfix_str(f"loss {metrics['loss']:.3f}, {metrics['tokens_per_second']:,.0f} tokens/s")
            bar.update()
            log.write(json.dumps({"step": step} | metrics) + "\n")
            log.flush()
    bar.close()
    return f"seen                {samples:,} trajectories, {tokens:,} tokens in {steps:,} steps, {seconds:,.0f} s"


def format_scores(scores: dict[str, float]) -> str:
    return f"loss {scores['eval_loss']:.3f}  TS {scores['ts']:.1f}  PI {scores['pi']:.1f}  CF {scores['cf']:.1f}"


def resolve_config(argv: list[str] | None) -> SFTConfig:
    """The command line over the paper's values, or over the preset when the embedded model is trained."""
    config = parse_config(SFTConfig, argv, __doc__)
    return config if config.model else parse_config(SFTConfig, argv, __doc__, **EMBEDDED)


def prepare_run_directory(config: SFTConfig) -> None:
    out = Path(config.out)
    if out.exists() and any(out.iterdir()):
        if not config.overwrite:
            raise SystemExit(f"{out} holds an earlier run: choose another --out, or replace it with --overwrite")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "sft_config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")


def describe(config: SFTConfig, data: TrainingData, parameters: int, memory: list[str]) -> str:
    """Configuration, data and memory as text."""
    settings = [f"{name:<20}{value}" for name, value in asdict(config).items()]
    sections = {"configuration": settings, "data": data.lines(), f"memory, {parameters:,} parameters": memory}
    return "\n".join(line for title, lines in sections.items() for line in (f"-- {title}", *lines))


def main(argv: list[str] | None = None) -> None:
    config = resolve_config(argv)
    if config.threads:
        torch.set_num_threads(config.threads)
    source = Path(config.model or TINY)
    model_config, tokenizer = read_config(source), Tokenizer(source)
    check_vocabulary(tokenizer, model_config)
    options = EncodingOptions(config.mae, config.pkt, config.w_max, config.max_length, config.max_feedback_tokens)
    data = load_training_data(config.data, tokenizer, options, config.on_bad_data, config.seed)
    items = [] if config.data and not config.eval_data else load_items(config.eval_data, config.on_bad_data)
    held_out = prepare(items, tokenizer, config.max_length)
    world = distributed.start()
    longest = max(config.micro_tokens, max(map(len, data.examples)))
    memory = training_memory(model_config, longest, world.size, 2 if world.device.type == "cuda" else 4)
    if world.is_main:
        print(describe(config, data, count_parameters(model_config), memory.lines()))
    if config.dry_run:
        return distributed.finish()

    if world.is_main:
        prepare_run_directory(config)
    torch.manual_seed(config.seed)
    model = distributed.shard(load_model(source, torch.float32, world.device), world)
    seen = train(model, tokenizer, data.examples, held_out, config, world)
    whole = distributed.gather(model)
    if world.is_main:
        save_model(whole, config.out, tokenizer.path)
        print("\n".join(["-- trained on", *data.lines(), seen]))
        print(f"the model lies in {config.out}; try it:  python evaluate.py --model {config.out}")
    distributed.finish()


if __name__ == "__main__":
    try:
        main()
    except (CheckpointError, TokenizerError, DataError) as error:
        sys.exit(f"error: {error}")
