"""A model's answers to the items of a suite, as a journal keeps them."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from tl.evaluation.suites import EpisodeSuite, Suite
from tl.rollout.dialogue import Policy, Response, StopReason, ask, prediction_of
from tl.rollout.episodes import Rollout, play


def answer_items(
    suite: Suite | EpisodeSuite, indices: Sequence[int], policy: Policy, batch_size: int
) -> Iterator[tuple[int, Any]]:
    """Yields the index of each item and the answer to it, which JSON can hold; None if the model gave none."""
    if isinstance(suite, EpisodeSuite):
        for place, rollout in play([suite.requests[i] for i in indices], policy, batch_size):
            yield indices[place], rollout.to_json() if _is_answered(rollout) else None
        return
    step = 4 * batch_size  # items asked before their results are written
    for start in range(0, len(indices), step):
        some = indices[start : start + step]
        for index, turn in zip(some, ask([suite.questions[i] for i in some], policy), strict=True):
            yield index, [turn.texts, turn.note] if _is_answered(turn) else None


def _is_answered(answer: Response | Rollout) -> bool:
    """Whether the model gave an answer; warns if not, once per reason."""
    if answer.stop is StopReason.POLICY:
        warnings.warn(answer.note, stacklevel=2)
    return answer.stop is not StopReason.POLICY


def read_back(suite: Suite | EpisodeSuite, answers: Sequence[Any]) -> list:
    """The predictions or rollouts that `answer_items` has yielded; None stays None."""
    if isinstance(suite, EpisodeSuite):
        return [answer and Rollout.from_json(answer) for answer in answers]
    return [answer and prediction_of(Response(tuple(answer[0]), answer[1])) for answer in answers]
