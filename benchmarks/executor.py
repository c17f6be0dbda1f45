"""How fast the executor is: calls through live sessions, isolated session starts, and waiting beside hanging tools.

    python -m benchmarks.executor

The tool is trivial (it counts), so that what is measured is the executor. Targets on two idle cores: 5,000 calls/s,
200 starts/s, and a 99th percentile under 10 ms with one session in ten hanging until its time-out.
"""

import argparse
import os
import statistics
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tl.executor import Executor, Session
from tl.executor.driving import Steps, drive

HOSTILE = str(Path(__file__).resolve().parent.parent / "tests" / "toolkits" / "hostile.py")
CALL, HANG = "count()", 'misbehave(how="hang")'
ROUNDS = 5


def calls_in_turn(executor: Executor, count: int = 2000) -> float:
    """Calls per second of one session, each sent when the one before has come back."""
    with executor.session() as session:
        session.run(CALL)
        start = time.perf_counter()
        for _ in range(count):
            session.run(CALL)
        return count / (time.perf_counter() - start)


def calls_at_once(executor: Executor, sessions: int = 16, count: int = 250) -> float:
    """Calls per second over several sessions at once."""

    def in_turn(session: Session) -> Steps[None]:
        for _ in range(count):
            yield from session.steps(CALL)

    live = [executor.session() for _ in range(sessions)]
    drive([session.steps(CALL) for session in live])
    start = time.perf_counter()
    drive([in_turn(session) for session in live])
    seconds = time.perf_counter() - start
    for session in live:
        session.close()
    return sessions * count / seconds


def starts(executor: Executor, count: int = 200, at_once: int = 16) -> float:
    """Sessions per second that start, answer one call and end; `at_once` of them at a time."""
    start = time.perf_counter()
    for _ in range(0, count, at_once):
        new = [executor.session() for _ in range(at_once)]
        drive([session.steps(CALL) for session in new])
        for session in new:
            session.close()
    return count / (time.perf_counter() - start)


def latencies(executor: Executor, sessions: int = 50, seconds: float = 4.0, pause: float = 0.05) -> list[float]:
    """Seconds of every trivial call while one session in ten hangs until its time-out, again and again.

    Each session waits `pause` between its calls, as it would for a model.
    """
    taken: list[float] = []

    def call_on(session: Session, text: str) -> None:
        while time.perf_counter() < end:
            start = time.perf_counter()
            session.run(text)
            if text == CALL:
                taken.append(time.perf_counter() - start)
            time.sleep(pause)

    live = [executor.session() for _ in range(sessions)]
    drive([session.steps(CALL) for session in live])
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(sessions) as threads:
        list(threads.map(call_on, live, [CALL if place % 10 else HANG for place in range(sessions)]))
    for session in live:
        session.close()
    return taken


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    warnings.simplefilter("ignore")
    for mode in ("auto", "none"):
        with Executor([HOSTILE], timeout=1.0, mode=mode) as executor:
            layers = sum(executor.isolation.values())
            print(f"mode {mode}: {layers} layers, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
            for measure in (calls_in_turn, calls_at_once, starts):
                rates = [measure(executor) for _ in range(ROUNDS)]
                print(f"  {measure.__name__:14} median {statistics.median(rates):7,.0f}/s  best {max(rates):7,.0f}/s")
            taken = statistics.quantiles(latencies(executor), n=100)
            print(f"  one in ten hangs: p50 {taken[49] * 1000:.2f} ms, p99 {taken[98] * 1000:.2f} ms")


if __name__ == "__main__":
    main()
