"""Isolates tool processes in layers: what each layer does, which ones a machine permits, and how to enter them.

A zygote enters the layers that all of its sessions share. It then forks the sessions, and each enters the other layers
by itself. Every layer is first tried in a disposable process. One that worked there must work in every session, or the
session does not start. There are two ways: root changes the namespaces directly and gives each session a user id of its
own; any other user does so inside a user namespace. docs/executor.md says what the layers prevent and what they do not.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tl.executor.sandbox import kernel, landlock, seccomp
from tl.executor.sandbox.directories import Directories

OF_ZYGOTES = "user namespace", "network namespace", "ipc namespace", "pid namespace", "memory watch", "mount namespace"
OF_SESSIONS = (
    "own user",
    "private directory",
    "resource limits",
    "no new privileges",
    "death with parent",
    "landlock",
    "seccomp",
)
NAMESPACES = {*OF_ZYGOTES, "own user", "private directory"}  # layers that need namespaces
CLEAR_ENVIRONMENT = "clear environment"  # always on: the pool gives each zygote an environment of its own

DIRECTORY = "/tmp"  # of a session, in its own root
DIRECTORY_SIZE = 64 << 20
DIRECTORY_FILES = 4096
CPU_SECONDS = 60
FILE_SIZE = 64 << 20
OPEN_FILES = 64  # per process; what 32 processes can store in socket buffers is then about `memory` again
PROCESSES = 32
TIMERS = 256  # of a user, pending signals included

_REPOSITORY = Path(__file__).resolve().parents[3]
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
_NAME_SERVICE = (  # for looking up host names, and the certificates of servers
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ORDINARY_USER = 60001  # the user id that root takes to get what a normal user gets


def missing_layers(isolation: dict[str, bool], network: bool = False) -> list[str]:
    """The layers of full isolation that are not on. With `network`, tools may use the network."""
    # Either of these two restricts which files a session sees.
    isolation = isolation | {"landlock": isolation["landlock"] or isolation["mount namespace"]}
    layers = ("pid namespace", *(() if network else ("network namespace",)), *OF_SESSIONS)
    return [name for name in layers if not isolation[name]]


def confines_commands(isolation: dict[str, bool]) -> bool:
    """Whether commands of a model may run: they reach no network, and only their own files and processes."""
    network = isolation["network namespace"] or isolation["seccomp"]
    files = isolation["mount namespace"] or isolation["landlock"]
    return network and files and isolation["pid namespace"] and isolation["no new privileges"]


def choose(mode: str, memory: int, folders: Sequence[str], network: bool, own_root: bool, first_user: int) -> Sandbox:
    """The strongest sandbox that this machine permits; to be called in the zygote.

    `mode` is "auto", "user" (what a normal user gets, even if root starts it), "no namespaces" (what a normal user gets
    where a container or a policy forbids namespaces) or "none". The other arguments are those of `Sandbox`.
    """
    if mode in ("user", "no namespaces") and os.geteuid() == 0:
        _become(_ORDINARY_USER)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # the change of user took away our own entries in /proc
    if mode == "none" or not kernel.supported():
        return Sandbox("user", memory, (), folders, network, own_root, first_user)
    ways = ["root", "user"] if os.geteuid() == 0 else ["user"]
    wanted = {*OF_ZYGOTES, *OF_SESSIONS} - (NAMESPACES if mode == "no namespaces" else set())
    if network:
        wanted.discard("network namespace")
    tried = [Sandbox(way, memory, wanted, folders, network, own_root, first_user) for way in ways]
    for sandbox in tried:
        sandbox.layers = set(_try(sandbox))
    return max(tried, key=lambda sandbox: len(sandbox.layers - {"user namespace"}))


def _become(user: int) -> None:
    """Change to this user and group id for good, without other groups."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _try(sandbox: Sandbox) -> list[str]:
    """The layers of a sandbox that work here, tried in a process that then ends."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            sandbox.try_all(lambda worked: os.write(write, json.dumps(worked).encode()))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as report:
        worked = json.loads(report.read() or "[]")
    os.waitpid(pid, 0)
    halves = {"mount namespace", "private directory"}  # the directory is mounted in the namespace's root
    return worked if halves <= set(worked) else [name for name in worked if name not in halves]


class Sandbox:
    """The layers of one zygote and its sessions.

    Args:
        way: "root" or "user".
        memory: bytes of address space that each process of a session may use beyond those of an idle one.
        layers: names of the layers to enter.
        folders: folders that sessions may read, besides the system's programs, this Python and this program.
        network: whether sessions may open connections.
        own_root: a session is root in a root folder of its own and may write anywhere in it but to the system's
            programs. Otherwise it is an unprivileged user and may write to `DIRECTORY` only.
        first_user: if root starts the sessions, those of slot i have the user id `first_user` + i (see `users.Users`).
    """

    def __init__(
        self,
        way: str,
        memory: int,
        layers: Iterable[str],
        folders: Sequence[str] = (),
        network: bool = False,
        own_root: bool = False,
        first_user: int = 0,
    ) -> None:
        self.layers = set(layers)
        self._way = way
        self._own_root = own_root
        self._memory = memory
        self._readable = _readable(folders, network)
        self._network = network
        self._proc = self._processes = self._pid_namespace = -1
        self._first_uid, self._zygote = first_user, 0
        self._directories: Directories | None = None  # where sessions have no private directory
        self._zygote_layers: dict[str, Callable[[], None]] = {
            **({"user namespace": self._enter_user_namespace} if way == "user" else {}),
            "network namespace": lambda: kernel.unshare(kernel.CLONE_NEWNET),
            "ipc namespace": lambda: kernel.unshare(kernel.CLONE_NEWIPC),
            "pid namespace": self._enter_pid_namespace,
            "memory watch": self._open_processes,
            "mount namespace": self._enter_private_root,
        }
        mount, user = "private directory", "own user"
        first: dict[str, Callable[[], None]] = {user: self._enter_user_namespace, mount: self._mount_directory}
        if own_root:
            first = {mount: self._mount_root, user: self._become_root}
        elif way == "root":
            first = {mount: self._mount_directory, user: self._become_slot}
        self._session_layers: dict[str, Callable[[], None]] = {
            **first,
            "resource limits": self._limit,
            "no new privileges": self._drop_privileges,
            "death with parent": self._die_with_parent,
            "landlock": self._restrict_files,
            "seccomp": lambda: seccomp.install(network),
        }

    def report(self) -> dict[str, bool]:
        """Whether each layer is on, by name."""
        return {name: name in self.layers for name in (*OF_ZYGOTES, *OF_SESSIONS)} | {CLEAR_ENVIRONMENT: True}

    def try_all(self, report: Callable[[list[str]], object]) -> None:
        """Try every layer, in this process and a child. The child calls `report` with the names of what worked."""
        self._prepare()
        wanted = self.layers
        self.layers = set(_working(self._zygote_layers, wanted))
        if "pid namespace" not in self.layers:
            self.layers.discard("memory watch")  # it would see all processes of the machine
        self._zygote = os.getpid()
        pid = self.fork()
        if pid == 0:
            self._slot, self._directory = 0, DIRECTORY
            report([*self.layers, *_working(self._session_layers, wanted)])
            os._exit(0)
        os.waitpid(pid, 0)

    def enter(self) -> None:
        """Enter the layers of a zygote. With a PID namespace, a child returns; the caller waits for it and exits."""
        self._prepare()
        for name, enter in self._zygote_layers.items():
            if name in self.layers:
                enter()
        if "pid namespace" not in self.layers and kernel.supported():
            kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # orphans of a session become our children
        self._zygote = os.getpid()

    def leave(self) -> None:
        """Remove the files that sessions have left, once the last session has ended."""
        if self._directories is not None:
            self._directories.close()

    def _prepare(self) -> None:
        """Open /proc, which is not visible inside the layers."""
        with suppress(OSError):
            self._proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)

    # ---- sessions

    def new_directory(self, slot: int) -> str:
        """The working directory for a session of this slot; the caller removes it unless it is `DIRECTORY`."""
        if "private directory" in self.layers:
            return DIRECTORY
        self._directories = self._directories or Directories()
        path = self._directories.new()
        if "own user" in self.layers and self._way == "root":
            os.chown(path, self._first_uid + slot, self._first_uid + slot)
        return path

    def fork(self) -> int:
        """As `os.fork`. With the layer "pid namespace", the child is the first process of a new PID namespace."""
        if "pid namespace" not in self.layers:
            return os.fork()
        kernel.unshare(kernel.CLONE_NEWPID)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid:  # also if fork failed: the next child must get a namespace of its own again
                kernel.setns(self._pid_namespace, kernel.CLONE_NEWPID)
        return pid

    def confine(self, slot: int, directory: str, keep: int) -> None:
        """Enter the layers of a session, in the forked process. Closes all descriptors above 2 but `keep`.

        Raises `OSError` if a layer fails; the session must then end.
        """
        self._slot, self._directory = slot, directory
        _close_all_but((keep, self._proc))
        for name, enter in self._session_layers.items():
            if name in self.layers:
                enter()
        _close_all_but((keep,))
        os.chdir(directory)

    def memory_in_use(self, sessions: Collection[int]) -> dict[int, int]:
        """Resident bytes of each session and all of its descendants; empty while no session has any.

        The limit of address space holds for each process by itself, and this for all processes of a session together.
        """
        pids = [int(name) for name in os.listdir(self._processes) if name.isdigit()]
        if len(pids) <= len(sessions) + 1:
            return {}
        parents, resident = {}, {}
        for pid in pids:
            with suppress(OSError):
                descriptor = os.open(f"{pid}/stat", os.O_RDONLY, dir_fd=self._processes)
                with open(descriptor, encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
                parents[pid], resident[pid] = int(fields[1]), int(fields[21]) * resource.getpagesize()
        used = dict.fromkeys(sessions, 0)
        for pid, size in resident.items():
            while pid in parents and pid not in used:
                pid = parents[pid]
            if pid in used:
                used[pid] += size
        return used

    # ---- the layers

    def _enter_user_namespace(self) -> None:
        self._map_user(os.getuid(), os.getgid())

    def _map_user(self, inner_uid: int, inner_gid: int) -> None:
        """Enter a user namespace that has one user: the present one, with these ids inside."""
        uid, gid = f"{inner_uid} {os.getuid()} 1", f"{inner_gid} {os.getgid()} 1"
        kernel.unshare(kernel.CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", uid), ("gid_map", gid)):
            with open(os.open(f"self/{name}", os.O_WRONLY, dir_fd=self._proc), "w") as file:
                file.write(text)

    def _enter_pid_namespace(self) -> None:
        """Continue as the first process of a new PID namespace: when it ends, the kernel kills all others there."""
        kernel.unshare(kernel.CLONE_NEWPID)
        pid = os.fork()
        if pid:
            _close_all_but(())  # so that the sockets close as soon as the child ends
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
        self._pid_namespace = os.open("self/ns/pid", os.O_RDONLY, dir_fd=self._proc)

    def _enter_private_root(self) -> None:
        """Change to a read-only root that holds only what sessions may read, and no /proc."""
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        root = "/proc"  # any folder that is not shown in the new root
        kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
        for path in (*self._readable, *_DEVICES):
            _show(path, root)
        os.makedirs(root + DIRECTORY, exist_ok=True)
        kernel.make_read_only(root)
        kernel.enter_root(root)

    def _open_processes(self) -> None:
        """Open a /proc of our own PID namespace. It is unmounted at once, so that only we can read it."""
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        self._processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        kernel.unmount("/proc")

    def _mount_directory(self) -> None:
        self._mount_memory(mode=700)

    def _mount_memory(self, mode: int) -> tuple[int, int]:
        """Mount a file system in memory at the session's directory. Returns the ids of its owner."""
        kernel.unshare(kernel.CLONE_NEWNS)
        slot_uid = self._first_uid + self._slot
        uid, gid = (os.getuid(), os.getgid()) if self._way == "user" else (slot_uid, slot_uid)
        options = f"size={DIRECTORY_SIZE},nr_inodes={DIRECTORY_FILES},mode={mode},uid={uid},gid={gid}"
        kernel.mount("tmpfs", self._directory, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
        return uid, gid

    def _mount_root(self) -> None:
        """Change to a root folder in the session's own memory. It holds the system's programs, the devices and, if the
        kernel allows it, a /proc with the session's processes."""
        uid, gid = self._mount_memory(mode=755)
        root = self._directory
        for path in (*_SYSTEM, *_DEVICES):
            _show(path, root)
        for name in ("/dev", "/etc", "/proc", DIRECTORY):
            os.makedirs(root + name, exist_ok=True)
            os.chown(root + name, uid, gid)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.symlink(f"/proc/self/fd/{number}", f"{root}/dev/{name}")
        os.symlink("/proc/self/fd", f"{root}/dev/fd")
        with suppress(OSError):
            flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
            kernel.mount("proc", f"{root}/proc", "proc", flags, "hidepid=2")  # hides this process from its programs
        kernel.enter_root(root)

    def _become_root(self) -> None:
        """Become root in a user namespace. Outside, this is the slot's user, who owns only the session's files."""
        if self._way == "root":
            self._become_slot()
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # the change of user took away our own entries in /proc
        self._map_user(0, 0)

    def _become_slot(self) -> None:
        """Become a user that nothing else runs as. The limit of processes counts per user and does not bind root."""
        _become(self._first_uid + self._slot)

    def _limit(self) -> None:
        with open(os.open("self/statm", os.O_RDONLY, dir_fd=self._proc), encoding="utf-8") as file:
            idle = int(file.read().split()[0]) * resource.getpagesize()
        limits = {
            resource.RLIMIT_AS: idle + self._memory,
            resource.RLIMIT_CPU: CPU_SECONDS,
            resource.RLIMIT_FSIZE: FILE_SIZE,
            resource.RLIMIT_NOFILE: OPEN_FILES,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_SIGPENDING: TIMERS,
        }
        if "own user" in self.layers:  # this limit counts all processes of the user
            limits[resource.RLIMIT_NPROC] = PROCESSES
        for kind, limit in limits.items():
            hard = resource.getrlimit(kind)[1]
            lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (lower, lower))

    def _drop_privileges(self) -> None:
        if self._own_root or not (self._way == "root" and "own user" in self.layers):  # else the change of user did it
            kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # its children cannot read its memory

    def _die_with_parent(self) -> None:
        """Must come after the change of user, which resets this."""
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
        if os.getppid() not in (self._zygote, 0):  # 0: a parent outside of our PID namespace
            os._exit(1)  # the parent died before the call

    def _restrict_files(self) -> None:
        # A private root holds only what may be read, so one rule for "/" is enough.
        private = "mount namespace" in self.layers
        readable, devices = (["/"], ["/dev"]) if private else (self._readable, _DEVICES)
        landlock.restrict(readable, devices, "/" if self._own_root else self._directory, self._network)


