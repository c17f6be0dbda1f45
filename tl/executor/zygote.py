"""The processes behind the executor: a zygote, which has the tools loaded, and the sessions that it forks.

Both run in a fresh small interpreter (`command`), never in a fork of the trainer. Each session has two sockets: the
first carries calls and replies between executor and session; the second, its life line, ends in the zygote. When the
executor closes the life line, the zygote kills the session; when the session ends, the zygote reports how.
"""

import gc
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tl.executor import frames, programs
from tl.executor.execution import InProcessSession
from tl.executor.library import Library
from tl.executor.sandbox import DIRECTORY, Sandbox, choose, confines_commands
from tl.executor.servers import Servers
from tl.executor.toolkits import ToolkitError

SLOT = struct.Struct("!I")  # what asks a zygote for a session; its two sockets travel with it
END = struct.Struct("!i?")  # how a session ended: exit code or minus the signal; whether for the memory it used
WATCH_SECONDS = 0.1  # between two looks at the memory in use

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """What a zygote is told: the paths of toolkits (None: the library), see also `tl.executor.sandbox.Sandbox`."""

    toolkits: Sequence[str] | None
    mode: str
    memory: int
    folders: Sequence[str] = ()
    allow_network: bool = False
    own_root: bool = False
    first_user: int = 0
    mcp: Sequence[str] = ()  # commands of MCP servers, whose tools then take the place of the toolkits'


def command(descriptor: int) -> list[str]:
    """The command line of a zygote that takes its orders from the socket `descriptor`."""
    start = f"from tl.executor import zygote; zygote.main({descriptor})"
    code = f"import sys; sys.path.insert(0, {str(_REPOSITORY)!r}); {start}"
    return [sys.executable, "-s", "-P", "-B", "-c", code]


def main(descriptor: int) -> None:
    """Run a zygote: read settings, isolate, load toolkits, then start sessions until the executor is gone."""
    with suppress(OSError):  # where memory runs out, the kernel takes a session, not the trainer
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    control = socket.socket(fileno=descriptor)
    message = frames.receive(control, bytearray())
    if message is None:
        return
    settings = Settings(**message)

    def tell(message: dict) -> None:
        try:
            control.sendall(frames.encode(message))
        except ConnectionError:  # the executor is gone, as after Ctrl-C
            os._exit(1)

    try:
        of_sandbox = settings.memory, settings.folders, settings.allow_network, settings.own_root, settings.first_user
        sandbox = choose(settings.mode, *of_sandbox)
        sandbox.enter()
        own_pid = os.getpid()

        def loading(toolkit: str) -> None:
            if os.getpid() != own_pid:  # an earlier toolkit has forked, and this is the copy
                os._exit(1)
            tell({"loading": toolkit})

        isolated = confines_commands(sandbox.report()) and not settings.allow_network
        if settings.mcp:
            library: Library | Servers = Servers(settings.mcp, settings.memory, loading)
        else:
            library = Library(settings.toolkits, isolated, loading)
    except (ToolkitError, OSError) as error:
        key = "bad toolkit" if isinstance(error, ToolkitError) else "failed"
        tell({key: str(error)})
        return
    if os.getpid() != own_pid:  # a toolkit has forked, and this is the copy
        os._exit(1)
    tell({"isolation": sandbox.report(), "catalogue": library.to_json()})
    gc.collect()
    gc.freeze()  # a collection in a session would copy every page of what it looks at
    _Zygote(control, library, sandbox, settings.memory).serve()


@dataclass
class _Running:
    """A session as its zygote sees it."""

    life: socket.socket
    directory: str
    over_limit: bool = False  # killed for the memory that it used


