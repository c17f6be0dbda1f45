"""Writing files and messages safely."""

import fcntl
import hashlib
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from tl.errors import UserError

# Control characters drive a terminal, and those of bidirectional text reorder what is shown around them.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def unwritable(folder: Path) -> Path | None:
    """The nearest existing parent of `folder` if nothing can be created in it; None where `folder` can be created. A
    symbolic link that leads nowhere exists, and nothing can be created in it."""
    nearest = next(part for part in (folder, *folder.parents) if part.exists() or part.is_symlink())
    return None if nearest.is_dir() and os.access(nearest, os.W_OK) else nearest


def check_output(out: str, overwrite: bool, inputs: Iterable[str | Path]) -> None:
    """Raises UserError if writing to `out` would replace a file, unless it may be overwritten and is no input, and if
    `out` cannot be a file there."""
    if Path(out).exists() and not overwrite:
        raise UserError(f"{out} already exists: choose another name, or add --overwrite")
    if Path(out).exists() and any(Path(file).exists() and Path(file).samefile(out) for file in inputs):
        raise UserError(f"{out} is one of the files to read: choose another name")
    check_place(out)


def check_place(out: str | Path) -> None:
    """Raises UserError if `out` is no regular file, or its folder does not exist."""
    if Path(out).exists() and not Path(out).is_file():
        raise UserError(f"{out} is not a regular file: choose another name")
    if not Path(out).parent.is_dir():
        raise UserError(f"{out}: the folder {Path(out).parent} does not exist: create it, or choose another name")


def check_different(out: str, **others: str | None) -> None:
    """Raises UserError if another flag, named by its keyword, names the file of --out."""
    for flag, path in others.items():
        if path and Path(path).resolve() == Path(out).resolve():
            raise UserError(f"--{flag} and --out name the same file, {out}: choose another for one of them")


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sampled_digest(path: Path, blocks: int = 64, size: int = 2**14) -> str:
    """The SHA-256 of a file's length and of blocks spread over it, in hexadecimal: fast for large files, and another
    one wherever most of the content is."""
    digest, length = hashlib.sha256(), path.stat().st_size
    digest.update(str(length).encode())
    with path.open("rb") as file:
        for block in range(blocks):
            file.seek(max(0, length - size) * block // (blocks - 1))
            digest.update(file.read(size))
    return digest.hexdigest()


def open_alone(path: Path) -> TextIO:
    """A text file, open for appending. Until it is closed, no other process can open it in this way: that raises
    OSError."""
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise OSError(f"{path} is being written by another process: choose another --out") from error
    return file


def write_whole(path: Path, text: str) -> None:
    """Write a text so that readers see the old file or the new one, never a part, even if writing is interrupted. A
    symbolic link stays, and the file that it leads to is written.

    A lone surrogate, which a model's text may hold, has no UTF-8 bytes: it is written as a JSON escape.
    """
    path = path.resolve()
    new = path.with_name(f"{path.name}.new")
    with named_errors(path):
        try:
            new.write_text(text, encoding="utf-8", errors="backslashreplace")
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


@contextmanager
def named_errors(path: str | Path) -> Iterator[None]:
    """Names the file in an OSError that does not: those of `write`, such as on a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def print_warnings() -> None:
    """From now on, a warning is a line on standard error, above the progress bars."""

    def show(message: Warning | str, *_: object) -> None:
        with suppress(OSError):  # the terminal is gone
            tqdm.write(f"warning: {visible(str(message))}", file=sys.stderr)

    warnings.showwarning = show  # type: ignore[assignment]


def visible(text: str) -> str:
    """The text with control characters, all but newline and tab, spelled out as `\\x1b`; halves of characters too."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def spelled(text: str) -> str:
    """`visible` text on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")
