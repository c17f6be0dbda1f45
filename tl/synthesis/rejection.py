"""Rejection sampling (STaR, arXiv 2203.14465; RFT, arXiv 2308.01825): a policy tries each task several times, with real
execution, and successful episodes become training data. Different samples of one task also give pairs for preference
training."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from tl.datasets.preferences import Pair
from tl.executor import Executor
from tl.rollout.dialogue import Policy
from tl.rollout.episodes import Request, Rollout, play
from tl.rollout.tasks import Task
from tl.synthesis.teacher import EXECUTOR_FAILED, fault_of
from tl.trajectory import Trajectory

Episodes = Sequence[tuple[Request, Rollout]]  # of one task

DUPLICATE, SURPLUS = "the same calls once more", "more than --per_task"


class Sampled(NamedTuple):
    """The training data from the episodes of one task."""

    kept: list[Trajectory]
    pairs: list[Pair]


def sample_kept(
    tasks: Sequence[Task],
    executor: Executor,
    policy_of: Callable[[Sequence[Request], Sequence[int]], Policy],
    samples: int,
    per_task: int,
    seed: int,
    parallel: int,
    dropped: Counter[str],
    first: int = 0,
) -> Iterator[Sampled]:
    """For each task from number `first` on: different episodes to train on and pairs of calls, at most `per_task` each.

    A call that is cut at the token limit ends its episode and is part of no pair: training ends each text with the
    stop token, so training on a cut call would teach a false end.

    An episode is kept if it ends in a right answer, as far as that is known. Its erroneous calls stay in the context
    and are not trained on. `policy_of` makes a policy from the requests and seeds of some episodes; a seed depends only
    on `seed` and the task's number. About `parallel` episodes run at a time. `dropped` counts rejected episodes by
    reason.
    """
    at_a_time = max(1, parallel // samples)
    for start in range(first, len(tasks), at_a_time):
        numbers = range(start, min(start + at_a_time, len(tasks)))
        requests = [tasks[n].request(executor) for n in numbers for _ in range(samples)]
        seeds = [seed * 2**40 + n * samples + k for n in numbers for k in range(samples)]
        played = dict(play(requests, policy_of(requests, seeds), len(requests), n_groups=2, strict=True))
        for i in range(len(numbers)):
            mine = range(i * samples, (i + 1) * samples)
            episodes = [(requests[k], played[k]) for k in mine]
            yield Sampled(_kept(episodes, per_task, dropped), preferences(episodes, per_task))


def _kept(episodes: Episodes, per_task: int, dropped: Counter[str]) -> list[Trajectory]:
    seen: set[tuple[str, ...]] = set()
    kept: list[Trajectory] = []
    for request, rollout in episodes:
        calls = tuple(call.content for call, _ in rollout.trajectory.calls())
        fault = _fault(request, rollout)
        if not fault and calls in seen:
            fault = DUPLICATE
        elif not fault and len(kept) == per_task:
            fault = SURPLUS
        if fault:
            dropped[fault] += 1
            continue
        seen.add(calls)
        kept.append(replace(rollout.trajectory, id=f"{request.id}#{len(kept)}"))
    return kept


def preferences(episodes: Episodes, most: int) -> list[Pair]:
    """At most `most` different pairs. The chosen side is a call of a kept episode that did not fail, the rejected side
    the call of another sample after the same history that failed or gave a wrong answer."""
    pairs: dict[tuple, Pair] = {}
    worked = [rollout for request, rollout in episodes if not _fault(request, rollout)]
    known = all(not r.servable or r.truth is not None or r.check is not None for r, _ in episodes)  # the right answers
    for better in worked:
        for request, worse in episodes:
            n = Pair(better.trajectory, worse.trajectory).history
            sides = [rollout.trajectory.messages[: n + 1] for rollout in (better, worse)]
            if not all(len(messages) > n and messages[n].is_call for messages in sides):
                continue
            call = sum(message.is_call for message in sides[0]) - 1
            helped = _failed(better, call) is False and (known or call < len(better.categories) - 1)
            if helped and (_failed(worse, call) or _answers_wrongly(request, worse, call)) and len(pairs) < most:
                history = [replace(m, trained=False) if m.role == "assistant" else m for m in sides[0][:n]]
                id = f"{request.id}#{len(pairs)}"
                pair = Pair(*(Trajectory(id, request.tools, (*history, messages[n])) for messages in sides))
                pairs.setdefault(tuple(sides), pair)
    return list(pairs.values())


def _failed(rollout: Rollout, call: int) -> bool | None:
    """Whether the call with this number gave an error; None if it was not run or the executor failed."""
    category = rollout.categories[call] if call < len(rollout.categories) else None
    return category and category.is_error


def _answers_wrongly(request: Request, rollout: Rollout, call: int) -> bool:
    """Whether the call is `finish` with an answer that is known to be wrong."""
    is_last = call == len(rollout.categories) - 1
    return rollout.answer is not None and is_last and fault_of(request, rollout) not in ("", EXECUTOR_FAILED)


def _fault(request: Request, rollout: Rollout) -> str:
    """Why an episode is not kept; empty if it is."""
    return fault_of(request, rollout) or _unrecovered(rollout)


def _unrecovered(rollout: Rollout) -> str:
    """The fault of an episode whose last call before `finish` failed; an earlier error was recovered from."""
    *before, _ = rollout.categories
    return "its last call failed" if before and before[-1] and before[-1].is_error else ""
