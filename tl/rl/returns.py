"""Monte-Carlo returns: the policy continues an episode several times from each of its steps, with real tools. The value
of a step is the share of its continuations that end right (Math-Shepherd, arXiv 2312.08935, section 3)."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tl.datasets import BadRecord, OnBadData
from tl.datasets.files import parsed, raw_records
from tl.datasets.report import ReadReport
from tl.executor import Cause, Executor, Feedback, Verdict
from tl.executor.driving import Steps, drive
from tl.rollout.dialogue import Policy, StopReason
from tl.rollout.episodes import Request, ToolSession, ends_right, play
from tl.rollout.tasks import Task
from tl.trajectory import Message, Trajectory


@dataclass(frozen=True)
class Returns:
    """An episode of T calls. ``right`` of the ``trials`` continuations, both [T + 1], ended right: from before each
    call and from after the last. The last entry is the episode's own outcome, counted as often as the others have
    trials."""

    episode: Trajectory
    right: tuple[int, ...]
    trials: tuple[int, ...]

    def to_line(self, made_with: dict) -> str:
        """A line of a file of steps; ``made_with`` holds the settings that made it."""
        counts = {"right": self.right, "trials": self.trials, "made_with": made_with}
        return json.dumps(self.episode.to_openai() | counts, ensure_ascii=False) + "\n"

    @classmethod
    def of(cls, record: object) -> "Returns":
        """Reads what ``to_line`` wrote. Raises ValueError for anything else."""
        if not isinstance(record, dict) or not {"right", "trials"} <= record.keys():
            raise ValueError("an episode with returns has `right` and `trials`; `python -m tl prm` makes them")
        episode, right, trials = Trajectory.from_openai(record), record["right"], record["trials"]
        if any(message.role == "assistant" and not message.is_call for message in episode.messages):
            raise ValueError("an episode with returns consists of calls; it has a text of the assistant")
        for counts in (right, trials):
            if not isinstance(counts, list) or not all(type(n) is int for n in counts):
                raise ValueError("`right` and `trials` are lists of whole numbers")
            if len(counts) != len(episode.calls()) + 1:
                raise ValueError(f"{len(counts)} counts for {len(episode.calls())} calls: expected one more than calls")
        if not all(0 <= r <= n for r, n in zip(right, trials, strict=True)):
            raise ValueError("`right` has to be from 0 to `trials`")
        return cls(episode, tuple(right), tuple(trials))


def read_returns(paths: Sequence[str], on_bad: OnBadData = "error") -> tuple[list[Returns], ReadReport]:
    """Reads the episodes in files of steps. Raises DataError for files that cannot be read, and for bad records unless
    ``on_bad`` is "skip"."""
    episodes, report = [], ReadReport()
    for path in paths:
        for place, record in raw_records(Path(path)):
            try:
                episodes.append(Returns.of(parsed(record)))
            except (ValueError, RecursionError) as error:
                report.bad.append(BadRecord(path, place, str(error)))
    report.read = len(episodes)
    if on_bad == "error":
        report.check()
    return episodes, report


def sample_returns(
    tasks: Sequence[tuple[int, Task]],
    executor: Executor,
    policy_of: Callable[[Sequence[Request], Sequence[int]], Policy],
    trials: int,
    seed: int,
    parallel: int,
) -> dict[int, Returns]:
    """Plays an episode for each (number, task) and ``trials`` continuations from each of its steps. Returns them by the
    task's number, without episodes in which the executor failed. Samples depend only on ``seed`` and the task's number.
    ``policy_of`` makes the policy for some episodes from their requests and seeds."""

    def played(requests: Sequence[Request], names: Sequence[str]) -> list:
        seeds = [random.Random(f"{seed} {name}").getrandbits(62) for name in names]
        done = dict(play(requests, policy_of(requests, seeds), parallel, n_groups=2, strict=True))
        return [done[i] for i in range(len(requests))]

    requests = [task.request(executor) for _, task in tasks]
    first = played(requests, [str(number) for number, _ in tasks])
    steps = [(i, t) for i, rollout in enumerate(first) for t in range(len(rollout.trajectory.calls()))]
    branches = [(i, t, k) for i, t in steps if first[i].stop is not StopReason.EXECUTOR for k in range(trials)]
    continued = [continuation(requests[i], first[i].trajectory, t) for i, t, _ in branches]
    ends = played(continued, [f"{tasks[i][0]} {t} {k}" for i, t, k in branches])

    right, counted = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for (i, t, _), end in zip(branches, ends, strict=True):
        if end.stop is not StopReason.EXECUTOR:
            right[i, t] += ends_right(requests[i], end)
            counted[i, t] += 1
    returns = {}
    for i, ((number, _), rollout) in enumerate(zip(tasks, first, strict=True)):
        if rollout.stop is not StopReason.EXECUTOR:
            steps_of = [(i, t) for t in range(len(rollout.trajectory.calls()))]
            ended = [right[step] for step in steps_of] + [trials * ends_right(requests[i], rollout)]
            returns[number] = Returns(rollout.trajectory, (*ended,), (*(counted[step] for step in steps_of), trials))
    return returns


def continuation(request: Request, episode: Trajectory, t: int) -> Request:
    """The request as of call ``t`` of an episode: its session first repeats the calls before ``t``. If the executor
    fails in one of them, every later call fails as well, since the state could not be restored."""
    made: tuple[Message, ...] = episode.messages[len(request.messages) :][: 2 * t]  # calls, each with its feedback

    @contextmanager
    def open() -> Iterator[ToolSession]:
        with request.open() as session:
            again = [drive([session.steps(call.content)])[0] for call in made[::2]]
            failed = next((feedback for feedback in again if feedback.cause is Cause.INFRASTRUCTURE), None)
            yield _Failed(failed) if failed else session

    return replace(request, messages=request.messages + made, open=open, max_turns=request.max_turns - t)


@dataclass
class _Failed:
    """A session whose state could not be restored."""

    feedback: Feedback
    finished: bool = False

    def steps(self, text: str) -> Steps[Feedback]:
        yield from ()
        return self.feedback

    def check_steps(self, name: str, answer: str) -> Steps[Verdict]:
        yield from ()
        return Verdict(None, self.feedback.text)
