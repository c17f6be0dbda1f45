"""Reads data sets: files of many formats → trajectories, and a report about their records."""

import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from tl.datasets.companions import Companions, joined_records
from tl.datasets.files import parsed
from tl.datasets.formats import NAMES, read_one, single_records
from tl.datasets.mix import drawn, shares_of
from tl.datasets.report import BadRecord, DataError, ReadReport, looks_like
from tl.mae import ErrorCategory, call_categories
from tl.trajectory import Note, Notes, Trajectory

__all__ = ["AUTO", "DATA_FORMAT", "ON_BAD_DATA", "BadRecord", "DataError", "OnBadData", "ReadReport", "read", "stream"]

AUTO = "auto"  # detect the format from the content
DATA_FORMAT = "data format, one of those listed by `python -m tl formats`; auto: detect it from the content"
OnBadData = Literal["error", "skip"]
ON_BAD_DATA = "what to do with bad records: list them and stop, or skip them"
ROLE_LINES = ("\nSystem: ", "\nUser: ", "\nAssistant: ", "\nOutput: ")


def read(
    paths: str | PathLike | Sequence[str | PathLike],
    on_bad: OnBadData = "error",
    check: Callable[[Trajectory], object] | None = None,
    data_format: str = AUTO,
    seed: int = 0,
) -> tuple[list[Trajectory], ReadReport]:
    """Reads and validates every record of one or more files; formats are detected.

    Bad records raise one DataError that lists them by reason; with `on_bad="skip"` they are skipped and listed in the
    report. A file that cannot be read as a whole (missing, cut off, empty) is a DataError in either case. A record
    without an id gets its file and place as its id; ids need not be unique. Paths may have shares (`a.jsonl:0.4`): then
    `seed` draws trajectories in these proportions, see `tl.datasets.mix`. `check` is called with every trajectory; if
    it raises ValueError, the record is bad.
    """
    report = ReadReport()
    names = [str(path) for path in ([paths] if isinstance(paths, str | PathLike) else paths)]
    return list(stream(names, report, on_bad, data_format, seed, check)), report


def stream(
    paths: Sequence[str],
    report: ReadReport,
    on_bad: OnBadData = "error",
    data_format: str = AUTO,
    seed: int = 0,
    check: Callable[[Trajectory], object] | None = None,
) -> Iterator[Trajectory]:
    """Yields the trajectories of `read` without keeping them. The report is complete after the last one, and with
    `on_bad="error"` the DataError for bad records is raised then. Files with shares are read twice, first to count and
    to check.
    """
    check_options(on_bad, data_format)
    split = shares_of(paths)
    shares = [share for _, share in split if share is not None]
    chosen: Container[int] = range(sys.maxsize)
    if shares:
        counted = ReadReport()
        sizes = [sum(1 for _ in _trajectories(Path(path), counted, check, data_format)) for path, _ in split]
        counted.read = sum(sizes)
        if on_bad == "error":
            counted.check()
        chosen = set(drawn(sizes, shares, seed))
    for path, _ in split:
        for trajectory in _trajectories(Path(path), report, check, data_format):
            report.read += 1
            if report.read - 1 in chosen:
                yield trajectory
    if on_bad == "error":
        report.check()


def check_options(on_bad: str, data_format: str) -> None:
    if on_bad not in ("error", "skip"):
        raise ValueError(f"on_bad must be 'error' or 'skip', not {on_bad!r}")
    if data_format not in (AUTO, *NAMES):
        raise DataError(f"--data_format must be auto or one of {', '.join(NAMES)}, not {data_format!r:.80}")


def _trajectories(
    path: Path, report: ReadReport, check: Callable[[Trajectory], object] | None, data_format: str
) -> Iterator[Trajectory]:
    return of_records(joined_records(path), Companions(path), report, check, data_format)


def of_records(
    records: Iterable[tuple[str, object]],
    companions: Companions,
    report: ReadReport,
    check: Callable[[Trajectory], object] | None = None,
    data_format: str = AUTO,
) -> Iterator[Trajectory]:
    """Yields the trajectories of raw records (with their places) of one file, and adds to the report everything but
    their number."""
    path = companions.path
    name = None if data_format == AUTO else data_format
    for at, given in records:
        for place, raw in single_records(at, given, name):
            notes: Notes = Counter()
            try:
                trajectory = read_one(companions.completed(parsed(raw), notes), f"{path}, {place}", notes, name)
                note_signs(trajectory, notes)
                if check:
                    check(trajectory)
            except (ValueError, RecursionError) as error:
                report.looks_like = report.looks_like or looks_like(raw)
                report.bad.append(BadRecord(str(path), place, str(error)))
                continue
            report.add(notes, f"{path}, {place}")
            yield trajectory


def note_signs(trajectory: Trajectory, notes: Notes) -> None:
    """Counts signs of misread records: correct calls with undeclared parameters, outputs with a line of a role."""
    notes[Note.ROLE_WORDS] += sum(
        message.role == "tool" and any(line in message.content for line in ROLE_LINES)
        for message in trajectory.messages
    )
    declared = {tool.name: tool.parameters for tool in trajectory.tools}
    undeclared = []
    for at, (message, _) in enumerate(trajectory.answered_calls()):
        call = message.call
        if call and not call.arguments.keys() <= declared.get(call.name, call.arguments).keys():
            undeclared.append(at)
    if undeclared:
        categories = call_categories(trajectory)
        notes[Note.UNDECLARED] += sum(categories[at] is ErrorCategory.ALL_RIGHT for at in undeclared)
