"""What hostile tools and hostile calls come to: one contract, held with all isolation, as a normal user, by Landlock
and seccomp alone where namespaces are forbidden, and with none.

Every case runs in a session of its own between two calls of a counter: the first is there before, the second shows that
the episode goes on where it was, also when its process had to be made again.
"""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from toolkits import HOSTILE

from tl.calls import Call, format_call
from tl.executor import Executor, IsolationError
from tl.executor.driving import drive
from tl.executor.execution import MAX_FEEDBACK_CHARACTERS, Cause
from tl.executor.sandbox import NAMESPACES, OF_SESSIONS, OF_ZYGOTES, missing_layers
from tl.executor.toolkits import ToolkitError
from tl.mae import classify_feedback

TIMEOUT = 5.0  # seconds; the hanging cases all hang at the same time
SECRET = "a-token-of-the-trainer"
OK, TYPE, RAISED = Cause.OK, Cause.VALUE_OR_TYPE, Cause.TOOL_EXCEPTION
DIED, LATE, UNSERIALISABLE = Cause.WORKER_DIED, Cause.TIME_OUT, Cause.NOT_SERIALISABLE
FORMAT, UNKNOWN = Cause.FORMAT_ERROR, Cause.UNKNOWN_TOOL

# behaviour, its argument, cause, pattern of the whole feedback
TOOLS_IN_EVERY_MODE = [
    ("exit", "0", DIED, r"ConnectionResetError: .* exited with code 0"),
    ("exit", "1", DIED, r".* exited with code 1"),
    ("sys.exit", "0", RAISED, "RuntimeError: the tool raised SystemExit: 0"),
    ("interrupt", "", DIED, ".*"),
    ("odd exception", "", RAISED, "RuntimeError: the tool raised _Odd: odd"),
    ("mute exception", "", RAISED, "RuntimeError: the tool raised _Mute"),
    ("long exception", "5000000", TYPE, r"ValueError: x+ … x+"),
    ("abort", "", DIED, ".* was killed by SIG(ABRT|SEGV)"),
    ("crash", "", DIED, ".* was killed by SIGSEGV"),
    ("hang", "", LATE, f"TimeoutError: the call did not return within {TIMEOUT:g} seconds"),
    ("spin", "", LATE, "TimeoutError: .*"),
    ("ignore signals", "", LATE, "TimeoutError: .*"),
    ("recurse", "", RAISED, "RecursionError: .*"),
    ("allocate", str(1 << 60), Cause.MEMORY, "MemoryError.*"),
    ("repeat", "20000000", Cause.OUTPUT_CUT, "x+ … x+"),
    ("surrogate", "", OK, '{"a": "\ufffd", "b": "\ufffd"}'),
    ("null byte", "", OK, "a\0b"),
    ("object", "", UNSERIALISABLE, "TypeError: Object of type object is not JSON serializable"),
    ("bytes", "", UNSERIALISABLE, "TypeError: Object of type bytes is not JSON serializable"),
    ("nan", "", UNSERIALISABLE, "ValueError: .*"),
    ("circle", "", UNSERIALISABLE, "ValueError: Circular reference detected"),
    ("nested", "100000", UNSERIALISABLE, "RecursionError: .*"),
    ("large integer", "5000", UNSERIALISABLE, "ValueError: .*"),
    ("generator", "", UNSERIALISABLE, "TypeError: .*"),
    ("write to", "1", OK, "genuine"),
    ("write to", "2", OK, "genuine"),
    ("print", str(50 << 20), OK, "printed"),
    ("invalid utf-8", "", OK, "written"),
    ("close", "3", OK, "null"),
    ("close", "1024", DIED, ".*"),
    ("change directory", "/usr", OK, "/usr"),
    ("fork and exit", "", OK, "parent"),
    ("fork and return", "", OK, "parent"),
    ("daemon", "600.5", OK, "started"),
    ("threads", "", OK, "started"),
]
# What they break is their own session; whether that still answers properly is not promised.
TOOLS_THAT_BREAK_THEIR_SESSION = [("break builtins", ""), ("break modules", "")]

