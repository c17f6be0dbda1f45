"""The parts of an experiment, each a run of a script: finished parts are reused, interrupted ones are resumed.

A part has a folder of its own, whose name ends in a digest of all that its result depends on: settings, base model,
data. With another setting it is another part, so that results are never mixed. The digest does not cover the code:
after changing that, start with an empty folder. What a script prints goes to the folder's log.txt.
"""

import hashlib
import json
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tl.errors import UserError
from tl.executor.sandbox import kernel
from tl.files import sha256, write_whole
from tl.training.loop import STOPPED
from tl.training.run import METRICS_FILE, is_finished

HOME = Path(__file__).resolve().parents[2]
# All other kinds are commands of `python -m tl`.
SCRIPTS = {
    "sft": HOME / "train_sft.py",
    "ppo": HOME / "train_ppo.py",
    "evaluation": HOME / "evaluate.py",
}
RECORD, LOG, REPORT = "part.json", "log.txt", "report.json"
TAIL = 12  # lines of the log in an error message
DREW = re.compile(r"^ *drew ([\d,]+) tokens", re.MULTILINE)  # what rejection and prm print


class Stopped(Exception):
    """A signal stopped a part; it can be resumed."""


class PartError(UserError):
    """A script failed; the message shows the end of its log."""


def digest(value: object) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def digest_of_files(folder: Path, pattern: str = "*") -> str:
    """The digest of the names and contents of a folder's files."""
    files = sorted(file for file in folder.glob(pattern) if file.is_file())
    return digest([[str(file.relative_to(folder)), sha256(file)] for file in files])


@dataclass(frozen=True)
class Part:
    """A run of one of SCRIPTS, or of a command of `python -m tl`."""

    kind: str
    name: str
    flags: list[str]  # without those that say where the result goes
    settings: dict  # all that the result depends on
    root: Path
    place: str = "model"  # path of the result in the folder; the script's --out is its first component

    @property
    def digest(self) -> str:
        return digest([self.kind, self.settings])

    @property
    def folder(self) -> Path:
        return self.root / f"{self.kind}-{self.name}-{self.digest}"

    @property
    def model(self) -> Path:
        return self.folder / self.place

    def report(self) -> dict:
        return json.loads((self.folder / REPORT).read_text(encoding="utf-8"))

    def sampled(self) -> int:
        """Tokens that a finished part sampled to learn from, without those of killed processes."""
        if self.kind == "ppo":
            steps = [json.loads(line) for line in (self.model / METRICS_FILE).read_text(encoding="utf-8").splitlines()]
            each = self.settings["settings"]["batch_size"]
            return round(sum(each * step.get("response_length", 0) for step in steps))
        log = (self.folder / LOG).read_text(encoding="utf-8", errors="replace")
        return sum(int(n.replace(",", "")) for n in DREW.findall(log))

    def command(self) -> list[str]:
        script = [str(SCRIPTS[self.kind])] if self.kind in SCRIPTS else ["-m", "tl", self.kind]
        command = [sys.executable, *script, *self.flags]
        if self.kind == "evaluation":
            return [*command, "--report", str(self.folder / REPORT)]
        out = self.folder / Path(self.place).parts[0]
        resumed = self.kind != "rejection" and out.exists()  # rejection resumes without a flag
        return [*command, "--out", str(out), *(["--resume"] if resumed else [])]

    def seconds(self) -> float | None:
        """Wall-clock seconds of a finished part over all its runs; None if it is not finished."""
        record = self._record()
        return record["seconds"] if record["finished"] else None

    def cpu_seconds(self) -> float:
        """Processor seconds of a finished part, summed over all cores."""
        return self._record()["cpu_seconds"]

    def error(self) -> str | None:
        """The last line that a failed part printed; None if it has not failed."""
        return self._record().get("error")

    def make(self) -> None:
        """Runs the part, or the rest of it. The time of killed processes is not counted.

        Raises Stopped after a signal, PartError if the script fails.
        """
        record = self._record()
        if record["finished"]:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        started, cpu = time.perf_counter(), children_seconds()
        status, stopped = 0, False
        if not is_finished(self.model):  # else it was killed after its last step
            status, stopped = run(self.command(), self.folder / LOG)
        stopped |= status == STOPPED
        lines = [] if stopped or status == 0 else self._end_of_log()
        record = {
            "finished": status == 0,
            "seconds": record["seconds"] + time.perf_counter() - started,
            "cpu_seconds": record.get("cpu_seconds", 0.0) + children_seconds() - cpu,
            "error": lines[-1] if lines else None,
        }
        write_whole(self.folder / RECORD, json.dumps(record | {"settings": self.settings}, indent=1) + "\n")
        if stopped:
            raise Stopped(f"stopped in {self.folder.name}")
        if status != 0:
            raise PartError("\n".join([f"{self.folder / LOG}: the script failed with status {status}:", *lines]))

    def _end_of_log(self) -> list[str]:
        lines = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if line.strip()][-TAIL:] or ["nothing was printed"]

    def _record(self) -> dict:
        path = self.folder / RECORD
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"finished": False, "seconds": 0.0}


def children_seconds() -> float:
    """Processor seconds of all descendants that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(command: Sequence[str], log: Path | None) -> tuple[int, bool]:
    """Runs a command that prints to ``log`` (None: to where this process prints). Returns its exit status, and whether
    a signal came meanwhile: SIGTERM and Ctrl-C are passed on to the command, which decides when to end."""
    process: subprocess.Popen | None = None
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        if not received:
            print("\nstopping; press Ctrl-C again to stop now", file=sys.stderr)
        received.append(number)
        if process is not None:
            process.send_signal(number)

    handlers = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with log.open("ab") if log else nullcontext() as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if log else None,
                preexec_fn=_end_with_parent if kernel.supported() else None,
            )
            for number in received:  # before there was a process
                process.send_signal(number)
            return process.wait(), bool(received)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end_with_parent() -> None:
    """Ends a script when this process is killed: alone, it would still hold the lock of the part's folder."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def seconds_left(parts: Sequence[Part]) -> float | None:
    """Estimated seconds of the unfinished parts: for each the mean of its kind's finished parts, or of all finished
    parts if there is none of its kind. None if no part is finished."""
    taken: dict[str, list[float]] = {}
    left = []
    for part in parts:
        if (seconds := part.seconds()) is None:
            left.append(part.kind)
        else:
            taken.setdefault(part.kind, []).append(seconds)
    overall = [seconds for of_kind in taken.values() for seconds in of_kind]
    return sum(statistics.fmean(taken.get(kind, overall)) for kind in left) if overall else None


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
