"""Files → raw records: JSON lines, a JSON list, one object over many lines, one dialogue per file; plain or gzipped."""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from tl.datasets.report import DataError
from tl.forms.values import refuse_constant, unique_keys

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_OPENING = (b"{", b"[", b",", b":")


def raw_records(path: Path) -> Iterator[tuple[str, object]]:
    """Yields (place, record) of a file; a line that is not JSON comes as bytes. Raises DataError for a bad file."""
    try:
        with open_plain(path) as file:
            yield from _records(path, enumerate(file, 1))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def open_plain(path: Path) -> IO[bytes]:
    """The bytes of a file, decompressed if it is gzipped, whatever its name."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if compressed else path.open("rb")


def _records(path: Path, lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[str, object]]:
    first = next(((at, text) for at, line in lines if (text := line.removeprefix(codecs.BOM_UTF8).strip())), None)
    if first is None:
        raise DataError(f"{path}: contains no record")
    number, line = first
    if line.startswith(b"[") or (line.startswith(b"{") and line.endswith(_OPENING)):
        yield from _whole(path, [line, *(line.strip() for _, line in lines)], number)
        return
    record = _line(line)
    if is_message(record):
        yield from _conversations(record, lines)
        return
    yield f"line {number}", record
    yield from ((f"line {at}", _line(line.strip())) for at, line in lines if line.strip())


def _conversations(first: object, lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[str, list[object]]]:
    """The conversations in a file with one message a line, separated by blank lines."""
    place, messages = "the file", [first]
    for at, line in lines:
        if line.strip():
            place = place if messages else f"line {at}"
            messages.append(_line(line))
        elif messages:
            yield place, messages
            messages = []
    if messages:
        yield place, messages


def _whole(path: Path, lines: list[bytes], number: int) -> Iterator[tuple[str, object]]:
    """The records of a JSON text over many lines: a list or one record. If each line is a list, each is a record."""
    try:
        value = loads(b"\n".join(lines), "the file")
    except (ValueError, RecursionError) as error:
        if lines[0].endswith(b",") and not isinstance(_line(lines[0][:-1]), bytes):
            raise DataError(f"{path}: lines that end in commas: leave these out, or put all lines in [ ]") from error
        records = [(f"line {at}", _line(line)) for at, line in enumerate(lines, number) if line]
        if len(records) < 2 or not all(isinstance(record, list) for _, record in records):
            raise DataError(f"{path}: {error}") from error
        yield from records
        return
    if isinstance(value, list) and not is_message(value[0] if value else None):
        if not value:
            raise DataError(f"{path}: contains no record")
        yield from ((f"record {at}", record) for at, record in enumerate(value, 1))
    else:
        yield "the file", value


def is_message(value: object) -> bool:
    """Whether a value is one message of a conversation, not a record."""
    return isinstance(value, dict) and isinstance(value.get("role"), str) and "messages" not in value


def _line(line: bytes) -> object:
    try:
        return loads(line, "the line")
    except (ValueError, RecursionError):
        return line


def parsed(record: object) -> object:
    """A record of `raw_records`. Raises ValueError, with the reason, for a line that is not JSON, also if it is one of
    the lines of a conversation."""
    for number, item in enumerate(record, 1) if isinstance(record, list) else ():
        if isinstance(item, bytes):
            loads(item, f"message {number}")
    return loads(record, "the line") if isinstance(record, bytes) else record


def loads(data: bytes, what: str) -> object:
    """Strict JSON in UTF-8, without NaN, a key twice in an object, and lone surrogates, which are no valid text. Raises
    ValueError."""
    try:
        value = json.loads(data.decode(), parse_constant=refuse_constant, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"{what} is not JSON: {error.msg} ({place})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}") from None
    if _ESCAPED_SURROGATE.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what} holds a lone surrogate") from None
    return value
