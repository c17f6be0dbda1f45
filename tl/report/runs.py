"""Run directories: reads the files that exist and are valid, and notes what is missing or damaged."""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tl.errors import UserError
from tl.evaluation.report_file import NOT_SCORED, is_scored
from tl.llama.weights import CONFIG_FILE
from tl.training.run import METRICS_FILE, ROLLOUTS_FILE, SETTINGS_FILE, VALUES_SCRIPT

EVALUATION_FILE, EXPERIMENT_FILES = "report.json", ("ablation.json", "robustness.json", "craft.json")
HUGE = 1e15  # larger than any count of a run; floats represent all integers up to here
ANY_RUN = (METRICS_FILE, SETTINGS_FILE, EVALUATION_FILE, *EXPERIMENT_FILES)
READ = (*ANY_RUN, ROLLOUTS_FILE)


class NoRunError(UserError):
    """A folder contains nothing to report on."""


@dataclass
class Run:
    """A run directory. `metrics` and `rollouts` hold the lines of their files; the JSON files are empty if absent.
    `notes` say what is missing or damaged."""

    name: str
    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    rollouts: list[dict[str, Any]] = field(default_factory=list)
    suites: dict[str, dict[str, Any]] = field(default_factory=dict)  # of evaluate.py's report
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)  # EXPERIMENT_FILES
    notes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """SFT, DPO, PPO or PRM, or "evaluation" or "experiments" if the directory holds no training."""
        if "kl_coef" in self.settings or any("reward" in line for line in self.metrics):
            return "PPO"
        if "label_smoothing" in self.settings or any("margin" in line for line in self.metrics):
            return "DPO"
        if self.settings.get("script") == VALUES_SCRIPT:
            return "PRM"
        if self.settings or self.metrics:
            return "SFT"
        return "evaluation" if self.suites else "experiments"

    def curve(self, key: str) -> tuple[list[float], list[float]]:
        """The steps that logged a number under `key`, and these numbers."""
        points = [(m["step"], m[key]) for m in self.metrics if is_number(m.get(key)) and is_number(m.get("step"))]
        return [step for step, _ in points], [value for _, value in points]

    def last(self, key: str) -> float | None:
        values = self.curve(key)[1]
        return values[-1] if values else None


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_runs(paths: list[str]) -> list[Run]:
    """The runs in these directories, with the names of `names`. Raises NoRunError."""
    return [read_run(Path(path), name) for path, name in zip(paths, names(paths), strict=True)]


def names(paths: list[str]) -> list[str]:
    """The shortest distinct ends of the paths; a path given twice gets a number."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]  # as given: links are not resolved
    ends = [
        next(
            ("/".join(p[-n:]) for n in range(1, len(p)) if sum(other[-n:] == p[-n:] for other in parts) == 1),
            "/".join(p[1:]),
        )
        for p in parts
    ]
    return [f"{end} ({i})" if ends.count(end) > 1 else end for i, end in enumerate(ends)]


def read_run(path: Path, name: str) -> Run:
    """Everything in a run directory that can be read. Raises NoRunError if that is nothing."""
    if not path.is_dir():
        raise NoRunError(
            f"{path} is not a folder: name the output folder of a training run, an evaluation or an experiment"
        )
    if not any((path / file).is_file() for file in ANY_RUN):
        raise NoRunError(f"{path} contains no run: it has none of {', '.join(ANY_RUN)}")
    run = Run(name, path)
    run.settings = read_object(path / SETTINGS_FILE, run.notes)
    run.metrics = _read_lines(path / METRICS_FILE, run.notes)
    # Each step's rollouts once: a resumed run repeats steps, and its later lines count.
    rollouts = _read_lines(path / ROLLOUTS_FILE, run.notes)
    run.rollouts = list({str((r.get("step"), r.get("id"))): r for r in rollouts}.values())
    suites = read_object(path / EVALUATION_FILE, run.notes).get("suites")
    found = {k: v for k, v in suites.items() if isinstance(v, dict)} if isinstance(suites, dict) else {}
    run.suites = {name: suite for name, suite in found.items() if is_scored(suite)}
    if others := found.keys() - run.suites.keys():
        run.notes.append(f"{EVALUATION_FILE}: {', '.join(sorted(others))}: {NOT_SCORED}")
    experiments = {file: read_object(path / file, run.notes) for file in EXPERIMENT_FILES}
    run.experiments = {file: results for file, results in experiments.items() if results}
    run.notes += _missing(run)
    return run


def _missing(run: Run) -> list[str]:
    if run.kind not in ("SFT", "DPO", "PPO", "PRM"):
        return []
    absent = {
        SETTINGS_FILE: "its settings are not known",
        METRICS_FILE: "it has no curves",
        CONFIG_FILE: "no model yet: the run is unfinished or was interrupted",
    }
    if run.kind != "PRM":  # which cannot generate
        model, file = shlex.quote(str(run.path)), shlex.quote(str(run.path / EVALUATION_FILE))
        absent[EVALUATION_FILE] = f"python evaluate.py --model {model} --report {file} makes one"
    if run.kind == "PPO":
        absent[ROLLOUTS_FILE] = "no rollouts to show; --show_every of train_ppo.py writes some"
    return [f"no {file}: {what}" for file, what in absent.items() if not (run.path / file).exists()]


def read_object(path: Path, notes: list[str]) -> dict[str, Any]:
    """The JSON object in a file; an empty one if the file is absent or, with a note, damaged."""
    if not path.is_file():
        return {}
    try:
        with _reader(path, notes) as loads:
            value = loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
        notes.append(f"{path.name} is not a JSON object and was left out")
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} cannot be read and was left out: {error}")
    return {}


def _read_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines. A note counts the other lines."""
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    bad = 0
    with _reader(path, notes) as loads:
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                value = loads(line) if line.strip() else None
            except (ValueError, RecursionError):
                bad += 1
                continue
            if isinstance(value, dict):
                lines.append(value)
            else:
                bad += value is not None
    if bad:
        notes.append(f"{path.name}: {bad} damaged line{'s' * (bad > 1)} left out")
    return lines


@contextmanager
def _reader(path: Path, notes: list[str]) -> Iterator[Callable[[str], Any]]:
    """`json.loads` for a file of the run. Numbers that no chart can show become None, and a note counts them."""
    left_out = 0

    def number(text: str) -> float | None:
        nonlocal left_out
        value = float(text)  # of any length; "NaN" and "-Infinity", too
        if abs(value) < HUGE:
            return value if {*text} & {*".eE"} else int(text)
        left_out += 1
        return None

    yield partial(json.loads, parse_float=number, parse_int=number, parse_constant=number)
    if left_out:
        notes.append(f"{path.name}: {left_out} numbers left out that are NaN, infinite or of {HUGE:g} and more")
