"""A learned process reward: a Llama with a scalar head says from any step how likely the episode is to end right.

    V(s) = σ(head(s)) is fitted to the Monte-Carlo returns of the steps (``tl/rl/returns.py``) by maximum likelihood:
    loss = −Σ [right log V + (trials − right) log(1 − V)] / Σ trials

A step is read at two places: where its call ends, and after the feedback, where the next call begins. So it can judge a
call before it runs and an episode so far.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F

from tl.config import option, parse_config, require
from tl.datasets import AUTO, DataError
from tl.llama.model import Critic
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import fitting_tensors
from tl.prompt import NO_TARGET, EncodingOptions, Example, digest, encode_trajectory
from tl.rl.calibration import Scored, auc, calibration_error
from tl.rl.config import with_start
from tl.rl.returns import Returns, read_returns
from tl.rl.update import Learner, descend, over_ranks, start_values
from tl.rollout.options import ToolOptions
from tl.templates import template_of
from tl.training import distributed
from tl.training.batching import batches, epoch_order, micro_batches
from tl.training.checkpoint import SavedState
from tl.training.config import (
    MAX_SEED,
    PRESET_RULE,
    RunError,
    TrainingConfig,
    check_settings,
)
from tl.training.distributed import World
from tl.training.loop import Evaluation, Metrics, Trouble, main_loop, plan
from tl.training.run import VALUES_SCRIPT, Progress, restore, save_progress, save_trained


@dataclass
class PRMConfig(ToolOptions, TrainingConfig):
    """Settings of `python -m tl prm`."""

    script: ClassVar[str] = VALUES_SCRIPT
    out: str = option(
        "runs/prm", "output folder for the model, metrics.jsonl, run_config.json and states to resume from"
    )
    model: str = option(
        "",
        "checkpoint folder to sample from and to start training from (default: the newest run of train_sft.py)",
    )
    data: list[str] = option([], "files of steps to train on (default: sample them first, into OUT.steps.jsonl)")
    data_format: str = field(default=AUTO, init=False)  # files of steps have one format
    # No flags: the calls before a step are made again, but what they did on a server or in a network stays.
    mcp: list[str] = field(default_factory=list, init=False)
    allow_network: bool = field(default=False, init=False)
    eval_data: list[str] = option([], "files of steps to evaluate on (default: the --held_out part of the episodes)")
    size: int = option(200, "number of tasks to generate with the tool library, if there are no --tasks", at_least=2)
    samples: int = option(4, "number of continuations sampled from each step of an episode", at_least=1)
    max_new_tokens: int = option(512, "token limit per call while sampling steps", embedded=96, at_least=1)
    held_out: float = option(
        0.2, "fraction of the episodes held out for evaluation, without --eval_data", at_least=0, at_most=0.9
    )
    learning_rate: float = option(1e-5, "learning rate, constant over the run", embedded=3e-4, lora=1e-4, at_least=0)
    epochs: float = option(2.0, "number of passes over the episodes", positive=True)
    batch_size: int = option(
        32, "episodes per optimizer step, over all ranks and micro-batches", embedded=8, at_least=1
    )
    max_length: int = option(8192, "maximum tokens in an episode; longer ones are cut", embedded=1536, at_least=2)
    seed: int = option(
        0,
        "seed of the order and the split of the episodes, of sampling and of the generated tasks",
        at_least=0,
        at_most=MAX_SEED,
    )

    @classmethod
    def free(cls) -> set[str]:
        return super().free() | {"require_isolation"}


def resolve_config(argv: Sequence[str], description: str) -> PRMConfig:
    """Settings from the command line. Raises UserError if they contradict each other."""
    config = with_start(parse_config(PRMConfig, argv, description + PRESET_RULE, prog=PRMConfig.script), argv)
    check_settings(config)
    require(config, "tasks", "tools")
    if config.data and (config.tools or config.tasks):
        raise RunError("--tools and --tasks make steps, --data reads them from files: choose one")
    return config


@dataclass(frozen=True)
class StepData:
    """The episodes of a run as examples, whose targets are ``right`` and whose weights are ``trials``."""

    training: list[Example]
    held_out: list[Example]
    left_out: int  # bad records, and episodes whose first call does not fit or that have no trials

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that training sees, in its order."""
        return digest(t for e in self.training for t in (e.input_ids, e.targets, e.weights)).hex()

    @property
    def share_right(self) -> float:
        """Of all trials that are trained on."""
        right = sum(int(example.targets[example.weights > 0].sum()) for example in self.training)
        return right / sum(map(trials_of, self.training))

    def lines(self) -> list[str]:
        steps = [sum(int(e.weights.count_nonzero()) for e in part) for part in (self.training, self.held_out)]
        return [
            f"episodes            {len(self.training):,} to train on, {len(self.held_out):,} held out",
            f"steps               {steps[0]:,} and {steps[1]:,}, each call's end and beginning counted",
            f"ended right         {100 * self.share_right:.1f} % of the continuations of the steps to train on",
            f"left out            {self.left_out:,} episodes, bad, without trials or longer than --max_length with "
            "their first call",
        ]


