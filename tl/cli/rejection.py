"""Rejection sampling: a model solves each task several times with the tools; successful episodes become training data.

    python -m tl rejection --model runs/sft --out kept.jsonl                       tasks from the tool library
    python -m tl rejection --model runs/sft --tools T.py --tasks F.jsonl --out kept.jsonl       your tools and tasks
    python train_sft.py --model runs/sft --data kept.jsonl --out runs/sft2
    python -m tl rejection --model runs/sft --rounds 3 --out runs/star                  both, three times

Episodes are sampled at temperature 1. An episode is kept if it ends with the correct answer (or any answer, if the task
has none to compare with), recovered from its errors, and is not a duplicate. --pairs also writes preferences for
`python -m tl dpo`. To resume, run the same command again.
"""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from tl.config import option, parse_config, require
from tl.datasets import DataError
from tl.executor import Executor
from tl.experiments import parts
from tl.experiments.parts import SCRIPTS
from tl.files import check_different, check_place, open_alone, write_whole
from tl.llama.model import Llama
from tl.llama.sampling import MAX_ROWS
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import load_model
from tl.rollout.options import ToolOptions
from tl.rollout.policy import drawn_line, sampling_policy
from tl.rollout.tasks import Task, read_tasks
from tl.synthesis import LIBRARY
from tl.synthesis.rejection import sample_kept
from tl.synthesis.tasks import make_tasks
from tl.synthesis.teacher import made_with, resumed
from tl.templates import TEMPLATE_HELP, TemplateName
from tl.training.config import resolve_config
from tl.training.loop import STOPPED
from tl.training.run import alone, digest_of_model, is_finished

ROUNDS_FILE = "rounds.json"  # in the output folder of --rounds: what its rounds were made with