EPERM = r"PermissionError: \[Errno 1\] .*"
TOOLS_UNDER_ISOLATION = [
    ("allocate", str(1 << 30), Cause.MEMORY, "MemoryError"),
    ("lift limits", "", TYPE, "ValueError: not allowed to raise maximum limit"),
    ("open files", "300", RAISED, "OSError: .*Too many open files.*"),
    ("write", f"large:{1 << 30}", RAISED, "OSError: .*(No space left|File too large).*"),
    ("write", f"/usr/lib/x:{1 << 20}", RAISED, "(OSError|PermissionError): .*"),
    ("write", f"{Path(__file__).resolve().parent.parent}/x:{1 << 20}", RAISED, ".*Error: .*"),
    ("write files", "10000", RAISED, "OSError: .*No space left.*"),
    ("fill", "200", RAISED, "OSError: .*No space left.*"),
    ("read", "/etc/passwd", RAISED, "FileNotFoundError: .*"),
    ("read", f"/proc/{os.getpid()}/environ", RAISED, "FileNotFoundError: .*"),
    ("read", "/proc/1/environ", RAISED, "FileNotFoundError: .*"),
    ("read", "../../../../etc/passwd", RAISED, "FileNotFoundError: .*"),
    ("read", __file__, RAISED, "FileNotFoundError: .*"),
    ("list", "/tmp", OK, r"\[\]"),
    ("list", "/var", RAISED, "FileNotFoundError: .*"),
    ("list", "/dev/shm", RAISED, "FileNotFoundError: .*"),
    ("link", "/etc/passwd", RAISED, "FileNotFoundError: .*"),
    ("link", "../../../../proc/self/environ", RAISED, "FileNotFoundError: .*"),
    ("connect", "tcp={tcp}", RAISED, EPERM),
    ("connect", "udp={tcp}", RAISED, EPERM),
    ("connect", "unix={unix}", RAISED, EPERM),
    ("connect", "abstract={abstract}", RAISED, EPERM),
    ("kill", str(os.getpid()), RAISED, "ProcessLookupError: .*"),
    ("become", "0", RAISED, "(PermissionError|OSError): .*"),
    ("system call", f"101 16 {os.getpid()} 0 0", RAISED, EPERM),  # ptrace: attach
    ("system call", "272 268435456", RAISED, EPERM),  # unshare: a user namespace
    ("system call", "56 268435473 0 0 0 0", RAISED, EPERM),  # clone: a user namespace
    ("system call", "435 0 0", RAISED, r"OSError: \[Errno 38\] .*"),  # clone3, whose flags cannot be seen
    ("system call", "165 0 0 0 0 0", RAISED, EPERM),  # mount
    ("system call", "161 0", RAISED, EPERM),  # chroot
    ("system call", "425 8 0", RAISED, EPERM),  # io_uring_setup, which could open sockets
    ("system call", "29 0 4096 950", RAISED, EPERM),  # shmget, whose memory outlives its process
    ("system call", "1073741865 2 1 0", RAISED, EPERM),  # socket by its x32 number
]

TEXTS = [
    ("misbehave(how=count())", FORMAT),
    ("misbehave(how=__import__('os').system('id'))", FORMAT),
    ("misbehave(how=[x for x in (1,)])", FORMAT),
    ("misbehave(how=f'{count()}')", FORMAT),
    ("misbehave(how=lambda: 0)", FORMAT),
    ("misbehave(**{'how': 'exit'})", FORMAT),
    ("misbehave('exit')", FORMAT),
    ("count(); misbehave(how='exit')", FORMAT),
    ("count()\ncount()", FORMAT),
    ("count() or misbehave(how='exit')", FORMAT),
    ("eval(expression='1')", UNKNOWN),
    ("__import__(name='os')", UNKNOWN),
    ("__class__()", UNKNOWN),
    ("_private()", UNKNOWN),
    ("os.system(command='id')", UNKNOWN),
    ("Toolkit()", UNKNOWN),
    ("misbehave(how=" + "[" * 100_000 + "]" * 100_000 + ")", FORMAT),
    ("misbehave(how=" + "9" * 100_000 + ")", FORMAT),
    ("misbehave(how='" + "x" * 5_000_000 + "')", FORMAT),
    ("x" * 900_000, FORMAT),
    ("count(\0)", FORMAT),
    ("count\0()", FORMAT),
    ("\ud800()", FORMAT),
    ("count(self=1)", Cause.UNEXPECTED_KEYWORD),
    ("misbehave(how='repeat', value='\ud800')", None),
    ("", FORMAT),
    ("   ", FORMAT),
    ("\u202ecount()", FORMAT),
]

# The layers that a mode does without.
EXPECTED_TO_MISS = {
    "auto": set(),
    "user": set(),
    "no namespaces": {*NAMESPACES},
    "none": {*OF_ZYGOTES, *OF_SESSIONS},
}