def load_steps(config: PRMConfig, paths: Sequence[str], tokenizer: Tokenizer) -> StepData:
    """The episodes in files of steps as examples. Raises DataError for bad records, or if nothing is left."""
    parts, left_out = [], 0
    for files in (paths, config.eval_data):
        episodes, report = read_returns(files, config.on_bad_data)
        report.warn()
        examples = [encode_returns(episode, tokenizer, config.max_length) for episode in episodes]
        parts.append([example for example in examples if example is not None])
        left_out += len(report.bad) + examples.count(None)
    training, held_out = parts
    if not config.eval_data:
        order, n = epoch_order(len(training), config.seed, 0), round(config.held_out * len(training))
        held_out, training = ([training[i] for i in sorted(part)] for part in (order[:n], order[n:]))
    if not training:
        raise DataError(f"{', '.join(paths)}: no episode is left to train on")
    return StepData(training, held_out, left_out)


def encode_returns(returns: Returns, tokenizer: Tokenizer, max_length: int) -> Example | None:
    """The episode with the counts of its steps as targets and weights; None where its first call does not fit, or no
    step that fits has a trial."""
    example = encode_trajectory(returns.episode, tokenizer, EncodingOptions(pkt=False, max_length=max_length))
    if example is None:
        return None
    targets, weights = torch.full_like(example.targets, NO_TARGET), torch.zeros_like(example.weights)
    for t, turn in enumerate(example.turns):
        for position, step in ((turn.start - 1, t), (turn.end - 1, t + 1)):
            targets[position], weights[position] = returns.right[step], returns.trials[step]
    if not weights.any():
        return None
    return Example(example.id, example.input_ids, targets, weights, torch.zeros_like(targets), (), 0)


def trials_of(example: Example) -> int:
    return int(example.weights.sum())


def train_step(critic: Learner[Critic], examples: Sequence[Example], config: PRMConfig, world: World) -> Metrics:
    """One optimizer step on a global batch; returns its loss, in nats a trial, and gradient norm."""
    total, parts = sum(map(trials_of, examples)), []
    for micro in micro_batches(examples, config.micro_tokens, world.rank, world.size):
        micro = micro.to(world.device)
        logits = critic.model(micro.input_ids, micro.lengths, at=micro.positions)[0]  # [M]
        shares, trials = micro.targets / micro.weights, micro.weights
        loss = F.binary_cross_entropy_with_logits(logits, shares, trials, reduction="sum") / total
        (loss * world.size).backward()  # FSDP averages gradients over the ranks; the loss is a sum
        parts.append({"loss": loss.detach()})
    metrics = over_ranks(parts)
    return metrics | descend(critic, "value", metrics["loss"])


@torch.no_grad()
def score_steps(critic: Critic, examples: Sequence[Example], micro_tokens: int, world: World) -> list[Scored]:
    """The model's probability for each step of the examples. The ranks share them; all must call it."""
    with distributed.unsharded(critic, world) as plain, distributed.propagate_errors(world):
        mine = []
        for micro in micro_batches(examples[world.rank :: world.size], micro_tokens):
            micro = micro.to(world.device)
            scores = plain(micro.input_ids, micro.lengths, at=micro.positions)[0].sigmoid()
            columns = (column.tolist() for column in (scores, micro.targets, micro.weights.int()))
            mine += list(map(Scored, *columns))
    return [scored for part in distributed.gather_objects(mine, world) for scored in part]


def quality(steps: Sequence[Scored]) -> Metrics:
    """How good the model's probabilities are on these steps."""
    ranking = auc(steps)
    return {"auc": math.nan if ranking is None else ranking, "calibration_error": calibration_error(steps)}


def train(
    critic: Learner[Critic],
    tokenizer: Tokenizer,
    data: StepData,
    config: PRMConfig,
    world: World,
    saved: SavedState | None = None,
) -> tuple[Progress, bool, list[Scored]]:
    """Trains for ``epochs`` or ``max_steps``, starting from ``saved``, and saves the model. Returns the progress,
    whether a stop signal ended training (see ``main_loop``), and the steps that were evaluated last."""
    share = min(max(data.share_right, 0.01), 0.99)
    start_values(critic, math.log(share / (1 - share)))  # each V is the share of the trials that ended right
    progress = restore(saved, critic.model, critic.optimizer)
    samples, steps = plan(config, len(data.training), progress)
    scored: list[Scored] = []

    def evaluate(examples: Sequence[Example]) -> Metrics:
        scored.clear()
        scored.extend(score_steps(critic.model, examples, config.micro_tokens, world))
        return quality(scored)

    def step(indices: list[int]) -> tuple[Metrics, Trouble | None]:
        examples, started = [data.training[i] for i in indices], time.perf_counter()
        metrics = train_step(critic, examples, config, world)
        log = progress.advance(len(examples), sum(map(len, examples)), time.perf_counter() - started) | metrics
        return log, Trouble("skipped, not finite", "lower --learning_rate") if metrics["value_skipped"] else None

    stopped = main_loop(
        config,
        progress,
        batches(len(data.training), config.batch_size, config.seed, progress.samples, samples),
        steps,
        world,
        step=step,
        save=lambda: save_progress(config, progress, critic.model, critic.optimizer, data.fingerprint, world),
        save_model=lambda: save_trained(config, critic.model, tokenizer, world),
        evaluation=Evaluation(data.held_out, evaluate),
    )
    return progress, stopped, scored


def check_prm(prm: Path, tokenizer: Tokenizer) -> None:
    """Raises CheckpointError where a checkpoint is no process reward model, RunError where it reads other tokens than
    the policy whose calls it is to judge."""
    fitting_tensors(prm, Critic)
    own = Tokenizer(prm)
    if own.path.read_bytes() != tokenizer.path.read_bytes() or template_of(own).name != template_of(tokenizer).name:
        raise RunError(f"--prm {prm} reads other tokens, or another prompt format, than the model: train one from it")
