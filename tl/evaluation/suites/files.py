"""Finding and reading the files of a benchmark, plain or gzip."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tl.datasets import DataError
from tl.datasets.files import open_plain


def find(data: Path, folders: Sequence[str], names: Sequence[str]) -> Path:
    """The first existing file `data[/folder…]/name[.gz]`; leading folders may be missing from the path.

    Raises DataError that names the folder and all that was looked for there.
    """
    for start in range(len(folders), -1, -1):
        for name in names:
            for suffix in ("", ".gz"):
                path = data.joinpath(*folders[start:], name + suffix)
                if path.is_file():
                    return path
    wanted = " or ".join("/".join([*folders, name]) for name in names)
    raise DataError(f"{data}: no {wanted} (or .gz) found; --data must be the folder with the published files")


def read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from error


def read_list(path: Path) -> list[dict]:
    """A JSON list of at least one object."""
    records = read_json(path)
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{path}: expected a JSON list of objects")
    return records


def read_records(path: Path) -> list[dict]:
    """At least one JSON object, in a list or one per line."""
    return read_list(path) if read_text(path).lstrip().startswith("[") else read_lines(path)


def read_lines(path: Path) -> list[dict]:
    """At least one JSON object, one per line."""
    records = []
    for number, line in enumerate((line for line in read_text(path).split("\n") if line.strip()), 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, record {number}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, record {number}: expected an object, not {record!r:.80}")
        records.append(record)
    if not records:
        raise DataError(f"{path}: contains no record")
    return records


def read_text(path: Path) -> str:
    """The text of a file, plain or gzip. Raises DataError if it cannot be read."""
    try:
        with open_plain(path) as file:
            return file.read().decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
