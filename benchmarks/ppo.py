"""A PPO step on the embedded model (rollouts, scoring, update) beside a step of TRL's GRPO trainer.

    python -m benchmarks.ppo        # installs TRL into benchmarks/.venv

The same model, the same prompts, as many rollouts of each as the preset draws, all of one length (texts do not end
before it), a reference model and one update on both sides, in float32 on a CPU. Ours trains a critic beside, which GRPO
does not have, and reads what the prompts have in common once.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.models import NEVER
from benchmarks.side_by_side import Comparison, Taken, with_peers
from tl.assets import TINY
from tl.config import preset
from tl.llama import Tokenizer
from tl.metrics import Question
from tl.rl.data import read_prompts
from tl.training import distributed
from tl.training.run import Progress
from train_ppo import Models, PPOConfig, ppo_step


def interleaved(trainer: Any, our_step: Callable[[], object]) -> Comparison:
    """Lets TRL's trainer run, and does a step of ours behind each of its own. The first round is not counted."""
    from transformers import TrainerCallback

    result = Comparison([], [])

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = Taken.now()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            result.theirs.append(self.start.since())
            start = Taken.now()
            our_step()
            result.ours.append(start.since())

    trainer.add_callback(Clock())
    trainer.train()
    return Comparison(result.ours[1:], result.theirs[1:])


def their_trainer(prompts: list[Question], tokenizer: Tokenizer, config: PPOConfig, rounds: int, out: str) -> Any:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    arguments = GRPOConfig(
        output_dir=out,
        per_device_train_batch_size=config.batch_size,
        num_generations=config.samples_per_prompt,
        max_completion_length=config.max_new_tokens,
        generation_kwargs={"min_new_tokens": config.max_new_tokens},
        temperature=1.0,
        beta=config.kl_coef,
        learning_rate=config.actor_lr,
        max_steps=rounds + 1,
        optim="adamw_torch_fused",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    return GRPOTrainer(
        model=str(TINY),
        reward_funcs=lambda completions, **_: [float(len(set(text))) for text in completions],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": tokenizer.decode(prompt.prompt_ids[1:])} for prompt in prompts]),
        processing_class=AutoTokenizer.from_pretrained(TINY),
    )


@contextmanager
def our_step(
    model: str | Path, tokenizer: Tokenizer, prompts: list[Question], config: PPOConfig
) -> Iterator[Callable[[], dict[str, float]]]:
    """A function that does the next step of a run with these prompts, and returns its metrics."""
    with distributed.process_group() as world:
        models, progress = Models.load(Path(model), config, world), Progress()
        yield partial(ppo_step, models, tokenizer, None, prompts, progress, config, world)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=32, help="rollouts per step (default: %(default)s)")
    parser.add_argument("--new_tokens", type=int, default=48, help="tokens per rollout (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements (default: %(default)s)")
    options = parser.parse_args()
    with_peers("benchmarks.ppo", trl="1.16.0", transformers="5.23.0")
    size = {"batch_size": options.rollouts, "minibatch_size": options.rollouts, "max_new_tokens": options.new_tokens}
    config = PPOConfig(**preset(PPOConfig) | size | {"ppo_epochs": 1, "show_every": 0})
    tokenizer = Tokenizer(TINY)
    tokenizer.eos_id = NEVER
    distinct = read_prompts([], tokenizer, config.max_length).prompts[: options.rollouts // config.samples_per_prompt]
    prompts = [prompt for prompt in distinct for _ in range(config.samples_per_prompt)]
    length = sum(len(prompt.prompt_ids) for prompt in distinct) / len(distinct)
    print(
        f"PPO step against TRL's GRPO step, embedded model, {len(prompts)} rollouts of {options.new_tokens} tokens on "
        f"{len(distinct)} prompts of {length:.0f} ({torch.get_num_threads()} threads)",
        flush=True,
    )
    with our_step(TINY, tokenizer, prompts, config) as step, tempfile.TemporaryDirectory() as folder:
        print(f"  {interleaved(their_trainer(distinct, tokenizer, config, options.rounds, folder), step)}")


if __name__ == "__main__":
    main()
