"""Runs InterCode-bash without Docker: success, reward and turns of models, or of recorded actions, on its 200 tasks.

    python -m tl intercode BASE TUNED --data DIR              two models, with the paired difference in success
    python -m tl intercode --replay results/*.json --data DIR replay recorded actions and compare the success
    python -m tl intercode MODEL --file_systems test --data DIR      the 24 test queries

DIR holds the published nl2bash_fs_1.json to nl2bash_fs_4.json and test_queries.json. Commands run in isolated file
systems, which needs Linux with mount namespaces. docs/bash.md lists the differences from the released environment.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from tl.config import option, parse_config, require
from tl.datasets import DataError
from tl.evaluation.compare import HEADER, paired_line
from tl.evaluation.report_file import check_report, write_report
from tl.evaluation.suites.files import read_json
from tl.evaluation.suites.general import pairs
from tl.evaluation.suites.intercode import COUNTS, NL2BASH, Environment, Task, read
from tl.evaluation.suites.intercode.episodes import Played, lines, request_of
from tl.executor.driving import drive
from tl.executor.machines import Machines
from tl.executor.pool import cores
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import load_model
from tl.rollout.episodes import Rollout, play
from tl.rollout.policy import LlamaPolicy
from tl.training.distributed import World
from tl.training.run import alone, read_checkpoint


@dataclass
class InterCodeConfig:
    models: list[str] = option([], "checkpoint folders in Hugging Face layout; the first is the base", positional=True)
    data: str = option("", "folder with the published task files (required)")
    replay: list[str] = option([], "published files of recorded actions to replay instead of running models")
    file_systems: list[str] = option(
        list(NL2BASH), f"file systems whose tasks to run, one or more of {', '.join(COUNTS)}"
    )
    limit: int | None = option(None, "run only the first N tasks of each file system (default: all)", at_least=1)
    max_new_tokens: int = option(256, "token limit per turn", at_least=1)
    batch_size: int = option(16, "tasks to run at once", at_least=1)
    report: str = option("runs/intercode/report.json", "output file for every action with its reward")


def main(argv: Sequence[str]) -> int:
    config = parse_config(InterCodeConfig, argv, __doc__, prog="python -m tl intercode")
    tasks = read_tasks(config)
    with Machines(own_root=True) as machines:
        if config.replay:
            write(config, replay(config, tasks, machines))
        else:
            ask(config, tasks, machines)
    print(f"every task with its rewards: {config.report}")
    return 0


def write(config: InterCodeConfig, records: Sequence[dict]) -> None:
    write_report(Path(config.report), asdict(config), {"intercode": {"title": "InterCode-bash", "items": records}})


def read_tasks(config: InterCodeConfig) -> list[Task]:
    if bool(config.models) == bool(config.replay) or not config.data:
        raise DataError("name either models or --replay files, and the folder with the task files with --data")
    require(config, "models", "max_new_tokens", "batch_size")
    if unknown := [name for name in config.file_systems if name not in COUNTS]:
        raise DataError(f"unknown file system {unknown[0]}; choose from {', '.join(COUNTS)}")
    if len(set(config.models)) < len(config.models):
        raise DataError("the same model is named twice")
    check_report(Path(config.report))
    tasks = read(Path(config.data), config.file_systems)
    for name in config.models:  # before hours with the first
        read_checkpoint(Path(name), "auto", dry_run=False)
    return [task for task in tasks if config.limit is None or task.index < config.limit]


def ask(config: InterCodeConfig, tasks: Sequence[Task], machines: Machines) -> None:
    """Runs every task with every model, writes the report after each model, and prints the tables."""
    results: dict[str, list[Played]] = {}
    records: list[dict] = []
    with alone() as world:
        for name in config.models:
            results[name], rollouts = played_by(name, config, tasks, machines, world)
            records += [
                {"model": name, **_record(played), "episode": rollout.to_json()}
                for played, rollout in zip(results[name], rollouts, strict=True)
            ]
            write(config, records)
    for name, played in results.items():
        print("\n".join([f"InterCode-bash, {name}", *lines(played), ""]))
    base, *others = results
    solved = {name: [one.solved for one in played] for name, played in results.items()}
    for other in others:
        print(f"{other} (second) minus {base} (first), in points\n{HEADER}")
        print(paired_line("success", pairs(solved[base], solved[other])) + "\n")


def played_by(
    name: str, config: InterCodeConfig, tasks: Sequence[Task], machines: Machines, world: World
) -> tuple[list[Played], list[Rollout]]:
    """Runs every task with a model, which leaves memory afterwards."""
    model, tokenizer = load_model(name, world.compute_dtype, world.device).eval(), Tokenizer(name)
    policy = LlamaPolicy(model, tokenizer, config.batch_size, config.max_new_tokens)
    opened: dict[str, Environment] = {}
    requests = [request_of(task, machines, opened) for task in tasks]
    episodes = play(requests, policy, config.batch_size)
    rollouts = dict(tqdm(episodes, total=len(tasks), desc=name, unit=" tasks"))
    return [Played.of(opened[task.id]) for task in tasks], [rollouts[i] for i in range(len(tasks))]


def replay(config: InterCodeConfig, tasks: Sequence[Task], machines: Machines) -> list[dict]:
    """Replays recorded actions and prints the tasks whose outcome differs; returns the records."""
    recorded: dict[str, dict] = {}
    for path in config.replay:
        for name, turns in _turns(Path(path)):
            if name in recorded:
                raise DataError(f"{path}: task {name} was already recorded in these files: replay one run at a time")
            recorded[name] = turns
    tasks = [task for task in tasks if task.id in recorded]
    with ThreadPoolExecutor(cores()) as threads:
        played = list(
            tqdm(
                threads.map(lambda task: _replayed(task, recorded[task.id]["actions"], machines), tasks),
                total=len(tasks),
                desc="replay",
                unit=" tasks",
            )
        )
    if not played:
        raise DataError("no recorded task belongs to --file_systems")
    print("\n".join(["InterCode-bash, recorded actions", *lines(played)]))
    theirs = [max(recorded[one.task.id]["rewards"]) == 1.0 for one in played]
    rewards = [(a, b) for one in played for a, b in zip(one.rewards, recorded[one.task.id]["rewards"], strict=False)]
    close = sum(abs(a - b) < 0.025 for a, b in rewards)
    same = sum(one.solved == their for one, their in zip(played, theirs, strict=True))
    print(f"  same success as recorded in {same} of {len(played)} tasks ({sum(theirs)} recorded as solved)")
    print(f"  reward within 0.02 of the recorded one after {close} of {len(rewards)} actions")
    for one, their in zip(played, theirs, strict=True):
        if one.solved != their:
            print(f"    {one.task.id:<7}{'solved' if one.solved else 'not solved':<11} {one.task.gold:.70}")
    print()
    return [_record(one) | {"recorded": recorded[one.task.id]["rewards"]} for one in played]


def _replayed(task: Task, actions: Sequence[str], machines: Machines) -> Played:
    environment = Environment(machines, task)
    try:
        for action in actions:
            drive([environment.step(action)])
    finally:
        environment.close()
    return Played.of(environment)


def _turns(path: Path) -> Iterator[tuple[str, dict]]:
    """Each task's id and recorded turns in a published file of results."""
    try:
        for record in read_json(path).values():
            file_system = Path(record["dataset"]).stem.rpartition("_")[2]
            turns = record["turn_history"]
            if len(turns["actions"]) != len(turns["rewards"]) or not turns["rewards"]:
                raise DataError(
                    f"{path}: task {record['task_id']}: expected a reward for each action, and one at least"
                )
            yield f"{file_system}/{record['task_id']}", turns
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file of recorded actions: {type(error).__name__}: {error}") from error


def _record(played: Played) -> dict:
    verdict = {"judged": played.judged, "success": played.solved, "reward": played.best}
    return {"id": played.task.id, **verdict, "rewards": list(played.rewards)}
