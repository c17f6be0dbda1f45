"""A run's directory, its position, its log of metrics, and signals that stop it."""

import json
import math
import os
import shlex
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn
from torch.optim import Optimizer

from tl.files import unwritable
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import CONFIG_FILE, save_model
from tl.prompt import Example, chat_template
from tl.training.checkpoint import SavedState, newest_state, save_state
from tl.training.config import RunConfig, RunError
from tl.training.distributed import RankError, World, gather, on_main, together

METRICS_FILE = "metrics.jsonl"
SETTINGS_FILE = "run_config.json"
STATES = "states"
STOPPED = 143  # exit status after a stop signal, whichever it was
SAME_REQUEST = 1.0  # seconds: a launcher may pass on a signal that the process has got already


@dataclass
class Progress:
    """How far a run is."""

    samples: int = 0  # seen, over all epochs: the position in the data
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0  # spent in training steps
    skipped: int = 0  # steps in a row, up to now, without a finite gradient

    def advance(self, batch: Sequence[Example], seconds: float) -> dict[str, float]:
        """Counts a step; returns what of it belongs into the log."""
        self.samples += len(batch)
        self.step += 1
        self.tokens += sum(map(len, batch))
        self.seconds += seconds
        return {"step": self.step, "tokens": self.tokens, "tokens_per_second": self.tokens / self.seconds}

    def line(self) -> str:
        """A summary as text."""
        seen = f"{self.samples:,} trajectories, {self.tokens:,} tokens"
        return f"seen                {seen} in {self.step:,} steps, {self.seconds:,.0f} s"


class StopSignals:
    """While entered, SIGTERM and Ctrl-C only set ``received``; a second one ends the process at once. Both say so."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0

    def __enter__(self) -> "StopSignals":
        self._handlers = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._at = signal.Signals(number), time.monotonic()
            self._say("stopping as soon as a step is done, and an evaluation that has begun; once more: at once")
        elif time.monotonic() - self._at > SAME_REQUEST:
            self._say(f"ended at once; from the newest state, if there is one, goes on\n  {resume_command()}")
            os._exit(128 + number)

    def _say(self, message: str) -> None:
        if os.environ.get("RANK", "0") == "0":
            with suppress(OSError):  # of a terminal that is gone
                os.write(2, f"\n{message}\n".encode())  # print may not be entered again in the midst of printing


def check_folder(config: RunConfig, world: World) -> None:
    """Raises RunError where the run cannot be written, or would write over something. The first rank looks, for all."""
    on_main(lambda: None if config.dry_run else _check_folder(config), world)


def _check_folder(config: RunConfig) -> None:
    out = Path(config.out)
    if config.resume and config.overwrite:
        raise RunError("--resume continues a run, --overwrite replaces it: choose one")
    if nearest := unwritable(out):
        raise RunError(f"--out {out}: {nearest} is no folder that can be written to")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / SETTINGS_FILE).exists():
        raise RunError(f"{out} holds something else than a run: choose another --out")
    if config.resume and is_finished(out):
        raise RunError(f"the run in {out} is finished: nothing to resume")
    if not config.resume and not config.overwrite:
        raise RunError(
            f"{out} holds a run: continue it with --resume, replace it with --overwrite, or choose another --out"
        )


def is_due(every: int, step: int) -> bool:
    """Whether something that is done every so many steps, or with 0 never, is to be done at this one."""
    return every > 0 and step % every == 0


def total_samples(available: int, progress: Progress, batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Samples that a run sees in all, from ``progress`` on in batches of ``batch_size``, which may have been another
    before."""
    samples = math.ceil(available * epochs)
    if max_steps is not None:
        samples = min(samples, progress.samples + (max_steps - progress.step) * batch_size)
    return max(samples, progress.samples)


def save_progress(
    config: RunConfig,
    progress: Progress,
    model: nn.Module,
    optimizers: Optimizer | Sequence[Optimizer],
    data: str,
    world: World,
) -> None:
    """Saves a state to resume from; ``data`` is the fingerprint of what is trained on. A failure (a full disk, say) is
    a warning: the states before it are still there."""
    record = {"progress": asdict(progress), "config": asdict(config), "data": data}
    try:
        save_state(Path(config.out) / STATES, progress.step, model, optimizers, record, world, config.keep)
    except (OSError, RankError) as error:
        if world.is_main:
            warnings.warn(f"no state was saved at step {progress.step}: {error}", stacklevel=2)


