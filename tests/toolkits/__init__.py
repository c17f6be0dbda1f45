"""Toolkits for tests, and how they come into the library."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tools


@contextmanager
def in_library() -> Iterator[None]:
    """The toolkits of this folder can be named in the block, by new executors too."""
    tools.__path__.append(str(Path(__file__).parent))
    try:
        yield
    finally:
        tools.__path__.pop()
