"""Episodes of the library as requests that somebody else serves."""

from functools import partial

from tl.executor import Executor
from tl.rollout.answers import facts_of
from tl.rollout.episodes import Request, final_answer
from tl.synthesis.episodes import Episode


def request_of(episode: Episode, executor: Executor) -> Request:
    """The request of an episode, to be served by somebody else in the same world."""
    task, trajectory = episode.task, episode.trajectory
    calls = trajectory.calls()
    servable = episode.spec.kind != "refusal"
    truth = final_answer(calls[-1][0].content) if servable else None
    facts = facts_of(truth, [feedback for _, feedback in calls if feedback is not None]) if truth else ()
    names = [tool.name for tool in trajectory.tools]
    answer = (lambda question: task.user_answer) if task.user_answer else None
    session = partial(executor.session, task.seed, names, answer)
    return Request(trajectory.id, trajectory.tools, trajectory.messages[:1], session, servable, truth, facts)
