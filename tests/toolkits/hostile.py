"""Tools that do what a tool must never do, for the tests of isolation."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time


class _Odd(BaseException):
    """Nothing that `except Exception` catches."""


class _Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def _raise(error: BaseException) -> None:
    raise error


def _hang(_: str = "") -> None:
    time.sleep(600)


def _ignore_signals(_: str) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _hang()


def _spin(_: str) -> None:
    while True:
        pass


def _recurse(_: str = "") -> None:
    _recurse()


def _nested(depth: str) -> list:
    value: list = []
    for _ in range(int(depth)):
        value = [value]
    return value


def _circle(_: str) -> list:
    value: list = []
    value.append(value)
    return value


def _forge(descriptor: str) -> str:
    body = b'{"number": 2, "text": "forged", "cause": "OK", "seconds": 0, "question": null, "finished": true}'
    os.write(int(descriptor), struct.pack("!I", len(body)) + body)
    return "genuine"


def _print(size: str) -> str:
    for _ in range(int(size) >> 20):
        sys.stdout.write("x" * (1 << 20))
    sys.stdout.flush()
    return "printed"


def _fork_and_return(_: str) -> str:
    return "child" if os.fork() == 0 else "parent"


def _fork_and_exit(_: str) -> str:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "parent"


def _daemon(seconds: str) -> str:
    subprocess.Popen(["/bin/sh", "-c", f"trap '' TERM HUP; sleep {seconds} & sleep {seconds}"], start_new_session=True)
    return "started"


def _threads(_: str) -> str:
    for _number in range(5):
        threading.Thread(target=_hang, daemon=True).start()
    return "started"


def _break_builtins(_: str) -> str:
    import builtins

    builtins.len = builtins.isinstance = builtins.print = None
    return "broken"


def _break_modules(_: str) -> str:
    import json

    import tl.executor.execution
    import tl.executor.frames

    json.dumps = tl.executor.frames.encode = tl.executor.execution.parse_call = None
    return "broken"


def _write(path_and_size: str) -> str:
    path, size = path_and_size.split(":")
    with open(path, "wb") as file:
        for _ in range(int(size) >> 20):
            file.write(b"x" * (1 << 20))
    return "written"


def _write_files(count: str) -> str:
    for number in range(int(count)):
        with open(f"file-{number}", "wb") as file:
            file.write(b"x")
    return "written"


def _fill(count: str) -> str:
    for number in range(int(count)):
        _write(f"file-{number}:{1 << 20}")
    return "written"


def _open_files(count: str) -> int:
    return len([os.dup(0) for _ in range(int(count))])


def _link(target: str) -> str:
    os.symlink(target, "link")
    with open("link", encoding="utf-8") as file:
        return file.read(100)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(100)


def _connect(address: str) -> str:
    kind, target = address.split("=", 1)
    if kind in ("unix", "abstract"):
        with socket.socket(socket.AF_UNIX) as unix:
            unix.connect("\0" + target if kind == "abstract" else target)
    else:
        host, port = target.split(":")
        with socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as inet:
            inet.connect((host, int(port)))
            inet.send(b"x")
    return "connected"


def _system_call(number_and_arguments: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(*(ctypes.c_long(int(word)) for word in number_and_arguments.split()))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _lift_limits(_: str) -> str:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "lifted"


def _kill(pid: str) -> str:
    os.kill(int(pid), 0)
    return "there"


def _become(uid: str) -> str:
    os.setresuid(int(uid), int(uid), int(uid))
    return "became"


def _allocate(size: str) -> int:
    return len(bytearray(int(size)))


def _children(count_and_size: str) -> str:
    count, size = map(int, count_and_size.split("x"))
    code = f"import time; x = bytearray({size}); x[::4096] = b'x' * len(x[::4096]); time.sleep(60)"
    children = [subprocess.Popen(["/usr/bin/python3", "-c", code]) for _ in range(count)]
    return str([child.wait() for child in children])


BEHAVIOURS = {
    "exit": lambda code: os._exit(int(code)),
    "sys.exit": lambda code: sys.exit(int(code)),
    "interrupt": lambda _: _raise(KeyboardInterrupt()),
    "odd exception": lambda _: _raise(_Odd("odd")),
    "mute exception": lambda _: _raise(_Mute()),
    "long exception": lambda size: _raise(ValueError("x" * int(size))),
    "abort": lambda _: os.abort(),
    "crash": lambda _: ctypes.string_at(0),
    "hang": _hang,
    "spin": _spin,
    "ignore signals": _ignore_signals,
    "recurse": _recurse,
    "allocate": _allocate,
    "children": _children,
    "repeat": lambda size: "x" * int(size),
    "surrogate": lambda _: {"a": "\ud800", "b": "\udfff"},
    "null byte": lambda _: "a\0b",
    "object": lambda _: object(),
    "bytes": lambda _: b"\xff\xfe",
    "nan": lambda _: float("nan"),
    "circle": _circle,
    "nested": _nested,
    "large integer": lambda digits: 10 ** int(digits),
    "generator": lambda _: (number for number in range(3)),
    "write to": _forge,
    "print": _print,
    "invalid utf-8": lambda _: os.write(1, b"\xff\xfe\xfa") and "written",
    "close": lambda last: os.closerange(0, int(last)),
    "change directory": lambda path: os.chdir(path) or os.getcwd(),
    "break builtins": _break_builtins,
    "break modules": _break_modules,
    "fork and return": _fork_and_return,
    "fork and exit": _fork_and_exit,
    "daemon": _daemon,
    "threads": _threads,
    "environment": lambda _: dict(os.environ),
    "list": os.listdir,
    "read": _read,
    "write": _write,
    "write files": _write_files,
    "fill": _fill,
    "open files": _open_files,
    "link": _link,
    "connect": _connect,
    "system call": _system_call,
    "lift limits": _lift_limits,
    "kill": _kill,
    "become": _become,
}


class Toolkit:
    """A counter, to see whether the state of an episode survives, and a tool that does harm."""

    example = ("count", {})

    def __init__(self, seed: int = 0):
        self.counter = seed

    def count(self) -> int:
        """Count one on."""
        self.counter += 1
        return self.counter

    def misbehave(self, how: str, value: str = "") -> object:
        """Do one of `BEHAVIOURS`."""
        return BEHAVIOURS[how](value)
