"""Single turns to evaluate on, from files of any format."""

from collections.abc import Sequence

from tl.datasets import AUTO, OnBadData, read
from tl.metrics import Question, questions_of
from tl.schema import FINISH
from tl.trajectory import Trajectory

PROMPTS = 0.25  # a file holds prompts if at least this share of its records ends in a call other than finish


def read_questions(paths: Sequence[str], on_bad: OnBadData = "error", data_format: str = AUTO) -> list[Question]:
    """A question for each correct call of trajectory files. In prompt files, whose records all end with their golden
    calls, earlier calls are history and not questions.

    Raises DataError as `tl.datasets.read` does; with `on_bad="skip"` a warning lists bad records.
    """
    trajectories, report = read(paths, on_bad, data_format=data_format)
    report.warn()
    first = _golden_start if _are_prompts(trajectories) else lambda _: 0
    return [q for t in trajectories for q in questions_of(t) if len(q.messages) >= first(t)]


def _are_prompts(trajectories: Sequence[Trajectory]) -> bool:
    """Whether these are prompts: all end in a call without feedback, and not nearly all of those call `finish`."""
    last = [trajectory.messages[-1] for trajectory in trajectories]
    tools = sum(not message.content.lstrip().startswith(f"{FINISH.name}(") for message in last)
    return all(message.is_call for message in last) and tools >= PROMPTS * len(last)


def _golden_start(trajectory: Trajectory) -> int:
    """Where the golden calls at the end begin: one, or several in parallel."""
    n = len(trajectory.messages)
    return next((at + 1 for at in reversed(range(n)) if not trajectory.messages[at].is_call), 0)
