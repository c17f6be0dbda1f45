"""The executor under attack: what breaks gives the right feedback, and the next session is whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import ANY

import pytest
from toolkits import HOSTILE, quiet_executor

from tl.calls import Call, format_call
from tl.executor import Cause, Executor, Feedback, Verdict
from tl.executor.driving import drive
from tl.executor.execution import MAX_FEEDBACK_CHARACTERS
from tl.executor.pool import Pool, PoolError
from tl.executor.sandbox import PROCESSES
from tl.executor.sandbox.users import MAX_SLOTS
from tl.mae import ErrorCategory

REPO = Path(__file__).resolve().parents[2]
TIMEOUT = 2.0
TOOLKIT = """
import json, os, socket, time

class Toolkit:
    def count(self) -> int:
        self.counter = getattr(self, "counter", 0) + 1
        return self.counter

    def shout(self, reply: str) -> str:
        # the reply of this call, before the loop gives one, and no other
        data = reply.replace("LONG", 10_000_000 * "x").encode()
        for descriptor in range(3, 64):
            try:
                there = socket.socket(fileno=descriptor)
                there.sendall(len(data).to_bytes(4, "big") + data)
            except OSError:
                pass
        time.sleep(600)

    def once(self, path: str) -> str:
        # returns at first, and hangs when it is made again
        if os.path.exists(path):
            time.sleep(600)
        open(path, "w").close()
        return "done"

    def nap(self) -> str:
        time.sleep(1.0)
        return "rested"

    def die(self) -> str:
        os._exit(3)

    def here(self) -> str:
        return os.getcwd()

    def fill(self, kind: str) -> int:
        # as many bytes as the kernel keeps in the sockets of a process
        held, total = [], 0
        while True:
            try:
                held += socket.socketpair(type=getattr(socket, kind))
            except OSError:
                return total
            for end in held[-2:]:
                end.setblocking(False)
                for size in (100_000, 32_768, 4096, 256):
                    try:
                        while True:
                            total += end.send(bytes(size))
                    except OSError:
                        pass

    def user(self) -> int:
        return os.getuid()

    def oom_score(self) -> str:
        return open("/proc/self/oom_score_adj").read()

def counted_to(session, answer) -> bool:
    time.sleep(1.0)
    return session.counter == int(answer)

def dies(session, answer) -> bool:
    os._exit(3)

def hangs(session, answer) -> bool:
    time.sleep(600)
