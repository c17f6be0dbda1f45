"""The executor: runs a model's calls in other processes, under limits, and always returns feedback.

Each episode is a `Session` with a process of its own. A small zygote, which has the tools imported, forks that process
(zygote.py); it runs behind as many layers of isolation as the machine allows (sandbox/). There execution.py parses a
call and runs it. A call that kills its session gets feedback too. The next call then starts a new session and replays
the earlier calls: tools without a network are deterministic, so this restores their state.

    with Executor() as executor, executor.session(seed=1) as session:
        feedback = session.run('get_weather(city="Oslo")')

docs/executor.md says what the isolation prevents and what it does not.
"""

from __future__ import annotations

import os
import socket
import struct
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Literal, TypeVar

from tl.calls import MAX_LENGTH, call_or_none
from tl.errors import UserError
from tl.executor.driving import Steps, Wait, drive
from tl.executor.execution import Cause, Feedback, InProcessExecutor, Verdict, execute, no_answer, shown
from tl.executor.library import Catalogue
from tl.executor.pool import CLOSED, START_SECONDS, Died, Pool, PoolError, Process, TimedOut, cores
from tl.executor.sandbox import DIRECTORY, missing_layers
from tl.executor.toolkits import LIBRARY, ToolkitError, is_folder, locate
from tl.executor.zygote import END, Settings

__all__ = ["Cause", "Executor", "Feedback", "InProcessExecutor", "IsolationError", "Session", "ToolkitError", "Verdict"]

T = TypeVar("T")

# Only the executor finds these causes: a session that reports one of them is lying.
_NEVER_REPORTED = {Cause.TIME_OUT, Cause.WORKER_DIED, Cause.INFRASTRUCTURE}
# After these no tool has run, so the call does not have to be replayed.
_NOTHING_RAN = {Cause.FORMAT_ERROR, Cause.UNKNOWN_TOOL, Cause.UNEXPECTED_KEYWORD, Cause.MISSING_ARGUMENT}


class IsolationError(UserError):
    """Isolation is required, but this machine lacks some of its layers."""


