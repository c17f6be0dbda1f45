"""Isolates tool processes by layers: what each layer does, which ones a machine permits, and how to enter them.

A zygote enters the layers that all its sessions share and forks the sessions, which enter the rest themselves. Each
layer is first tried in a throw-away process; what worked there must work later too, or the session does not start.
There are two ways: root changes the namespaces directly and gives every session a user id of its own; anyone else does
it inside a user namespace. docs/executor.md says what the layers stop and what they do not.
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
NAMESPACES = {*OF_ZYGOTES, "own user", "private directory"}  # layers that need one
CLEAR_ENVIRONMENT = "clear environment"  # holds everywhere: a zygote is started with an environment of its own

DIRECTORY = "/tmp"  # a session's own, in its own root
DIRECTORY_SIZE = 64 << 20
DIRECTORY_FILES = 4096
CPU_SECONDS = 60
FILE_SIZE = 64 << 20
OPEN_FILES = 64  # what 32 processes can let the kernel keep in sockets is then about `memory` again
PROCESSES = 32
TIMERS = 256  # of a user, and signals that wait

_REPOSITORY = Path(__file__).resolve().parents[3]
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
_NAME_SERVICE = (  # what takes a name to an address, and the certificates of servers
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ORDINARY_USER = 60001  # whom root becomes to see what a normal user would get


def missing_layers(isolation: dict[str, bool], network: bool = False) -> list[str]:
    """The layers of full isolation that are not on. `network`: the network is to be reached."""
    # Either of the two restricts what a session sees of the file system.
    isolation = isolation | {"landlock": isolation["landlock"] or isolation["mount namespace"]}
    layers = ("pid namespace", *(() if network else ("network namespace",)), *OF_SESSIONS)
    return [name for name in layers if not isolation[name]]


def confines_commands(isolation: dict[str, bool]) -> bool:
    """Whether commands of a model may run: no network, no files but their own, no processes but their own."""
    network = isolation["network namespace"] or isolation["seccomp"]
    files = isolation["mount namespace"] or isolation["landlock"]
    return network and files and isolation["pid namespace"] and isolation["no new privileges"]


def choose(
    mode: str,
    memory: int,
    folders: Sequence[str] = (),
    network: bool = False,
    own_root: bool = False,
    first_user: int = 0,
) -> Sandbox:
    """The strongest sandbox that this machine permits; call it in the zygote. The other arguments: see `Sandbox`.

    mode: "auto", "user" (what a normal user would get, also when started by root), "no namespaces" (what such a user
    would get where a container or a policy forbids them) or "none".
    """
    if mode in ("user", "no namespaces") and os.geteuid() == 0:
        _become_ordinary()
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


def _become_ordinary() -> None:
    os.setgroups([])
    os.setresgid(_ORDINARY_USER, _ORDINARY_USER, _ORDINARY_USER)
    os.setresuid(_ORDINARY_USER, _ORDINARY_USER, _ORDINARY_USER)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # the change took away our own entries in /proc


def _try(sandbox: Sandbox) -> list[str]:
    """The layers of a sandbox that work, tried in a process that ends right after."""
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
    halves = {"mount namespace", "private directory"}  # the latter is mounted in the root of the former
    return worked if halves <= set(worked) else [name for name in worked if name not in halves]


class Sandbox:
    """The layers of one zygote and its sessions.

    Args:
        way: "root" or "user".
        memory: bytes of address space that each process of a session may have over what an idle one has.
        layers: names of those to enter.
        folders: that can be read, besides the system's programs, this Python and this program.
        network: whether connections may be opened.
        own_root: a session is root in a root folder of its own, all of which it may write to except the system's
            programs; without it, it may write to `DIRECTORY` and is nobody.
        first_user: the user id of the first slot's sessions, if root starts them (see `users.Users`).
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
        self._directories: Directories | None = None  # of sessions that have none in a root of their own
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
        """Every layer, and whether it is on."""
        return {name: name in self.layers for name in (*OF_ZYGOTES, *OF_SESSIONS)} | {CLEAR_ENVIRONMENT: True}

    def try_all(self, report: Callable[[list[str]], object]) -> None:
        """Enter whatever works of the layers, in this process and a child, which passes the names to `report`."""
        self._prepare()
        wanted = self.layers
        self.layers = set(_working(self._zygote_layers, wanted))
        if "pid namespace" not in self.layers:
            self.layers.discard("memory watch")  # what it would read are the processes of the machine
        self._zygote = os.getpid()
        pid = self.fork()
        if pid == 0:
            self._slot, self._directory = 0, DIRECTORY
            report([*self.layers, *_working(self._session_layers, wanted)])
            os._exit(0)
        os.waitpid(pid, 0)

    def enter(self) -> None:
        """Enter the layers of a zygote. With a PID namespace, it is a child of the caller that returns."""
        self._prepare()
        for name, enter in self._zygote_layers.items():
            if name in self.layers:
                enter()
        if "pid namespace" not in self.layers and kernel.supported():
            kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # so that orphans of a session are found
        self._zygote = os.getpid()

    def leave(self) -> None:
        """Remove what the sessions have left on this machine, when the last one has ended."""
        if self._directories is not None:
            self._directories.close()

    def _prepare(self) -> None:
        """Open what cannot be seen from inside the layers."""
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
        """Like `os.fork`; with the layer "pid namespace", the child is the first process of one of its own."""
        if "pid namespace" not in self.layers:
            return os.fork()
        kernel.unshare(kernel.CLONE_NEWPID)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid:  # also where no process could be had: the next one is to have a namespace of its own again
                kernel.setns(self._pid_namespace, kernel.CLONE_NEWPID)
        return pid

    def confine(self, slot: int, directory: str, keep: int) -> None:
        """Enter the layers of a session, in the forked process. All descriptors above 2 but `keep` are closed.

        Raises `OSError` if a layer fails: the session must not go on then.
        """
        self._slot, self._directory = slot, directory
        _close_all_but((keep, self._proc))
        for name, enter in self._session_layers.items():
            if name in self.layers:
                enter()
        _close_all_but((keep,))
        os.chdir(directory)

    def memory_in_use(self, sessions: Collection[int]) -> dict[int, int]:
        """Resident bytes of each session with all that it has started; empty while none has started anything.

        The limit of address space holds for each process: this is what bounds the processes of a session together.
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
        """Enter a user namespace with this one user, who has these ids there."""
        uid, gid = f"{inner_uid} {os.getuid()} 1", f"{inner_gid} {os.getgid()} 1"
        kernel.unshare(kernel.CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", uid), ("gid_map", gid)):
            with open(os.open(f"self/{name}", os.O_WRONLY, dir_fd=self._proc), "w") as file:
                file.write(text)

    def _enter_pid_namespace(self) -> None:
        """Go on as the first process of a new PID namespace: when it ends, the kernel kills all others in there."""
        kernel.unshare(kernel.CLONE_NEWPID)
        pid = os.fork()
        if pid:
            _close_all_but(())  # so that the other side sees when the child is gone
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
        self._pid_namespace = os.open("self/ns/pid", os.O_RDONLY, dir_fd=self._proc)

    def _enter_private_root(self) -> None:
        """A root that holds only the system's programs and what may be read besides, read-only, and no /proc."""
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        root = "/proc"  # nothing below it is shown
        kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
        for path in (*self._readable, *_DEVICES):
            _show(path, root)
        os.makedirs(root + DIRECTORY, exist_ok=True)
        kernel.make_read_only(root)
        kernel.enter_root(root)

    def _open_processes(self) -> None:
        """The /proc of our own PID namespace, which only we hold: it is mounted nowhere afterwards."""
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        self._processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        kernel.unmount("/proc")

    def _mount_directory(self) -> None:
        self._mount_memory(mode=700)

    def _mount_memory(self, mode: int) -> tuple[int, int]:
        """Mount memory at the session's directory; returns the ids of its owner."""
        kernel.unshare(kernel.CLONE_NEWNS)
        slot_uid = self._first_uid + self._slot
        uid, gid = (os.getuid(), os.getgid()) if self._way == "user" else (slot_uid, slot_uid)
        options = f"size={DIRECTORY_SIZE},nr_inodes={DIRECTORY_FILES},mode={mode},uid={uid},gid={gid}"
        kernel.mount("tmpfs", self._directory, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
        return uid, gid

    def _mount_root(self) -> None:
        """Go on in a root folder of the session's own memory, with the system's programs and the devices in it, and
        where the kernel allows it a /proc with the processes of the session."""
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
            kernel.mount("proc", f"{root}/proc", "proc", flags, "hidepid=2")  # not this process, only its programs
        kernel.enter_root(root)

    def _become_root(self) -> None:
        """Root in a user namespace, and outside of it the user of the slot: owner of the session's files alone."""
        if self._way == "root":
            self._become_slot()
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # the change of user took away our own entries in /proc
        self._map_user(0, 0)

    def _become_slot(self) -> None:
        """Become a user that nothing else runs as: the limit of processes counts by user, and never binds root."""
        uid = self._first_uid + self._slot
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

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
        if "own user" in self.layers:  # it counts all that the user runs
            limits[resource.RLIMIT_NPROC] = PROCESSES
        for kind, limit in limits.items():
            hard = resource.getrlimit(kind)[1]
            lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (lower, lower))

    def _drop_privileges(self) -> None:
        if self._own_root or not (self._way == "root" and "own user" in self.layers):  # the change of user took them
            kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # its children may not look into it

    def _die_with_parent(self) -> None:
        """Must come after the change of user, which resets it."""
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
        if os.getppid() not in (self._zygote, 0):  # 0: a parent outside of our PID namespace
            os._exit(1)  # it was gone before we asked

    def _restrict_files(self) -> None:
        # A private root holds nothing but what may be read, which makes for few rules.
        private = "mount namespace" in self.layers
        readable, devices = (["/"], ["/dev"]) if private else (self._readable, _DEVICES)
        landlock.restrict(readable, devices, "/" if self._own_root else self._directory, self._network)