"""


def made(toolkits, **settings) -> Executor:
    return quiet_executor(*toolkits, timeout=TIMEOUT, workers=1, **settings)


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("tools") / "attack.py"
    path.write_text(TOOLKIT)
    return str(path)


@pytest.fixture(scope="module")
def executor(toolkit):
    with made([toolkit]) as executor:
        yield executor


def shout(session, **reply) -> Feedback:
    honest = {"number": 1, "text": "forged", "cause": "OK", "seconds": 0.1, "question": None, "finished": False}
    return session.run(format_call(Call("shout", {"reply": json.dumps(honest | reply)})))


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({"text": "LONG"}, "x" * 1998 + " … " + "x" * 1998),
        ({"text": "\ud83d"}, "\N{REPLACEMENT CHARACTER}"),
        ({"seconds": 10**400}, "forged"),
        ({"seconds": -1e300}, "forged"),
        ({"question": "LONG"}, "I do not know, please decide yourself."),
    ],
)
def test_a_forged_reply_is_cut_like_any_other(executor, reply, text):
    with executor.session() as session:
        feedback = shout(session, **reply)
        assert (feedback.text, feedback.cause) == (text, Cause.OK)
        assert 0 <= feedback.seconds < TIMEOUT and len(feedback.text) <= MAX_FEEDBACK_CHARACTERS


@pytest.mark.parametrize(
    "reply",
    [
        {"cause": "INFRASTRUCTURE"},  # which would take the episode out of the training
        {"cause": "TIME_OUT"},
        {"cause": "no such cause"},
        {"cause": ["OK"]},
        {"text": None},
        {"text": {"a": 1}},
        {"seconds": "1"},
        {"seconds": None},
        {"question": 5},
        {"finished": 1},
        {"number": 2},
        {"number": None},
    ],
    ids=str,
)
def test_a_forged_reply_that_is_none_is_the_death_of_its_session(executor, reply):
    with executor.session() as session:
        feedback = shout(session, **reply)
        assert feedback.cause is Cause.WORKER_DIED and "no proper reply" in feedback.text
        assert not session.finished


def test_a_call_that_does_not_come_back_when_made_again_is_no_failure_of_the_executor(toolkit, tmp_path):
    with made([toolkit], mode="none") as executor, executor.session() as session:
        assert session.run(format_call(Call("once", {"path": str(tmp_path / "made")}))).text == "done"
        assert session.run("die()").cause is Cause.WORKER_DIED
        feedback = session.run("count()")
    assert feedback.cause is Cause.TIME_OUT and feedback.category is ErrorCategory.TOOL_INSTABILITY
    assert "an earlier call, made again to restore the episode, did not return" in feedback.text


def inner(executor) -> int:
    """The process id of what forks sessions: with a PID namespace, the child of what was started."""
    pid = executor._pool._zygotes[0].process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if executor.isolation["pid namespace"] else pid


def test_a_call_in_flight_when_its_zygote_is_killed_is_made_again(toolkit):
    with made([toolkit]) as executor, executor.session() as session:
        assert session.run("count()").text == "1"
        threading.Timer(0.4, os.kill, (inner(executor), signal.SIGKILL)).start()
        assert session.run("nap()") == Feedback("rested", Cause.OK, ANY)
        assert session.run("count()").text == "2"


def check(session, name: str, answer: str) -> Verdict:
    return drive([session.check_steps(name, answer)])[0]


def test_a_check_in_flight_when_its_zygote_is_killed_is_made_again(toolkit):
    with made([toolkit]) as executor, executor.session() as session:
        assert session.run("count()").text == "1"
        session.run('finish(answer="1")')
        threading.Timer(0.4, os.kill, (inner(executor), signal.SIGKILL)).start()
        assert check(session, "counted_to", "1") == Verdict(True)


def refuse(*_: object) -> None:
    raise PoolError("no room")


def test_a_check_for_which_no_process_can_be_had_says_nothing_of_the_answer(toolkit, monkeypatch):
    with made([toolkit]) as executor, executor.session() as session:
        assert session.run("count()").text == "1"
        os.kill(inner(executor), signal.SIGKILL)
        monkeypatch.setattr(Pool, "open", refuse)
        verdict = check(session, "counted_to", "1")
    assert verdict == Verdict(None, "the check counted_to could not be made, the executor failed: no room")


def test_a_check_that_takes_its_process_down_is_not_retried(executor):
    with executor.session() as session:
        assert check(session, "dies", "") == Verdict(
            False, "the check dies failed: ConnectionResetError: the tool's process exited with code 3"
        )
        assert check(session, "hangs", "") == Verdict(
            False, "the check hangs failed: it did not return within 2 seconds"
        )


def test_a_zygote_that_has_stopped_is_replaced(toolkit, monkeypatch):
    with made([toolkit]) as executor:
        os.kill(inner(executor), signal.SIGSTOP)
        monkeypatch.setattr("tl.executor.START_SECONDS", 3.0)
        with executor.session() as session:
            assert session.run("count()").text == "1"


ONE_PROCESS = """
def fork(original=os.fork, calls=[]):
    calls.append(None)
    if len(calls) > 1:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return original()

os.fork = fork
"""


def wait_until(done, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert done()


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.fixture
def readable(tmp_path_factory):
    """A folder that anyone may read, as zygotes that are no longer root have to."""
    folder = tmp_path_factory.getbasetemp().parent.parent / f"tools-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", ["auto", "no namespaces"])
def test_a_zygote_that_can_start_no_session_is_replaced_once_nothing_runs_in_it(readable, mode):
    (readable / "attack.py").write_text(TOOLKIT + ONE_PROCESS)
    with made([str(readable / "attack.py")], mode=mode) as executor:
        for _ in range(2):
            with executor.session() as running, executor.session() as session:
                assert running.run("count()").text == "1"
                assert session.run("count()").cause is Cause.INFRASTRUCTURE
                assert running.run("count()").text == "2", "what runs goes on"
            wait_until(lambda: not executor._pool._zygotes[0].alive())


@pytest.mark.parametrize("mode", ["auto", "no namespaces"])
def test_an_idle_zygote_that_can_start_no_session_costs_none(readable, mode):
    (readable / "attack.py").write_text(TOOLKIT + ONE_PROCESS)
    with made([str(readable / "attack.py")], mode=mode) as executor:
        for _ in range(3):
            wait_until(lambda: not children(inner(executor)))
            with executor.session() as session:
                assert session.run("count()").text == "1"


def folders_of_sessions() -> set[Path]:
    return {path for path in Path("/tmp").glob("tl-sessions-*") if path.stat().st_uid == os.geteuid()}


def test_what_the_sessions_of_a_killed_zygote_left_is_removed_by_the_next_and_what_others_use_is_not(toolkit):
    before = folders_of_sessions()
    with ExitStack() as opened:
        lives, killed = (opened.enter_context(made([toolkit], mode="none")) for _ in range(2))
        session, victim = (opened.enter_context(executor.session()) for executor in (lives, killed))
        used, left = (Path(one.run("here()").text) for one in (session, victim))
        os.kill(inner(killed), signal.SIGKILL)
        killed._pool._zygotes[0].process.wait()
        assert left.exists() and used.exists()
        assert killed.session().run("count()").text == "1", "in a new zygote"
        assert not left.exists() and used.exists()
    assert folders_of_sessions() <= before, "nothing is left where nobody was killed"


def test_the_kernel_takes_a_session_before_the_trainer(toolkit):
    with made([toolkit], mode="none") as executor, executor.session() as session:
        assert session.run("oom_score()").text == "1000\n"
        assert Path(f"/proc/{inner(executor)}/oom_score_adj").read_text() == "1000\n"


def test_two_executors_of_a_process_have_users_of_their_own(toolkit):
    with made([toolkit]) as one, made([toolkit]) as other, one.session() as mine, other.session() as theirs:
        if os.geteuid() != 0 or not one.isolation["own user"]:
            pytest.skip("only root can give each session a user")
        users = [int(session.run("user()").text) for session in (mine, theirs)]
    assert abs(users[0] - users[1]) >= MAX_SLOTS


CONTAINER = """
import os, warnings
from contextlib import ExitStack
from tl.executor.sandbox.kernel import CLONE_NEWNET, CLONE_NEWUSER, unshare
from tl.executor.sandbox.users import Users

