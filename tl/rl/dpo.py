"""DPO (arXiv 2305.18290): the policy learns from pairs of answers, without rollouts and without a reward model.

    loss = −log σ(β [(log π − log π_ref)(chosen) − (log π − log π_ref)(rejected)])                    (equation 7)

The reference is the model that training starts from. Its log-probabilities of the answers are computed once, before
the first step, so that there is never a second model in memory.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from tqdm import tqdm

from tl.config import option, parse_config
from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer
from tl.losses import dpo_loss, dpo_rewards, kl
from tl.metrics import Question
from tl.rl.config import with_start
from tl.rl.preferences import PairData, TokenPair, answer_logp, micro_batches
from tl.rl.update import Learner, descend, over_ranks
from tl.training import distributed
from tl.training.batching import batches, target_nll
from tl.training.checkpoint import SavedState
from tl.training.config import (
    MAX_SEED,
    PRESET_RULE,
    RunError,
    TrainingConfig,
    check_settings,
)
from tl.training.distributed import World
from tl.training.held_out import percentages, predict_in_parts, score
from tl.training.loop import Evaluation, Metrics, Trouble, main_loop, plan
from tl.training.run import Progress, restore, save_progress, save_trained


@dataclass
class DPOConfig(TrainingConfig):
    """The settings of `python -m tl dpo`."""

    script: ClassVar[str] = "python -m tl dpo"
    out: str = option(
        "runs/dpo", "output folder for the model, metrics.jsonl, run_config.json and states to resume from"
    )
    model: str = option("", "checkpoint folder in Hugging Face layout (default: the newest run of train_sft.py)")
    data: list[str] = option([], "preference files, whose records have prompt, chosen, rejected and tools (required)")
    eval_data: list[str] = option([], "held-out trajectory files to evaluate on (default: no evaluation)")
    beta: float = option(
        0.1, "β, the strength of the KL penalty; larger values stay closer to the initial model", positive=True
    )
    label_smoothing: float = option(0.0, "assumed fraction of pairs whose labels are swapped", at_least=0, at_most=0.5)
    learning_rate: float = option(1e-6, "learning rate, constant over the run", embedded=2e-5, lora=1e-5, at_least=0)
    epochs: float = option(1.0, "number of passes over the pairs", positive=True)
    batch_size: int = option(32, "pairs per optimizer step, over all ranks and micro-batches", embedded=16, at_least=1)
    max_length: int = option(
        8192, "maximum tokens in a history with an answer; longer pairs are dropped", embedded=1536, at_least=2
    )
    max_feedback_tokens: int = option(
        2048, "maximum tokens in one tool feedback; longer feedback is cut in the middle", at_least=2
    )
    seed: int = option(0, "seed of the order of the pairs", at_least=0, at_most=MAX_SEED)


def resolve_config(argv: Sequence[str], description: str) -> DPOConfig:
    """Settings from the command line. Raises RunError if they contradict each other."""
    asked = parse_config(DPOConfig, argv, description + PRESET_RULE, prog=DPOConfig.script)
    if not asked.data:
        raise RunError("name the preference files with --data; `python -m tl rejection --pairs` makes one")
    config = with_start(asked, argv)
    check_settings(config)
    if config.data_format not in ("auto", "trl"):
        raise RunError(f"--data_format {config.data_format} has no pairs; preference files are of the format trl")
    return config


@torch.no_grad()
def reference_logp(model: Llama, pairs: Sequence[TokenPair], micro_tokens: int, world: World) -> list[Tensor]:
    """log π_ref of each pair's targets, float64, the chosen answer's first: of the model as it is before training. All
    ranks must call it, and each has all of them."""
    sizes = [sum(pair.targets) for pair in pairs]
    everything = torch.zeros(sum(sizes), dtype=torch.float64)
    parts = everything.split(sizes)
    mine = -(-len(pairs) // world.size)  # about as many
    with tqdm(total=mine, desc="reference", unit="pair", leave=False, disable=None if world.is_main else True) as bar:
        for indices, micro, _ in micro_batches(pairs, micro_tokens, world):
            logp = -target_nll(model, micro).double().cpu()
            for i, of_pair in zip(indices, logp.split([sizes[i] for i in indices]), strict=True):
                parts[i].copy_(of_pair)
            bar.update(len(indices))
    distributed.reshard(model)
    distributed.all_reduce(everything)
    return list(parts)


def train_step(
    policy: Learner[Llama], pairs: Sequence[TokenPair], reference: Sequence[Tensor], config: DPOConfig, world: World
) -> Metrics:
    """One optimizer step on a global batch of pairs, ``reference`` [M] of each beside it; returns its metrics, means
    over the pairs, of the policy before the step.

    ``kl``: nats an answer, KL(π_ref ‖ π) by the estimate k3 at the answers' tokens. It is one where these were drawn
    from the reference, and for any others a measure of how far the policy has moved there.
    """
    n, parts = len(pairs), []
    for indices, micro, answer in micro_batches(pairs, config.micro_tokens, world):
        logp = -target_nll(policy.model, micro)  # [M]
        ref = torch.cat([reference[i] for i in indices] or [torch.zeros(0)]).to(logp)
        answers = (*answer_logp(logp, answer, len(indices)), *answer_logp(ref, answer, len(indices)))
        loss = dpo_loss(*answers, config.beta, config.label_smoothing, n)
        (loss * world.size).backward()  # FSDP averages gradients over the ranks; the loss is a sum
        chosen, rejected = (reward.detach() for reward in dpo_rewards(*answers, config.beta))
        parts.append(
            {
                "loss": loss.detach(),
                "margin": (chosen - rejected).sum() / n,
                "accuracy": (chosen > rejected).double().sum() / n,
                "chosen_reward": chosen.sum() / n,
                "rejected_reward": rejected.sum() / n,
                "kl": kl(ref, logp.detach(), "k3").sum() / (2 * n),
            }
        )
    metrics = over_ranks(parts)
    return metrics | descend(policy, "policy", metrics["loss"])


def train(
    policy: Learner[Llama],
    tokenizer: Tokenizer,
    data: PairData,
    reference: Sequence[Tensor],
    held_out: Sequence[Question],
    config: DPOConfig,
    world: World,
    saved: SavedState | None = None,
) -> tuple[Progress, bool]:
    """Trains for ``epochs`` or ``max_steps``, starting from ``saved``, and saves the model. Returns the progress and
    whether a stop signal ended training (see ``main_loop``)."""
    progress = restore(saved, policy.model, policy.optimizer)
    samples, steps = plan(config, len(data.pairs), progress)

    def step(indices: list[int]) -> tuple[Metrics, Trouble | None]:
        pairs, started = [data.pairs[i] for i in indices], time.perf_counter()
        metrics = train_step(policy, pairs, [reference[i] for i in indices], config, world)
        log = progress.advance(len(pairs), sum(map(len, pairs)), time.perf_counter() - started) | metrics
        return log, trouble(metrics)

    return progress, main_loop(
        config,
        progress,
        batches(len(data.pairs), config.batch_size, config.seed, progress.samples, samples),
        steps,
        world,
        step=step,
        save=lambda: save_progress(config, progress, policy.model, policy.optimizer, data.fingerprint, world),
        save_model=lambda: save_trained(config, policy.model, tokenizer, world),
        evaluation=Evaluation(held_out, lambda asked: evaluate(policy.model, tokenizer, asked, world), at_start=True),
    )


def evaluate(model: Llama, tokenizer: Tokenizer, held_out: Sequence[Question], world: World) -> Metrics:
    """TS, PI and CF (percent) of the model's greedy calls for held-out requests. The ranks share the requests."""
    return percentages(score(held_out, predict_in_parts(model, tokenizer, held_out, world)))


def trouble(metrics: Metrics) -> Trouble | None:
    """Describes a step whose loss or gradient was not finite."""
    if not metrics["policy_skipped"]:
        return None
    numbers = f"loss {metrics['loss']}, gradient norm {metrics['policy_grad_norm']}"
    return Trouble(f"skipped, {numbers}", "lower --learning_rate")