class Executor(Catalogue):
    """The tools of some toolkits, and isolated sessions that run calls of these tools.

    Args:
        toolkits: names of toolkits in the library or paths of Python files (see `tl.executor.toolkits`); the default is
            the whole library. Only the executor's processes load them. A named toolkit that cannot be used raises
            `ToolkitError`; of the default ones, `broken` lists those that fail to load and `refused` those that need
            isolation which this machine does not give.
        seed: seed of the tools' state, in sessions without a seed of their own.
        timeout: seconds that a call may take; they count from when the call is sent to its running session.
        memory: limit in bytes. It holds for the address space of each process of a session, beyond that of an idle
            one, and for the resident memory of all processes of a session together.
        workers: number of zygotes; default: one per core, divided among the ranks of one machine.
        require_isolation: raise `IsolationError` unless every layer is on.
        allow_network: let tools open connections; all else stays isolated. Toolkits that need isolation are refused.
        mcp: commands that start MCP servers, for their tools; without `toolkits`, there are no other tools. Servers run
            outside of the isolation (see `tl.executor.servers`). After a time-out or crash, calls of servers are not
            replayed; with `allow_network`, no calls are.
        mode: "auto": all the isolation that the machine permits. "user": what a normal user gets, even if root starts
            the executor. "no namespaces": what a normal user gets where namespaces are forbidden. "none": plain
            processes. The last two are for trusted tools; toolkits that need isolation are refused.

    `specs` maps tool names to specs, `toolkit_of` tool names to toolkits; `isolation` says which layers are on.
    """

    def __init__(
        self,
        toolkits: Sequence[str] | None = None,
        seed: int = 0,
        *,
        timeout: float = 10.0,
        memory: int = 512 << 20,
        workers: int | None = None,
        require_isolation: bool = False,
        allow_network: bool = False,
        mcp: Sequence[str] = (),
        mode: Literal["auto", "user", "no namespaces", "none"] = "auto",
    ) -> None:
        if mcp and require_isolation:
            raise IsolationError("MCP servers run outside of the isolation, with the user's rights")
        if mcp and allow_network and not toolkits:
            raise ToolkitError("allow_network is for toolkits: MCP servers have the user's network anyway")
        self.seed = seed
        self.timeout = timeout
        self._servers: Executor | None = None
        if mcp and toolkits:  # servers have processes of their own, outside of the toolkits' isolation
            self._servers = Executor(mcp=mcp, timeout=timeout, memory=memory, workers=workers)
            mcp = ()
        self._replays = not (allow_network or mcp)  # a call that acted outside must not be repeated
        # Zygotes run in another directory and see no links to these files. Sessions may read the folders of the files.
        paths = [os.path.realpath(name) if is_folder(name) else str(locate(name)) for name in toolkits or ()]
        folders = sorted({path if os.path.isdir(path) else os.path.dirname(path) for path in paths} - {str(LIBRARY)})
        settings = Settings(
            None if toolkits is None else paths, "none" if mcp else mode, memory, folders, allow_network, mcp=mcp
        )
        self._pool = Pool(workers or cores(), settings)
        super().__init__(**vars(self._pool.catalogue))
        if self._servers is not None:
            try:
                self.add_all(self._servers)
            except ToolkitError:
                self.close()
                raise
        self.isolation = self._pool.isolation
        missing = "" if mcp else ", ".join(missing_layers(self.isolation, allow_network))
        if missing and require_isolation:
            self.close()
            raise IsolationError(
                f"isolation of the tools is required, but this machine does not permit: {missing}. docs/executor.md "
                "says what each layer takes; where isolation is not required, tools run with the layers that are left"
            )
        hidden = [folder for folder in folders if Path(folder).is_relative_to(DIRECTORY)]
        if hidden and self.isolation["private directory"]:
            warnings.warn(
                f"calls cannot read {', '.join(hidden)}, because a session has a {DIRECTORY} of its own: if the tools "
                f"use their folder after they are loaded, move it out of {DIRECTORY}",
                RuntimeWarning,
                stacklevel=2,
            )
        if missing:
            warnings.warn(f"tools run without these layers: {missing}", RuntimeWarning, stacklevel=2)

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all sessions and processes. Garbage collection of the executor does this, too."""
        self._pool.close()
        if self._servers is not None:
            self._servers.close()

    def session(
        self,
        seed: int | None = None,
        tools: Collection[str] | None = None,
        answer: Callable[[str], str] | None = None,
    ) -> Session:
        """A new episode, to be used as a context manager.

        Args:
            seed: seed of the tools' state (default: the executor's).
            tools: names that the episode may call (default: all); any other name is "not defined". The name of a
                refused tool raises `ToolkitError`: the model would be blamed for calls that cannot work.
            answer: maps a question of `ask_to_user` to the user's answer (default: a fixed sentence). It runs in this
                process.
        """
        names = self.chosen(tools)
        on_servers = {}
        if self._servers is not None:
            served = [name for name in names if name in self._servers.specs]
            names = [name for name in names if name not in self._servers.specs]
            on_servers = dict.fromkeys(served, self._servers.session(seed, served))
        opening = {"seed": self.seed if seed is None else seed, "tools": names}
        return Session(self._pool, self.timeout, opening, answer or no_answer, self._replays, on_servers)


class Session:
    """One episode in a process of its own, made by `Executor.session`. Its calls run one after the other, never at once
    in several threads. A valid call of `finish` sets `finished`.

    `elsewhere` maps tools that run in another process to the session there, which is part of this episode."""

    def __init__(
        self,
        pool: Pool,
        timeout: float,
        opening: dict,
        answer: Callable[[str], str],
        replays: bool,
        elsewhere: Mapping[str, Session],
    ) -> None:
        self.finished = False
        self._replays = replays  # whether a new process repeats the calls of the one that was lost
        self._pool = pool
        self._timeout = timeout
        self._opening = opening  # the first message to each of its processes
        self._answer = answer
        self._elsewhere = elsewhere
        self._process: Process | None = None
        self._number = 0
        self._history: list[str] = []  # calls to replay

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the episode and all of its processes."""
        self.finished = True
        self._discard()
        for session in self._elsewhere.values():
            session.close()

    def run(self, text: str) -> Feedback:
        """Run one call. Raises `RuntimeError` once the episode has finished."""
        return drive([self.steps(text)])[0]

    def steps(self, text: str) -> Steps[Feedback]:
        """As `run`, in steps for `tl.executor.driving`."""
        if self.finished:
            raise RuntimeError("the episode has finished: open a new session")
        if len(text) > MAX_LENGTH:
            return execute({}, text)  # rejected here: too long for a call, and for a message to the session
        if self._elsewhere and (call := call_or_none(text)) and call.name in self._elsewhere:
            return (yield from self._elsewhere[call.name].steps(text))
        try:
            return (yield from self._retried(partial(self._run, text), 2))
        except PoolError as error:
            return Feedback(shown(f"The executor failed: {error}"), Cause.INFRASTRUCTURE)

    def check_steps(self, name: str, answer: str) -> Steps[Verdict]:
        """Judge the answer with the toolkits' check `name`, in the episode's process; also after `finish`."""
        attempts = 2 if self._replays else 1  # a check judges the tools' state, which only a replay restores
        try:
            return (yield from self._retried(partial(self._check, name, answer), attempts))
        except PoolError as error:
            return Verdict(None, shown(f"the check {name} could not be made, the executor failed: {error}"))

    def _retried(self, steps: Callable[[], Steps[T]], attempts: int) -> Steps[T]:
        """The result of `steps`. A `PoolError` starts them again, in a new process, up to `attempts` times in all."""
        while True:
            attempts -= 1
            try:
                return (yield from steps())
            except BaseException as error:
                self._discard()  # a late reply must not be read as the reply to a later call
                if not isinstance(error, PoolError) or not attempts:
                    raise

    def _run(self, text: str) -> Steps[Feedback]:
        start = time.monotonic()
        try:
            process = self._process or (yield from self._open())
            start = time.monotonic()
            feedback = yield from self._call(process, text)
        except TimedOut as late:
            self._discard()
            message = f"TimeoutError: {str(late) or 'the call'} did not return within {self._timeout:g} seconds"
            return Feedback(message, Cause.TIME_OUT, time.monotonic() - start)
        except Died as death:
            assert self._process is not None  # it had been started
            message, cause = yield from _how_it_ended(self._process, str(death))
            self._discard()
            return Feedback(message, cause, time.monotonic() - start)
        if self._replays and feedback.cause not in _NOTHING_RAN:
            self._history.append(text)
        return feedback

    def _check(self, name: str, answer: str) -> Steps[Verdict]:
        try:
            process = self._process or (yield from self._open())
            reply = yield from self._ask(process, {"check": name, "answer": answer})
            return Verdict(reply["right"] is True, shown(str(reply["problem"])))
        except TimedOut as late:
            problem = f"{str(late) or 'it'} did not return within {self._timeout:g} seconds"
        except Died as death:
            assert self._process is not None  # it had been started
            problem, _ = yield from _how_it_ended(self._process, str(death))
        except KeyError:
            problem = "it gave no proper reply"
        self._discard()
        return Verdict(False, shown(f"the check {name} failed: {problem}"))

    def _open(self) -> Steps[Process]:
        """Start a process and replay the episode's earlier calls in it. A replayed call that does not return raises
        `TimedOut` or `Died`: its tool has failed, not the executor."""
        self._process = process = self._pool.open()
        try:
            ready = yield from process.exchange(self._opening, START_SECONDS)
        except (TimedOut, Died) as error:
            if isinstance(error, TimedOut):
                process.life.shutdown(socket.SHUT_WR)  # its zygote kills the session and all that it has started
                if not (yield Wait(process.life, time.monotonic() + 5)):
                    process.zygote.kill()  # it hangs, too; another one replaces it for the next session
                    process.zygote.wait()
            raise PoolError(f"a session did not start: {str(error) or 'no reply'}") from error
        if "ready" not in ready:
            raise PoolError(f"a session did not start: {ready.get('failed')}")
        for text in self._history:
            try:
                yield from self._call(process, text, replayed=True)
            except TimedOut:
                raise TimedOut("an earlier call, made again to restore the episode,") from None
        return process

    def _call(self, process: Process, text: str, replayed: bool = False) -> Steps[Feedback]:
        start = time.monotonic()
        reply = yield from self._ask(process, {"text": text})
        feedback, question, self.finished = _parse_reply(reply, time.monotonic() - start)
        if question is not None and not replayed:
            feedback = replace(feedback, text=shown(self._answer(question)))
        return feedback

    def _ask(self, process: Process, request: dict) -> Steps[dict]:
        """Send a numbered request and wait for the reply to it."""
        self._number += 1
        reply = yield from process.exchange({"number": self._number, **request}, self._timeout)
        if reply.get("number") != self._number:
            raise Died("gave no proper reply: a reply to another call")
        return reply

    def _discard(self) -> None:
        if self._process is not None:
            self._pool.release(self._process)
            self._process = None


