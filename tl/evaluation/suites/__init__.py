"""Benchmarks: one small reader for each set of official files, and the rules of its scorer.

A reader takes a folder and gives a `Suite`; it validates what it reads and raises `tl.datasets.DataError`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

from tl.calls import Call, same_value
from tl.forms import Prediction
from tl.metrics import WRONG, CallScore, Question, match_calls
from tl.rollout.episodes import Request

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


@dataclass(frozen=True)
class EpisodeSuite:
    """A multi-turn benchmark. Without a backend its tools do not run, and only DE and `finished` mean something."""

    name: str
    title: str
    requests: tuple[Request, ...]
    notes: tuple[str, ...] = ()
    has_backend: bool = True
    paper: bool = False  # Table 4 is about it


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