def _working(layers: dict[str, Callable[[], None]], wanted: Collection[str]) -> list[str]:
    """Enter the `wanted` layers. Returns the names of those that worked."""
    worked = []
    for name, enter in layers.items():
        if name in wanted:
            with suppress(OSError, AttributeError):
                enter()
                worked.append(name)
    return worked


def _readable(folders: Sequence[str], network: bool) -> list[str]:
    """What sessions may read: the system's programs, this Python, our packages, and `folders`."""
    program = [sys.base_prefix, sys.prefix, str(_REPOSITORY / "tl"), str(_REPOSITORY / "tools"), *folders]
    names = [*program, *(_NAME_SERVICE if network else ())]
    shown = dict.fromkeys([*names, *map(os.path.realpath, names)])  # links, and what they lead to
    return [*_SYSTEM, *(path for path in shown if path != "/usr" and not path.startswith("/usr/"))]


def _show(path: str, root: str) -> None:
    """Make `path` visible in a new root: as a link if it is one, otherwise as a mount."""
    target = root + path
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(path):
            os.symlink(os.readlink(path), target)
        elif os.path.isdir(path):
            os.makedirs(target, exist_ok=True)
            kernel.mount(path, target, flags=kernel.MS_BIND | kernel.MS_REC)
        elif os.path.exists(path):
            with open(target, "xb"):
                pass
            kernel.mount(path, target, flags=kernel.MS_BIND)
    except PermissionError:  # sessions see nothing that we may not see
        return


def _close_all_but(kept: Iterable[int]) -> None:
    """Close all descriptors from 3 on but the `kept` ones; negative numbers in `kept` are ignored."""
    start = 3
    for descriptor in sorted(number for number in kept if number >= start):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, 1 << 20)