class _Zygote:
    def __init__(self, control: socket.socket, library: Library | Servers, sandbox: Sandbox, memory: int) -> None:
        self._control = control
        self._library = library
        self._sandbox = sandbox
        self._memory = memory
        self._next_check = 0.0
        self._watches = "memory watch" in sandbox.layers
        self._failing = False  # whether the last session could not be started
        self._running: dict[int, _Running] = {}  # by process id
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the signal reaches the socket
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._reap)
        self._selector.register(control, selectors.EVENT_READ, self._start)

    def serve(self) -> None:
        """Start, kill and bury sessions until the executor closes its end."""
        while self._control.fileno() >= 0:
            for key, _ in self._selector.select(WATCH_SECONDS if self._watches and self._running else None):
                key.data()
            if self._watches:
                self._check_memory()
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:  # what is killed may leave behind others
                self._kill_strays()
                self._bury(*os.waitpid(-1, 0))
        self._sandbox.leave()

    def _end_if_failing(self) -> None:
        """End, once nothing runs here, if no session can be started: the executor then starts another zygote."""
        if self._failing and not self._running:
            self._control.close()

    def _start(self) -> None:
        if self._control.fileno() < 0:
            return  # closed since the event came
        data, descriptors, _, _ = socket.recv_fds(self._control, SLOT.size, 2)
        if not data:
            self._control.close()
            return
        (slot,) = SLOT.unpack(data)
        connection, life = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        directory = DIRECTORY
        try:
            directory = self._sandbox.new_directory(slot)
            pid = self._sandbox.fork()
        except OSError as error:
            _remove(directory)
            self._failing = True
            self._end_if_failing()  # before the executor hears of it and tries again
            with suppress(OSError):
                connection.sendall(frames.encode({"failed": f"OSError: {error}"}))
            return
        if pid == 0:
            _session(connection, self._library, self._sandbox, slot, directory)
        self._failing = False
        connection.close()
        self._running[pid] = _Running(life, directory)
        self._selector.register(life, selectors.EVENT_READ, lambda: self._kill(pid, life))

    def _kill(self, pid: int, life: socket.socket) -> None:
        """The executor has closed the life line; the session is buried when its end is reported."""
        if life.fileno() < 0:
            return  # it has been buried since the event came
        self._selector.unregister(life)
        os.kill(pid, signal.SIGKILL)

    def _check_memory(self) -> None:
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + WATCH_SECONDS
        for pid, used in self._sandbox.memory_in_use(self._running).items():
            if used > self._memory:
                self._running[pid].over_limit = True
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self._bury(pid, status)
        if "pid namespace" not in self._sandbox.layers:
            self._kill_strays()

    def _bury(self, pid: int, status: int) -> None:
        session = self._running.pop(pid, None)
        if session is None:
            return
        with suppress(KeyError):
            self._selector.unregister(session.life)
        with suppress(OSError):
            session.life.send(END.pack(os.waitstatus_to_exitcode(status), session.over_limit))
        session.life.close()
        _remove(session.directory)
        self._end_if_failing()

    def _kill_strays(self) -> None:
        """Kill what sessions left behind: without a PID namespace it becomes a child of the zygote."""
        with suppress(OSError):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8")
            for pid in map(int, children.split()):
                if pid not in self._running:
                    os.kill(pid, signal.SIGKILL)


def _remove(directory: str) -> None:
    if directory != DIRECTORY:  # which ends with its mount
        shutil.rmtree(directory, ignore_errors=True)


def _session(
    connection: socket.socket, library: Library | Servers, sandbox: Sandbox, slot: int, directory: str
) -> None:
    """Run a forked session; does not return."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.dup2(1, 2)  # both are /dev/null: nothing that a tool prints arrives anywhere
        try:
            sandbox.confine(slot, directory, connection.fileno())
            _serve(connection, library)
        except Exception as error:
            connection.sendall(frames.encode({"failed": f"{type(error).__name__}: {error}"}))
    finally:
        os._exit(1)


def _serve(connection: socket.socket, library: Library | Servers) -> None:
    """Run the calls of one episode, or programs, until the executor closes the connection."""
    own_pid, buffer, questions = os.getpid(), bytearray(), []
    opening = frames.receive(connection, buffer)
    if opening is None:
        return
    if "files" in opening:
        programs.serve(connection, buffer, opening["files"])
        return

    def note(question: str) -> str:
        questions.append(question)  # the answer is known to the executor alone
        return ""

    opened = library.open(opening["seed"], opening["tools"])
    episode = InProcessSession(opened.tools, note, opened.check)
    connection.sendall(frames.encode({"ready": True}))
    while (request := frames.receive(connection, buffer)) is not None:
        if "check" in request:
            reply = episode.check(request["check"], request["answer"])._asdict()
        else:
            feedback = episode.run(request["text"])
            reply = {
                "text": feedback.text,
                "cause": feedback.cause.name,
                "seconds": feedback.seconds,
                "question": questions.pop() if questions else None,
                "finished": episode.finished,
            }
        if os.getpid() != own_pid:  # a tool has forked, and this is the copy
            os._exit(1)
        connection.sendall(frames.encode({"number": request["number"], **reply}))
