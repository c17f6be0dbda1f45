"""seccomp: a filter that refuses system calls that no tool needs (Linux on x86-64)."""

import ctypes
import errno
import struct

from tl.executor.sandbox import kernel

_REFUSED = {
    # connections to a network or to processes outside (socketpair is allowed: it reaches nobody)
    "socket": 41,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    # reading and changing other processes
    "ptrace": 101,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "pidfd_getfd": 438,
    "kcmp": 312,
    "process_madvise": 440,
    # another view of the file system
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "chroot": 161,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    # new namespaces (see _CLONE for clone)
    "unshare": 272,
    "setns": 308,
    # memory that outlives its process or that no limit counts
    "shmget": 29,
    "semget": 64,
    "msgget": 68,
    "mq_open": 240,
    "memfd_create": 319,
    "memfd_secret": 447,
    # resources that are limited per machine or per user
    "io_setup": 206,
    "inotify_init": 253,
    "inotify_init1": 294,
    "fanotify_init": 300,
    # I/O priorities of other processes
    "ioprio_set": 251,
    # large and rarely used parts of the kernel, and its administration
    "bpf": 321,
    "perf_event_open": 298,
    "userfaultfd": 323,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "init_module": 175,
    "finit_module": 313,
    "delete_module": 176,
    "kexec_load": 246,
    "kexec_file_load": 320,
    "reboot": 169,
    "swapon": 167,
    "swapoff": 168,
    "acct": 163,
    "quotactl": 179,
    "syslog": 103,
    "settimeofday": 164,
    "clock_settime": 227,
    "adjtimex": 159,
    "clock_adjtime": 305,
    "iopl": 172,
    "ioperm": 173,
    "personality": 135,
    "vhangup": 153,
}
# System calls that set limits or priorities -> the arguments (by position) that must be 0, which means the caller. For
# other processes they are refused: a session's first process, which reports results, has the same user as its children.
_FOR_ITSELF_ONLY = {
    "prlimit64": (302, (0,)),
    "setpriority": (141, (0, 1)),
    "sched_setparam": (142, (0,)),
    "sched_setscheduler": (144, (0,)),
    "sched_setaffinity": (203, (0,)),
    "sched_setattr": (314, (0,)),
}
# System calls that can enlarge buffers in the kernel -> an argument (by position) and its values that do so.
_BUFFER_SIZES = {
    "setsockopt": (54, 2, (7, 8, 32, 33)),  # SO_SNDBUF, SO_RCVBUF and both with FORCE
    "fcntl": (72, 1, (1031,)),  # F_SETPIPE_SZ
}
_CLONE, _CLONE3 = 56, 435
_NEW_NAMESPACE = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWCGROUP
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
)

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_X86_64, _X32_BIT = 0xC000003E, 0x40000000
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_SET_MODE_FILTER, _SECCOMP = 1, 317


def _argument(place: int) -> tuple[int, int, int, int]:
    """The instruction that loads the lower half of an argument, which holds an int."""
    return _LOAD, 0, 0, _FIRST_ARGUMENT + 8 * place


def _program(network: bool) -> bytes:
    """The filter in classic BPF: (code, jump if true, jump if false, value); jumps count the instructions skipped."""
    refuse = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _X86_64),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        refuse,
        # The C library falls back to clone, whose flags can be read; those of clone3 lie behind a pointer.
        (_JUMP_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]
    for name, number in _REFUSED.items():
        if network and name == "socket":
            continue
        steps += [(_JUMP_EQUAL, 0, 1, number), refuse]
    for number, places in _FOR_ITSELF_ONLY.values():
        checks = [step for place in places for step in (_argument(place), (_JUMP_EQUAL, 1, 0, 0), refuse)]
        steps += [(_JUMP_EQUAL, 0, len(checks) + 1, number), *checks, (_RETURN, 0, 0, _ALLOW)]
    for number, place, values in _BUFFER_SIZES.values():
        checks = [_argument(place), *(step for value in values for step in ((_JUMP_EQUAL, 0, 1, value), refuse))]
        steps += [(_JUMP_EQUAL, 0, len(checks) + 1, number), *checks, (_RETURN, 0, 0, _ALLOW)]
    steps += [
        (_JUMP_EQUAL, 0, 3, _CLONE),
        _argument(0),
        (_JUMP_ANY_BIT, 0, 1, _NEW_NAMESPACE),
        refuse,
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def install(network: bool = False) -> None:
    """Install the filter for this process and its descendants, for good. With `network`, sockets are allowed. The layer
    "no new privileges" must come first."""
    program = _program(network)
    filter_ = _Filter(len(program) // 8, program)
    kernel.syscall(_SECCOMP, _SET_MODE_FILTER, 0, ctypes.byref(filter_))
