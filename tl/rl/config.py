"""The settings of a PPO run, and the checks of their values.

The defaults are the paper's. A model of the embedded one's shape has defaults of its own (``embedded=``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from tl.config import option, parse_config
from tl.llama.config import ModelConfig
from tl.rollout.options import ToolOptions
from tl.schema import ASK_TO_USER, FINISH
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


@dataclass
class PPOConfig(ToolOptions, TrainingConfig):
    """The settings of train_ppo.py."""

    script: ClassVar[str] = "train_ppo.py"
    out: str = option("runs/ppo", "run directory: the model, metrics.jsonl, rollouts as text, states to resume from")
    model: str = option("", "SFT checkpoint in Hugging Face layout; none: the newest run of train_sft.py")
    data: list[str] = option([], "files of prompts, each ending in its golden call; none: made with the tool library")
    rollout: Literal["step", "episode"] = option("step", "one call for each prompt, or whole tasks with the executor")
    intercode: str | None = option(None, "with --rollout episode: folder of InterCode-bash's tasks, see docs/bash.md")
    compare_text: bool = option(False, "what finish and ask_to_user say has to be the golden text, to the letter")
    reward: Literal["step", "outcome", "prm"] = option(
        "step",
        "with --rollout episode: step: each call earns what rules say of it, and a right final answer 1; outcome: "
        "nothing but the final answer counts; prm: it does, and each call earns what it adds to the values of --prm",
    )
    prm: str | None = option(None, "run of python -m tl prm, whose model says how likely an episode is to end right")
    advantage: Literal["gae", "turn", "group", "rloo"] = option(
        "gae",
        "gae: per token, with a critic; turn: one advantage a call, GAE over calls; group: the samples of a prompt "
        "compared with their mean, as in GRPO; rloo: each with the mean of the others. The last two need no critic and "
        "several --samples_per_prompt",
    )
    standardise: bool = option(True, "with --advantage group: divide by the group's standard deviation, as GRPO does")
    filter_prompts: bool = option(
        False,
        "with --advantage group or rloo: drop prompts whose samples all earn the same, which teach nothing, and draw "
        "others, as in DAPO",
    )
    critic: bool = option(True, "learn values for gae and turn; without, all are 0")
    kl_coef: float = option(0.4, "β, the weight of KL(policy ‖ SFT model) in the reward", at_least=0)
    gamma: float = option(1.0, "discount of a token's reward by the token", at_least=0, at_most=1)
    lam: float = option(0.95, "λ of generalised advantage estimation", at_least=0, at_most=1)
    clip: float = option(0.2, "how far the ratio π / π_old may move a token's probability", positive=True)
    value_clip: float = option(0.2, "how far an update may move a value", positive=True)
    actor_lr: float = option(2e-6, "learning rate of the policy", embedded=1e-4, lora=1e-4, at_least=0)
    critic_lr: float = option(1e-6, "learning rate of the critic", embedded=5e-4, lora=1e-4, at_least=0)
    weight_decay: float = option(0.0, "AdamW's, on matrices", at_least=0)
    epochs: float = option(3.0, "passes over the prompts", embedded=1.0, positive=True)
    max_steps: int | None = option(None, "stop after this many steps", at_least=1)
    eval_every: int = option(100, EVAL_EVERY, embedded=0, at_least=0)
    samples_per_prompt: int = option(
        1, "rollouts of a prompt, which is read once for all of them", embedded=2, at_least=1
    )
    batch_size: int = option(8, "rollouts a step, over all ranks", embedded=64, at_least=1)
    minibatch_size: int = option(8, "rollouts an update, over all ranks", embedded=32, at_least=1)
    ppo_epochs: int = option(1, "passes over the rollouts of a step", embedded=2, at_least=1)
    target_kl: float = option(
        0.1,
        "an update that finds the policy further than this from the sampling one (approximate KL) is discarded, and "
        "the policy is left alone until the next step",
        at_least=0,
    )
    max_new_tokens: int = option(
        512, "tokens of a call; one that has not ended by then is a format error", embedded=96, at_least=1
    )
    max_length: int = option(8192, "tokens of a prompt", embedded=1024, at_least=1)
    show_every: int = option(20, "steps between rollouts written out as text; 0: none", embedded=5, at_least=0)
    seed: int = option(0, "order of the prompts, sampling, and the generated data", at_least=0, at_most=MAX_SEED)

    @property
    def free_text(self) -> tuple[str, ...]:
        """The tools whose arguments are not compared with the golden call's: an exact match of what is said to the
        user is nearly impossible."""
        return () if self.compare_text else (FINISH.name, ASK_TO_USER.name)

    @property
    def learns_values(self) -> bool:
        """Whether there is a critic."""
        return self.critic and self.advantage in ("gae", "turn")

    @classmethod
    def free(cls) -> set[str]:
        return super().free() | {"require_isolation", "show_every"}


def resolve_config(argv: Sequence[str] | None = None, description: str = "") -> PPOConfig:
    """The settings that the command line of train_ppo.py asks for, with the model that it goes on from. Raises RunError
    where they make no sense."""
    model = parse_config(PPOConfig, argv, description + PRESET_RULE).model
    source = start_of(model)
    config = replace(parse_for_model(PPOConfig, argv, source), model=str(source))
    check(config)
    return config


def start_of(model: str) -> Path:
    """The checkpoint that training goes on from: this one, or where none is named the newest run of train_sft.py."""
    source = Path(model) if model else newest_run(Path("runs"), SFTConfig.script)
    if source is None:
        raise RunError("runs/ has no finished run of train_sft.py: start with that, or name a model with --model")
    return source


def check(config: PPOConfig) -> None:
    """Raises RunError for settings that make no sense."""
    check_settings(config)
    if config.minibatch_size > config.batch_size:
        raise RunError(
            f"--minibatch_size is {config.minibatch_size}; it must be at most --batch_size, {config.batch_size}: an "
            "update learns from rollouts of one step"
        )
    if config.batch_size % config.samples_per_prompt:
        raise RunError(
            f"--batch_size is {config.batch_size}; it must be a multiple of --samples_per_prompt, "
            f"{config.samples_per_prompt}: the rollouts of a prompt are made in one step"
        )
    if config.advantage in ("group", "rloo") and config.samples_per_prompt == 1:
        raise RunError(
            f"--advantage {config.advantage} compares the samples of a prompt: --samples_per_prompt 2 or more"
        )
    if config.filter_prompts and config.advantage not in ("group", "rloo"):
        raise RunError(
            "--filter_prompts drops prompts that teach nothing where samples are compared: --advantage group or rloo"
        )
    if config.rollout == "episode" and config.data:
        raise RunError("--rollout episode takes tasks, whose tools it can run: name them with --tasks, not --data")
    if config.rollout == "step" and config.reward != "step":
        raise RunError(f"--reward {config.reward} is for --rollout episode: a single call is an outcome of its own")
    if (config.reward == "prm") != bool(config.prm):
        raise RunError("--reward prm and --prm, the model that gives the rewards, go together")
    if config.prm and config.advantage in ("group", "rloo"):
        raise RunError(
            f"--reward prm divides an episode's reward among its calls, and --advantage {config.advantage} compares "
            "their sums, which are those of --reward outcome: take gae or turn"
        )
    if config.intercode and (config.rollout == "step" or config.tools or config.mcp or config.tasks):
        raise RunError("--intercode is for --rollout episode, and takes the place of --tools, --mcp and --tasks")
    if config.rollout == "step" and (config.tools or config.mcp or config.tasks or config.allow_network):
        raise RunError("--tools, --mcp, --tasks and --allow_network are for --rollout episode, where tools run")
    if (config.tools or config.mcp) and not config.tasks:
        raise RunError("--tools and --mcp need --tasks, what is asked of the tools")


def check_lengths(config: PPOConfig, model: ModelConfig) -> None:
    """Raises RunError where the longest prompt would leave a call less room than it may need: a call that is cut for
    want of room would be scored as a format error."""
    needed, room = config.max_length + config.max_new_tokens, model.context_length
    if needed > room:
        raise RunError(
            f"--max_length {config.max_length} and --max_new_tokens {config.max_new_tokens} are {needed} tokens, the "
            f"model has room for {room}: lower one of them"
        )
