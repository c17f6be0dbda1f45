"""The executor: sessions in processes give what execution in this process gives, many at once, and recover."""

import gc
import os
import random
import socket
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict

import pytest
from toolkits import HOSTILE, quiet_executor

from tl.calls import Call, format_call
from tl.executor import Executor, frames
from tl.executor.driving import drive
from tl.executor.execution import CUT_MARK, UNKNOWN_ANSWER, Cause, InProcessExecutor
from tl.executor.pool import PoolError, cores
from tl.executor.toolkits import library_names, load_toolkit, locate
from tl.executor.zygote import Settings, command

TIMEOUT = 1.0
HANG = 'misbehave(how="hang")'
TOOLKITS = [*(name for name in library_names() if not load_toolkit(name).needs_isolation), HOSTILE]


@pytest.fixture(scope="module")
def executor():
    with quiet_executor(*TOOLKITS, timeout=TIMEOUT, workers=2) as executor:
        yield executor


@pytest.fixture
def session(executor):
    with executor.session(seed=0) as session:
        yield session


def examples(executor):
    return [format_call(Call(*load_toolkit(name).example)) for name in TOOLKITS]


def test_a_process_gives_the_feedback_that_execution_in_this_process_gives(executor):
    texts = [*examples(executor), "nonsense", "nonsense()", "get_weather(town=1)", "get_weather()", "create_event()"]
    in_process = InProcessExecutor(TOOLKITS)
    assert in_process.specs == executor.specs
    with executor.session(seed=5) as there, in_process.session(seed=5) as here:
        for text in texts:
            theirs, ours = there.run(text), here.run(text)
            assert (theirs.text, theirs.cause) == (ours.text, ours.cause), text


def test_two_open_sessions_do_not_share_state(executor):
    with executor.session(seed=0) as one, executor.session(seed=7) as other:
        assert [one.run("count()").text, one.run("count()").text, other.run("count()").text] == ["1", "2", "8"]


def test_finish_ends_the_episode_without_feedback(session):
    assert session.run('finish(answer="Done.")').text == ""
    assert session.finished
    with pytest.raises(RuntimeError, match="finished"):
        session.run("count()")


def test_a_finish_that_is_not_accepted_does_not_end_the_episode(session):
    assert session.run("finish()").cause is Cause.MISSING_ARGUMENT
    assert not session.finished


def test_the_user_answers_in_this_process(executor):
    with executor.session(answer=lambda question: f"{question} {os.getpid()}") as session:
        assert session.run('ask_to_user(question="Which?")').text == f"Which? {os.getpid()}"
        assert session.run("ask_to_user(question=5)").text == f"5 {os.getpid()}"
    with executor.session() as session:
        assert session.run('ask_to_user(question="Which?")').text == UNKNOWN_ANSWER
    with executor.session(answer=lambda question: "\ud800" * 9000) as session:  # half a character
        assert set(session.run('ask_to_user(question="Which?")').text) == {"\N{REPLACEMENT CHARACTER}", *CUT_MARK}


def test_the_user_is_not_asked_again_when_a_session_is_made_again(executor):
    questions = []
    with executor.session(answer=lambda question: questions.append(question) or "yes") as session:
        session.run('ask_to_user(question="Which?")')
        session.run('misbehave(how="exit", value="1")')
        assert session.run("count()").text == "1"
    assert questions == ["Which?"]


def test_a_tool_outside_the_episode_is_not_defined(executor):
    with executor.session(tools=["count"]) as session:
        assert session.run("count()").cause is Cause.OK
        assert session.run('get_weather(city="Oslo")').text == "name get_weather is not defined"


def test_calls_that_kill_their_session_are_not_replayed_and_all_others_are(session):
    for number in (1, 2, 3):
        assert session.run("count()").text == str(number)
        assert session.run('misbehave(how="exit", value="1")').cause is Cause.WORKER_DIED


def test_a_late_reply_is_never_taken_for_that_of_the_next_call(session):
    assert session.run(HANG).cause is Cause.TIME_OUT
    assert session.run("count()").text == "1"


def in_turn(session, texts):
    """The feedback of calls of one session, one after the other, as steps."""
    feedback = []
    for text in texts:
        feedback.append((yield from session.steps(text)))
    return feedback


def test_many_calls_come_back_in_order(executor):
    sessions = [executor.session(seed=seed) for seed in range(30)]
    random.Random(0).shuffle(sessions)
    for number in (1, 2):
        feedback = drive([session.steps("count()") for session in sessions])
        assert [f.text for f in feedback] == [str(s._opening["seed"] + number) for s in sessions]
    for session in sessions:
        session.close()


def test_threads_run_calls_of_their_own_sessions(executor):
    slots = len(executor._pool._slots)

    def count(seed: int) -> list[list[str]]:
        sessions = [executor.session(seed=seed) for _ in range(10)]
        feedback = drive([in_turn(session, ["count()"] * 2) for session in sessions])
        for session in sessions:
            session.close()
        return [[f.text for f in own] for own in feedback]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(count, range(4))) == [[[str(seed + 1), str(seed + 2)]] * 10 for seed in range(4)]
    assert len(executor._pool._slots) == len(set(executor._pool._slots)) == slots


def test_a_slow_tool_does_not_hold_up_the_others(executor):
    def timed(session, text):
        start = time.monotonic()
        yield from session.steps(text)
        return time.monotonic() - start

    sessions = [executor.session(seed=0) for _ in range(6)]
    drive([session.steps("count()") for session in sessions])
    slow, *others = drive([timed(s, HANG if s is sessions[0] else "count()") for s in sessions])
    for session in sessions:
        session.close()
    assert slow >= TIMEOUT
    assert max(others) < TIMEOUT / 2


