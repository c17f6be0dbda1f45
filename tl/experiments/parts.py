"""Trainings and evaluations that an experiment is made of: each is done once, found again, or gone on with.

A part lies in a folder of its own whose name ends in the digest of all that its result depends on: settings, base
model, data. With another setting it is another part, so that results are never mixed. What is not in the digest is the
code: after changing it, start with an empty folder.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tl.files import write_whole

RECORD = "part.json"
SHORT = 12  # hexadecimal digits of a digest


class Stopped(Exception):
    """A part was stopped by a signal and can be gone on with."""


def digest(value: object) -> str:
    """Of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT]


def digest_of_files(folder: Path) -> str:
    """Of the names and the contents of the files in a folder."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return digest([[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in files])


@dataclass(frozen=True)
class Part:
    """``work(folder)`` makes it, going on with what it finds there; raises Stopped when a signal ended it."""

    kind: str
    name: str
    settings: dict  # all that the result depends on
    work: Callable[[Path], None]

    @property
    def digest(self) -> str:
        return digest([self.kind, self.settings])


class Store:
    """The parts under ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, part: Part) -> Path:
        return self.root / f"{part.kind}-{part.name}-{part.digest}"

    def seconds(self, part: Part) -> float | None:
        """What a finished part took, interruptions included; None for one that is not finished."""
        record = self._record(part)
        return record["seconds"] if record["finished"] else None

    def make(self, part: Part) -> None:
        """Does the part, or what is left of it. Time spent in vain by a killed process is not counted."""
        record = self._record(part)
        if record["finished"]:
            return
        folder = self.folder(part)
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        try:
            part.work(folder)
            record["finished"] = True
        finally:
            record["seconds"] += time.perf_counter() - started
            write_whole(folder / RECORD, json.dumps(record | {"settings": part.settings}, indent=1) + "\n")

    def _record(self, part: Part) -> dict:
        path = self.folder(part) / RECORD
        if not path.exists():
            return {"finished": False, "seconds": 0.0}
        record = json.loads(path.read_text(encoding="utf-8"))
        return {key: record[key] for key in ("finished", "seconds")}

    def seconds_left(self, parts: Sequence[Part]) -> float | None:
        """An estimate for those of the parts that are not finished: the mean of their kind so far, or of all where the
        kind has none; None before anything is finished."""
        taken: dict[str, list[float]] = {}
        for part in parts:
            if (seconds := self.seconds(part)) is not None:
                taken.setdefault(part.kind, []).append(seconds)
        if not taken:
            return None
        overall = statistics.fmean(s for kind in taken.values() for s in kind)
        left = [part.kind for part in parts if self.seconds(part) is None]
        return sum(statistics.fmean(taken[kind]) if kind in taken else overall for kind in left)


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
