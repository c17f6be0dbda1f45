"""Any readable set as OpenAI messages, a record a line.

python -m tl convert swe.traj --out swe.jsonl
python -m tl convert a.jsonl:0.4 b.json:0.3 c.traj:0.3 --out mix.jsonl     a mix by share of trajectories
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tl.config import option, parse_config
from tl.datasets import AUTO, DATA_FORMAT, DataError, ReadReport, read
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
        trajectories, report = load(config)
        write_records(config.out, map(plain_record, trajectories))
    except (DataError, OSError) as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    tell(report)
    print(f"{len(trajectories):,} records in {config.out}")
    return 0


def load(config: ConvertConfig) -> tuple[list[Trajectory], ReadReport]:
    """Raises DataError for flags that do not go together, for what cannot be read, and where nothing is left."""
    if not config.files or not config.out:
        raise DataError("give the files to read, and with --out the one to write")
    out = Path(config.out)
    if out.exists() and not config.overwrite:
        raise DataError(f"{out} exists already: choose another name, or add --overwrite")
    sources = [Path(split_share(name)[0]) for name in config.files]
    if out.exists() and any(source.exists() and source.samefile(out) for source in sources):
        raise DataError(f"{out} is one of the files to read: choose another name")
    trajectories, report = read(config.files, config.on_bad_data, data_format=config.data_format, seed=config.seed)
    if not trajectories:
        raise DataError("\n".join(["no record can be read:", *report.bad_lines()]))
    return trajectories, report


def write_records(out: str, records: Iterable[dict]) -> int:
    """Writes a record a line; returns how many."""
    with open(out, "w", encoding="utf-8") as file:
        return sum(file.write(json.dumps(record, ensure_ascii=False) + "\n") > 0 for record in records)


def tell(report: ReadReport) -> None:
    """What became of the records, on standard error."""
    for line in report.bad_lines() if report.bad else []:
        print(f"skipped {line}", file=sys.stderr)
    for line in report.note_lines():
        print(line, file=sys.stderr)