def test_the_deadline_starts_when_the_call_starts(executor):
    with executor.session(seed=0) as one, executor.session(seed=0) as other:
        feedback, [others] = drive([in_turn(one, [HANG, "count()", HANG, "count()"]), in_turn(other, ["count()"])])
    assert others.cause is Cause.OK
    assert [f.cause for f in feedback] == [Cause.TIME_OUT, Cause.OK, Cause.TIME_OUT, Cause.OK]
    assert feedback[3].text == "2"
    assert TIMEOUT <= feedback[2].seconds < 2 * TIMEOUT


def test_a_call_that_is_given_up_leaves_a_session_that_works(executor):
    with executor.session(seed=0) as session:
        session.run("count()")
        steps = session.steps(HANG)
        next(steps)  # the call is on its way
        steps.close()
        assert session.run("count()").text == "2"


def test_when_zygotes_die_the_call_is_retried_and_the_state_comes_back(executor):
    with executor.session(seed=0) as session:
        assert session.run("count()").text == "1"
        for zygote in executor._pool._zygotes:
            zygote.process.kill()
            zygote.process.wait()
        assert session.run("count()").text == "2"


def test_a_new_zygote_that_does_not_start_is_not_used_and_costs_nothing(executor, monkeypatch):
    pool = executor._pool
    slots = len(pool._slots)
    place = 0
    pool._zygotes[place].process.kill()
    pool._zygotes[place].process.wait()

    def fail(zygote):
        raise PoolError("it says nothing")

    with monkeypatch.context() as patch:
        patch.setattr(type(pool._zygotes[place]), "hello", fail)
        for _ in pool._zygotes:  # one of them is the dead one's turn
            with suppress(PoolError):
                pool.release(pool.open())
    assert pool._zygotes[place].process.poll() is not None and len(pool._slots) == slots
    with executor.session(seed=0) as session:
        assert session.run("count()").text == session.run("count()").text.replace("2", "1") == "1"


def test_what_fails_twice_for_reasons_of_the_executor_is_infrastructure_and_has_no_category(executor, monkeypatch):
    tries = []

    def fail():
        tries.append(1)
        raise PoolError("no process")

    with executor.session(seed=0) as session:
        monkeypatch.setattr(executor._pool, "open", fail)
        feedback = session.run("count()")
        assert (feedback.cause, feedback.category, len(tries)) == (Cause.INFRASTRUCTURE, None, 2)
        monkeypatch.undo()
        assert session.run("count()").text == "1"


def test_the_ranks_of_a_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert cores() == 16
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert cores() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "32")
    assert cores() == 1


def test_a_closed_executor_runs_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executor = Executor(["weather"], workers=1)
    session = executor.session()
    executor.close()
    assert session.run('get_weather(city="Oslo")').cause is Cause.INFRASTRUCTURE


def test_an_executor_that_is_no_longer_referred_to_ends_its_processes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executor = Executor(["weather"], workers=1)
    process = executor._pool._zygotes[0].process
    del executor
    gc.collect()
    assert process.poll() == 0


def test_a_zygote_whose_executor_has_gone_before_it_is_ready_says_nothing():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frames.encode(asdict(Settings([str(locate("weather"))], "none", 512 << 20))))
        ours.close()
        ended = subprocess.run(command(theirs.fileno()), pass_fds=[theirs.fileno()], capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_session_that_is_no_longer_referred_to_takes_no_room(executor):
    slots = len(executor._pool._slots)
    assert executor.session().run("finish(answer='x')").cause is Cause.OK
    gc.collect()
    assert len(executor._pool._slots) == slots


def test_text_of_any_length_is_no_burden(session):
    start = time.monotonic()
    assert session.run("x" * 5_000_000).cause is Cause.FORMAT_ERROR
    assert session.run(f'misbehave(how="repeat", value="{"9" * 900_000}")').cause is Cause.VALUE_OR_TYPE
    assert time.monotonic() - start < TIMEOUT


@pytest.mark.parametrize("value", [{"text": "\ud800 Zoë \0"}, {"n": 10**300, "x": [1.5, None, {}]}])
def test_a_message_comes_out_as_it_went_in(value):
    buffer = bytearray(frames.encode(value) + frames.encode(value)[:5])
    assert frames.take(buffer) == value
    assert frames.take(buffer) is None


@pytest.mark.parametrize("body", [b"NaN", b'{"a": Infinity}', b"[]", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_message_is_an_error(body):
    with pytest.raises(frames.FrameError):
        frames.take(bytearray(len(body).to_bytes(4, "big") + body))


def test_a_message_past_the_cap_is_refused_before_it_is_read_and_before_it_is_sent():
    with pytest.raises(frames.FrameError):
        frames.take(bytearray(b"\xff\xff\xff\xff"))
    with pytest.raises(frames.FrameError):
        frames.encode({"text": "x" * frames.MAX_FRAME})
    with pytest.raises(ValueError):
        frames.encode({"x": float("nan")})


def test_random_bytes_are_a_message_or_an_error_and_nothing_else():
    rng = random.Random(0)
    for _ in range(5_000):
        body = rng.randbytes(rng.randrange(40))
        buffer = bytearray(rng.choice([b"", len(body).to_bytes(4, "big")]) + body)
        with suppress(frames.FrameError):
            assert isinstance(frames.take(buffer), dict | None)


@pytest.mark.parametrize(
    "module", ["tl.executor", "tl.executor.zygote", "tl.executor.execution", "tl.executor.sandbox"]
)
def test_the_processes_of_the_executor_import_no_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
