"""Benchmarks: one small reader per set of published files, with the rules of its scorer.

A reader takes a folder and gives a `Suite`; it validates what it reads and raises `tl.datasets.DataError`.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tl.calls import JSON, Call, same_value
from tl.forms import Prediction
from tl.metrics import WRONG, CallScore, Question, match_calls
from tl.rollout.episodes import Request

Answered = Sequence[tuple[Question, Prediction]]
Scoring = Callable[[Answered], list[CallScore | None]]  # None for an item that is not in this row


@dataclass(frozen=True)
class Suite:
    """A single-turn benchmark. `paper` names its columns in Table 3, if the items are the paper's.

    `scorings` are the rows of its table, by name. The strict scoring is added to every table as the last row. `reward`
    is that of PPO for an item, where it has one.
    """

    name: str
    title: str
    questions: tuple[Question, ...]
    notes: tuple[str, ...] = ()  # which items were taken, how many the paper counts, how they are scored
    scorings: Mapping[str, Scoring] = field(default_factory=dict)
    paper: str | None = None
    family: str = ""  # title of a table of several suites
    variant: str = ""  # name of this suite in that table
    reward: Callable[[Question, Prediction], float] | None = None


@dataclass(frozen=True)
class EpisodeSuite:
    """A multi-turn benchmark. Without a backend its tools do not run, and only DE and `finished` are meaningful."""

    name: str
    title: str
    requests: tuple[Request, ...]
    notes: tuple[str, ...] = ()
    has_backend: bool = True
    paper: bool = False  # Table 4 is about it


def note_too_long(suite: Suite, limit: int, length: Callable[[Call], int]) -> Suite:
    """The suite with a note on the items whose accepted calls are all longer than a turn can be."""
    beyond = sum(all(any(length(call) > limit for call in a) for a in q.answers) for q in suite.questions)
    note = f"{beyond} items have golden calls of more than {limit} tokens, the limit of a turn: they can only be wrong"
    return replace(suite, notes=(*suite.notes, f"{note}. --max_new_tokens raises it")) if beyond else suite


def each(score: Callable[[Question, Prediction], CallScore | None]) -> Scoring:
    """A scoring that treats each item separately."""
    return lambda answered: [score(question, prediction) for question, prediction in answered]


_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def has_type(value: JSON, schema: dict) -> bool:
    """Whether a value and its elements have the declared type. Any value has, if the declared type is not in _TYPES. An
    integer is also a number; no other type includes another."""
    kind = _TYPES.get(str(schema.get("type")))
    if kind is None:
        return True
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return False
    items = schema.get("items")
    return not (isinstance(value, list) and isinstance(items, dict)) or all(has_type(one, items) for one in value)


def compared(prediction: Prediction, uncompared: frozenset[str]) -> list[Call]:
    """The predicted calls without uncompared keywords."""
    if not uncompared:
        return list(prediction.calls)
    return [Call(c.name, {k: v for k, v in c.arguments.items() if k not in uncompared}) for c in prediction.calls]


def strict_score(question: Question, prediction: Prediction) -> CallScore:
    """Equality of JSON values with any accepted answer."""
    return score_calls(question, prediction, same_value)


def python_score(question: Question, prediction: Prediction) -> CallScore:
    """Equality by Python's `==` (1, 1.0 and True are equal) with any accepted answer."""
    return score_calls(question, prediction, operator.eq)


def score_calls(question: Question, prediction: Prediction, same: Callable[[dict, dict], bool]) -> CallScore:
    """`same` compares arguments. If the model has to stop by itself, an additional call leaves only TS right."""
    if prediction.problem:
        return WRONG
    calls = compared(prediction, question.uncompared)
    due = calls[: question.n_calls] if question.to_the_end else calls
    score = max(match_calls(due, answer, same) for answer in question.answers_to(due))
    return score if due == calls else CallScore(score.ts, False, False)