def _parse_reply(reply: dict, elapsed: float) -> tuple[Feedback, str | None, bool]:
    """(feedback, question to the user or None, whether the episode has finished). Raises `Died` for any other reply.

    Tools can make their session send anything, so nothing in a reply is trusted: its text is cut as ours are, and its
    seconds cannot exceed the `elapsed` ones."""
    match reply:
        case {
            "text": str(text),
            "cause": str(name),
            "seconds": int() | float() as seconds,
            "question": None | str() as question,
            "finished": bool(finished),
        } if Cause.__members__.get(name, Cause.INFRASTRUCTURE) not in _NEVER_REPORTED:
            took = float(max(0, min(seconds, elapsed)))
            return Feedback(shown(text), Cause[name], took), question and shown(question, MAX_LENGTH), finished
    raise Died("gave no proper reply")


def _how_it_ended(process: Process, seen: str) -> Steps[tuple[str, Cause]]:
    """(feedback, cause) for a session's process whose connection failed. Raises `PoolError` if its zygote ended, too.

    `seen` is what was wrong with the connection; the feedback says so if the process itself is still alive."""
    patience = 10.0 if seen == CLOSED else 0.5  # it is ending, which takes a while if it has many children
    if (yield Wait(process.life, time.monotonic() + patience)):
        try:
            code, for_memory = END.unpack(process.life.recv(END.size))
        except (OSError, struct.error):
            raise PoolError("a process of the pool ended") from None
        if for_memory:
            return "MemoryError: the processes of the call used too much memory", Cause.MEMORY
        seen = f"was killed by {_signal_name(-code)}" if code < 0 else f"exited with code {code}"
    return f"ConnectionResetError: the tool's process {seen}", Cause.WORKER_DIED


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
