"""A pool of zygotes, one per core, and the session processes that they fork on request."""

from __future__ import annotations

import itertools
import os
import resource
import select
import socket
import subprocess
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

from tl.errors import UserError
from tl.executor import frames
from tl.executor.driving import Steps, Wait
from tl.executor.library import Catalogue
from tl.executor.sandbox import DIRECTORY
from tl.executor.sandbox.users import MAX_SLOTS, Users
from tl.executor.toolkits import ToolkitError
from tl.executor.zygote import SLOT, Settings, command

START_SECONDS = 30.0
MAX_DESCRIPTORS = 1 << 16
CLOSED = "closed its connection"

_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": DIRECTORY,
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # sets have the same order in all processes, so that a replay gives the same feedback
    "OMP_NUM_THREADS": "1",  # threads that a tools file starts while it is loaded do not exist in the sessions
}


class PoolError(UserError):
    """The pool itself failed; the call is not the cause."""


class TimedOut(Exception):
    """There was no reply before the deadline."""


class Died(Exception):
    """The session's process has ended, or has sent something that is no reply."""


@dataclass
class Process:
    """A session's process: the socket for its calls, and its life line; closing the life line kills the process."""

    connection: socket.socket
    life: socket.socket
    zygote: subprocess.Popen
    buffer: bytearray = field(default_factory=bytearray)  # received bytes that are not a whole message yet

    def exchange(self, message: dict, seconds: float) -> Steps[dict]:
        """Send a message and wait for the next one. Raises `TimedOut` or `Died`."""
        connection, deadline = self.connection, time.monotonic() + seconds
        data = memoryview(frames.encode(message))
        try:
            while data:
                try:
                    data = data[connection.send(data) :]
                except BlockingIOError:
                    if not (yield Wait(connection, deadline, to_write=True)):
                        raise TimedOut from None
            while (reply := frames.take(self.buffer)) is None:
                if not (yield Wait(connection, deadline)):
                    raise TimedOut
                received = connection.recv(1 << 16)
                if not received:
                    raise Died(CLOSED)
                self.buffer += received
        except (OSError, frames.FrameError) as error:
            raise Died(f"gave no proper reply: {error}") from error
        return reply


class Pool:
    """`size` zygotes with these `settings` (see `zygote.main`). Raises `ToolkitError` if a toolkit keeps a zygote from
    starting, `PoolError` if anything else does."""

    def __init__(self, size: int, settings: Settings) -> None:
        _make_room()
        users = Users()
        self._settings = settings = replace(settings, first_user=users.first)
        self._lock = threading.Lock()
        self._turn = itertools.count()
        self._slots = deque(range(MAX_SLOTS))  # first in, first out: a slot is reused as late as possible
        self._zygotes = [_ZygoteProcess(settings) for _ in range(size)]
        self._finalizer = weakref.finalize(self, _end_all, self._zygotes, users)
        hellos = [zygote.hello() for zygote in self._zygotes]
        self.isolation: dict[str, bool] = hellos[0]["isolation"]
        self.catalogue = Catalogue.from_json(hellos[0]["catalogue"])
        if any(hello != hellos[0] for hello in hellos):
            raise PoolError(f"the processes of the pool differ: {hellos}")

    def open(self) -> Process:
        """Ask the next zygote for a session; does not wait until it has started."""
        try:
            slot = self._slots.popleft()
        except IndexError:
            raise PoolError(f"{MAX_SLOTS} sessions are open, which is the most there can be") from None
        place = next(self._turn) % len(self._zygotes)
        try:
            zygote = self._live_zygote(place)
            connection, life = zygote.spawn(slot)
        except (OSError, PoolError, ToolkitError) as error:
            self._slots.append(slot)
            raise PoolError(f"no session could be started: {error}") from error
        process = Process(connection, life, zygote.process)
        weakref.finalize(process, self._slots.append, slot).atexit = False  # also of one that nobody has released
        return process

    def release(self, process: Process) -> None:
        """End a session and all processes that it has started."""
        process.connection.close()
        process.life.close()

    def close(self) -> None:
        """End all sessions and zygotes."""
        self._finalizer()

    def _live_zygote(self, place: int) -> _ZygoteProcess:
        """The zygote with this number. A dead one is replaced; the new one must have the same isolation."""
        with self._lock:
            if not self._finalizer.alive:
                raise PoolError("the executor is closed")
            if not self._zygotes[place].alive():
                self._zygotes[place].end()
                zygote = _ZygoteProcess(self._settings)
                try:
                    if zygote.hello()["isolation"] != self.isolation:
                        raise PoolError("a restarted process does not get the isolation that the first one had")
                except BaseException:
                    zygote.end()
                    raise
                self._zygotes[place] = zygote
            return self._zygotes[place]