def open_run(config: RunConfig, data: str, world: World) -> SavedState | None:
    """Makes the run's directory and writes the settings into it. Returns the state to go on from, if there is one.

    ``data`` is the fingerprint of what is trained on. Raises RunError when the directory is not what the flags expect.
    """
    out = Path(config.out)
    saved = newest_state(out / STATES, world) if config.resume else None
    with together(world):
        if world.is_main:
            _check_folder(config)
            if config.resume:
                _check_resumable(out, config, data, saved)
            elif config.overwrite and out.exists():
                shutil.rmtree(out)
            out.mkdir(parents=True, exist_ok=True)
            if (out / METRICS_FILE).exists():
                _cut_metrics(out / METRICS_FILE, saved.record["progress"]["step"] if saved else -1)
            (out / SETTINGS_FILE).write_text(json.dumps(asdict(config), indent=2) + "\n")
    return saved


def is_finished(out: Path) -> bool:
    """Whether the run has ended with a model and has nothing left to resume from."""
    return (out / CONFIG_FILE).exists() and not (out / STATES).exists()


def newest_run(runs: Path, setting: str = "out") -> Path | None:
    """The finished run under ``runs`` whose model was saved last, of those with such a ``setting``, or None."""
    finished = [file.parent for file in runs.glob(f"*/{SETTINGS_FILE}") if is_finished(file.parent)]
    name = f'"{setting}"'.encode()  # looked for as it stands: a damaged file of another run is no reason to stop
    candidates = [run for run in finished if name in (run / SETTINGS_FILE).read_bytes()]
    return max(candidates, key=lambda run: (run / CONFIG_FILE).stat().st_mtime, default=None)


def close_run(config: RunConfig, model: nn.Module, tokenizer: Tokenizer, summary: Sequence[str], world: World) -> None:
    """Saves the trained model, deletes the states to resume from, and prints the summary and what comes next."""
    out, whole = Path(config.out), gather(model, world)
    with together(world):
        if whole is not None:
            save_model(whole, out, tokenizer.path, world.compute_dtype, chat_template=chat_template())
            shutil.rmtree(out / STATES, ignore_errors=True)
            print("\n".join([*summary, f"the model lies in {out}; try it:  python evaluate.py --model {out}"]))


def _check_resumable(out: Path, config: RunConfig, data: str, saved: SavedState | None) -> None:
    """Raises RunError where a state is of other settings or data; warns where there is none."""
    if saved is None:
        warnings.warn(f"{out} has no state to resume from: starting at the first step", stacklevel=2)
        return
    before, now = saved.record["config"] | {"data set": saved.record["data"]}, asdict(config) | {"data set": data}
    free = RunConfig.__dataclass_fields__
    changes = [f"  {n}: {before.get(n)} -> {now.get(n)}" for n in now if n not in free and before.get(n) != now.get(n)]
    if changes and not config.allow_changes:
        raise RunError("\n".join(["the run was started with other settings:", *changes, "go on with --allow_changes"]))


def _cut_metrics(path: Path, step: int) -> None:
    """Removes what was logged after the state of ``step`` was saved and will be logged again: all after the first
    line of that step, which is the step's own. Whatever else it has are evaluations."""
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        logged = json.loads(line)["step"] if line.endswith("}\n") else math.inf  # cut short
        if logged <= step:
            kept.append(line)
        if logged >= step:
            break
    path.write_text("".join(kept))


def append_metrics(out: Path, metrics: dict[str, Any]) -> None:
    """Adds a line of JSON to the log; NaN and infinity become null. A line that cannot be written whole is lost with a
    warning."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
    line = (json.dumps(finite) + "\n").encode()
    try:
        with (out / METRICS_FILE).open("ab", buffering=0) as file:
            if (written := file.write(line)) < len(line):
                file.truncate(file.tell() - written)
                raise OSError(f"{out / METRICS_FILE}: no space left")
    except OSError as error:
        warnings.warn(f"metrics are not logged: {error}", stacklevel=2)


def resume_command() -> str:
    """The command line that continues this run."""
    arguments = [argument for argument in sys.argv if argument not in ("--overwrite", "--resume")]
    launcher = "torchrun …" if "TORCHELASTIC_RUN_ID" in os.environ else "python"
    return f"{launcher} {shlex.join(arguments)} --resume"