def _working(layers: dict[str, Callable[[], None]], wanted: Collection[str]) -> list[str]:
    """Enters the `wanted` layers; the names of those that worked."""
    worked = []
    for name, enter in layers.items():
        if name in wanted:
            with suppress(OSError, AttributeError):
                enter()
                worked.append(name)
    return worked


def _readable(folders: Sequence[str], network: bool) -> list[str]:
    """What sessions may read: the system's programs, this Python, the packages that a session runs, and `folders`."""
    program = [sys.base_prefix, sys.prefix, str(_REPOSITORY / "tl"), str(_REPOSITORY / "tools"), *folders]
    under_usr = [path for path in program if path == "/usr" or path.startswith("/usr/")]
    names = [*_NAME_SERVICE, *map(os.path.realpath, _NAME_SERVICE)] if network else []
    return [*_SYSTEM, *(path for path in dict.fromkeys([*program, *names]) if path not in under_usr)]


def _show(path: str, root: str) -> None:
    """Make `path` visible in a new root: a link as a link, a file or folder as a mount."""
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
    except PermissionError:  # what we may not see ourselves, a session does not see either
        return


def _close_all_but(kept: Iterable[int]) -> None:
    """Close all descriptors from 3 on but the `kept`; negative ones stand for none."""
    start = 3
    for descriptor in sorted(number for number in kept if number >= start):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, 1 << 20)
