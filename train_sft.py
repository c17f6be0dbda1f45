"""Supervised fine-tuning for tool use: MAE masks erroneous calls, PKT weighs the tokens that decide the tool.

    python train_sft.py                               the embedded tiny model and generated data, minutes on a laptop
    python train_sft.py --model /ckpt/CodeLlama-7b-hf --data trajectories.jsonl         the paper's hyperparameters
    torchrun --nproc_per_node 8 train_sft.py --model …

Where it departs from the paper: a trajectory is one sample, encoded once (the released code feeds its history again for
each call), and ``batch_size`` counts trajectories over all ranks.
"""

import math
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from torch.optim import AdamW
from tqdm import tqdm

from tl.assets import TINY
from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer, TokenizerError
from tl.llama.weights import CheckpointError, check_vocabulary, fitting_tensors, read_config
from tl.losses import weighted_cross_entropy
from tl.metrics import Question
from tl.prompt import EncodingOptions, Example
from tl.training import distributed
from tl.training.batching import batches, micro_batches, target_nll
from tl.training.checkpoint import SavedState, load_state
from tl.training.config import RunError, SFTConfig, check_settings, resolve_config
from tl.training.data import ExampleStatistics, TrainingData, load_training_data
from tl.training.distributed import RankError, World
from tl.training.held_out import golden_loss, load_held_out, percentages, predict, score
from tl.training.memory import count_parameters, training_memory
from tl.training.run import (
    STOPPED,
    Progress,
    StopSignals,
    append_metrics,
    check_folder,
    close_run,
    is_due,
    open_run,
    resume_command,
    save_progress,
    total_samples,
)
from tl.training.scaling import Work, estimate
from tl.trajectory import DataError

