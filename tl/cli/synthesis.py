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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from tl.calls import format_call
from tl.config import option, parse_config
from tl.endpoint import Endpoint
from tl.environments import Environment, in_environment
from tl.executor import Executor
from tl.mae import ErrorCategory, call_categories
from tl.metrics import Item
from tl.suites.own import request_of
from tl.synthesis import LIBRARY, MIX, UNSEEN_TOOLKITS, episodes, held_out, prompts, synthesize
from tl.teacher import teach
from tl.trajectory import Message, Trajectory, read_trajectories
from tools import ToolkitError

SIZES = {"trajectories": 1217, "prompts": 1194, "held_out": 400, "unseen_toolkits": 400}


@dataclass
class SynthesisConfig:
    """Flags of `python -m tl synthesis`."""

    out: str = option("trajectories.jsonl", "file to write; an existing one is refused, but resumed with --teacher")
    kind: Literal["trajectories", "prompts", "held_out", "unseen_toolkits"] = option("trajectories", "what to make")
    size: int | None = option(None, f"how many; default {', '.join(f'{n} {kind}' for kind, n in SIZES.items())}")
    seed: int = option(0, "another seed, other data")
    mix: str = option(",".join(map(str, MIX)), "shares of plain successes, erroneous calls, refusals and edge cases")
    toolkits: list[str] = option(list(LIBRARY), "toolkits to make requests for (not with unseen_toolkits)")
    environment: Environment = option("clean", "noise in the names of tools, for prompts and held-out sets")
    teacher: str | None = option(None, "URL of an OpenAI-compatible endpoint that makes the calls, up to /v1")
    teacher_model: str = option("", "name of the model there; the key is read from OPENAI_API_KEY")


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 2 with one line when the flags, a toolkit, the file or the teacher do not do."""
    config = parse_config(SynthesisConfig, argv, __doc__, prog="python -m tl synthesis")
    try:
        if config.teacher:
            write_taught(config)
        else:
            write(config.out, make(config))
    except (ValueError, OSError, ToolkitError, RuntimeError) as error:
        print(f"python -m tl synthesis: {error}", file=sys.stderr)
        return 2
    return 0


def make(config: SynthesisConfig) -> list[Trajectory]:
    """The records of a kind, made by the scripted teacher."""
    size = SIZES[config.kind] if config.size is None else config.size
    mix = read_mix(config.mix)
    if config.kind == "trajectories":
        if config.environment != "clean":
            raise ValueError("noise is for prompts and held-out sets: choose another --kind")
        return synthesize(size, config.seed, mix, config.toolkits)
    toolkits = UNSEEN_TOOLKITS if config.kind == "unseen_toolkits" else config.toolkits
    items = (prompts if config.kind == "prompts" else held_out)(size, config.seed, mix, toolkits)
    return [with_answer(in_environment(item, config.environment, config.seed)) for item in items]


def read_mix(text: str) -> tuple[float, ...]:
    """`53,17,30` -> three shares that need not add up to 100."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != 3 or min(shares) < 0 or not sum(shares) > 0:
        raise ValueError(f"--mix wants three shares such as 53,17,30, not {text!r}")
    return shares


def with_answer(item: Item) -> Trajectory:
    """The prompt of an item and its golden call."""
    golden = Message("assistant", format_call(item.answers[0]), is_call=True)
    return Trajectory(item.id, item.tools, (*item.messages, golden))


def write(out: str, trajectories: Sequence[Trajectory]) -> None:
    """One record a line; `FileExistsError` rather than overwrite."""
    with open(out, "x", encoding="utf-8") as file:
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


def write_taught(config: SynthesisConfig) -> None:
    """Appends what the teacher gets right to the file, request by request; requests in the file already are skipped."""
    if config.kind != "trajectories" or not config.teacher_model:
        raise ValueError("--teacher wants --teacher_model, and makes trajectories only")
    size = SIZES[config.kind] if config.size is None else config.size
    done = resumed(Path(config.out))
    made = episodes(size, config.seed, read_mix(config.mix), config.toolkits)
    todo = [episode for episode in made if episode.trajectory.id not in done]
    endpoint = Endpoint(config.teacher, config.teacher_model)
    faults: Counter[str] = Counter()
    with Executor(config.toolkits) as executor, open(config.out, "a", encoding="utf-8") as file:
        requests = [request_of(episode, executor) for episode in todo]
        for trajectory in tqdm(teach(requests, endpoint, faults), "taught", total=len(requests), disable=None):
            file.write(line(trajectory))
            file.flush()
    written = read_trajectories(config.out)[0] if Path(config.out).stat().st_size else []
    print(summary(written))
    print("left out: " + (", ".join(f"{count} {fault}" for fault, count in faults.items()) or "none"))
    print(f"written: {config.out}")


def resumed(out: Path) -> set[str]:
    """Ids of the records that an earlier run wrote; a last line that it did not finish is taken away."""
    if not out.exists():
        return set()
    text = out.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        out.write_bytes(whole)
    return {trajectory.id for trajectory in read_trajectories(out)[0]} if whole else set()
