"""Landlock: limits which files a process and its descendants can reach (Linux 5.13 or newer)."""

import ctypes
import os
from collections.abc import Iterable

from tl.executor.sandbox.kernel import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_FOR_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST_RIGHTS = (1 << 13) - 1
_SINCE_VERSION = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract UNIX sockets, signals


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def restrict(readable: Iterable[str], devices: Iterable[str], writable: str, network: bool = False) -> None:
    """Allow this process only to read `readable`, to use `devices`, and to do anything below `writable`.

    Newer kernels also forbid abstract UNIX sockets, signals to processes outside and, unless `network`, TCP. Missing
    paths are skipped. The layer "no new privileges" must come first. Raises `OSError` where the kernel has no Landlock.
    """
    version = syscall(_CREATE_RULESET, 0, 0, _ASK_FOR_VERSION)
    handled = _FIRST_RIGHTS | sum(right for since, right in _SINCE_VERSION if version >= since)
    fields = [handled, *([0 if network else _TCP] if version >= 4 else []), *([_SCOPES] if version >= 6 else [])]
    attributes = (ctypes.c_uint64 * len(fields))(*fields)
    ruleset = syscall(_CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in devices:
            _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
        _allow(ruleset, writable, handled & ~(_MAKE_CHAR | _MAKE_BLOCK))
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        rule = _Rule(rights if os.path.isdir(path) else rights & _OF_FILES, descriptor)
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
