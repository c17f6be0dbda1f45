"""Drives many concurrent sessions on one thread.

`Steps` is a generator that yields what it waits for, is sent whether that came before the deadline, and returns its
result. Sessions describe their protocol as steps; `drive` does the waiting.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Wait(NamedTuple):
    """Until `socket` can be read (or written, with `to_write`), or until `deadline` on the monotonic clock."""

    socket: socket.socket
    deadline: float
    to_write: bool = False


Steps = Generator[Wait, Any, T]  # is sent a bool, and None to start it


def drive(many: Sequence[Steps[T]]) -> list[T]:
    """Runs all of `many` concurrently; results in the same order."""
    results: dict[int, T] = {}
    waiting: dict[int, tuple[int, Wait]] = {}  # by descriptor: place in `many`, what it waits for
    poll = select.poll()

    def go_on(place: int, came: bool | None) -> None:
        try:
            wait = many[place].send(came)
        except StopIteration as end:
            results[place] = end.value
            return
        poll.register(wait.socket, select.POLLOUT if wait.to_write else select.POLLIN)
        waiting[wait.socket.fileno()] = place, wait

    try:
        for place in range(len(many)):
            go_on(place, None)
        while waiting:
            deadline = min(wait.deadline for _, wait in waiting.values())
            came = dict(poll.poll(max(0.0, (deadline - time.monotonic()) * 1000)))
            now = time.monotonic()
            for descriptor, (place, wait) in list(waiting.items()):
                if descriptor in came or wait.deadline <= now:
                    poll.unregister(descriptor)
                    del waiting[descriptor]
                    go_on(place, descriptor in came)
    finally:
        for steps in many:
            steps.close()
    return [results[place] for place in range(len(many))]
