"""Drives many concurrent sessions on one thread.

`Steps` are a generator that yields a `Wait` whenever it has to wait for a socket. It is sent back True if the socket
became ready before the deadline, else False, and returns its result. Sessions write their protocol as steps; `drive`
does the waiting.
"""

import select
import socket
import time
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Wait(NamedTuple):
    """Wait until `socket` is readable (with `to_write`: writable), or until `deadline` on the monotonic clock."""

    socket: socket.socket
    deadline: float
    to_write: bool = False


Steps = Generator[Wait, Any, T]  # is sent None to start it, then a bool for each Wait


def drive(many: Sequence[Steps[T]]) -> list[T]:
    """Run all of `many` concurrently. Returns their results in the same order."""
    results: dict[int, T] = {}
    waiting: dict[int, tuple[int, Wait]] = {}  # descriptor -> (place in `many`, what it waits for)
    poll = select.poll()

    def resume(place: int, ready: bool | None) -> None:
        try:
            wait = many[place].send(ready)
        except StopIteration as end:
            results[place] = end.value
            return
        poll.register(wait.socket, select.POLLOUT if wait.to_write else select.POLLIN)
        waiting[wait.socket.fileno()] = place, wait

    try:
        for place in range(len(many)):
            resume(place, None)
        while waiting:
            deadline = min(wait.deadline for _, wait in waiting.values())
            ready = dict(poll.poll(max(0.0, (deadline - time.monotonic()) * 1000)))
            now = time.monotonic()
            for descriptor, (place, wait) in list(waiting.items()):
                if descriptor in ready or wait.deadline <= now:
                    poll.unregister(descriptor)
                    del waiting[descriptor]
                    resume(place, descriptor in ready)
    finally:
        for steps in many:
            steps.close()
    return [results[place] for place in range(len(many))]
