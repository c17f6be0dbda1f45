"""Machines: isolated file systems in which programs run, such as commands written by a model.

They use the pool and the layers of `tl.executor`, whose sessions run calls of tools instead.

    with Machines(own_root=True) as machines, machines.open([File("/data/a.txt", b"one\n")]) as machine:
        machine.run(["/bin/bash", "-c", "wc -l /data/a.txt"]).output
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tl.errors import UserError
from tl.executor.driving import Steps, drive
from tl.executor.pool import START_SECONDS, Died, Pool, PoolError, Process, TimedOut, cores
from tl.executor.sandbox import confines_commands
from tl.executor.zygote import Settings

SECONDS = 10.0


class MachineError(UserError):
    """A machine is not available here, or has ended, for example because its programs took too much memory."""


@dataclass(frozen=True)
class File:
    """A file to create, or a folder if it has no content; `mtime` in seconds since 1970. Parents are made as needed."""

    path: str
    content: bytes | None = None
    mode: int = 0o644
    mtime: float | None = None

    def to_json(self) -> dict:
        content = None if self.content is None else self.content.decode("latin-1")
        mode = self.mode | 0o111 if content is None else self.mode
        return {"path": self.path, "content": content, "mode": mode, "mtime": self.mtime}


@dataclass(frozen=True)
class Run:
    """The end of a program: `code` is its exit code, minus the number of the signal that killed it, or None after a
    time-out; `output` is what it wrote to stdout and stderr."""

    code: int | None
    output: str


class Machines:
    """Makes machines: without network, under the limits of `tl.executor.Executor`.

    Args:
        own_root: programs are root in a root folder of their own and may write anywhere but to /usr. Otherwise they
            are an unprivileged user and may write to /tmp only.
        memory, workers, mode: as those of `tl.executor.Executor`.

    Raises `MachineError` where programs cannot be confined, and for `own_root` where there is no mount namespace.
    """

    def __init__(
        self,
        *,
        own_root: bool = False,
        memory: int = 512 << 20,
        workers: int | None = None,
        mode: Literal["auto", "user", "no namespaces"] = "auto",
    ) -> None:
        self._pool = Pool(workers or cores(), Settings([], mode, memory, own_root=own_root))
        self.isolation = self._pool.isolation
        needed = ("mount namespace", "private directory", "own user") if own_root else ()
        missing = [name for name in needed if not self.isolation[name]]
        if missing or not confines_commands(self.isolation):
            self.close()
            raise MachineError(
                f"this machine does not allow programs to be isolated ({', '.join(missing) or 'no PID namespace'}): "
                "docs/executor.md says what each layer needs"
            )

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all machines."""
        self._pool.close()

    def open(self, files: Sequence[File] = ()) -> Machine:
        """A new machine, to be used as a context manager."""
        return Machine(self._pool, files)


class Machine:
    """A file system in which programs run one after the other; made by `Machines.open`."""

    def __init__(self, pool: Pool, files: Sequence[File]) -> None:
        self._pool = pool
        self._process: Process | None = pool.open()
        drive([self._ask({"files": [file.to_json() for file in files]}, START_SECONDS)])

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything that runs in it."""
        if self._process is not None:
            self._pool.release(self._process)
            self._process = None

    def run(self, argv: Sequence[str], cwd: str = "/", seconds: float = SECONDS, **environment: str) -> Run:
        """Run a program to its end. Processes that it leaves behind are killed."""
        return drive([self.steps(argv, cwd, seconds, **environment)])[0]

    def steps(self, argv: Sequence[str], cwd: str = "/", seconds: float = SECONDS, **environment: str) -> Steps[Run]:
        """As `run`, in steps for `tl.executor.driving`. Raises `MachineError` once the machine has ended."""
        request = {"argv": list(argv), "cwd": cwd, "seconds": seconds, "environment": environment}
        reply = yield from self._ask(request, seconds + START_SECONDS)
        match reply:
            case {"code": None | int() as code, "output": str(output)}:
                return Run(code, output)
        self.close()
        raise MachineError("the machine has ended: it gave no proper reply")

    def _ask(self, request: dict, seconds: float) -> Steps[dict]:
        if self._process is None:
            raise MachineError("the machine has ended")
        try:
            reply = yield from self._process.exchange(request, seconds)
        except (TimedOut, Died) as error:
            self.close()
            raise MachineError(f"the machine has ended: {error or 'no reply'}") from error
        if "failed" in reply:
            self.close()
            raise PoolError(f"a machine did not start: {reply['failed']}")
        return reply


def system_python() -> str:
    """The Python that machines see: the one behind this process's virtual environment, if it has one."""
    return os.path.realpath(sys.executable)