@dataclass
class RejectionConfig(ToolOptions):
    model: str = option("", "checkpoint folder in Hugging Face layout (required)")
    template: TemplateName = option("auto", TEMPLATE_HELP)
    out: str = option(
        "kept.jsonl", "output file, or output folder with --rounds; an unfinished one of the same command is resumed"
    )
    pairs: str | None = option(
        None,
        "also write preference pairs to this file: at the first difference of two episodes of a task, a successful "
        "call is preferred to a failed call or a wrong answer",
    )
    samples: int = option(8, "number of episodes sampled for each task", at_least=1)
    per_task: int = option(
        2, "maximum number of episodes, and of pairs, kept per task, in the order of sampling", at_least=1
    )
    size: int = option(400, "number of tasks to generate with the tool library, if there are no --tasks", at_least=1)
    max_new_tokens: int = option(96, "token limit per call; a longer call ends its episode", at_least=1)
    seed: int = option(0, "seed of sampling and of the generated tasks", at_least=0)
    rounds: int = option(
        0,
        "repeat sampling and training this many times, each time sampling from the newly trained model; 0: sample once",
        at_least=0,
    )
    from_: Literal["base", "last"] = option(
        "base", "with --rounds: model that each training starts from; base: --model; last: the previous round's"
    )
    train: str = option(
        "", "with --rounds: flags for train_sft.py, as one quoted string after an equals sign (--train='--epochs 2')"
    )


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or that of a round that failed. Raises `UserError` or `OSError` if it cannot begin."""
    config = parse_config(RejectionConfig, argv, __doc__, prog="python -m tl rejection")
    check(config)
    return run_rounds(config, argv) if config.rounds else run(config)


def check(config: RejectionConfig) -> None:
    if not config.model:
        raise DataError("name the model to sample from with --model")
    if config.rounds and config.pairs:
        raise DataError("--pairs is for one sampling, without --rounds")
    check_different(config.out, pairs=config.pairs)
    if not config.rounds and (config.train or config.from_ != "base"):
        raise DataError("--train and --from need --rounds")
    if config.rounds:  # a mistake in --train would show after all the sampling
        try:
            flags = shlex.split(config.train)
        except ValueError as error:
            raise DataError(f"--train: {error}") from error
        resolve_config(["--model", config.model, *flags])
    require(config, "tasks", "tools", "mcp")
    for path in (config.out, config.pairs):
        if path and not config.rounds:
            check_place(path)


def run_rounds(config: RejectionConfig, argv: Sequence[str]) -> int:
    """Samples and trains in turn, each in a process of its own; what is finished is not repeated. Returns 0, or the
    exit status of a process that failed or was stopped."""
    check_rounds(config)
    model = config.model
    for number in range(1, config.rounds + 1):
        folder = Path(config.out) / f"round-{number}"
        kept, trained = str(folder / "kept.jsonl"), folder / "model"
        if not trained.exists():
            folder.mkdir(parents=True, exist_ok=True)
            once = ["--rounds", "0", "--train", "", "--from", "base"]
            sampling = ["-m", "tl", "rejection", *argv, *once, "--model", model, "--out", kept]
            if status := carry_out(f"round {number} of {config.rounds}: {model} solves the tasks", sampling):
                return status
            if not Path(kept).stat().st_size:
                raise DataError(f"round {number}: nothing was kept, so there is nothing to train on")
        if not is_finished(trained):
            start = config.model if config.from_ == "base" else model
            training = [str(SCRIPTS["sft"]), "--template", config.template, *shlex.split(config.train)]
            training += ["--model", start, "--data", kept, "--out", str(trained)]
            training += ["--resume"] if trained.exists() else []
            if status := carry_out(f"training from {start}", training):
                return status
        model = str(trained)
    print(f"the last round's model is in {model}")
    return 0


def check_rounds(config: RejectionConfig) -> None:
    """Raises DataError if the output folder has rounds of other settings, lest they are taken for finished ones."""
    path = Path(config.out) / ROUNDS_FILE
    settings = asdict(config) | {"out": "", "rounds": 0, "weights": digest_of_model(Path(config.model))}
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    if changed := [name.rstrip("_") for name, value in settings.items() if before.get(name) != value]:
        raise DataError(f"{path.parent} has rounds of other settings ({', '.join(changed)}): choose another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(settings, indent=1) + "\n")


def carry_out(what: str, arguments: Sequence[str]) -> int:
    """Exit status of a Python process, whose output is shown."""
    print(f"-- {what}", flush=True)
    status, stopped = parts.run([sys.executable, *arguments], None)
    if stopped or status:
        print("run the same command again to resume", file=sys.stderr)
    ended = 128 - status if status < 0 else status  # a process ended by a signal, as in shells
    return ended or (STOPPED if stopped else 0)


def run(config: RejectionConfig) -> int:
    with alone() as world, config.start_executor(LIBRARY) as executor:
        print("\n".join(config.tool_lines(executor)))
        tasks = read_tasks(config.tasks, executor) if config.tasks else make_tasks(config.seed, config.size)
        model = load_model(config.model, world.compute_dtype, world.device).eval()
        write_kept(config, tasks, executor, model, Tokenizer(config.model, config.template))
    return 0


def write_kept(
    config: RejectionConfig, tasks: Sequence[Task], executor: Executor, model: Llama, tokenizer: Tokenizer
) -> None:
    """Appends the kept episodes task by task, starting after the last task that the file has episodes of. A task's
    pairs are written before its episodes, so an interruption loses none."""
    out, places = Path(config.out), {task.id: n for n, task in enumerate(tasks)}
    queries = {f"{task.id}#{k}": task.query for task in tasks for k in range(config.per_task)}
    settings = made_with(config, digest_of_model(Path(config.model)))
    with open_alone(out) as file:
        written, paired = resumed(out, queries, settings), set[str]()
        if config.pairs:
            if written and not Path(config.pairs).exists():
                raise DataError(f"{out} was begun without --pairs {config.pairs}: choose another --out")
            paired = resumed(Path(config.pairs), queries, settings)
            Path(config.pairs).touch()
        solved = {id.rpartition("#")[0] for id in written}
        dropped, drawn, kept, fruitful = Counter[str](), Counter[str](), len(written), len(solved)
        first = max((places[task] + 1 for task in solved), default=0)
        found = sample_kept(
            tasks,
            executor,
            partial(sampling_policy, model, tokenizer, config.max_new_tokens, drawn),
            *(config.samples, config.per_task, config.seed),
            parallel=MAX_ROWS,
            dropped=dropped,
            first=first,
        )
        for trajectories, pairs in tqdm(found, "tasks", total=len(tasks), initial=first, disable=None):
            if config.pairs:
                new = [pair for pair in pairs if pair.chosen.id not in paired]
                with open(config.pairs, "a", encoding="utf-8") as pairs_file:
                    pairs_file.write("".join(pair.to_line(settings) for pair in new))
                paired |= {pair.chosen.id for pair in new}
            records = [trajectory.to_openai() | {"made_with": settings} for trajectory in trajectories]
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            file.flush()
            kept += len(trajectories)
            fruitful += bool(trajectories)
    print(drawn_line(drawn))
    fruitless = len(tasks) - fruitful
    print(f"{len(tasks)} tasks, {config.samples} episodes each: {kept} kept; none kept for {fruitless} tasks")
    reasons = ", ".join(f"{count} {fault}" for fault, count in dropped.most_common()) or "none"
    print(f"left out of the last {len(tasks) - first} tasks: {reasons}")
    print(f"written: {out}")
    if config.pairs:
        of = len({id.rpartition("#")[0] for id in paired})
        print(f"written: {config.pairs}, {len(paired)} pairs of {of} tasks")
