"""Generates training data, prompts for PPO and held-out sets with the tool library; the same flags give the same file.

    python -m tl synthesis --size 1217 --seed 0 --out trajectories.jsonl
    python -m tl synthesis --kind prompts --out prompts.jsonl             prompts for PPO
    python -m tl synthesis --kind held_out --environment heavy --out heavy.jsonl
    python -m tl synthesis --tools calendar shop                          only with these toolkits of the library
    python -m tl synthesis --tools my_tools.py --tasks my_tasks.jsonl     with your tools and tasks, see docs/tools.md
    OPENAI_API_KEY=… python -m tl synthesis --teacher https://host/v1 --teacher_model NAME --out taught.jsonl

Every record is a trajectory of OpenAI messages. In prompts and held-out sets, the last message is the golden call and
the messages before it are the prompt. With --teacher, the model behind that endpoint makes the calls; with --tasks and
no teacher, the tasks' golden calls are executed. To resume either of them, run the same command again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

from tl.config import option, parse_config, require
from tl.datasets import DataError, read
from tl.files import check_place, write_whole
from tl.mae import ErrorCategory, call_categories
from tl.rollout.endpoint import KEY_VARIABLE, Endpoint
from tl.rollout.options import ToolOptions
from tl.rollout.tasks import read_tasks
from tl.synthesis import LIBRARY, MIX, UNSEEN_TOOLKITS, held_out, prompts, synthesize
from tl.synthesis.environments import Environment, in_environment
from tl.synthesis.tasks import make_tasks
from tl.synthesis.teacher import write_taught
from tl.trajectory import Trajectory

SIZES = {"trajectories": 1217, "prompts": 1194, "held_out": 400, "unseen_toolkits": 400}


@dataclass
class SynthesisConfig(ToolOptions):
    out: str | None = option(
        None,
        "output file; must not exist unless --teacher or --tasks resumes it (default: KIND.jsonl, or taught.jsonl)",
    )
    kind: Literal["trajectories", "prompts", "held_out", "unseen_toolkits"] = option("trajectories", "what to generate")
    size: int | None = option(
        None, f"number of records (default: {', '.join(f'{kind} {n}' for kind, n in SIZES.items())})", at_least=1
    )
    seed: int = option(0, "seed of the random choices")
    mix: str = option(
        ",".join(map(str, MIX)),
        "shares of requests that succeed at once, contain erroneous calls, or are refusals and edge cases",
    )
    environment: Environment = option("clean", "noise level of the tool names in prompts and held-out sets")
    teacher: str | None = option(
        None, "URL, up to /v1, of an OpenAI-compatible endpoint whose model makes the calls (default: a script)"
    )
    teacher_model: str = option("", f"name of the model on --teacher; the API key is read from {KEY_VARIABLE}")

    @property
    def path(self) -> Path:
        return Path(self.out or f"{'taught' if self.teacher or self.tasks else self.kind}.jsonl")

    @property
    def n(self) -> int:
        return SIZES[self.kind] if self.size is None else self.size


def main(argv: Sequence[str]) -> int:
    config = parse_config(SynthesisConfig, argv, __doc__, prog="python -m tl synthesis")
    check(config)
    if config.teacher or config.tasks:
        taught(config, Endpoint(config.teacher, config.teacher_model) if config.teacher else None)
    else:
        write(config.path, make(config))
    return 0


def check(config: SynthesisConfig) -> None:
    """Raises DataError for flags that contradict each other, and for a file that would be overwritten."""
    if config.kind == "trajectories" and config.environment != "clean":
        raise DataError("--environment only applies to prompts and held-out sets: choose another --kind")
    if config.kind == "unseen_toolkits" and config.tools:
        raise DataError("--kind unseen_toolkits uses fixed toolkits: leave --tools out")
    chosen = [
        name for name in ("kind", "size", "seed", "mix") if getattr(config, name) != getattr(SynthesisConfig, name)
    ]
    if config.tasks and chosen:
        raise DataError("--tasks makes one trajectory per task: leave --kind, --size, --seed and --mix out")
    require(config, "tasks", "mcp", "allow_network")
    if config.require_isolation and not (config.teacher or config.tasks):
        raise DataError("--require_isolation is for --teacher and --tasks: else the tools run in this process")
    if config.teacher and (config.kind != "trajectories" or not config.teacher_model):
        raise DataError("--teacher needs --teacher_model and only works with --kind trajectories")
    if config.teacher_model and not config.teacher:
        raise DataError("--teacher_model needs --teacher, the URL of the model's endpoint")
    if not (config.teacher or config.tasks) and config.path.exists():
        raise DataError(f"{config.path} already exists: choose another --out")
    check_place(config.path)


def make(config: SynthesisConfig) -> list[Trajectory]:
    """Records of the requested kind, made by the scripted teacher."""
    mix, library = read_mix(config.mix), config.tools or LIBRARY
    if config.kind == "trajectories":
        return synthesize(config.n, config.seed, mix, library)
    toolkits = UNSEEN_TOOLKITS if config.kind == "unseen_toolkits" else library
    questions = (prompts if config.kind == "prompts" else held_out)(config.n, config.seed, mix, toolkits)
    return [in_environment(question, config.environment, config.seed).solved() for question in questions]


def read_mix(text: str) -> tuple[float, ...]:
    """`53,17,30` -> three shares, which need not add up to 100."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != 3 or min(shares) < 0 or not 0 < sum(shares) < inf:
        raise DataError(f"--mix must be three shares such as 53,17,30, not {text!r}")
    return shares


def write(out: Path, trajectories: Sequence[Trajectory]) -> None:
    """Writes one record per line."""
    write_whole(out, "".join(trajectory.to_line() for trajectory in trajectories))
    print(summary(trajectories))
    print(f"written: {out}")


def taught(config: SynthesisConfig, endpoint: Endpoint | None) -> None:
    """Writes trajectories of the user's tasks or of library tasks, made by the endpoint's model or, without an
    endpoint, by the golden calls."""
    with config.start_executor(LIBRARY) as executor:
        print("\n".join(config.tool_lines(executor)))
        if config.tasks:
            tasks = read_tasks(config.tasks, executor)
        else:
            mix, toolkits = read_mix(config.mix), config.tools or LIBRARY
            tasks = make_tasks(config.seed, config.n, retries=True, mix=mix, toolkits=toolkits)
        faults = write_taught(config.path, tasks, executor, endpoint)
    print(summary(read(config.path)[0] if config.path.stat().st_size else []))
    print("left out: " + (", ".join(f"{count} {fault}" for fault, count in faults.items()) or "none"))
    print(f"written: {config.path}")


def summary(trajectories: Sequence[Trajectory]) -> str:
    """A line with the number of records and calls, and of erroneous calls by category."""
    categories = Counter(category for trajectory in trajectories for category in call_categories(trajectory))
    wrong = [f"{categories[category]} {category.value}" for category in ErrorCategory if category in categories]
    return f"{len(trajectories)} records with {categories.total()} calls: {', '.join(wrong)}"
