"""PPO with the tool reward (section 3.3): the SFT model makes calls, IRM scores them, and PPO learns from the scores.

    python train_ppo.py                               newest model of train_sft.py, generated prompts
    python train_ppo.py --model runs/sft --data prompts.jsonl
    python train_ppo.py --rollout episode --tools my_tools.py --tasks my_tasks.jsonl      whole tasks, see docs/tools.md
    torchrun --nproc_per_node 8 train_ppo.py --model …

As in the paper, a prompt is a history and the model generates the next call, which is compared with the golden one. Two
departures (docs/equations.md lists all): calls are sampled at temperature 1, while the released script decodes
greedily, and text addressed to the user is not compared.
"""

import math
import statistics
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from tl.evaluation.suites.intercode.episodes import shell_tasks
from tl.executor import Executor
from tl.irm import call_reward
from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.sampling import MAX_ROWS, cache_size
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import read_config
from tl.metrics import Question
from tl.ppo import (
    MIN_STD,
    explained_variance,
    gae,
    group_advantages,
    progress_rewards,
    rloo_advantages,
    token_rewards,
    turn_gae,
    whiten,
)
from tl.rl.batch import PPOBatch, minibatches
from tl.rl.calls import Experience, sample_calls
from tl.rl.config import PPOConfig, check_lengths, resolve_config, without_effect
from tl.rl.data import PPOData, read_prompts, task_data
from tl.rl.episodes import sample_episodes
from tl.rl.filtering import REDRAWS, draw_with_signal
from tl.rl.log import log_rollouts, rollout_metrics
from tl.rl.prm import check_prm
from tl.rl.update import Models, start_values, update_policy, update_values
from tl.rollout.tasks import Task, read_tasks
from tl.synthesis import LIBRARY
from tl.synthesis.tasks import make_tasks
from tl.templates import template_line
from tl.training import distributed
from tl.training.batching import batches, epoch_order
from tl.training.checkpoint import SavedState
from tl.training.config import RunError
from tl.training.distributed import World
from tl.training.held_out import cached_tokens, held_out_line, load_held_out, percentages, predict_in_parts, score
from tl.training.lock import folder_lock
from tl.training.loop import STOPPED, Evaluation, Metrics, Trouble, is_due, main_loop, plan, resume_command, run_script
from tl.training.memory import TrainingMemory, parameters_text, ppo_memory
from tl.training.run import (
    Progress,
    check_folder,
    close_run,
    open_run,
    read_checkpoint,
    restore,
    save_progress,
    save_trained,
    settings_lines,
    show,
)

Prompt = Question | Task  # of a single call, or of a whole episode
ROLLOUTS_LOGGED = 4  # rollouts of a step that are written out as text


def ppo_step(
    models: Models,
    tokenizer: Tokenizer,
    executor: Executor | None,
    prompts: Sequence[Prompt],
    progress: Progress,
    config: PPOConfig,
    world: World,
    spare: Sequence[Prompt] = (),
) -> dict[str, float]:
    """One step of PPO: rollouts for the prompts, then updates; returns its log entry. Rollouts that could not be
    scored are left out and counted, and with ``filter_prompts`` so are prompts whose samples all earn the same;
    ``spare`` replaces those."""
    started = time.perf_counter()
    sampled, chosen = draw_rollouts(models.actor.model, tokenizer, executor, prompts, spare, progress, config, world)
    rollout_seconds = time.perf_counter() - started
    metrics = rollout_metrics(sampled) | {"failed_rollouts": sampled.count(None)}
    if config.filter_prompts:
        metrics["filtered_prompts"] = math.ceil((len(sampled) - len(chosen)) / config.samples_per_prompt)
        if world.is_main and "reward" in metrics and not chosen:
            warnings.warn(f"step {progress.step + 1}: the samples of each prompt earned the same", stacklevel=2)

    experiences = [experience for experience in chosen if experience is not None]
    batch = PPOBatch.of(experiences, config.micro_tokens, world)
    if experiences:
        if models.prm:
            values = batch.values(models.prm).sigmoid()
            call_rewards = progress_rewards(batch.call_rewards, values, batch.call_index, batch.mask)
            batch = replace(batch, call_rewards=call_rewards)
        if models.critic and not progress.critic_started:
            start_values(models.critic, mean_return(batch, config))
            progress.critic_started = True
        metrics |= train_step(models, batch, config.seed * 2**20 + progress.step, config)

    seconds = time.perf_counter() - started
    metrics = progress.advance(len(prompts), sum(map(len, batch.examples)), seconds) | metrics
    if world.is_main and is_due(config.show_every, progress.step):
        log_rollouts(Path(config.out), progress.step, experiences[:ROLLOUTS_LOGGED], tokenizer)
    generation_seconds = metrics.get("generation_seconds", 0.0) / world.size  # average over the ranks
    shares = {"rollout_share": rollout_seconds / seconds, "generation_share": generation_seconds / seconds}
    return metrics | {"seconds": seconds} | shares


