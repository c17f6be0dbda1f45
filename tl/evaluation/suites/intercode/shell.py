"""InterCode's shell: how an action becomes a command, and what is left in the file system afterwards.

The released environment passes `/bin/bash -c "ACTION"` to Docker's client, which splits it into words as a shell does.
So double quotes within an action vanish, and a backslash before one is lost. The golden commands rely on that.
"""

import hashlib
import shlex
import time
from dataclasses import dataclass, replace
from typing import Literal

from tl.evaluation.suites.intercode.folders import AGES, FILE_SYSTEMS, SYSTEM
from tl.executor.driving import Steps
from tl.executor.machines import File, Machine, Machines, Run

SECONDS = 10.0
MALFORMED, TIMED_OUT = "Malformed command", "Command timed out"

_GIT = "git -c user.email=a@b -c user.name=intercode"
# `git clean` is the reset at the start of a released episode: it also removes empty folders, which git does not track.
_SET_UP = f"cd / && git init -q && git add -A && {_GIT} commit -q -m 'initial commit' && git clean -q -fd"

Change = tuple[str, str]  # path and status, as `git status --short` has them


@dataclass(frozen=True)
class Observation:
    """The output of an action, and whether its exit code was 0."""

    text: str
    valid: bool


class Shell:
    """One of InterCode's file systems in a machine of its own; keeps the working directory between actions."""

    def __init__(self, machines: Machines, file_system: str, host: str) -> None:
        self.shell: Literal["/bin/bash", "/bin/sh"] = "/bin/sh" if file_system == "test" else "/bin/bash"
        self.folder = "/"
        name = f"setup_nl2b_fs_{file_system}.sh"
        self._environment = {
            "HOME": "/root",
            "file_system_version": file_system,
            "script": name,
            "HOSTNAME": host,
        }
        self.machine: Machine = machines.open(
            aged((*SYSTEM, File(f"/{name}", b"", 0o755), *FILE_SYSTEMS[file_system]), AGES[file_system])
        )
        if (made := self.machine.run(["/bin/bash", "-c", _SET_UP], HOME="/root")).code:
            raise RuntimeError(f"git could not be set up: {made.output}")

    def close(self) -> None:
        self.machine.close()

    def act(self, action: str) -> Steps[Observation]:
        """Runs an action. If it begins with `cd` and succeeds, it changes the working directory."""
        moved = None
        if action.startswith("cd"):
            _, found, target = action.partition("cd ")
            if not found:
                return Observation(MALFORMED, False)
            moved = joined(self.folder, target.strip())
            action = f"cd {moved}"
        observation = yield from self.run(action, "/" if moved else self.folder)
        if moved and observation.valid:
            self.folder = moved
        return observation

    def run(self, action: str, folder: str) -> Steps[Observation]:
        words = self.words(action)
        if words is None:
            return Observation(MALFORMED, False)
        run = yield from self.machine.steps(words, folder, SECONDS, **self._environment)
        if run.code is None:
            return Observation(TIMED_OUT, False)
        if "\N{REPLACEMENT CHARACTER}" in run.output:  # not UTF-8
            return Observation(MALFORMED, False)
        return Observation(run.output, run.code == 0)

    def words(self, action: str) -> list[str] | None:
        """The words of the command line; None if its quotes are not balanced."""
        try:
            return shlex.split(f'{self.shell} -c "{action.strip()}"')
        except ValueError:
            return None

    def changes(self) -> Steps[list[Change]]:
        """The differences from the first commit, read as pairs of words as released: a space in a path shifts them."""
        status = (yield from self.machine.steps(["git", "status", "--short"], HOME="/root")).output.split()
        return list(zip(status[1::2], status[::2], strict=False))

    def digest(self, path: str) -> Steps[str]:
        """The digest of an added file. For folders the release calls a program that its image lacks: all are equal."""
        if "." not in path:
            return ""
        try:
            words = shlex.split(path)
        except ValueError:  # a quotation mark in the name
            words = [path]
        run: Run = yield from self.machine.steps(["md5sum", *words])
        return hashlib.md5(run.output.encode()).hexdigest()


def joined(folder: str, target: str) -> str:
    """The folder that `cd target` leads to, by its name alone."""
    parts: list[str] = []
    for part in (target if target.startswith("/") else f"{folder}/{target}").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def aged(files: tuple[File, ...], seconds: float) -> list[File]:
    """The files; those without a modification time get one that lies ``seconds`` in the past."""
    made = time.time() - seconds
    return [file if file.mtime is not None else replace(file, mtime=made) for file in files]
