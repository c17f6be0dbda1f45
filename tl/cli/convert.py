"""Converts any supported data format to OpenAI messages, one record per line.

    python -m tl convert swe.traj --out swe.jsonl
    python -m tl convert a.jsonl:0.4 b.json:0.3 c.traj:0.3 --out mix.jsonl     a mix with these shares of trajectories

docs/data_formats.md lists the formats and describes how each is read.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tl.config import option, parse_config
from tl.datasets import AUTO, DATA_FORMAT, ON_BAD_DATA, DataError, OnBadData, ReadReport, stream
from tl.datasets.label import plain_record
from tl.datasets.mix import split_share
from tl.files import check_output, named_errors
from tl.trajectory import Trajectory


@dataclass
class ConvertConfig:
    files: list[str] = option([], "data files, optionally with shares (a.jsonl:0.4)", positional=True)
    out: str = option("", "output file (required)")
    data_format: str = option(AUTO, DATA_FORMAT)
    on_bad_data: OnBadData = option("error", ON_BAD_DATA)
    seed: int = option(0, "seed of the random draw when files have shares")
    overwrite: bool = option(False, "replace an existing output file")


def main(argv: Sequence[str]) -> int:
    config = parse_config(ConvertConfig, argv, __doc__, prog="python -m tl convert")
    check(config)
    report = ReadReport()
    written = write_records(config, map(plain_record, trajectories(config, report)))
    print_notes(report)
    print(f"{written:,} records in {config.out}")
    return 0


def check(config: ConvertConfig) -> None:
    """Raises UserError for missing flags, and for an output that cannot or must not be written."""
    if not config.files or not config.out:
        raise DataError("name the files to read, and the output file with --out")
    check_output(config.out, config.overwrite, (split_share(name)[0] for name in config.files))


def trajectories(config: ConvertConfig, report: ReadReport) -> Iterator[Trajectory]:
    """Yields the trajectories of the files. Raises DataError for bad records (if they are not to be skipped) and if
    every record is bad."""
    found = stream(config.files, report, config.on_bad_data, config.data_format, config.seed)
    yield from tqdm(found, "read", unit=" trajectories", disable=None, leave=False)
    if not report.read:
        raise DataError("\n".join(["no record can be read:", *report.bad_lines()]))


def write_records(config: ConvertConfig, records: Iterable[dict]) -> int:
    """Writes one record per line to a temporary file that replaces `out` at the end; returns the number of records."""
    out = Path(config.out).resolve()
    unfinished = out.with_name(f"{out.name}.new")
    # "x": not a file that somebody else has there
    with named_errors(out), unfinished.open("x", encoding="utf-8") as file:
        try:
            written = sum(file.write(json.dumps(record, ensure_ascii=False) + "\n") > 0 for record in records)
            file.flush()
            unfinished.replace(out)
        finally:
            unfinished.unlink(missing_ok=True)
    return written


def print_notes(report: ReadReport) -> None:
    """Prints to standard error which records were skipped or changed."""
    for line in report.skipped_lines():
        print(line, file=sys.stderr)
    for line in report.note_lines():
        print(line, file=sys.stderr)