MAX_SKIPPED = 3  # steps in a row without a finite gradient


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
    Weights stay as they are when loss or gradient norm is not finite.
    """
    mine = micro_batches(examples, config.micro_tokens, world.rank, world.size)
    [total] = distributed.all_sum([sum(micro.divisor(config.norm) for micro in mine)])
    step_loss = torch.zeros((), device=world.device)
    for micro in mine:
        micro = micro.to(world.device)
        nll = target_nll(model, micro)  # [M]
        loss = weighted_cross_entropy(nll, micro.weights, micro.turn_index, config.norm, total)
        (loss * world.size).backward()  # FSDP averages gradients over the ranks; the loss is a sum
        step_loss = step_loss + loss.detach()
    [step_loss] = distributed.all_sum([step_loss.item()])
    grad_norm = distributed.clip_grad_norm(model, config.max_grad_norm)
    if math.isfinite(step_loss) and math.isfinite(grad_norm):  # the same on all ranks
        optimizer.step()
    optimizer.zero_grad()
    return {"loss": step_loss, "grad_norm": grad_norm}


def evaluate(
    model: Llama, tokenizer: Tokenizer, held_out: list[Question], config: SFTConfig, world: World
) -> dict[str, float]:
    """TS, PI and CF (percent) of the model's greedy calls for held-out requests, and the loss on the accepted calls for
    the first ``eval_items`` of them, which are the same in all evaluations of a run. Each rank works on a part."""
    for_loss = held_out[: config.eval_items]
    mine, mine_for_loss = (items[world.rank :: world.size] for items in (held_out, for_loss))
    loss, scores = 0.0, []
    with distributed.unsharded(model) as plain, distributed.together(world):
        if mine_for_loss:
            loss = golden_loss(plain, tokenizer, mine_for_loss, config.micro_tokens).item() * len(mine_for_loss)
        if mine:
            scores = score(mine, predict(plain, tokenizer, mine, bar=world.is_main))
    [loss] = distributed.all_sum([loss])
    everyone = [item for part in distributed.gather_objects(scores, world) for item in part]
    return {"eval_loss": loss / len(for_loss), **percentages(everyone)}


def train(
    model: Llama,
    tokenizer: Tokenizer,
    data: TrainingData,
    held_out: list[Question],
    config: SFTConfig,
    world: World,
    saved: SavedState | None = None,
) -> tuple[Progress, bool]:
    """Goes over the examples for ``epochs`` or ``max_steps``, from ``saved`` on; writes a line of metrics.jsonl a step
    and an evaluation, and a state every ``save_every``. Returns how far it came, and whether a stop signal ended it:
    after a step, with a state and without the evaluation that may be due, which is made when the run is resumed.

    Raises RunError after ``MAX_SKIPPED`` steps in a row without a finite gradient.
    """
    optimizer = make_optimizer(model, config)
    progress = restore(saved, model, optimizer, world)
    samples = total_samples(len(data.examples), progress, config.batch_size, config.epochs, config.max_steps)
    steps = progress.step + math.ceil((samples - progress.samples) / config.batch_size)
    bar = tqdm(total=steps, initial=progress.step, desc="train", unit="step", disable=not world.is_main)

    def evaluate_if_due() -> None:
        last = progress.step == steps
        if held_out and (last or is_due(config.eval_every, progress.step)):
            items = held_out if last else held_out[: config.eval_items]
            scores = evaluate(model, tokenizer, items, config, world)
            if world.is_main:
                append_metrics(Path(config.out), {"step": progress.step} | scores)
                bar.write(f"step {progress.step}, {len(items)} held-out requests: {format_scores(scores)}")
                if not math.isfinite(scores["eval_loss"]):
                    warnings.warn("the model has diverged: try a lower --learning_rate", stacklevel=2)

    with bar, StopSignals() as stop:
        if saved is not None:
            evaluate_if_due()
        for indices in batches(len(data.examples), config.batch_size, config.seed, progress.samples, samples):
            rate = learning_rate(progress.step, steps, config.learning_rate, config.warmup_ratio)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch, started = [data.examples[i] for i in indices], time.perf_counter()
            metrics = train_step(model, optimizer, batch, config, world)
            metrics = progress.advance(batch, time.perf_counter() - started) | metrics | {"learning_rate": rate}
            report(metrics, bar, config, world)
            count_skipped(progress, metrics, batch, world)
            stopping = distributed.any_true(stop.received is not None)
            last = progress.step == steps and config.save_every > 0
            if stopping or last or is_due(config.save_every, progress.step):
                save_progress(config, progress, model, optimizer, data.fingerprint, world)
            if stopping:
                return progress, True
            evaluate_if_due()
    return progress, False


def report(metrics: dict[str, float], bar: tqdm, config: SFTConfig, world: World) -> None:
    bar.set_postfix_str(f"loss {metrics['loss']:.3f}, {metrics['tokens_per_second']:,.0f} tokens/s")
    bar.update()
    if world.is_main:
        append_metrics(Path(config.out), metrics)


def count_skipped(progress: Progress, metrics: dict[str, float], batch: list[Example], world: World) -> None:
    """Warns of a step that was skipped for want of a finite gradient; RunError at ``MAX_SKIPPED`` in a row."""
    if math.isfinite(metrics["loss"]) and math.isfinite(metrics["grad_norm"]):
        progress.skipped = 0
        return
    progress.skipped += 1
    message = (
        f"step {progress.step} skipped: loss {metrics['loss']}, gradient norm {metrics['grad_norm']}; trajectories "
        + ", ".join(example.id for example in batch)
    )
    if progress.skipped == MAX_SKIPPED:
        raise RunError(f"{message}. The {MAX_SKIPPED}rd in a row: lower --learning_rate, or look at these trajectories")
    if world.is_main:
        warnings.warn(message, stacklevel=2)


def restore(saved: SavedState | None, model: Llama, optimizer: AdamW, world: World) -> Progress:
    if saved is None:
        return Progress()
    load_state(saved, model, optimizer, world)
    return Progress(**saved.record["progress"])


def format_scores(scores: dict[str, float]) -> str:
    return f"loss {scores['eval_loss']:.3f}  TS {scores['ts']:.1f}  PI {scores['pi']:.1f}  CF {scores['cf']:.1f}"


def describe(config: SFTConfig, data: TrainingData, model: ModelConfig, world: World) -> str:
    """Data and memory as text."""
    lengths = sorted(map(len, data.examples))
    tokens = min(max(config.micro_tokens, lengths[-1]), sum(lengths[-config.batch_size :]))
    memory = training_memory(model, tokens, world.size, world.compute_dtype.itemsize, config.checkpointing)
    sections = {
        "data": data.lines(),
        f"memory of each rank, {count_parameters(model):,} parameters over {world.size}": memory.lines(),
    }
    if config.dry_run and config.model:
        share = sum(int((example.weights > 0).sum()) for example in data.examples) / sum(lengths)
        work = Work(tokens, sum(n * n for n in lengths) // sum(lengths), share, config.checkpointing)
        step = estimate(model, world.size, work)
        sections[f"a step on paper, {world.size} x H200 (python -m tl scaling)"] = step.lines()
    return "\n".join(line for title, lines in sections.items() for line in (f"-- {title}", *lines))


def prepare_data(config: SFTConfig, source: Path) -> tuple[TrainingData, list[Question]]:
    """Reads, classifies and tokenises the trajectories and the held-out requests."""
    model, tokenizer = read_config(source), Tokenizer(source)
    check_vocabulary(tokenizer, model)
    if not config.dry_run:  # which needs none
        fitting_tensors(source)
    if config.max_length > model.max_position_embeddings:
        raise RunError(f"--max_length {config.max_length} is more than the model's {model.max_position_embeddings}")
    options = EncodingOptions(config.mae, config.pkt, config.w_max, config.max_length, config.max_feedback_tokens)
    data = load_training_data(config.data, tokenizer, options, config.on_bad_data, config.seed)
    return data, load_held_out(config.data, config.eval_data, tokenizer, options, config.on_bad_data)


def summary(config: SFTConfig, data: TrainingData, progress: Progress) -> list[str]:
    """What the run has trained on, in lines; what it has seen more than once counts once."""
    seen, statistics = min(progress.samples, len(data.examples)), ExampleStatistics()
    for indices in batches(len(data.examples), config.batch_size, config.seed, 0, seen):
        for i in indices:
            statistics.add(data.examples[i])
    return ["-- trained on", *statistics.lines(), data.dropped(), progress.line()]


def run(config: SFTConfig, world: World) -> int:
    """Trains and saves the model. Returns the process's exit status."""
    check_folder(config, world)
    source = Path(config.model or TINY)
    if world.is_main:  # before the data, whose preparation takes longer than one waits for a first line
        settings = [f"{name:<20}{value}" for name, value in asdict(config).items()]
        print("\n".join(["-- configuration", *settings]), flush=True)
    data, held_out = distributed.on_main(lambda: prepare_data(config, source), world)
    if world.is_main:
        print(describe(config, data, read_config(source), world))
        if config.batch_size < world.size:
            warnings.warn(f"{world.size} ranks, but --batch_size {config.batch_size}: some have no work", stacklevel=2)
    if config.dry_run:
        return 0
    saved = open_run(config, data.fingerprint, world)
    torch.manual_seed(config.seed)
    tokenizer = Tokenizer(source)
    model = distributed.load(source, world, config.checkpointing)
    progress, stopped = train(model, tokenizer, data, held_out, config, world, saved)
    if stopped:
        if world.is_main:
            print(f"stopped after step {progress.step}; go on with\n  {resume_command()}", file=sys.stderr)
        return STOPPED
    close_run(config, model, tokenizer, summary(config, data, progress), world)
    return 0


def main(argv: list[str] | None = None) -> int:
    config = resolve_config(argv, __doc__)
    check_settings(config, inputs=[config.model, *config.data, *config.eval_data])
    with distributed.process_group() as world:
        return run(config, world)


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    try:
        sys.exit(main())
    except RankError:
        sys.exit(1)  # the rank that failed says why
    except (CheckpointError, TokenizerError, DataError, RunError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
