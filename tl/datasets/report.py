"""A report about the records of files: bad ones by reason, and changes to the others."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tl.errors import UserError
from tl.files import spelled
from tl.trajectory import Note, Notes

MAX_REASONS = 20  # in a message
_VARYING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d[\d,]*")


@dataclass(frozen=True)
class BadRecord:
    """A record that was refused: its file, its place there (such as `line 12`) and the reason."""

    path: str
    place: str
    reason: str

    def __str__(self) -> str:
        return spelled(f"{self.path}, {self.place}: {self.reason}")


class DataError(UserError, ValueError):
    """Files cannot be read or contain bad records, which are listed in `bad`."""

    def __init__(self, message: str, bad: Sequence[BadRecord] = ()) -> None:
        super().__init__(message)
        self.bad = list(bad)


@dataclass
class ReadReport:
    """What happened while reading: records read, records refused, and what was done to those that were read."""

    read: int = 0
    bad: list[BadRecord] = field(default_factory=list)
    notes: Notes = field(default_factory=Counter)
    first: dict[Note, str] = field(default_factory=dict)  # where a note was first made
    looks_like: str = ""  # a description of the first bad record

    def add(self, notes: Notes, place: str) -> None:
        """Adds the notes on one record."""
        for note, count in notes.items():
            if count:
                self.notes[note] += count
                self.first.setdefault(note, place)

    def merge(self, later: ReadReport) -> None:
        """Adds the report of a later part."""
        self.read += later.read
        self.bad += later.bad
        self.notes.update(later.notes)
        self.first = later.first | self.first
        self.looks_like = self.looks_like or later.looks_like

    def to_json(self) -> dict:
        """As JSON, which `of_json` reads."""
        notes = {note.name: [count, self.first[note]] for note, count in self.notes.items()}
        return {
            "read": self.read,
            "bad": [[bad.path, bad.place, bad.reason] for bad in self.bad],
            "notes": notes,
            "looks_like": self.looks_like,
        }

    @classmethod
    def of_json(cls, said: dict) -> ReadReport:
        notes = {Note[name]: told for name, told in said["notes"].items()}
        return cls(
            said["read"],
            [BadRecord(*bad) for bad in said["bad"]],
            Counter({note: count for note, (count, _) in notes.items()}),
            {note: place for note, (_, place) in notes.items()},
            said["looks_like"],
        )

    def check(self) -> None:
        """Raises DataError, which lists the bad records, if there are any."""
        if self.bad:
            lines = ["bad records:", *(f"  {line}" for line in self.bad_lines())]
            lines += ["fix them, or skip them with --on_bad_data skip"] if self.read else []
            raise DataError("\n".join(lines), self.bad)

    def skipped_lines(self) -> list[str]:
        """Lines about the bad records that were skipped; empty if there were none."""
        return ["skipped bad records:", *(f"  {line}" for line in self.bad_lines())] if self.bad else []

    def bad_lines(self) -> list[str]:
        """One line per reason with a count and the first place, the totals, and advice if nothing could be read."""
        lines = _by_reason(self.bad)
        lines.append(f"{len(self.bad):,} of {self.read + len(self.bad):,} records are bad")
        if not self.read and self.looks_like:
            lines.append(f"the first one looks like {self.looks_like}")
            lines.append("`python -m tl formats` lists the formats that can be read; --data_format selects one")
        return lines

    def note_lines(self, leaving_out: Iterable[Note] = ()) -> list[str]:
        """Lines about changes to the records that were read."""
        told = [(note, count) for note, count in self.notes.items() if count and note not in set(leaving_out)]
        return [f"{count:,} {note.value} (first: {spelled(self.first[note])})" for note, count in told]

    def warn(self) -> None:
        """Warns about bad records by reason, and about calls with undeclared parameters."""
        if self.bad:
            warnings.warn("\n".join(self.skipped_lines()), stacklevel=3)
        if self.notes[Note.UNDECLARED]:
            (line,) = (line for line in self.note_lines() if Note.UNDECLARED.value in line)
            warnings.warn(f"{line}: was the list of tools read correctly?", stacklevel=3)


def _by_reason(bad: Sequence[BadRecord]) -> list[str]:
    """One line for each reason: its first record, and how many others there are like it."""
    groups: dict[tuple[str, str], list[BadRecord]] = {}
    for record in bad:
        groups.setdefault((record.path, _VARYING.sub("…", record.reason)), []).append(record)
    lines = [f"{of[0]}" + (f" (and {len(of) - 1:,} more like it)" if len(of) > 1 else "") for of in groups.values()]
    left = len(lines) - MAX_REASONS
    return lines[:MAX_REASONS] + ([f"and {left:,} more reasons"] if left > 0 else [])


def looks_like(raw: object) -> str:
    """A short description of a record."""
    if isinstance(raw, bytes):
        return f"the text {spelled(raw[:60].decode(errors='replace'))!r}"
    if isinstance(raw, dict):
        return f"an object with the keys {', '.join(map(spelled, raw)):.120}" if raw else "an empty object"
    return f"a list of {len(raw):,}" if isinstance(raw, list) else f"the value {raw!r:.60}"
