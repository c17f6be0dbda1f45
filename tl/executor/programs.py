"""The session of a machine: it runs programs instead of calls of tools. machines.py is the other side.

It must be the first process of its PID namespace: whenever a program ends, it kills all other processes there.
"""

import os
import socket
import subprocess
from collections.abc import Iterable, Sequence

from tl.executor import frames
from tools._processes import kill_all_others, outputs

MAX_OUTPUT = 1 << 20  # bytes of a program's output; of a longer one, the beginning and the end
NOT_FOUND = 127  # exit code of a program that cannot be started, as in a shell

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def serve(connection: socket.socket, buffer: bytearray, files: Sequence[dict]) -> None:
    """Create the files, then run programs until the executor closes the connection."""
    if os.getpid() != 1:
        raise PermissionError("programs run only in a process that is the first of its PID namespace")
    lay_out(files)
    connection.sendall(frames.encode({"ready": True}))
    while (request := frames.receive(connection, buffer)) is not None:
        code, output = run(request["argv"], request["cwd"], request["seconds"], request["environment"])
        connection.sendall(frames.encode({"code": code, "output": output}))


def lay_out(files: Iterable[dict]) -> None:
    """Create files, and folders (those without content), in this order, with their modes and times."""
    files = list(files)
    for file in files:
        path = file["path"]
        if file["content"] is None:
            os.makedirs(path, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "wb") as opened:
                opened.write(file["content"].encode("latin-1"))
        os.chmod(path, file["mode"])
    for file in reversed(files):  # a folder's time last: files in it change it
        if file["mtime"] is not None:
            os.utime(file["path"], (file["mtime"], file["mtime"]))


def run(argv: Sequence[str], cwd: str, seconds: float, environment: dict[str, str]) -> tuple[int | None, str]:
    """(exit code, or None after a time-out; what the program wrote to stdout and stderr together)."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={"PATH": PATH, **environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return NOT_FOUND, f"{error}\n"
    try:
        (output,) = outputs(process, MAX_OUTPUT, seconds)
        return process.returncode, output
    except TimeoutError:
        return None, ""
    finally:
        kill_all_others()
