"""The executor: runs a model's calls in other processes, under limits, and always returns feedback.

An episode is a `Session`: a separate process, forked from a small zygote that has the tools imported (zygote.py),
behind as many layers of isolation as the machine allows (sandbox/). A call that kills its session gets feedback too;
the session is then restored by replaying the earlier calls, since tools without a network are deterministic.
execution.py parses a call and runs it, in the session's process.

    with Executor() as executor, executor.session(seed=1) as session:
        feedback = session.run('get_weather(city="Oslo")')

docs/executor.md says what the isolation prevents and what it does not.
"""

from __future__ import annotations

import logging
import os
import struct
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from signal import Signals
from typing import Literal, TypeVar

from tl.calls import MAX_LENGTH
from tl.executor.driving import Steps, Wait, drive
from tl.executor.execution import Cause, Feedback, InProcessExecutor, Verdict, execute, no_answer, shown
from tl.executor.library import Catalogue
from tl.executor.pool import START_SECONDS, Died, Pool, PoolError, Process, TimedOut, cores
from tl.executor.sandbox import missing_layers
from tl.executor.toolkits import LIBRARY, ToolkitError, is_folder, locate
from tl.executor.zygote import END, Settings

__all__ = ["Cause", "Executor", "Feedback", "InProcessExecutor", "IsolationError", "Session", "ToolkitError", "Verdict"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_OUR_OWN = {Cause.TIME_OUT, Cause.WORKER_DIED, Cause.INFRASTRUCTURE}  # which no session can report of itself
_CHANGE_NOTHING = {Cause.FORMAT_ERROR, Cause.UNKNOWN_TOOL, Cause.UNEXPECTED_KEYWORD, Cause.MISSING_ARGUMENT}


class IsolationError(RuntimeError):
    """Isolation is required, but not all of its layers are available on this machine."""


class Executor(Catalogue):
    """The tools of some toolkits (default: the library's), as specs and as isolated sessions that run calls.

    Args:
        toolkits: names of the library's, or paths of Python files, see `tl.executor.toolkits`; they are loaded in the
            executor's processes only. One that cannot be used raises `ToolkitError`. By default those that cannot be
            used are left out and named in `broken`, or in `refused` if they need isolation that there is not.
        seed: of the tools' state in a session without a seed of its own.
        timeout: seconds that a call may take, from when it is sent to its running session.
        memory: limit in bytes, for the address space that each process of a session adds to an idle one's, and for
            the resident memory of a session's processes together.
        workers: number of zygotes; default: one per core, divided among the ranks of one machine.
        require_isolation: raise `IsolationError` unless every layer is on.
        allow_network: let tools open connections; all else stays isolated. Toolkits that need isolation are refused.
        mcp: commands that start MCP servers, instead of toolkits; they run outside of the isolation, see
            `tl.executor.servers`. After a time-out or a crash, nothing is replayed for them or with `allow_network`.
        mode: "auto" for all the isolation that the machine permits; "user" for what a normal user gets, even if started
            by root; "no namespaces" for what such a user gets where namespaces are forbidden; "none" for plain
            processes. The last two are for trusted tools: those that need isolation are refused.

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
        self.seed = seed
        self.timeout = timeout
        self._replays = not (allow_network or mcp)  # what a call has done outside must not be done again
        # A zygote finds files by their whole path, and sessions may read what lies beside them.
        paths = [os.path.abspath(name) if is_folder(name) else str(locate(name)) for name in toolkits or ()]
        folders = sorted({path if os.path.isdir(path) else os.path.dirname(path) for path in paths} - {str(LIBRARY)})
        if mcp and (toolkits or allow_network):
            raise ToolkitError("an executor has either toolkits or MCP servers, which have the user's network")
        if mcp and require_isolation:
            raise IsolationError("MCP servers run outside of the isolation, with the user's rights")
        settings = Settings(
            None if toolkits is None else paths, "none" if mcp else mode, memory, folders, allow_network, mcp=mcp
        )
        self._pool = Pool(workers or cores(), settings)
        super().__init__(**vars(self._pool.catalogue))
        self.isolation = self._pool.isolation
        _LOG.info("isolation of tools: %s", self.isolation)
        missing = "" if mcp else ", ".join(missing_layers(self.isolation, allow_network))
        if missing and require_isolation:
            self.close()
            raise IsolationError(
                f"isolation of the tools is required, but this machine does not permit: {missing}. docs/executor.md "
                "says what each layer takes; where isolation is not required, tools run with the layers that are left"
            )
        if missing:
            warnings.warn(f"tools run without these layers: {missing}", RuntimeWarning, stacklevel=2)

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all sessions and processes; happens by itself when the executor is garbage-collected."""
        self._pool.close()

    def session(
        self,
        seed: int | None = None,
        tools: Collection[str] | None = None,
        answer: Callable[[str], str] | None = None,
    ) -> Session:
        """The state of one episode, to be used as a context manager.

        Args:
            seed: of the tools' state; default the executor's.
            tools: names that the episode may call (default: all); others are "not defined". A refused one raises
                `ToolkitError`: that its calls fail would not be the model's fault.
            answer: question to `ask_to_user` -> answer; default: a fixed sentence. It runs in this process.
        """
        opening = {"seed": self.seed if seed is None else seed, "tools": self.chosen(tools)}
        return Session(self._pool, self.timeout, opening, answer or no_answer, self._replays)


class Session:
    """One episode in a process of its own; made by `Executor.session`. `finished` once a call of `finish` was good."""

    def __init__(self, pool: Pool, timeout: float, opening: dict, answer: Callable[[str], str], replays: bool) -> None:
        self.finished = False
        self._replays = replays
        self._pool = pool
        self._timeout = timeout
        self._opening = opening  # the first message to its process
        self._answer = answer
        self._process: Process | None = None
        self._number = 0
        self._history: list[str] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the episode and every process that it started."""
        self.finished = True
        self._discard()

    def run(self, text: str) -> Feedback:
        """Run one call; `RuntimeError` once the episode has finished."""
        return drive([self.steps(text)])[0]

    def steps(self, text: str) -> Steps[Feedback]:
        """`run` as steps for `tl.executor.driving`."""
        if self.finished:
            raise RuntimeError("the episode has finished: open a new session")
        if len(text) > MAX_LENGTH:
            return execute({}, text)  # no call is that long: what is wrong with it is said without reading it
        try:
            return (yield from self._tried(partial(self._run, text), 2))
        except PoolError as error:
            return Feedback(shown(f"The executor failed: {error}"), Cause.INFRASTRUCTURE)

    def check_steps(self, name: str, answer: str) -> Steps[Verdict]:
        """What the toolkits' check `name` says of the answer, in the episode's process; after the last call, too."""
        times = 2 if self._replays else 1  # what would be judged is the state, which only replaying restores
        try:
            return (yield from self._tried(partial(self._check, name, answer), times))
        except PoolError as error:
            return Verdict(None, shown(f"the check {name} could not be made, the executor failed: {error}"))

    def _tried(self, steps: Callable[[], Steps[T]], times: int) -> Steps[T]:
        """The result of `steps`, which are taken again where the executor itself failed. `PoolError` if it fails
        as many `times`."""
        for left in reversed(range(times)):
            try:
                return (yield from steps())
            except BaseException as error:  # a reply may still come, which must not be taken for that of a later call
                self._discard()
                if not (isinstance(error, PoolError) and left):
                    raise
        raise AssertionError("at least one time")

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
        if self._replays and feedback.cause not in _CHANGE_NOTHING:
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
        """Start a process and restore the state of the episode. Raises `TimedOut` or `Died` where an earlier call does
        not come back when it is made again: that is the doing of the calls, not of the executor."""
        self._process = process = self._pool.open()
        try:
            ready = yield from process.exchange(self._opening, START_SECONDS)
        except (TimedOut, Died) as error:
            if isinstance(error, TimedOut):
                process.zygote.kill()  # it has stopped, or works no more: the next session gets another
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
        feedback, question, self.finished = _read(reply, time.monotonic() - start)
        if question is not None and not replayed:
            feedback = replace(feedback, text=self._answer(question))
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


def _read(reply: dict, elapsed: float) -> tuple[Feedback, str | None, bool]:
    """Feedback, question to the user if there is one, and whether the episode has finished. A session that runs strange
    code may say anything: a text is cut and written as ours are, and no call took longer than the `elapsed` seconds."""
    match reply:
        case {
            "text": str(text),
            "cause": str(name),
            "seconds": int() | float() as seconds,
            "question": None | str() as question,
            "finished": bool(finished),
        } if Cause.__members__.get(name, Cause.INFRASTRUCTURE) not in _OUR_OWN:
            took = float(max(0, min(seconds, elapsed)))
            return Feedback(shown(text), Cause[name], took), question and shown(question, MAX_LENGTH), finished
    raise Died("gave no proper reply")


def _how_it_ended(process: Process, seen: str) -> Steps[tuple[str, Cause]]:
    """Feedback and cause for a process whose connection failed; `PoolError` if its zygote ended, too.

    Args:
        process: of the session.
        seen: what was wrong with its connection, said if the process itself has not ended.
    """
    if (yield Wait(process.life, time.monotonic() + 0.5)):
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
