"""Rejection sampling (STaR, arXiv 2203.14465; RFT, arXiv 2308.01825): a policy solves each task several times, with
tools that run, and the episodes that worked become training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tl.executor import Executor
from tl.rollout.dialogue import Policy
from tl.rollout.episodes import Request, Rollout, play
from tl.rollout.tasks import Task
from tl.synthesis.teacher import fault_of
from tl.trajectory import Trajectory

DUPLICATE, SURPLUS = "the same calls once more", "more than --per_task"


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
) -> Iterator[list[Trajectory]]:
    """For each task from number `first` on the episodes that are worth training on, at most `per_task`, all different.

    An episode is kept where it ends in a right answer, as far as one is known; erroneous calls on the way stay in it,
    and are not trained on. `policy_of` makes the policy of some episodes from their requests and seeds; a draw depends
    on `seed` and the task's place alone. About `parallel` episodes run at a time. `dropped` counts the others by
    reason.
    """
    at_a_time = max(1, parallel // samples)
    for start in range(first, len(tasks), at_a_time):
        numbers = range(start, min(start + at_a_time, len(tasks)))
        requests = [tasks[n].request(executor) for n in numbers for _ in range(samples)]
        seeds = [seed * 2**40 + n * samples + k for n in numbers for k in range(samples)]
        played = dict(play(requests, policy_of(requests, seeds), len(requests), n_groups=2))
        for i in range(len(numbers)):
            mine = range(i * samples, (i + 1) * samples)
            yield _kept([(requests[k], played[k]) for k in mine], per_task, dropped)


def _kept(episodes: Sequence[tuple[Request, Rollout]], per_task: int, dropped: Counter[str]) -> list[Trajectory]:
    seen: set[tuple[str, ...]] = set()
    kept: list[Trajectory] = []
    for request, rollout in episodes:
        calls = tuple(call.content for call, _ in rollout.trajectory.calls())
        fault = fault_of(request, rollout) or _unrecovered(rollout)
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


def _unrecovered(rollout: Rollout) -> str:
    """An error is recovered from where a call after it works; the last one of all is `finish`."""
    *before, _ = rollout.categories
    return "its last call failed" if before and before[-1] and before[-1].is_error else ""
