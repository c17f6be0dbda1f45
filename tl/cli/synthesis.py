"""Makes training data, prompts for PPO and held-out sets from the tool library; the same flags give the same file.

    python -m tl synthesis --size 1217 --seed 0 --out trajectories.jsonl
    python -m tl synthesis --kind prompts --out prompts.jsonl             histories for PPO
    python -m tl synthesis --kind held_out --environment heavy --out heavy.jsonl
    OPENAI_API_KEY=… python -m tl synthesis --teacher https://host/v1 --teacher_model NAME --out taught.jsonl

Every record is a trajectory of OpenAI messages. In prompts and held-out sets it ends with the golden call: what stands
before is the prompt. With --teacher, a model of that endpoint makes the calls; an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from tl.config import option, parse_config
from tl.executor import Executor
from tl.mae import ErrorCategory, call_categories
from tl.rollout.endpoint import Endpoint
from tl.synthesis import LIBRARY, MIX, UNSEEN_TOOLKITS, episodes, held_out, prompts, synthesize
from tl.synthesis.environments import Environment, in_environment
from tl.synthesis.requests import request_of
from tl.synthesis.teacher import teach
from tl.trajectory import Trajectory, read_trajectories
from tools import ToolkitError

SIZES = {"trajectories": 1217, "prompts": 1194, "held_out": 400, "unseen_toolkits": 400}


@dataclass
class SynthesisConfig:
    """Flags of `python -m tl synthesis`."""

    out: str | None = option(None, "file to write, not there yet but for --teacher; none: the kind, or taught, .jsonl")
    kind: Literal["trajectories", "prompts", "held_out", "unseen_toolkits"] = option("trajectories", "what to make")
    size: int | None = option(None, f"how many; default {', '.join(f'{n} {kind}' for kind, n in SIZES.items())}")
    seed: int = option(0, "another seed, other data")
    mix: str = option(",".join(map(str, MIX)), "shares of plain successes, erroneous calls, refusals and edge cases")
    toolkits: list[str] = option([], "toolkits to make requests for, not with unseen_toolkits; none: the library's")
    environment: Environment = option("clean", "noise in the names of tools, for prompts and held-out sets")
    teacher: str | None = option(None, "URL of an OpenAI-compatible endpoint that makes the calls, up to /v1")
    teacher_model: str = option("", "name of the model there; the key is read from OPENAI_API_KEY")

    @property
    def path(self) -> Path:
        return Path(self.out or f"{'taught' if self.teacher else self.kind}.jsonl")

    @property
    def n(self) -> int:
        return SIZES[self.kind] if self.size is None else self.size


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 2 with one line when the flags, a toolkit, the file or the teacher do not do."""
    config = parse_config(SynthesisConfig, argv, __doc__, prog="python -m tl synthesis")
    try:
        check(config)
        if config.teacher:
            write_taught(config, Endpoint(config.teacher, config.teacher_model))
        else:
            write(config.path, make(config))
    except (ValueError, OSError, ToolkitError, RuntimeError) as error:
        print(f"python -m tl synthesis: {error}", file=sys.stderr)
        return 2
    return 0


def check(config: SynthesisConfig) -> None:
    """Raises ValueError for flags that do not go together, and for a file that would be overwritten."""
    if config.n < 1:
        raise ValueError(f"--size is {config.size}; it must be at least 1")
    if config.kind == "trajectories" and config.environment != "clean":
        raise ValueError("noise is for prompts and held-out sets: choose another --kind")
    if config.kind == "unseen_toolkits" and config.toolkits:
        raise ValueError("--kind unseen_toolkits has toolkits of its own, and takes no --toolkits")
    if config.teacher and (config.kind != "trajectories" or not config.teacher_model):
        raise ValueError("--teacher wants --teacher_model, and makes trajectories only")
    if not config.teacher and config.path.exists():
        raise ValueError(f"{config.path} exists already: choose another --out")


def make(config: SynthesisConfig) -> list[Trajectory]:
    """The records of a kind, made by the scripted teacher."""
    mix, library = read_mix(config.mix), config.toolkits or LIBRARY
    if config.kind == "trajectories":
        return synthesize(config.n, config.seed, mix, library)
    toolkits = UNSEEN_TOOLKITS if config.kind == "unseen_toolkits" else library
    questions = (prompts if config.kind == "prompts" else held_out)(config.n, config.seed, mix, toolkits)
    return [in_environment(question, config.environment, config.seed).solved() for question in questions]


def read_mix(text: str) -> tuple[float, ...]:
    """`53,17,30` -> three shares that need not add up to 100."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != 3 or min(shares) < 0 or not sum(shares) > 0:
        raise ValueError(f"--mix wants three shares such as 53,17,30, not {text!r}")
    return shares


def write(out: Path, trajectories: Sequence[Trajectory]) -> None:
    """One record a line; `FileExistsError` rather than overwrite."""
    with out.open("x", encoding="utf-8") as file:
        file.writelines(line(trajectory) for trajectory in trajectories)
    print(summary(trajectories))
    print(f"written: {out}")


def line(trajectory: Trajectory) -> str:
    return json.dumps(trajectory.to_openai(), ensure_ascii=False) + "\n"


def summary(trajectories: Sequence[Trajectory]) -> str:
    """How many records, calls and erroneous calls by category."""
    categories = Counter(category for trajectory in trajectories for category in call_categories(trajectory))
    wrong = [f"{categories[category]} {category.value}" for category in ErrorCategory if category in categories]
    return f"{len(trajectories)} records with {categories.total()} calls: {', '.join(wrong)}"


# ---- a model as teacher


def write_taught(config: SynthesisConfig, endpoint: Endpoint) -> None:
    """Appends what the teacher gets right to the file, request by request; requests in the file already are skipped."""
    toolkits = config.toolkits or LIBRARY
    made = episodes(config.n, config.seed, read_mix(config.mix), toolkits)
    done = resumed(config.path, {episode.trajectory.id for episode in made})
    todo = [episode for episode in made if episode.trajectory.id not in done]
    faults: Counter[str] = Counter()
    with Executor(toolkits) as executor, config.path.open("a", encoding="utf-8") as file:
        requests = [request_of(episode, executor) for episode in todo]
        for trajectory in tqdm(teach(requests, endpoint, faults), "taught", total=len(requests), disable=None):
            file.write(line(trajectory))
            file.flush()
    written = read_trajectories(config.path)[0] if config.path.stat().st_size else []
    print(summary(written))
    print("left out: " + (", ".join(f"{count} {fault}" for fault, count in faults.items()) or "none"))
    print(f"written: {config.path}")


def resumed(out: Path, ids: Collection[str]) -> set[str]:
    """Ids of the records that an earlier run, for requests of these ids, wrote; a last line that it did not finish is
    taken away. Raises ValueError, and leaves the file as it is, where it holds anything else."""
    if not out.exists():
        return set()
    *lines, rest = out.read_bytes().split(b"\n")
    try:
        done = [json.loads(line)["id"] for line in lines]
        ours = set(done) <= set(ids) and (not rest or rest.startswith(b'{"id": "'))
    except (ValueError, TypeError, KeyError):
        ours = False
    if not ours:
        raise ValueError(f"{out} holds something else than these flags would write: choose another --out")
    with out.open("r+b") as file:
        file.truncate(sum(len(line) + 1 for line in lines))
    return set(done)
