"""Supervised fine-tuning for tool use: MAE masks erroneous calls, PKT gives deciding tokens a higher weight.

    python train_sft.py                               embedded tiny model and generated data; minutes on a laptop
    python train_sft.py --model /ckpt/CodeLlama-7b-hf --data trajectories.jsonl         the paper's settings
    torchrun --nproc_per_node 8 train_sft.py --model …

Departures from the paper: a trajectory is one sample, encoded once (the released code encodes its history again for
each call), and --batch_size counts trajectories over all ranks. An epoch therefore has fewer steps with more calls
each, and the default learning rate is higher in proportion (docs/training_at_scale.md).
"""

import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.optim import Optimizer

from tl.assets import TINY
from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import read_config
from tl.losses import weighted_cross_entropy
from tl.metrics import Question
from tl.prompt import EncodingOptions, Example
from tl.templates import template_line
from tl.training import distributed
from tl.training.batching import batches, micro_batches, target_nll
from tl.training.checkpoint import SavedState
from tl.training.config import RunError, SFTConfig, resolve_config
from tl.training.data import TrainingData, cache_folder, load_training_data
from tl.training.distributed import World
from tl.training.held_out import (
    MAX_NEW_TOKENS,
    cached_tokens,
    golden_loss,
    held_out_line,
    load_held_out,
    percentages,
    predict_in_parts,
    score,
)
from tl.training.lock import folder_lock
from tl.training.loop import STOPPED, Evaluation, Metrics, Trouble, main_loop, plan, run_script
from tl.training.memory import largest_micro_batch, step_section
from tl.training.optimizer import make_optimizer
from tl.training.run import (
    Progress,
    check_folder,
    check_max_length,
    close_run,
    open_run,
    read_checkpoint,
    restore,
    save_progress,
    save_trained,
    settings_lines,
    show,
)
from tl.training.scaling import Work, estimate

RELEASED_RATE, RELEASED_TURNS = 1e-6, 4  # learning rate and samples per step of the released code


