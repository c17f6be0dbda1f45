"""How the time of a function grows with its input."""

import contextlib
import time
from collections.abc import Callable


def seconds(function: Callable[[str], object], text: str, *expected: type[Exception], times: int = 3) -> float:
    """The least processor time of `times` calls; `expected` errors are part of them."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        with contextlib.suppress(*expected):
            function(text)
        taken.append(time.process_time() - start)
    return min(taken)
