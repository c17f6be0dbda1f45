"""The loop around the steps of a training run: log, states, evaluations, and stop signals."""

import atexit
import math
import os
import shlex
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Generic, NoReturn, TypeVar

from tqdm import tqdm

from tl.errors import UserError
from tl.files import print_warnings, visible
from tl.training.config import RunError, TrainingConfig
from tl.training.distributed import RankError, World, all_know, any_rank
from tl.training.run import Progress, append_metrics

STOPPED = 143  # exit status after any stop signal
SAME_REQUEST = 1.0  # seconds in which a second signal is the same one, passed on by a launcher
MAX_SKIPPED = 3  # a run ends after this many steps in a row with trouble
BAR_METRICS = ("loss", "reward", "accuracy", "kl", "tokens_per_second")  # shown next to the progress bar

Metrics = dict[str, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Trouble:
    """Why a step changed no weights or skipped updates, and what to do if it happens repeatedly."""

    reason: str
    advice: str
    resumable: bool = False  # whether the weights are sound, so that a state can be saved to resume from


@dataclass(frozen=True)
class Evaluation(Generic[T]):
    """What is evaluated during training and how. The evaluation before training (``at_start``) and the final one use
    all of ``held_out``, the others ``eval_items`` of it."""

    held_out: Sequence[T]
    evaluate: Callable[[Sequence[T]], Metrics]
    at_start: bool = False

    def make_if_due(self, config: TrainingConfig, progress: Progress, steps: int, world: World, bar: tqdm) -> None:
        """Logs and shows the scores, if an evaluation is due. A failure is only a warning."""
        step = progress.step
        complete = step in (0, steps)
        if not self.held_out or not (complete or is_due(config.eval_every, step)):
            return
        items = self.held_out if complete else self.held_out[: config.eval_items]
        try:
            scores = self.evaluate(items)
        except Exception as error:  # any, but most likely out of memory
            if not all_know(error, world):
                raise  # the other ranks may wait for this one somewhere
            if world.is_main:
                reason = f"{type(error).__name__}: {error}"
                warnings.warn(f"step {step}: the evaluation failed, {reason}", stacklevel=2)
            return
        if world.is_main:
            append_metrics(Path(config.out), {"step": step} | scores)
            shown = "  ".join(f"{name.removeprefix('eval_')} {value:.4g}" for name, value in scores.items())
            bar.write(f"step {step}, {len(items)} held-out requests: {shown}")


def main_loop(
    config: TrainingConfig,
    progress: Progress,
    order: Iterable[list[int]],
    steps: int,
    world: World,
    *,
    step: Callable[[list[int]], tuple[Metrics, Trouble | None]],
    save: Callable[[], None],
    save_model: Callable[[], None],
    evaluation: Evaluation,
) -> bool:
    """Runs a step for each batch in ``order``, up to step number ``steps``. Writes a line of metrics.jsonl for each
    step and evaluation, and a state every ``save_every`` steps. The trained model is saved before the final evaluation.

    ``step`` trains on the samples with the given indices and counts the step in ``progress``; ``save`` writes a state.

    Returns whether a stop signal ended the run: after a step, with a saved state; an evaluation that is due is made
    after resuming. Raises RunError after ``MAX_SKIPPED`` steps in a row with trouble.
    """
    if world.is_main and config.batch_size < world.size:
        warnings.warn(
            f"--batch_size {config.batch_size} is less than {world.size}, the number of ranks: some have no work",
            stacklevel=2,
        )
    bar = tqdm(total=steps, initial=progress.step, desc="train", unit="step", disable=not world.is_main)

    evaluate_if_due = partial(evaluation.make_if_due, config, progress, steps, world, bar)

    with bar, StopSignals() as stop:
        if 0 < progress.step < steps or (evaluation.at_start and not progress.step):
            evaluate_if_due()
        for indices in order:
            metrics, trouble = step(indices)
            bar.set_postfix({name: metrics[name] for name in BAR_METRICS if name in metrics})
            bar.update()
            if world.is_main:
                append_metrics(Path(config.out), metrics)
            count_troubles(progress, trouble, save, world)
            stopping = any_rank(stop.received is not None)
            last = progress.step == steps and config.save_every > 0
            if stopping or last or is_due(config.save_every, progress.step):
                save()
            if stopping:
                if world.is_main:
                    said = f"stopped after step {progress.step}; to continue, run\n  {resume_command()}"
                    bar.write(said, file=sys.stderr)
                return True
            if progress.step < steps:
                evaluate_if_due()
        if 0 < progress.step == progress.skipped:
            raise RunError("no step was without trouble (see the warnings above): no model is saved")
        save_model()
        evaluate_if_due()
    return False


def is_due(every: int, step: int) -> bool:
    """Whether a job that runs every ``every`` steps (0: never) is due at ``step``."""
    return every > 0 and step % every == 0


def plan(config: TrainingConfig, available: int, progress: Progress, together: int = 1) -> tuple[int, int]:
    """Total (samples, steps) of a run that continues from ``progress``. The ``batch_size`` may have changed since.
    ``together`` samples, such as those of a prompt, are not separated."""
    epochs = Fraction(str(config.epochs))  # as written: 100 * 1.1 is more than 110
    samples = math.ceil(available * epochs / together) * together
    if config.max_steps is not None:
        samples = min(samples, progress.samples + (config.max_steps - progress.step) * config.batch_size)
    samples = max(samples, progress.samples)
    return samples, progress.step + math.ceil((samples - progress.samples) / config.batch_size)


def count_troubles(progress: Progress, trouble: Trouble | None, save: Callable[[], None], world: World) -> None:
    """Warns about a step with trouble; raises RunError at ``MAX_SKIPPED`` in a row."""
    if trouble is None:
        progress.skipped = 0
        return
    progress.skipped += 1
    message = f"step {progress.step}: {trouble.reason}"
    if progress.skipped == MAX_SKIPPED:
        if trouble.resumable:
            progress.skipped = 0  # a resumed run gets the same number of tries again
            save()
        raise RunError(f"{message}. This happened in {MAX_SKIPPED} steps in a row: {trouble.advice}")
    if world.is_main:
        warnings.warn(message, stacklevel=2)


class StopSignals:
    """While entered, the first SIGTERM or Ctrl-C only sets ``received``; a second one ends the process immediately."""

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
            self._say("Stopping after the current step or evaluation; press Ctrl-C again to stop now.")
        elif time.monotonic() - self._at > SAME_REQUEST:
            self._say(
                f"Stopped immediately. To continue from the newest state, if there is one, run\n  {resume_command()}"
            )
            os._exit(128 + number)

    def _say(self, message: str) -> None:
        if os.environ.get("RANK", "0") == "0":
            with suppress(OSError):  # the terminal is gone
                os.write(2, f"\n{message}\n".encode())  # the signal may have interrupted print, which is not reentrant


def resume_command() -> str:
    """The command line that continues this run."""
    program, *given = sys.argv
    named = ["-m", "tl"] if Path(program).name == "__main__.py" else [program]
    arguments = named + [argument for argument in given if argument not in ("--overwrite", "--resume")]
    launcher = "torchrun …" if "TORCHELASTIC_RUN_ID" in os.environ else "python"
    return f"{launcher} {shlex.join(arguments)} --resume"


def run_script(main: Callable[[], int], interrupted: str = "interrupted") -> NoReturn:
    """Calls a script's ``main`` and exits with its status. ``UserError`` and ``OSError`` are reported without a
    traceback; ``interrupted`` is printed after Ctrl-C."""
    print_warnings()
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    status: int | str
    try:
        status = main()
    except RankError:
        status = 1  # the rank that failed says why
    except (UserError, OSError) as error:
        status = f"error: {visible(str(error))}"
    except KeyboardInterrupt:
        status = interrupted
    except Exception:
        if not several:
            raise
        traceback.print_exc()
        status = 1
    if several:
        _end_rank(status)
    sys.exit(status)


def _end_rank(status: int | str) -> NoReturn:
    """As ``sys.exit``, for one of several ranks: without the interpreter's finalization.

    DTensor's caches keep the process group, and with it gloo's threads, after ``destroy_process_group``. If such a
    thread still waits for the interpreter's lock to drop a tensor, finalization aborts the process. NCCL's group waits
    for the other ranks there.
    """
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