def learning_rate(step: int, steps: int, peak: float, warmup_ratio: float) -> float:
    """Linear warm-up over ``warmup_ratio`` of the steps, then cosine decay from ``peak`` to 0. Steps count from 0."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def peak_rate(config: SFTConfig, data: TrainingData) -> float:
    """The requested learning rate or, by default, the released code's 1e-6 times (trained turns per step) / 4, where 4
    is its number of turns per step. The weights then move about as far in the same number of passes."""
    if config.learning_rate is not None:
        return config.learning_rate
    return RELEASED_RATE * turns_a_step(config, data) / RELEASED_TURNS


def turns_a_step(config: SFTConfig, data: TrainingData) -> float:
    """Average number of trained turns (correct calls and texts) per step."""
    return data.statistics.turns_trained / len(data.examples) * config.batch_size


def train_step(model: Llama, optimizer: Optimizer, examples: list[Example], config: SFTConfig, world: World) -> Metrics:
    """One optimizer step on a global batch; returns the step's loss and gradient norm.

    The loss of every micro-batch is divided by the total of the whole step, so micro-batches and ranks change only
    rounding. The weights are not updated if the loss or the gradient norm is not finite.
    """
    mine = micro_batches(examples, config.micro_tokens, world.rank, world.size)
    [total] = distributed.sum_over_ranks([sum(micro.divisor(config.norm) for micro in mine)])
    step_loss = torch.zeros((), device=world.device)
    for micro in mine:
        micro = micro.to(world.device)
        nll = target_nll(model, micro)  # [M], one for each target; MAE and PKT are in the weights (tl/prompt.py)
        loss = weighted_cross_entropy(nll, micro.weights, micro.turn_index, config.norm, total)
        (loss * world.size).backward()  # FSDP averages gradients over the ranks, but the loss is a sum
        step_loss = step_loss + loss.detach()
    [loss_of_all] = distributed.sum_over_ranks([step_loss.item()])
    grad_norm = distributed.clip_grad_norm(model, config.max_grad_norm)
    if math.isfinite(loss_of_all) and math.isfinite(grad_norm):  # the same on all ranks
        optimizer.step()
    optimizer.zero_grad()
    return {"loss": loss_of_all, "grad_norm": grad_norm}


def evaluate(
    model: Llama, tokenizer: Tokenizer, held_out: Sequence[Question], config: SFTConfig, world: World
) -> Metrics:
    """TS, PI and CF (percent) of the model's greedy calls on held-out requests, and the loss on the golden calls of the
    first ``eval_items`` of them, the same in every evaluation of a run. The ranks share the requests."""
    for_loss = held_out[: config.eval_items]
    with distributed.unsharded(model, world) as plain, distributed.propagate_errors(world):
        loss = golden_loss(plain, tokenizer, for_loss[world.rank :: world.size], config.micro_tokens)
    [loss] = distributed.sum_over_ranks([loss])
    if world.is_main and not math.isfinite(loss):
        warnings.warn("the model has diverged: try a lower --learning_rate", stacklevel=2)
    calls = predict_in_parts(model, tokenizer, held_out, world)
    return {"eval_loss": loss / len(for_loss)} | percentages(score(held_out, calls))


def initial_model(config: SFTConfig, world: World, base: Llama | None = None) -> Llama:
    """The model as training finds it, with the frozen weights of ``base``, if given."""
    source = Path(config.model or TINY)
    return distributed.load(Llama, source, world, config.checkpointing, seed=config.seed, lora=config.lora, base=base)


@torch.no_grad()
def average_with_initial(model: Llama, config: SFTConfig, world: World) -> None:
    """Turns trained weights into (1 - s) x trained + s x initial ones, where s is ``initial_share`` (WiSE-FT, arXiv
    2109.01903). With LoRA, whose product B A starts at 0, only B changes."""
    initial = initial_model(config, world, base=model if config.lora else None)
    for (name, weight), before in zip(model.named_parameters(), initial.parameters(), strict=True):
        if weight.requires_grad and "lora_A" not in name:
            weight.mul_(1 - config.initial_share).add_(before, alpha=config.initial_share)


def train(
    model: Llama,
    tokenizer: Tokenizer,
    data: TrainingData,
    held_out: list[Question],
    config: SFTConfig,
    world: World,
    saved: SavedState | None = None,
) -> tuple[Progress, bool]:
    """Trains for ``epochs`` or ``max_steps``, starting from ``saved``, and saves the model. Returns the progress and
    whether a stop signal ended training (see ``main_loop``)."""
    peak = peak_rate(config, data)
    optimizer = make_optimizer(model, peak, config, config.embedding_lr_ratio)
    peaks = [group["lr"] for group in optimizer.param_groups]
    progress = restore(saved, model, optimizer)
    samples, steps = plan(config, len(data.examples), progress)

    def step(indices: list[int]) -> tuple[Metrics, Trouble | None]:
        batch, started = [data.examples[i] for i in indices], time.perf_counter()
        rate = learning_rate(progress.step, steps, peak, config.warmup_ratio)
        for group, its_peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = learning_rate(progress.step, steps, its_peak, config.warmup_ratio)
        metrics = train_step(model, optimizer, batch, config, world)
        tokens = sum(map(len, batch))
        log = progress.advance(len(batch), tokens, time.perf_counter() - started) | metrics | {"learning_rate": rate}
        return log, trouble(metrics, batch, config, progress)

    def save_model() -> None:
        if config.initial_share:
            average_with_initial(model, config, world)
        save_trained(config, model, tokenizer, world)

    return progress, main_loop(
        config,
        progress,
        batches(len(data.examples), config.batch_size, config.seed, progress.samples, samples),
        steps,
        world,
        step=step,
        save=lambda: save_progress(config, progress, model, optimizer, data.fingerprint, world),
        save_model=save_model,
        evaluation=Evaluation(held_out, lambda requests: evaluate(model, tokenizer, requests, config, world)),
    )


def trouble(metrics: Metrics, batch: list[Example], config: SFTConfig, progress: Progress) -> Trouble | None:
    """Describes a step whose loss or gradient norm is not finite; None if both are finite."""
    if all(map(math.isfinite, metrics.values())):
        return None
    numbers = f"loss {metrics['loss']}, gradient norm {metrics['grad_norm']}"
    ids = ", ".join(example.id for example in batch)
    advice = "lower --learning_rate, or inspect these trajectories"
    if progress.skipped == progress.step - 1:  # all steps before, too
        advice = f"training has not started yet: the weights in {config.model or TINY} are not finite, or too large"
    return Trouble(f"skipped, {numbers}; trajectories {ids}", advice)


def describe(
    config: SFTConfig, data: TrainingData, held_out: Sequence[Question], model: ModelConfig, world: World
) -> dict[str, list[str]]:
    """Sections of text about data, steps and memory."""
    lengths = data.examples.lengths()
    tokens, cached = largest_micro_batch(lengths, config), cached_tokens(held_out, MAX_NEW_TOKENS, world.size)
    sections = {"data": [*data.lines(), held_out_line(held_out)], "steps": steps_lines(config, data)}
    sections |= step_section(config, model, tokens, world, cached)
    if config.dry_run and config.model:
        share = data.statistics.targets / sum(lengths)
        work = Work(tokens, sum(n * n for n in lengths) // sum(lengths), share, config.checkpointing, config.lora)
        step = estimate(model, world.size, work)
        sections[f"estimated step on {world.size} x H200 (python -m tl scaling)"] = step.lines()
    return sections


def steps_lines(config: SFTConfig, data: TrainingData) -> list[str]:
    """Lines that compare the number of steps and the learning rate with the released code's."""
    _, steps = plan(config, len(data.examples), Progress())
    turns, samples = turns_a_step(config, data), math.ceil(data.statistics.turns_trained * config.epochs)
    origin = "as set, or as preset for the model"
    if config.learning_rate is None:
        origin = f"{RELEASED_RATE:g} x {turns:.1f} / {RELEASED_TURNS}, scaled by the trained turns per step"
    return [
        f"steps               {steps:,} of {config.batch_size} trajectories, {turns:.1f} trained turns each step; the "
        f"released code would take {-(-samples // RELEASED_TURNS):,} steps of {RELEASED_TURNS} turns",
        f"learning rate       {peak_rate(config, data):.3g} at the peak: {origin}",
    ]


