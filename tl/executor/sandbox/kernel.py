"""System calls for isolation that Python 3.11 lacks, through ctypes, for Linux on x86-64. All raise `OSError`."""

import ctypes
import os
import platform

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_PIVOT_ROOT, _CAPSET, _MOUNT_SETATTR = 155, 126, 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 0x1, 0x2
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = 64

_libc = ctypes.CDLL(None, use_errno=True)


def supported() -> bool:
    """Whether this package's system call numbers are those of the running system."""
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """Make a system call by its number. Integers are passed with 64 bits, other arguments as ctypes converts them."""
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *wide), f"system call {number}")


def unshare(flags: int) -> None:
    """Move to new namespaces. With CLONE_NEWPID, only future children are in the new one."""
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Move to the namespace of a descriptor. With CLONE_NEWPID, only future children are in it."""
    _checked(_libc.setns(descriptor, kind), "setns")


def prctl(option: int, value: int = 0) -> None:
    """Set an attribute of this process."""
    _checked(_libc.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3), f"prctl {option}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system; see mount(2)."""
    arguments = [text.encode() if text else None for text in (source, target, kind)]
    _checked(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def unmount(path: str) -> None:
    """Unmount `path` in this namespace. Files that are open in it stay usable."""
    _checked(_libc.umount2(path.encode(), MNT_DETACH), f"unmount {path}")


def make_read_only(path: str) -> None:
    """Make the mount at `path` and all mounts below it read-only, without set-user-id bits."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID, 0, 0, 0)
    syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), _AT_RECURSIVE, attributes, ctypes.sizeof(attributes))


def enter_root(path: str) -> None:
    """Make the mount at `path` the root of this mount namespace, and unmount the old root and all mounts below it."""
    os.chdir(path)
    syscall(_PIVOT_ROOT, b".", b".")
    unmount(".")
    os.chdir("/")


def drop_capabilities() -> None:
    """Drop every capability, also from the bounding set, so that no program can regain one."""
    for capability in range(_CAPABILITIES):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # past the last capability of this kernel
            break
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    syscall(_CAPSET, header, (ctypes.c_uint32 * 6)())