class _ZygoteProcess:
    """A zygote as the executor sees it."""

    def __init__(self, settings: Settings) -> None:
        self._loading = " ".join(settings.mcp or settings.toolkits or ["the library"])
        self._control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                command(theirs.fileno()),
                env=None if settings.mcp else _ENVIRONMENT,  # servers are the user's: see tl.executor.servers
                cwd=None if settings.mcp else "/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._control.settimeout(START_SECONDS)
        with suppress(BrokenPipeError):  # of a process that has ended: `hello` says so
            self._control.sendall(frames.encode(asdict(settings)))

    def hello(self) -> dict:
        """The isolation and the tools of a new zygote, once it has loaded them."""
        buffer = bytearray()
        while True:
            try:
                message = frames.receive(self._control, buffer)
            except TimeoutError:
                raise ToolkitError(f"{self._loading} did not load within {START_SECONDS:g} seconds") from None
            except (OSError, frames.FrameError) as error:
                raise PoolError(f"a process of the pool did not start: {error}") from error
            if message is None:
                code = self.process.wait(timeout=START_SECONDS)
                raise ToolkitError(f"the process that loads {self._loading} exited with code {code}")
            if "bad toolkit" in message:
                raise ToolkitError(message["bad toolkit"])
            if "failed" in message:
                raise PoolError(f"a process of the pool did not start: {message['failed']}")
            if "loading" not in message:
                return message
            self._loading = message["loading"]

    def alive(self) -> bool:
        """Whether it can start sessions. With a PID namespace, a child of `process` starts them: if only that child
        has been killed, the control socket is closed, though `process` has not ended yet."""
        if self.process.poll() is not None:
            return False
        closed = select.poll()
        closed.register(self._control, select.POLLIN)  # after its hello, a zygote sends nothing: readable means closed
        return not closed.poll(0)

    def spawn(self, slot: int) -> tuple[socket.socket, socket.socket]:
        connection, their_connection = socket.socketpair()
        life, their_life = socket.socketpair()
        with their_connection, their_life:
            try:
                descriptors = [their_connection.fileno(), their_life.fileno()]
                socket.send_fds(self._control, [SLOT.pack(slot)], descriptors)
            except OSError:
                connection.close()
                life.close()
                raise
        connection.setblocking(False)
        life.setblocking(False)
        return connection, life

    def end(self) -> None:
        """Close the control socket, which ends the zygote and its sessions; kill it if it does not end."""
        self._control.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _end_all(zygotes: list[_ZygoteProcess], users: Users) -> None:
    for zygote in zygotes:
        zygote.end()
    users.release()


def _make_room() -> None:
    """Raise the limit of open descriptors (a session takes two) as far as MAX_DESCRIPTORS and the hard limit allow.
    Open stdin, stdout and stderr where they are closed, lest a socket gets one of their numbers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def cores() -> int:
    """The number of cores for this process: its share if torchrun started several processes on this machine."""
    return max(1, all_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def all_cores() -> int:
    """The number of cores of this machine that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