# What a home folder shows: the way to the program and to this Python, if they lie there.
NEEDED = [Path(__file__).resolve(), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
AT_HOME = "|".join({rf"{re.escape(path.parts[2])}\\n" for path in NEEDED if path.parts[1] in ("root", "home")})

# command, exit code, pattern that the feedback holds
COMMANDS = [
    ("echo out; echo err >&2", 0, r'"stdout": "out\\n", "stderr": "err\\n"'),
    ("exit 3", 3, '"exit_code": 3'),
    ("kill -SEGV $$", -11, '"exit_code": -11'),
    ("sleep 600.1 & echo there", 0, '"stdout": "there'),
    ("setsid sleep 600.2 & disown; echo there", 0, '"stdout": "there'),
    ("(trap '' TERM HUP; exec setsid sleep 600.3) & echo there", 0, '"stdout": "there'),
    ("yes & echo there", 0, '"stdout": "'),
    ("head -c 100000000 /dev/zero | tr '\\0' x", 0, r"x \[\.\.\.\] x"),
    ("printf '\\xff\\xfe'", 0, "\ufffd\ufffd"),
    ("printf '\\0'", 0, r"\\u0000"),
    ("exec >&- 2>&-; exit 0", 0, '"stdout": "", "stderr": ""'),
    (":(){ :|:& };:", None, '"exit_code"'),
    ("cat /etc/passwd", 1, "No such file"),
    ("cat /etc/shadow; ls /root; ls /home; true", 0, f'"stdout": "({AT_HOME})*"'),
    ("ls /proc", 2, "No such file"),
    ("kill -9 1 $PPID; echo alive", 0, "alive"),
    ("echo x > /usr/bin/x", 1, "(Read-only file system|Permission denied)"),
    ("exec 3<>/dev/tcp/{tcp}", 1, "(Operation not permitted|Network is unreachable)"),
    ("mount -t tmpfs none /tmp", None, "(permission|superuser|Operation not permitted|must be)"),
    ("for fd in /dev/fd/*; do echo $fd; done; echo x >&3", 1, "Bad file descriptor"),
    ("env", 0, '"PATH|PATH='),
    ("ls > /dev/full", 2, "No space left"),
    ("head -c 100 /dev/zero > big; ulimit -f unlimited", 1, "cannot modify limit"),
    ("cd /; pwd", 0, '"/\\\\n"'),
    ("ln -s /etc/passwd l; cat l", 1, "No such file"),
    ("sudo -n id || su -c id", None, '"exit_code"'),
]


@pytest.fixture(scope="module", params=["auto", "user", "no namespaces", "none"])
def executor(request):
    """An executor in each mode; skipped where the machine does not permit the isolation that the mode stands for."""
    closed = [str(folder) for folder in Path(__file__).resolve().parents if not folder.stat().st_mode & stat.S_IXOTH]
    if request.param == "no namespaces" and os.geteuid() == 0 and closed:
        pytest.skip(f"what a normal user gets cannot be seen in {closed[-1]}, which is closed to others")
    os.environ["SECRET_OF_THE_TRAINER"] = SECRET
    toolkits = [HOSTILE, "bash"] if request.param in ("auto", "user") else [HOSTILE]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is missing is looked at below
            executor = Executor(toolkits, timeout=TIMEOUT, memory=256 << 20, workers=2, mode=request.param)
    except ToolkitError as error:
        pytest.skip(f"this machine does not isolate: {error}")
    finally:
        del os.environ["SECRET_OF_THE_TRAINER"]
    missing = set(missing_layers(executor.isolation)) - EXPECTED_TO_MISS[request.param]
    if missing:
        pytest.skip(f"this machine does not permit {', '.join(missing)} in mode {request.param}")
    with executor:
        executor.mode = request.param
        yield executor


@pytest.fixture
def confined(executor):
    if executor.mode not in ("auto", "user"):
        pytest.skip("a tool is not confined altogether in this mode")
    return executor


@pytest.fixture(scope="module")
def listeners(tmp_path_factory):
    """Sockets of the test's own process that a tool must not reach: by TCP, by path, by abstract name."""
    path, name = tmp_path_factory.mktemp("socket") / "s", f"listener-{os.getpid()}"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(str(path))
        abstract.bind("\0" + name)
        for listener in (tcp, unix, abstract):
            listener.listen()
        host, port = tcp.getsockname()
        yield {"tcp": f"{host}:{port}", "unix": str(path), "abstract": name, "bash": f"{host}/{port}"}


def misbehaviour(how, value=""):
    return format_call(Call("misbehave", {"how": how, "value": value}))


def bash(command):
    return format_call(Call("bash", {"command": command}))


def run_between_counts(executor, texts):
    """The feedback of each text, run in a session of its own; asserts that the counts around it are 1 and 2."""
    sessions = [executor.session(seed=0) for _ in texts]
    before = drive([session.steps("count()") for session in sessions])
    feedback = drive([session.steps(text) for session, text in zip(sessions, texts, strict=True)])
    after = drive([session.steps("count()") for session in sessions])
    for session in sessions:
        session.close()
    assert [f.text for f in before] == ["1"] * len(texts)
    assert {text: f.text for text, f in zip(texts, after, strict=True)} == dict.fromkeys(texts, "2")
    return feedback


def wrong_outcomes(cases, feedback):
    """Cases of (.., cause, pattern) whose feedback is another, or is not what the classifier takes it for."""
    return [
        (*case[:-2], f.cause, f.text[:200])
        for case, f in zip(cases, feedback, strict=True)
        if f.cause is not case[-2]
        or not re.fullmatch(case[-1], f.text, re.S)
        or len(f.text) > MAX_FEEDBACK_CHARACTERS
        or classify_feedback(f.text) is not f.category
    ]


def test_hostile_tools_get_their_feedback_and_the_episode_goes_on(executor):
    texts = [misbehaviour(how, value) for how, value, _, _ in TOOLS_IN_EVERY_MODE]
    start = time.monotonic()
    assert wrong_outcomes(TOOLS_IN_EVERY_MODE, run_between_counts(executor, texts)) == []
    assert time.monotonic() - start < 5 * TIMEOUT


def test_hostile_tools_reach_nothing_outside(confined, listeners):
    cases = [(how, value.format(**listeners), *rest) for how, value, *rest in TOOLS_UNDER_ISOLATION]
    texts = [misbehaviour(how, value) for how, value, _, _ in cases]
    assert wrong_outcomes(cases, run_between_counts(confined, texts)) == []


def test_without_namespaces_hostile_tools_still_reach_no_file_and_no_socket(executor, listeners):
    """What is there is seen to be, but refused. Only how much is written and whom signals reach is not bounded."""
    if executor.mode != "no namespaces":
        pytest.skip("held more strictly in the other modes, or not at all")
    cases = [
        (how, value.format(**listeners), cause, pattern.replace("FileNotFoundError", "PermissionError"))
        for how, value, cause, pattern in TOOLS_UNDER_ISOLATION
        if how not in ("list", "write files", "fill", "kill")
    ]
    cases += [("list", folder, RAISED, "PermissionError: .*") for folder in ("/tmp", "/var", "/dev/shm")]
    texts = [misbehaviour(how, value) for how, value, _, _ in cases]
    assert wrong_outcomes(cases, run_between_counts(executor, texts)) == []


def test_hostile_texts_are_read_and_never_evaluated(executor):
    with executor.session(seed=0) as session:
        for text, cause in TEXTS:
            feedback = session.run(text)
            assert feedback.cause is cause or cause is None, (text[:80], feedback)
            assert len(feedback.text.encode()) <= 4 * MAX_FEEDBACK_CHARACTERS
        assert session.run("count()").text == "1"


@pytest.mark.parametrize(("how", "value"), TOOLS_THAT_BREAK_THEIR_SESSION)
def test_a_tool_that_breaks_the_interpreter_breaks_its_own_session_only(executor, how, value):
    with executor.session(seed=0) as session:
        session.run(misbehaviour(how, value))
        session.run("count()")
    with executor.session(seed=0) as session:
        assert session.run("count()").text == "1"


def test_commands_give_output_and_exit_code_and_reach_nothing_outside(confined, listeners):
    texts = [bash(command.replace("{tcp}", listeners["bash"])) for command, _, _ in COMMANDS]
    wrong = []
    for (command, code, pattern), feedback in zip(COMMANDS, run_between_counts(confined, texts), strict=True):
        match = re.search(r'"exit_code": (-?\d+)', feedback.text)
        as_expected = match and code in (None, int(match[1])) and re.search(pattern, feedback.text)
        agrees = classify_feedback(feedback.text) is feedback.category
        if not (as_expected and agrees and SECRET not in feedback.text):
            wrong.append((command, feedback))
    assert wrong == []


def test_a_command_that_hangs_times_out_and_its_files_come_back_by_replay(confined):
    with confined.session(seed=0) as session:
        session.run(bash("echo kept > kept"))
        assert session.run(bash("echo lost > lost; sleep 600.4")).cause is LATE
        assert session.run(bash("cat kept; ls lost")).text.count("kept") == 1
        assert '"stdout": "kept\\n"' in session.run(bash("cat kept")).text


def test_many_processes_share_the_memory_limit_of_their_session(confined):
    with confined.session(seed=0) as session:
        session.run("count()")
        feedback = session.run(misbehaviour("children", f"20x{200 << 20}"))
        assert feedback.cause is (Cause.MEMORY if confined.isolation["memory watch"] else LATE)
        assert session.run("count()").text == "2"


def test_the_environment_of_the_trainer_stays_with_it(executor):
    with executor.session(seed=0) as session:
        feedback = session.run(misbehaviour("environment"))
        assert "PATH" in json.loads(feedback.text)
        assert SECRET not in feedback.text
        text = session.run(misbehaviour("read", f"/proc/{os.getppid()}/environ")).text
        assert SECRET not in text


def processes(*marks):
    """Command lines of this machine's processes that hold one of the marks."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [line for mark in marks if mark in line]
    return found


def left_after(seconds, mark):
    """The processes with a mark that are still there when there are none or the time is over."""
    end = time.monotonic() + seconds
    while (left := processes(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")


@needs_proc
def test_nothing_outlives_its_episode(executor):
    mark = f"600.{os.getpid()}"
    with executor.session(seed=0) as session:
        assert session.run(misbehaviour("daemon", mark)).text == "started"
    assert left_after(10, f"sleep {mark}") == []


@needs_proc
def test_nothing_outlives_its_command(confined):
    mark = f"602.{os.getpid()}"
    with confined.session(seed=0) as session:
        session.run(bash(f"sleep {mark} & setsid sleep {mark} & disown -a; (trap '' TERM; sleep {mark}) & sleep 0.1"))
        assert processes(f"sleep {mark}") == []
        assert session.run("count()").text == "1"


def run_trainer(executor, statements, **options):
    """Run `statements` in another process, which has an executor of the same mode and a `session` of it."""
    code = f"""
import os, sys, warnings
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from tl.executor import Executor
warnings.simplefilter("ignore")
executor = Executor([{HOSTILE!r}], workers=1, mode={executor.mode!r})
session = executor.session(seed=0)
{statements}
"""
    return subprocess.run([sys.executable, "-c", code], **options)


@needs_proc
def test_nothing_outlives_the_trainer(executor):
    mark = f"601.{os.getpid()}"
    daemon = f"assert session.run({misbehaviour('daemon', mark)!r}).text == 'started'"
    assert run_trainer(executor, f"{daemon}; os.kill(os.getpid(), 9)").returncode == -9
    assert left_after(10, f"sleep {mark}") == []


def test_nothing_that_a_tool_prints_reaches_the_trainer(executor):
    prints = [misbehaviour("write to", "1"), misbehaviour("write to", "2"), misbehaviour("print", str(1 << 20))]
    statements = f"print([session.run(text).cause.name for text in {prints!r}])"
    finished = run_trainer(executor, statements, capture_output=True, text=True)
    assert (finished.stdout, finished.stderr) == ("['OK', 'OK', 'OK']\n", "")


def test_landlock_and_seccomp_alone_keep_files_and_sockets(tmp_path):
    repository = str(Path(__file__).parent.parent)
    code = f"""
import os, socket, sys
sys.path.insert(0, {repository!r})
from tl.executor.sandbox import OF_SESSIONS, Sandbox
sandbox = Sandbox("user", 1 << 30, set(OF_SESSIONS) - {{"own user", "private directory", "death with parent"}})
sandbox.enter()
sandbox.confine(0, {str(tmp_path)!r}, 1)
open("own", "w").close()
for attempt in (socket.socket, lambda: open("/etc/passwd"), lambda: open({__file__!r}), lambda: open("/tmp/x", "w")):
    try:
        attempt()
    except PermissionError:
        print("refused")
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if "Error" in finished.stderr:
        pytest.skip(f"this machine does not permit it: {finished.stderr[-200:]}")
    assert finished.stdout.split() == ["refused"] * 4
    assert (tmp_path / "own").exists()


def test_bash_is_refused_where_nothing_isolates_it():
    with pytest.warns(RuntimeWarning, match="without these layers"), Executor(workers=1, mode="none") as executor:
        assert "bash" not in executor.specs
        assert "isolated" in executor.refused["bash"]
        with pytest.raises(ToolkitError, match="refused"):
            executor.session(tools=["bash"])
    with pytest.raises(ToolkitError, match="refused"):
        Executor(["bash"], workers=1, mode="none")


def test_required_isolation_that_is_not_there_refuses_to_start():
    with pytest.raises(IsolationError, match="pid namespace.*seccomp"):
        Executor(["weather"], workers=1, mode="none", require_isolation=True)
