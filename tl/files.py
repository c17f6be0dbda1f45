"""Files that are there whole or not at all."""

import os
from pathlib import Path


def unwritable(folder: Path) -> Path | None:
    """The nearest part of the path that exists, if nothing can be made in it; None where the folder can be made."""
    nearest = next(part for part in (folder, *folder.parents) if part.exists())
    return None if nearest.is_dir() and os.access(nearest, os.W_OK) else nearest


def write_whole(path: Path, text: str) -> None:
    """Write a text so that a reader, or a stop half-way, finds the file as it was or as it will be.

    Half a surrogate pair, which a model's text may hold, has no bytes of its own, but an escape in JSON.
    """
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8", errors="backslashreplace")
    new.replace(path)