def check_and_load_held_out(config: SFTConfig, source: Path) -> list[Question]:
    """Checks the files of the model, then reads and tokenises the held-out requests."""
    model, tokenizer = read_checkpoint(source, config.template, config.dry_run)
    check_max_length(config, model)
    return load_held_out(config, tokenizer, config.max_length, config.max_feedback_tokens)


def load_data(config: SFTConfig, tokenizer: Tokenizer, world: World) -> TrainingData:
    """The training set. All ranks map the same files; one rank prepares them if they do not exist."""
    options = EncodingOptions(config.mae, config.pkt, config.w_max, config.max_length, config.max_feedback_tokens)
    source = (config.data, tokenizer, options, config.on_bad_data, config.data_format, config.seed)
    with cache_folder(config, world) as cache, distributed.propagate_errors(world):
        data = load_training_data(*source, cache=cache)
    if world.is_main:
        data.report.warn()
    prints = distributed.gather_objects(data.fingerprint, world)
    if world.is_main and len(set(prints)) > 1:
        raise RunError("the data files differ between nodes: copy them again")
    return data


def summary(config: SFTConfig, data: TrainingData, progress: Progress) -> list[str]:
    """Lines about the data that the run has trained on; examples seen several times count once."""
    seen = batches(len(data.examples), config.batch_size, config.seed, 0, min(progress.samples, len(data.examples)))
    statistics = data.examples.statistics(i for indices in seen for i in indices)
    return ["-- trained on", *statistics.lines(), data.dropped(), progress.line("trajectories")]


def run(config: SFTConfig, world: World) -> int:
    """Trains and saves the model. Returns the process's exit status."""
    source = Path(config.model or TINY)
    check_folder(config, world)
    show({"configuration": settings_lines(config)}, world)  # before the data, whose preparation takes a while
    held_out = distributed.on_main(lambda: check_and_load_held_out(config, source), world)
    tokenizer = Tokenizer(source, config.template)
    data = load_data(config, tokenizer, world)
    sections = describe(config, data, held_out, read_config(source), world)
    show({"tokens": [template_line(tokenizer)]} | sections, world)
    if config.dry_run:
        return 0
    saved = open_run(config, data.fingerprint, world)
    model = initial_model(config, world)
    progress, stopped = train(model, tokenizer, data, held_out, config, world, saved)
    if stopped:
        return STOPPED
    close_run(config, summary(config, data, progress), world)
    return 0


def main(argv: list[str] | None = None) -> int:
    config = resolve_config(argv, __doc__)
    with distributed.process_group() as world, folder_lock(config, world):
        return run(config, world)


if __name__ == "__main__":
    run_script(main)
