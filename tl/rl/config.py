"""Settings of a PPO run, and checks of their values.

The defaults are the paper's. A model shaped like the embedded one has different defaults (``embedded=``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from tl.config import option, parse_config, preset, require
from tl.llama.config import ModelConfig
from tl.rollout.options import ToolOptions
from tl.schema import SPOKEN
from tl.training.config import (
    EVAL_EVERY,
    MAX_SEED,
    PRESET_RULE,
    RunError,
    SFTConfig,
    TrainingConfig,
    check_settings,
    parse_for_model,
)
from tl.training.run import newest_run

C = TypeVar("C", bound=TrainingConfig)


@dataclass
class PPOConfig(ToolOptions, TrainingConfig):
    """Settings of train_ppo.py."""

    script: ClassVar[str] = "train_ppo.py"
    out: str = option(
        "runs/ppo", "output folder for the model, metrics.jsonl, rollouts as text and states to resume from"
    )
    model: str = option(
        "", "checkpoint folder of an SFT model in Hugging Face layout (default: the newest run of train_sft.py)"
    )
    data: list[str] = option(
        [],
        "prompt files, in which each record ends with its golden call, optionally with shares (a.jsonl:0.4 b.json:0.6) "
        "(default: generated prompts)",
    )
    rollout: Literal["step", "episode"] = option(
        "step", "step: sample one call per prompt; episode: solve whole tasks with the tools"
    )
    intercode: str | None = option(
        None, "with --rollout episode: folder with the InterCode-bash tasks to solve; see docs/bash.md"
    )
    compare_text: bool = option(False, "require the text of finish and ask_to_user to equal the golden text exactly")
    reward: Literal["step", "outcome", "prm"] = option(
        "step",
        "reward with --rollout episode; step: rules score each call, and a correct final answer earns 1; outcome: only "
        "the final answer counts; prm: as outcome, but spread over the calls by the change of --prm's value",
    )
    prm: str | None = option(None, "output folder of python -m tl prm, for --reward prm")
    advantage: Literal["gae", "turn", "group", "rloo"] = option(
        "gae",
        "advantage estimator; gae: per token, with a critic; turn: per call, GAE over calls; group: reward minus the "
        "prompt's mean reward, as in GRPO; rloo: reward minus the mean of the prompt's other samples. group and rloo "
        "need no critic and at least two --samples_per_prompt",
    )
    standardise: bool = option(True, "with --advantage group: divide by the group's standard deviation, as GRPO does")
    filter_prompts: bool = option(
        False,
        "with --advantage group or rloo: replace prompts whose samples all earn the same reward, as in DAPO",
    )
    critic: bool = option(True, "learn a value function for gae and turn; without it, all values are 0")
    kl_coef: float = option(0.4, "β, the weight of KL(policy ‖ SFT model) in the reward", at_least=0)
    gamma: float = option(1.0, "γ, the discount per token, or per call with --advantage turn", at_least=0, at_most=1)
    lam: float = option(0.95, "λ of generalised advantage estimation", at_least=0, at_most=1)
    clip: float = option(0.2, "clip the probability ratio π / π_old to 1 ± this", positive=True)
    value_clip: float = option(0.2, "clip the change of a value in one step to ± this", positive=True)
    actor_lr: float = option(2e-6, "learning rate of the policy", embedded=1e-4, lora=1e-4, at_least=0)
    critic_lr: float = option(1e-6, "learning rate of the critic", embedded=5e-4, lora=1e-4, at_least=0)
    epochs: float = option(3.0, "number of passes over the prompts", embedded=1.0, positive=True)
    eval_every: int = option(100, EVAL_EVERY, embedded=0, at_least=0)
    samples_per_prompt: int = option(1, "number of rollouts sampled for each prompt", embedded=2, at_least=1)
    batch_size: int = option(8, "rollouts per step, over all ranks", embedded=64, at_least=1)
    minibatch_size: int = option(8, "rollouts per optimizer update, over all ranks", embedded=32, at_least=1)
    ppo_epochs: int = option(1, "number of passes over the rollouts of a step", embedded=2, at_least=1)
    target_kl: float = option(
        0.1,
        "stop updating the policy until the next step once its approximate KL to the sampling policy exceeds this; the "
        "update that measures it is discarded. A large value, such as 1e9, never stops",
        positive=True,
    )
    max_new_tokens: int = option(
        512, "token limit per call; a longer call counts as a format error", embedded=96, at_least=1
    )
    max_length: int = option(8192, "maximum tokens in a prompt", embedded=1024, at_least=1)
    show_every: int = option(20, "write rollouts as text every N steps; 0: never", embedded=5, at_least=0)
    seed: int = option(
        0, "seed of the prompt order, of sampling and of the generated data", at_least=0, at_most=MAX_SEED
    )

    @property
    def free_text(self) -> tuple[str, ...]:
        """Tools whose arguments are not compared with the golden call's: an exact match of free text is nearly
        impossible."""
        return () if self.compare_text else SPOKEN

    @property
    def learns_values(self) -> bool:
        """Whether there is a critic."""
        return self.critic and self.advantage in ("gae", "turn")

    def models(self) -> list[str]:
        return [*super().models(), *([self.prm] if self.prm else [])]

    @classmethod
    def free(cls) -> set[str]:
        return super().free() | {"require_isolation", "show_every"}


def resolve_config(argv: Sequence[str] | None = None, description: str = "") -> PPOConfig:
    """Settings from train_ppo.py's command line, including the model to start from. Raises UserError if they
    contradict each other."""
    config = with_start(parse_config(PPOConfig, argv, description + PRESET_RULE), argv)
    check(config)
    return config


def with_start(asked: C, argv: Sequence[str] | None) -> C:
    """The settings with the defaults for the initial model, which is the one asked for or else the newest run of
    train_sft.py. Raises RunError if there is none."""
    source = Path(asked.model) if asked.model else newest_run(Path("runs"), SFTConfig.script)
    if source is None:
        raise RunError("runs/ contains no finished run of train_sft.py: run that first, or name a model with --model")
    return replace(parse_for_model(type(asked), argv, source), model=str(source))


def check(config: PPOConfig) -> None:
    """Raises UserError for settings that contradict each other."""
    check_settings(config, config.prm)
    if config.minibatch_size > config.batch_size:
        raise RunError(
            f"--minibatch_size is {config.minibatch_size}, but must be at most --batch_size, {config.batch_size}: an "
            "update uses rollouts of one step"
        )
    if config.batch_size % config.samples_per_prompt:
        raise RunError(
            f"--batch_size is {config.batch_size}, but must be a multiple of --samples_per_prompt, "
            f"{config.samples_per_prompt}: all rollouts of a prompt belong to one step"
        )
    if config.advantage in ("group", "rloo") and config.samples_per_prompt == 1:
        raise RunError(
            f"--advantage {config.advantage} compares the samples of a prompt: set --samples_per_prompt to 2 or more"
        )
    if config.advantage in ("gae", "turn") and not config.critic and config.lam != 1:
        raise RunError(
            "--no-critic needs --lam 1: where all values are 0, a smaller λ makes advantages depend on place"
        )
    if config.filter_prompts and config.advantage not in ("group", "rloo"):
        raise RunError("--filter_prompts needs --advantage group or rloo, which compare the samples of a prompt")
    if config.rollout == "episode" and config.data:
        raise RunError("--rollout episode needs tasks whose tools can run: use --tasks instead of --data")
    if config.rollout == "step" and config.reward != "step":
        raise RunError(f"--reward {config.reward} needs --rollout episode: a single call has no other outcome")
    if (config.reward == "prm") != bool(config.prm):
        raise RunError("--reward prm and --prm must be given together")
    if config.prm and config.gamma != 1:
        raise RunError("--reward prm needs --gamma 1: with discounting, what it adds changes the best policy")
    if config.prm and config.advantage in ("group", "rloo"):
        raise RunError(
            f"--reward prm spreads an episode's reward over its calls, but --advantage {config.advantage} sees only "
            "its sum, as with --reward outcome: use gae or turn"
        )
    if config.intercode and (config.rollout == "step" or config.tools or config.mcp or config.tasks):
        raise RunError("--intercode needs --rollout episode, and cannot be combined with --tools, --mcp or --tasks")
    if config.rollout == "step" and (config.tools or config.mcp or config.tasks or config.allow_network):
        raise RunError("--tools, --mcp, --tasks and --allow_network need --rollout episode, in which tools run")
    require(config, "tasks", "tools", "mcp")


def without_effect(config: PPOConfig) -> list[str]:
    """A line for each setting that was changed and has no effect beside the others."""
    by_actions, episodes = config.advantage in ("gae", "turn"), config.rollout == "episode"
    read = not episodes or bool(config.eval_data)
    needs = {
        "standardise": (config.advantage == "group", "--advantage group"),
        "gamma": (by_actions, "--advantage gae or turn"),
        "lam": (by_actions, "--advantage gae or turn"),
        "critic": (by_actions, "--advantage gae or turn"),
        "critic_lr": (config.learns_values, "a critic"),
        "value_clip": (config.learns_values, "a critic"),
        "require_isolation": (episodes, "--rollout episode"),
        "on_bad_data": (read, "--data or --eval_data"),
        "data_format": (read, "--data or --eval_data"),
    }
    usual = [PPOConfig(), PPOConfig(**preset(PPOConfig)), PPOConfig(**preset(PPOConfig, "lora"))]
    unused = [name for name, (used, _) in needs.items() if not used]
    changed = [n for n in unused if all(getattr(config, n) != getattr(one, n) for one in usual)]
    return [f"{name:<20}needs {needs[name][1]}" for name in changed]


def check_lengths(config: PPOConfig, model: ModelConfig) -> None:
    """Raises RunError if the longest prompt would leave a call too little room: a call cut off by the context length
    would be scored as a format error."""
    needed, room = config.max_length + config.max_new_tokens, model.context_length
    if needed > room:
        raise RunError(
            f"--max_length {config.max_length} plus --max_new_tokens {config.max_new_tokens} is {needed} tokens, but "
            f"the model's context is {room}: lower one of them"
        )
