"""Any readable set as OpenAI messages, a record a line.

python -m tl convert swe.traj --out swe.jsonl
python -m tl convert a.jsonl:0.4 b.json:0.3 c.traj:0.3 --out mix.jsonl     a mix by share of trajectories
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from tl.config import option, parse_config
from tl.datasets import AUTO, DATA_FORMAT, DataError, ReadReport, stream
from tl.datasets.label import plain_record
from tl.datasets.mix import split_share
from tl.files import visible
from tl.trajectory import Trajectory


@dataclass
class ConvertConfig:
    """Flags of `python -m tl convert`."""

    files: list[str] = option([], "data files, each perhaps with its share (a.jsonl:0.4)", positional=True)
    out: str = option("", "file to write")
    data_format: str = option(AUTO, DATA_FORMAT)
    on_bad_data: Literal["error", "skip"] = option("error", "bad records: stop, naming them, or go on without them")
    seed: int = option(0, "of the draw, where files have shares")
    overwrite: bool = option(False, "replace an existing file")


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 2 when something cannot be read or written."""
    config = parse_config(ConvertConfig, argv, __doc__, prog="python -m tl convert")
    try:
        check(config)
        report = ReadReport()
        written = write_records(config, map(plain_record, trajectories(config, report)))
    except (DataError, OSError) as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    tell(report)
    print(f"{written:,} records in {config.out}")
    return 0


def check(config: ConvertConfig) -> None:
    """Raises DataError for flags that do not go together."""
    if not config.files or not config.out:
        raise DataError("give the files to read, and with --out the one to write")
    out = Path(config.out)
    if out.exists() and not config.overwrite:
        raise DataError(f"{out} exists already: choose another name, or add --overwrite")
    if out.exists() and not out.is_file():
        raise DataError(f"{out} is no file: choose another name")
    sources = [Path(split_share(name)[0]) for name in config.files]
    if out.exists() and any(source.exists() and source.samefile(out) for source in sources):
        raise DataError(f"{out} is one of the files to read: choose another name")


def trajectories(config: ConvertConfig, report: ReadReport) -> Iterator[Trajectory]:
    """Raises DataError for what cannot be read, and where nothing is left."""
    found = stream(config.files, report, config.on_bad_data, config.data_format, config.seed)
    yield from tqdm(found, "read", unit=" trajectories", disable=None, leave=False)
    if not report.read:
        raise DataError("\n".join(["no record can be read:", *report.bad_lines()]))


def write_records(config: ConvertConfig, records: Iterable[dict]) -> int:
    """Writes a record a line, to a file beside `out` that takes its place when all are written; returns how many."""
    out = Path(config.out).resolve()
    unfinished = out.with_name(f"{out.name}.new")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            written = sum(file.write(json.dumps(record, ensure_ascii=False) + "\n") > 0 for record in records)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def tell(report: ReadReport) -> None:
    """What became of the records, on standard error."""
    for line in report.bad_lines() if report.bad else []:
        print(f"skipped {line}", file=sys.stderr)
    for line in report.note_lines():
        print(line, file=sys.stderr)
