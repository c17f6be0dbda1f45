"""The settings of a PPO run, and which of them make no sense."""

import math
from dataclasses import dataclass
from typing import Literal

from tl.config import option
from tl.llama.config import ModelConfig
from tl.training.run import SEEDS, RunConfig, RunError, check_settings


@dataclass
class PPOConfig(RunConfig):
    """The defaults are the paper's; the preset EMBEDDED stands in for them when the embedded model is trained."""

    out: str = option("runs/ppo", "run directory: the model, metrics.jsonl, rollouts as text, states to resume from")
    model: str | None = option(None, "SFT checkpoint in Hugging Face layout; none: the newest run of train_sft.py")
    data: list[str] = option([], "files of prompts, each ending in its golden call; none: made with the tool library")
    eval_data: list[str] = option([], "held-out trajectory files; none: the generated ones, if --data is not given")
    on_bad_data: Literal["error", "skip"] = option("error", "bad records: stop, naming them, or go on without them")
    rollout: Literal["step", "episode"] = option("step", "one call for each prompt, or whole tasks with the executor")
    require_isolation: bool = option(False, "run no tool without all layers of isolation, see docs/executor.md")
    compare_text: bool = option(False, "what finish and ask_to_user say has to be the golden text, to the letter")
    critic: bool = option(True, "learn values; without, all are 0")
    kl_coef: float = option(0.4, "β, the weight of KL(policy ‖ SFT model) in the reward")
    gamma: float = option(1.0, "discount of a token's reward by the token")
    lam: float = option(0.95, "λ of generalised advantage estimation")
    clip: float = option(0.2, "how far the ratio π / π_old may move a token's probability")
    value_clip: float = option(0.2, "how far an update may move a value")
    actor_lr: float = option(2e-6, "learning rate of the policy")
    critic_lr: float = option(1e-6, "learning rate of the critic")
    weight_decay: float = option(0.0, "AdamW's")
    beta2: float = option(0.95, "AdamW's second-moment decay")
    max_grad_norm: float = option(1.0, "gradients are scaled down to this norm")
    epochs: float = option(3.0, "passes over the prompts")
    max_steps: int | None = option(None, "stop after this many steps")
    samples_per_prompt: int = option(1, "rollouts of a prompt, which is read once for all of them")
    batch_size: int = option(8, "rollouts a step, over all ranks")
    minibatch_size: int = option(8, "rollouts an update, over all ranks")
    ppo_epochs: int = option(1, "passes over the rollouts of a step")
    target_kl: float = option(0.1, "no more updates of the policy in a step once it is this far from the sampling one")
    max_new_tokens: int = option(512, "tokens of a call; one that has not ended by then is a format error")
    max_length: int = option(8192, "tokens of a prompt")
    show_every: int = option(20, "steps between rollouts written out as text; 0: none")
    seed: int = option(0, "order of the prompts, sampling, and the generated data")


EMBEDDED = {
    "actor_lr": 1e-4,
    "critic_lr": 5e-4,
    "epochs": 1.0,
    "samples_per_prompt": 2,
    "batch_size": 64,
    "minibatch_size": 32,
    "ppo_epochs": 2,
    "max_new_tokens": 96,
    "max_length": 1024,
    "micro_tokens": 4096,
    "checkpointing": "none",
    "eval_every": 0,
    "show_every": 5,
}
RANGES = {
    "kl_coef": (0, math.inf),
    "gamma": (0, 1),
    "lam": (0, 1),
    "actor_lr": (0, math.inf),
    "critic_lr": (0, math.inf),
    "weight_decay": (0, math.inf),
    "beta2": (0, 1 - 2**-53),
    "target_kl": (0, math.inf),
    "max_steps": (1, math.inf),
    "samples_per_prompt": (1, math.inf),
    "batch_size": (1, math.inf),
    "minibatch_size": (1, math.inf),
    "ppo_epochs": (1, math.inf),
    "max_new_tokens": (1, math.inf),
    "max_length": (1, math.inf),
    "show_every": (0, math.inf),
    "seed": SEEDS,
}
POSITIVE = ("epochs", "max_grad_norm", "clip", "value_clip")


def check(config: PPOConfig) -> None:
    """Raises RunError for settings that cannot be meant, and for a run directory that holds what the run reads."""
    check_settings(config, RANGES, POSITIVE, inputs=[config.model, *config.data, *config.eval_data])
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
    if config.rollout == "episode" and config.data:
        raise RunError("--rollout episode makes its own tasks, whose tools it can run: leave --data out")


def check_lengths(config: PPOConfig, model: ModelConfig) -> None:
    """Raises RunError where the longest prompt would leave a call less room than it may need: a call that is cut for
    want of room would be scored as a format error."""
    needed, room = config.max_length + config.max_new_tokens, model.max_position_embeddings
    if needed > room:
        raise RunError(
            f"--max_length {config.max_length} and --max_new_tokens {config.max_new_tokens} are {needed} tokens, the "
            f"model has room for {room}: lower one of them"
        )