unshare(CLONE_NEWUSER | CLONE_NEWNET)
print("mapped?", flush=True)
input()
os.setresuid(0, 0, 0)
held = [Users() for _ in range(32)]
print(*(users.first for users in held))
held[7].release()
again = Users()
print(again.first == held[7].first)
with warnings.catch_warnings(record=True) as caught:
    Users()
print(caught[0].message)
"""


def test_a_container_of_65536_users_has_32_blocks_of_them_and_says_when_they_are_all_taken():
    if os.geteuid() != 0:
        pytest.skip("only root can map so many users")
    command = [sys.executable, "-c", CONTAINER]
    with subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout.readline() != "mapped?\n":
            pytest.skip("this machine permits no user namespace")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text("0 100000 65536")
        said, _ = process.communicate("\n", timeout=60)
    blocks, given_back, warned = said.splitlines()
    first = sorted(map(int, blocks.split()))
    assert first == list(range(32768, 65536, MAX_SLOTS))
    assert given_back == "True" and warned.startswith("32 executors run on the user ids that there are here")


MANY = """
import os, resource, sys
from contextlib import ExitStack

resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
out = sys.argv[2]
os.closerange(0, 3)
from tl.executor import Executor

with Executor([sys.argv[1]], workers=1, mode="none") as executor, ExitStack() as opened:
    sessions = [opened.enter_context(executor.session()) for _ in range(50)]
    texts = [session.run("count()").text for session in sessions]
with open(out, "w") as file:
    file.write(" ".join(texts))
"""


def test_many_sessions_where_few_files_may_be_open_and_none_is(toolkit, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", MANY, toolkit, str(tmp_path / "out")]
    assert subprocess.run(command, cwd=REPO, timeout=120).returncode == 0
    assert (tmp_path / "out").read_text().split() == ["1"] * 50


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_what_the_kernel_keeps_for_a_session_is_not_much_more_than_its_memory(toolkit, kind):
    memory = 512 << 20
    with made([toolkit], memory=memory) as executor, executor.session() as session:
        if not executor.isolation["resource limits"]:
            pytest.skip("this machine permits no limits")
        filled = int(session.run(format_call(Call("fill", {"kind": kind}))).text)
    assert 0 < filled * PROCESSES < 1.25 * memory


REFUSED = {
    "the limits of the first process": "302 1 7 0 0",
    "its priority": "141 0 1 19",
    "the priority of all that the user runs": "141 2 0 19",
    "its scheduler": "144 1 0 0",
    "its cores": "203 1 8 0",
    "the priority of its reads": "251 1 1 0",
    "asynchronous reads, counted for the whole machine": "206 1 0",
    "watches of files, counted by user": "294 0",
    "larger buffers of sockets": "54 0 1 7 0 4",
    "larger buffers of pipes": "72 0 1031 1048576",
}


def test_what_reaches_the_first_process_or_fills_the_kernel_is_refused():
    with made([HOSTILE]) as executor, executor.session() as session:
        if not executor.isolation["seccomp"]:
            pytest.skip("this machine permits no seccomp")
        for what, numbers in REFUSED.items():
            feedback = session.run(format_call(Call("misbehave", {"how": "system call", "value": numbers})))
            assert feedback.text.startswith("PermissionError: [Errno 1]"), what
        for own in ("302 0 7 0 0", "141 0 0 19", "72 1 1 0"):  # one's own limits, one's own priority, F_GETFD
            feedback = session.run(format_call(Call("misbehave", {"how": "system call", "value": own})))
            assert feedback.cause is Cause.OK, feedback.text
        assert session.run("count()").text == "1"