def train_step(models: Models, batch: PPOBatch, seed: int, config: PPOConfig) -> Metrics:
    """Updates the models with the rollouts of a step; returns its metrics. ``seed`` determines their order."""
    actor, critic, mask = models.actor, models.critic, batch.mask  # [B, A]

    # log π and log π_ref of every action, and V where it was chosen, before the updates of this step. [B, A]
    logp = batch.logp(actor.model)
    ref_logp = batch.logp(models.reference)
    values = batch.values(critic.model) if critic else torch.zeros_like(logp)

    # r = −β (log π − log π_ref), plus R where a call ends (section 3.3).
    rewards = token_rewards(batch.call_rewards, logp, ref_logp, mask, config.kl_coef)

    advantages, returns = estimate_advantages(rewards, values, batch, config)

    # Epochs of minibatches on min(ρA, clip(ρ, 1 ± ε)A) with ρ = π / π_old (PPO: arXiv 1707.06347, equation 7), and on
    # the critic's ½ (V − return)², clipped as well.
    # The first update that finds the policy further than target_kl from the sampling policy is discarded, and the
    # policy is not updated again in this step.
    updates, within_target_kl = [], True
    for rows in minibatches(batch.prefix_groups(), config.minibatch_size, config.ppo_epochs, seed):
        update = {"policy_steps": 0.0}
        if within_target_kl:
            update |= update_policy(actor, batch, rows, logp, advantages, config.clip, config.target_kl)
            within_target_kl = update["approx_kl"] <= config.target_kl
        if critic:
            update |= update_values(critic, batch, rows, values, returns, config.value_clip)
        updates.append(update)

    # Means over the updates; after one beyond target_kl, there are none of the policy but "policy_steps", which is 0.
    metrics = {name: statistics.fmean(u[name] for u in updates if name in u) for name in updates[0]}
    metrics["kl"] = torch.where(mask, logp - ref_logp, 0.0).sum().item() / len(batch)  # nats a rollout
    metrics["sampler_mismatch"] = (logp - batch.sampler_logp)[mask].abs().mean().item()
    if critic:
        metrics["explained_variance"] = explained_variance(values, returns, mask)
    return metrics


def estimate_advantages(rewards: Tensor, values: Tensor, batch: PPOBatch, config: PPOConfig) -> tuple[Tensor, Tensor]:
    """(advantages for the policy's loss, returns for the critic), all [B, A] like the arguments."""
    mask = batch.mask
    if config.advantage == "gae":
        # A_i = Σ_k (γλ)^k δ_{i+k} with δ_i = r_i + γ V_{i+1} − V_i (GAE: arXiv 1506.02438, equation 16).
        advantages, returns = gae(rewards, values, mask, config.gamma, config.lam)
        return whiten(advantages, mask), returns
    if config.advantage == "turn":
        advantages, returns = turn_gae(rewards, values, batch.call_index, mask, config.gamma, config.lam)
        return whiten(advantages, mask), returns
    totals = rewards.sum(dim=1)  # [B]
    if config.advantage == "rloo":
        of_rollouts = rloo_advantages(totals, batch.groups)
    else:  # MIN_STD instead of GRPO's 1e-4: if all samples earn the same R, their KL still differs a little
        of_rollouts = group_advantages(totals, batch.groups, config.standardise, eps=MIN_STD)
    return torch.where(mask, of_rollouts[:, None], 0.0), torch.zeros_like(rewards)


def mean_return(batch: PPOBatch, config: PPOConfig) -> float:
    """The mean over all actions of what the rollouts earn from there on, without KL."""
    zeros = torch.zeros_like(batch.call_rewards)
    _, returns = estimate_advantages(batch.call_rewards, zeros, batch, replace(config, lam=1.0))
    return returns[batch.mask].double().mean().item()


def draw_rollouts(
    actor: Llama,
    tokenizer: Tokenizer,
    executor: Executor | None,
    prompts: Sequence[Prompt],
    spare: Sequence[Prompt],
    progress: Progress,
    config: PPOConfig,
    world: World,
) -> tuple[list[Experience | None], list[Experience | None]]:
    """Samples the rollouts of a step: (all of them, those to learn from). The two differ only with
    ``filter_prompts``."""

    def draw(prompts: Sequence[Prompt], number: int) -> list[Experience | None]:
        first = progress.samples
        if number:  # prompts of `spare`: their seeds come from another range
            first = 2**39 + (progress.step * REDRAWS + number) * config.batch_size
        return sample_rollouts(actor, tokenizer, executor, prompts, first, config, world)

    try:
        if config.filter_prompts:
            return draw_with_signal(draw, prompts, spare, config.samples_per_prompt)
        sampled = draw(prompts, 0)
        return sampled, sampled
    except FloatingPointError as error:  # no token can be sampled from the policy
        advice = f"Training has not started yet: the weights in {config.model} are not finite, or too large"
        if progress.step:
            lower = "Resume from the newest state with a lower --actor_lr and --allow_changes"
            advice = f"{lower}, or start again if that fails too"
        raise RunError(f"step {progress.step + 1}: {error}. {advice}") from error


