"""Writing files safely."""

import os
from pathlib import Path


def unwritable(folder: Path) -> Path | None:
    """The nearest existing parent of `folder` if nothing can be created in it; None where `folder` can be created."""
    nearest = next(part for part in (folder, *folder.parents) if part.exists())
    return None if nearest.is_dir() and os.access(nearest, os.W_OK) else nearest


def write_whole(path: Path, text: str) -> None:
    """Write a text so that readers see the old file or the new one, never a part, even if writing is interrupted.

    A lone surrogate, which a model's text may hold, has no UTF-8 bytes: it is written as a JSON escape.
    """
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8", errors="backslashreplace")
    new.replace(path)
