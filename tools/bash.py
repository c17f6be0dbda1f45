"""A shell: commands in the directory of the episode, which holds a few small text files and nothing of the host's.

Commands of a model can do whatever the user may under whom they run. So this toolkit is used only where the executor
can isolate network, files and processes; nothing else runs it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess

from tools._processes import kill_all_others, outputs
from tools._vocabulary import words

MAX_OUTPUT = 1200  # bytes of each stream that are given back, from its beginning and its end

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
_NAMES = words("apples bridges candles doors engines flowers gates hills islands jackets kites lamps maps nets")


class CommandError(RuntimeError):
    """A command that did not exit with code 0."""


class Toolkit:
    """Bash in the current directory. Three files are drawn anew for every seed; they are there from the first command.

    It must be the first process of its PID namespace: when a command ends, all others in it are killed.
    """

    needs_isolation = True
    example = ("bash", {"command": "ls | wc -l"})

    def __init__(self, seed: int = 0) -> None:
        rng = random.Random(f"bash {seed}")
        self.files = {
            f"{name}.txt": "".join(f"{rng.randint(1, 99)} {word}\n" for word in rng.sample(_NAMES, 5))
            for name in rng.sample(_NAMES, 3)
        }
        self._is_new = True

    def bash(self, command: str) -> dict:
        """Run a command in a shell and give its exit code and what it wrote.

        Args:
            command: A line of bash. Files stay for the next command, processes do not.
        """
        if os.getpid() != 1:
            raise PermissionError("bash runs only in a process that the executor has isolated")
        if self._is_new:
            self._write_files()
        process = subprocess.Popen(
            ["/bin/bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**_ENVIRONMENT, "HOME": os.getcwd(), "TMPDIR": os.getcwd()},
            start_new_session=True,
        )
        try:
            stdout, stderr = outputs(process, MAX_OUTPUT)
        finally:
            kill_all_others()
        result = {"exit_code": process.returncode, "stdout": stdout, "stderr": stderr}
        if process.returncode:
            raise CommandError(json.dumps(result, ensure_ascii=False))
        return result

    def _write_files(self) -> None:
        for name, text in self.files.items():
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        self._is_new = False
