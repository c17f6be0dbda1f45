"""Three ways to run steps that wait: one after another, many at once, or on an event loop.

Steps are a generator that yields what it waits for, is sent whether that came before the deadline, and returns its
result. So the protocol of a session is written once, and knows nothing of who waits for it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import select
import selectors
import socket
import time
from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Wait(NamedTuple):
    """Until `socket` can be read (or written, with `to_write`), or until `deadline` on the monotonic clock."""

    socket: socket.socket
    deadline: float
    to_write: bool = False


Steps = Generator[Wait, bool, T]


def drive(steps: Steps[T]) -> T:
    """Run `steps` here, blocking while they wait."""
    try:
        wait = next(steps)
        while True:
            poll = select.poll()
            poll.register(wait.socket, select.POLLOUT if wait.to_write else select.POLLIN)
            wait = steps.send(bool(poll.poll(_milliseconds(wait.deadline))))
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


def drive_many(many: Sequence[Steps[T]]) -> list[T]:
    """Run all of `many` at once; their results in the same order. None waits for another."""
    with selectors.DefaultSelector() as selector:
        crowd = _Crowd(many, selector)
        try:
            return crowd.run()
        finally:
            for steps in many:
                steps.close()


class _Crowd:
    """The state of `drive_many`: a selector for what comes, a heap for what does not come in time."""

    def __init__(self, many: Sequence[Steps], selector: selectors.BaseSelector) -> None:
        self._many = many
        self._selector = selector
        self._results: list = [None] * len(many)
        self._deadlines: list[tuple[float, int, int, Wait]] = []  # deadline, order of entry, place in `many`
        self._waiting: dict[int, int] = {}  # place in `many` -> order of entry of what it waits for
        self._order = itertools.count()

    def run(self) -> list:
        for place in range(len(self._many)):
            self._go_on(place, None)
        while self._waiting:
            for key, _ in self._selector.select(_milliseconds(self._next_deadline()) / 1000):
                self._selector.unregister(key.fileobj)
                self._go_on(key.data, True)
            while self._waiting and self._next_deadline() <= time.monotonic():
                _, _, place, wait = heapq.heappop(self._deadlines)
                self._selector.unregister(wait.socket)
                self._go_on(place, False)
        return self._results

    def _next_deadline(self) -> float:
        while self._waiting.get(self._deadlines[0][2]) != self._deadlines[0][1]:
            heapq.heappop(self._deadlines)  # it came in time
        return self._deadlines[0][0]

    def _go_on(self, place: int, came: bool | None) -> None:
        self._waiting.pop(place, None)
        try:
            wait = self._many[place].send(came)
        except StopIteration as end:
            self._results[place] = end.value
            return
        self._selector.register(wait.socket, selectors.EVENT_WRITE if wait.to_write else selectors.EVENT_READ, place)
        order = next(self._order)
        self._waiting[place] = order
        heapq.heappush(self._deadlines, (wait.deadline, order, place, wait))


async def drive_async(steps: Steps[T]) -> T:
    """Run `steps` on the running event loop."""
    try:
        wait = next(steps)
        while True:
            wait = steps.send(await _came(wait))
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


async def _came(wait: Wait) -> bool:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if wait.to_write else (loop.add_reader, loop.remove_reader)
    add(wait.socket, _settle, future, True)
    timer = loop.call_later(_milliseconds(wait.deadline) / 1000, _settle, future, False)
    try:
        return await future
    finally:
        timer.cancel()
        remove(wait.socket)


def _settle(future: asyncio.Future[bool], came: bool) -> None:
    if not future.done():
        future.set_result(came)


def _milliseconds(deadline: float) -> float:
    return max(0.0, (deadline - time.monotonic()) * 1000)
