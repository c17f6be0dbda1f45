"""Benchmarks: one small reader for each set of official files, and the rules of its scorer.

A reader takes a folder and gives a `Suite`; it validates what it reads and raises `tl.trajectory.DataError`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tl.calls import Call, same_value
from tl.formats import Prediction
from tl.metrics import WRONG, CallScore, match_calls
from tl.schema import ToolSpec
from tl.trajectory import Message


@dataclass(frozen=True)
class Question:
    """One item of a single-turn benchmark.

    `messages` go up to where a call is due. Each accepted answer is a number of calls in any order, one but for
    parallel items. `group` is the scenario or category under which the item is counted too. `uncompared` are keywords
    that are left out of the comparison, such as credentials; the answers hold none of them. `free` holds, for each
    answer, the keywords that are due with any value.
    """

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    answers: tuple[tuple[Call, ...], ...]
    group: str = ""
    uncompared: frozenset[str] = frozenset()
    free: tuple[frozenset[str], ...] = ()

    @property
    def n_calls(self) -> int:
        """The calls that the accepted answers have, all the same number."""
        return len(self.answers[0])

    def answers_to(self, calls: Sequence[Call]) -> Sequence[Sequence[Call]]:
        """The accepted answers; what is free in them is as in the call of the same tool among ``calls``."""
        if not self.free:
            return self.answers
        given = {call.name: call.arguments for call in calls}
        return [
            [Call(c.name, c.arguments | {k: v for k, v in given.get(c.name, {}).items() if k in free}) for c in answer]
            for answer, free in zip(self.answers, self.free, strict=True)
        ]


Scorer = Callable[[Question, Prediction], CallScore]


@dataclass(frozen=True)
class Suite:
    """A single-turn benchmark as it was read. `paper` names its columns in Table 3 where the items are the same."""

    name: str
    title: str
    questions: tuple[Question, ...]
    notes: tuple[str, ...] = ()  # which subset was taken, how many items the paper counts, how they are scored
    official: Scorer | None = None
    paper: str | None = None
    family: str = ""  # title of the table in which several suites stand
    variant: str = ""  # what tells this one from the others there


def compared(prediction: Prediction, uncompared: frozenset[str]) -> list[Call]:
    """The predicted calls without the keywords that do not count."""
    if not uncompared:
        return list(prediction.calls)
    return [Call(c.name, {k: v for k, v in c.arguments.items() if k not in uncompared}) for c in prediction.calls]


def strict_score(question: Question, prediction: Prediction) -> CallScore:
    """Equality of JSON values with any accepted answer."""
    return _score(question, prediction, same_value)


def python_score(question: Question, prediction: Prediction) -> CallScore:
    """Equality as Python's `==` sees it (1, 1.0 and True are equal) with any accepted answer."""
    return _score(question, prediction, operator.eq)


def _score(question: Question, prediction: Prediction, same: Callable[[dict, dict], bool]) -> CallScore:
    if prediction.problem:
        return WRONG
    calls = compared(prediction, question.uncompared)
    return max(match_calls(calls, answer, same) for answer in question.answers_to(calls))
