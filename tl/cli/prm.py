"""Trains a process reward model: how likely is an episode to succeed after each of its calls?

    python -m tl prm --model runs/sft                                      tasks from the tool library
    python -m tl prm --model runs/sft --tools T.py --tasks F.jsonl         your tools and tasks
    python -m tl prm --model runs/sft --data runs/prm.steps.jsonl --out runs/prm2          existing steps
    torchrun --nproc_per_node 8 -m tl prm --model …

The model plays an episode of each task and continues it several times from each of its steps, with real tools. Then a
Llama with a scalar head learns how often the continuations succeed. `train_ppo.py --reward prm --prm runs/prm` and
`evaluate.py --best_of 8 --select prm --prm runs/prm` use it. To resume sampling, run the same command again; to resume
training, add --resume.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from tl.datasets import DataError
from tl.executor import Executor
from tl.llama.config import ModelConfig
from tl.llama.model import Critic
from tl.llama.sampling import MAX_ROWS, cache_size
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import load_model
from tl.rl.calibration import lines
from tl.rl.prm import PRMConfig, StepData, load_steps, resolve_config, train
from tl.rl.returns import sample_returns
from tl.rl.update import Learner
from tl.rollout.episodes import MAX_TURNS
from tl.rollout.policy import drawn_line, sampling_policy
from tl.rollout.tasks import Task, read_tasks
from tl.synthesis import LIBRARY
from tl.synthesis.tasks import make_tasks
from tl.synthesis.teacher import made_with, resumed
from tl.templates import template_line
from tl.training import distributed
from tl.training.distributed import World
from tl.training.lock import folder_lock
from tl.training.loop import STOPPED, run_script
from tl.training.memory import sampling_memory, step_section
from tl.training.optimizer import make_optimizer
from tl.training.run import (
    check_folder,
    check_max_length,
    close_run,
    digest_of_model,
    open_run,
    read_checkpoint,
    settings_lines,
    show,
)


def main(argv: Sequence[str]) -> int:
    run_script(partial(start, argv))


def start(argv: Sequence[str]) -> int:
    """Samples steps, trains and returns the exit status; raises the errors that `run_script` reports."""
    config = resolve_config(argv, __doc__ or "")
    with distributed.process_group() as world, folder_lock(config, world):
        return run(config, world)


def run(config: PRMConfig, world: World) -> int:
    """Makes steps, trains and saves the model. Returns the process's exit status."""
    source = Path(config.model)
    check_folder(config, world)
    show({"configuration": settings_lines(config)}, world)
    model, _ = distributed.on_main(lambda: read_checkpoint(source, config.template, config.dry_run), world)
    check_max_length(config, model)
    tokenizer = Tokenizer(source, config.template)
    steps = config.data or [f"{Path(config.out)}.steps.jsonl"]  # beside --out, with or without a slash at its end
    show({"tokens": [template_line(tokenizer)]} | memory(config, model, world), world)
    if not config.data and not config.dry_run:
        make_steps(config, Path(steps[0]), tokenizer, world)
    if config.dry_run and not all(Path(path).exists() for path in steps):
        return 0
    data: StepData = distributed.on_main(lambda: load_steps(config, steps, tokenizer), world)
    show({"data": data.lines()}, world)
    if config.dry_run:
        return 0
    saved = open_run(config, data.fingerprint, world)
    critic_model = distributed.load(Critic, source, world, config.checkpointing, seed=config.seed, lora=config.lora)
    optimizer = make_optimizer(critic_model, config.learning_rate, config)
    critic = Learner(critic_model, optimizer, config.max_grad_norm)
    progress, stopped, scored = train(critic, tokenizer, data, config, world, saved)
    if stopped:
        return STOPPED
    close_run(config, [progress.line("episodes"), *(["-- held-out steps", *lines(scored)] if scored else [])], world)
    return 0


def make_steps(config: PRMConfig, out: Path, tokenizer: Tokenizer, world: World) -> None:
    """Appends the episodes of the tasks that the file has none of yet, from the last one on; each rank plays a part."""
    settings = made_with(config, digest_of_model(Path(config.model)))
    with distributed.propagate_errors(world):
        executor = config.start_executor(LIBRARY)
    with executor:
        with distributed.propagate_errors(world):
            tasks = tasks_of(config, executor)
        done = distributed.on_main(lambda: resumed(out, {task.id: task.query for task in tasks}, settings), world)
        first = max((number + 1 for number, task in enumerate(tasks) if task.id in done), default=0)
        if first == len(tasks):
            return
        model = load_model(config.model, world.compute_dtype, world.device).eval()
        drawn = Counter[str]()
        policy_of = partial(sampling_policy, model, tokenizer, config.max_new_tokens, drawn)
        bar = tqdm(desc="tasks", total=len(tasks), initial=first, disable=None if world.is_main else True)
        for start in range(first, len(tasks), MAX_ROWS * world.size):
            mine = list(enumerate(tasks))[start : start + MAX_ROWS * world.size][world.rank :: world.size]
            with distributed.propagate_errors(world):
                made = sample_returns(mine, executor, policy_of, config.samples, config.seed, MAX_ROWS)
            parts = distributed.gather_objects(made, world)
            if world.is_main:
                with out.open("a", encoding="utf-8") as file:
                    every = {number: returns for part in parts for number, returns in part.items()}
                    file.writelines(every[number].to_line(settings) for number in sorted(every))
            bar.update(min(MAX_ROWS * world.size, len(tasks) - start))
        bar.close()
        of_ranks = distributed.gather_objects(drawn, world)
        show({"steps": [drawn_line(sum(of_ranks, Counter[str]()))]}, world)


def tasks_of(config: PRMConfig, executor: Executor) -> list[Task]:
    """The tasks for which it is known what a right answer is."""
    tasks = read_tasks(config.tasks, executor) if config.tasks else make_tasks(config.seed, config.size)
    known = [task for task in tasks if not task.servable or task.truth is not None or task.check is not None]
    if not known:
        raise DataError("no task has an `answer` or a `check`: nobody knows which episodes end right")
    if len(known) < len(tasks):
        left_out = len(tasks) - len(known)
        warnings.warn(f"{left_out} of {len(tasks)} tasks are left out: no `answer` and no `check`", stacklevel=2)
    return known


def memory(config: PRMConfig, model: ModelConfig, world: World) -> dict[str, list[str]]:
    """What making steps takes on each rank, and training after it, as text."""
    size, tokens = world.compute_dtype.itemsize, max(config.micro_tokens, config.max_length)
    cached = cache_size(MAX_ROWS * MAX_TURNS * config.samples, [model.context_length], grows=True)
    sampling = {"memory of each rank while sampling steps": sampling_memory(model, cached, size).lines()}
    return sampling | step_section(config, model, tokens, world, when=" in training")
