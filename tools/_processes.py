"""For programs that the first process of a PID namespace runs: capped output, a time limit, killing what is left."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import ExitStack
from typing import IO


class _Output:
    """Keeps `limit` bytes of a stream of any length: its beginning and its end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = self._tail = b""
        self._length = 0

    def add(self, data: bytes) -> None:
        self._length += len(data)
        room = self._limit // 2 - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-self._limit // 2 :]

    def text(self) -> str:
        cut = b" [...] " if self._length > len(self._head) + len(self._tail) else b""
        return (self._head + cut + self._tail).decode("utf-8", "replace")


def outputs(process: subprocess.Popen, limit: int, seconds: float | None = None) -> list[str]:
    """What the process wrote into each of its pipes until it ended; of long output, `limit` bytes from its beginning
    and end. Does not wait for children of the process that hold a pipe open.

    Raises `TimeoutError` if it runs for more than `seconds`.
    """
    streams = {stream: _Output(limit) for stream in (process.stdout, process.stderr) if stream}
    deadline = None if seconds is None else time.monotonic() + seconds
    ended = os.pidfd_open(process.pid)
    with selectors.DefaultSelector() as selector, ExitStack() as opened:
        opened.callback(os.close, ended)
        for stream in streams:
            opened.enter_context(stream)
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while process.poll() is None:
            if deadline and time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in selector.select(deadline and max(0.0, deadline - time.monotonic())):
                if key.fileobj in streams and not _read(key.fileobj, streams[key.fileobj]):
                    selector.unregister(key.fileobj)
        for stream, output in streams.items():
            _read(stream, output)
    return [output.text() for output in streams.values()]


def _read(stream: IO[bytes], output: _Output) -> bool:
    """Read once what the pipe holds now, because `yes &` would never end. Returns False at the end of the stream."""
    try:
        data = os.read(stream.fileno(), 1 << 20)
    except BlockingIOError:
        return True
    output.add(data)
    return bool(data)


def kill_all_others() -> None:
    """Kill every other process of this PID namespace, and reap them."""
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        return
