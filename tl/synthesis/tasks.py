"""Turns episodes of the library into tasks for a policy to solve."""

from itertools import groupby
from typing import Any

from tl.rollout.answers import facts_of
from tl.rollout.episodes import final_answer
from tl.rollout.tasks import Task
from tl.synthesis import make_episodes
from tl.synthesis.episodes import Episode


def make_tasks(seed: int = 0, size: int = 1194, retries: bool = False, **options: Any) -> list[Task]:
    """Different tasks of the tool library; `options` are those of `make_episodes`. By default they are of the training
    side and as many as PPO has prompts. With `retries`, solutions repeat a call after an outage, so that they run."""
    return [task_of(episode, retries) for episode in make_episodes(size, seed, **options)]


def task_of(episode: Episode, retries: bool = False) -> Task:
    """The task of an episode: its request, solution and session seed."""
    made, trajectory = episode.task, episode.trajectory
    calls = trajectory.calls()
    servable = episode.spec.kind != "refusal"
    truth = final_answer(calls[-1][0].content) if servable else None
    solution = made.solution
    if made.retried and not retries:
        solution = tuple(call for call, _ in groupby(solution))
    facts = facts_of(truth, [feedback for _, feedback in calls if feedback is not None]) if truth else ()
    return Task(
        trajectory.id,
        trajectory.tools,
        made.request,
        solution,
        made.seed,
        made.user_answer,
        servable,
        truth,
        facts,
    )