@contextmanager
def start_executor(config: PPOConfig, world: World) -> Iterator[Executor | None]:
    """Provides an executor on each rank if rollouts are whole tasks. All ranks must enter it; if one executor does not
    start, every rank raises."""
    if config.rollout == "step":
        yield None
        return
    with ExitStack() as stack:
        with distributed.propagate_errors(world):
            executor = stack.enter_context(config.start_executor(LIBRARY))
        yield executor


def sample_rollouts(
    actor: Llama,
    tokenizer: Tokenizer,
    executor: Executor | None,
    prompts: Sequence[Prompt],
    first: int,
    config: PPOConfig,
    world: World,
) -> list[Experience | None]:
    """Samples rollouts for a global batch of prompts, in their order; the first is number ``first`` of the run.

    Each has its own seed, so it does not depend on the number of ranks or on resuming. Adjacent prompts, which may
    share a prefix, go to the same rank.
    """
    begin, end = (len(prompts) * rank // world.size for rank in (world.rank, world.rank + 1))
    # A run has 2**40 seeds of its own; MAX_SEED such ranges fit into 64 bits.
    mine, seeds = prompts[begin:end], [config.seed * 2**40 + first + i for i in range(begin, end)]
    made: Sequence[Experience | None] = []
    with distributed.unsharded(actor, world) as plain, distributed.propagate_errors(world):
        if mine and executor:
            made = sample_episodes(plain, tokenizer, cast("Sequence[Task]", mine), executor, config, seeds)
        elif mine:
            made = sample_calls(plain, tokenizer, cast("Sequence[Question]", mine), config, seeds)
    return [experience for part in distributed.gather_objects(made, world) for experience in part]


def evaluate(
    model: Llama, tokenizer: Tokenizer, held_out: Sequence[Question], config: PPOConfig, world: World
) -> Metrics:
    """Mean reward, and TS, PI and CF in percent, of greedy calls on held-out requests. Calls have the same token limit
    as in rollouts. The ranks share the requests."""
    calls = predict_in_parts(model, tokenizer, held_out, world, config.max_new_tokens)
    rewards = [call_reward(c, q.golden, q.tools, config.free_text).value for c, q in zip(calls, held_out, strict=True)]
    return {"eval_reward": statistics.fmean(rewards)} | percentages(score(held_out, calls))


def train(
    models: Models,
    tokenizer: Tokenizer,
    executor: Executor | None,
    data: PPOData,
    held_out: Sequence[Question],
    config: PPOConfig,
    world: World,
    saved: SavedState | None = None,
) -> tuple[Progress, bool]:
    """Trains for ``epochs`` or ``max_steps``, starting from ``saved``, and saves the policy. Returns the progress and
    whether a stop signal ended training (see ``main_loop``). A run that died between rollouts and updates samples the
    same rollouts again."""
    progress = restore(saved, *models.trained())
    if saved:  # the position in the data counts rollouts: go on with the same prompt, however many each has had so far
        progress.samples = progress.samples // saved.record["config"]["samples_per_prompt"] * config.samples_per_prompt
    groups = data.prefix_groups(config.samples_per_prompt)  # each prompt that many times, next to each other
    n = sum(map(len, groups))
    samples, steps = plan(config, n, progress, config.samples_per_prompt)

    def step(indices: list[int]) -> tuple[Metrics, Trouble | None]:
        prompts = [data.prompts[i] for i in indices]
        spare: Sequence[Prompt] = ()
        if config.filter_prompts:
            order = epoch_order(len(data.prompts), -1 - config.seed, progress.step)
            spare = [data.prompts[i] for i in order if i not in indices]
        metrics = ppo_step(models, tokenizer, executor, prompts, progress, config, world, spare)
        return metrics, trouble(metrics)

    return progress, main_loop(
        config,
        progress,
        batches(n, config.batch_size, config.seed, progress.samples, samples, groups),
        steps,
        world,
        step=step,
        save=lambda: save_progress(config, progress, *models.trained(), data.fingerprint, world),
        save_model=lambda: save_trained(config, models.actor.model, tokenizer, world),
        evaluation=Evaluation(
            held_out, lambda requests: evaluate(models.actor.model, tokenizer, requests, config, world), at_start=True
        ),
    )


def trouble(metrics: Metrics) -> Trouble | None:
    """Describes a step whose rollouts all failed, or whose updates were skipped because a loss or gradient was not
    finite; None otherwise."""
    if "reward" not in metrics:
        advice = f"fix the executor, then continue with\n  {resume_command()}"
        return Trouble("every rollout failed", advice, resumable=True)
    if metrics.get("policy_skipped") or metrics.get("value_skipped"):
        return Trouble("updates skipped because loss or gradient was not finite", "lower --actor_lr and --critic_lr")
    return None


def prepare_data(config: PPOConfig, source: Path, executor: Executor | None = None) -> tuple[PPOData, list[Question]]:
    """Reads, checks and tokenises the prompts (or the tasks for the executor's tools) and the held-out requests."""
    model, tokenizer = read_checkpoint(source, config.template, config.dry_run)
    check_lengths(config, model)
    if config.prm:
        check_prm(Path(config.prm), tokenizer)
    if executor is None:
        limits, reading = (config.max_length, config.max_new_tokens), (config.on_bad_data, config.data_format)
        data = read_prompts(config.data, tokenizer, *limits, *reading, config.seed, config.free_text)
    else:
        data = task_data(read_or_make_tasks(config, executor), tokenizer, config.max_length)
    if (config.tasks or config.intercode) and not config.eval_data:  # the generated requests are about other tools
        return data, []
    return data, load_held_out(config, tokenizer, config.max_length + config.max_new_tokens)


def read_or_make_tasks(config: PPOConfig, executor: Executor) -> Sequence[Task]:
    """The user's tasks, InterCode's, or those of the tool library."""
    if config.intercode:
        return shell_tasks(Path(config.intercode))
    return read_tasks(config.tasks, executor) if config.tasks else make_tasks(config.seed)


def steps_lines(config: PPOConfig, data: PPOData) -> list[str]:
    """The number of steps of a run from the start, and the rollouts of each."""
    samples = config.samples_per_prompt
    _, steps = plan(config, len(data.prompts) * samples, Progress(), samples)
    each = f"{config.batch_size} rollouts, {samples} of each prompt"
    return [f"steps               {steps:,} of {each}"]


def estimate_memory(
    config: PPOConfig, data: PPOData, held_out: Sequence[Question], model: ModelConfig, world: World
) -> TrainingMemory:
    """Memory of the largest update and the largest rollout or evaluation on each rank."""
    lengths: Sequence[int] = [len(prompt.prompt_ids) + config.max_new_tokens for prompt in data.prompts]
    grows = config.rollout == "episode"  # turn by turn, up to the whole context
    if grows:
        lengths = range(1, model.context_length + 1)
    longest = max(lengths)
    tokens = min(max(config.micro_tokens, longest), config.minibatch_size * longest)
    sampled = cache_size(min(math.ceil(config.batch_size / world.size), MAX_ROWS), lengths, grows)
    cached = max(sampled, cached_tokens(held_out, config.max_new_tokens, world.size))
    sharding = world.size, world.compute_dtype.itemsize
    return ppo_memory(
        model, tokens, cached, *sharding, config.checkpointing, config.learns_values, config.lora, prm=bool(config.prm)
    )


def run(config: PPOConfig, world: World) -> int:
    """Trains and saves the model. Returns the process's exit status."""
    source = Path(config.model)
    check_folder(config, world)
    show({"configuration": settings_lines(config)}, world)
    if unused := without_effect(config):
        show({"settings without effect": unused}, world)
    with start_executor(config, world) as executor:  # before anything is overwritten: it may not start
        data, held_out = distributed.on_main(lambda: prepare_data(config, source, executor), world)
        model = read_config(source)
        memory = estimate_memory(config, data, held_out, model, world)
        title = f"memory of each rank, {parameters_text(model, config.lora)}, {world.text()}"
        tokenizer = Tokenizer(source, config.template)
        if executor:
            show({"tools": config.tool_lines(executor)}, world)
        sections = {"tokens": [template_line(tokenizer)], "data": [*data.lines(), held_out_line(held_out)]}
        show(sections | {"steps": steps_lines(config, data), title: memory.lines()}, world)
        if config.dry_run:
            return 0
        saved = open_run(config, data.fingerprint, world)
        models = Models.load(source, config, world)
        progress, stopped = train(models, tokenizer, executor, data, held_out, config, world, saved)
        if stopped:
            return STOPPED
        close_run(config, [progress.line("rollouts")], world)
        return 0


def main(argv: list[str] | None = None) -> int:
    config = resolve_config(argv, __doc__)
    with distributed.process_group() as world, folder_lock(config, world):
        return run(config, world)


if __name__ == "__main__":
    run_script(main)
