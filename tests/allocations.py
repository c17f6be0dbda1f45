"""How much memory an action takes, counted by PyTorch's allocator: the same on every machine, whatever the C library
and the kernel keep back of what was freed."""

import gc
from collections.abc import Callable
from typing import TypeVar

from torch.profiler import ProfilerActivity, profile

T = TypeVar("T")


def peak_allocated(action: Callable[[], T]) -> tuple[int, T]:
    """(bytes by which the tensors' memory on the CPU grew at most while ``action()`` ran, what it returned)."""
    gc.collect()  # what an earlier action left in a cycle, freed during this one, would hide as much of its peak
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        result = action()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak, result
