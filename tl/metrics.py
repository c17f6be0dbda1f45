"""The paper's metrics (section 4.3). They look at calls, not at how the calls were made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tl.calls import Call, CallSyntaxError, format_call, parse_call, same_value
from tl.mae import ErrorCategory, erroneous_calls
from tl.schema import ToolSpec
from tl.trajectory import Message, Trajectory

DOCUMENTATION_ERRORS = frozenset(
    {ErrorCategory.TOOL_HALLUCINATION, ErrorCategory.PARAMETER_HALLUCINATION, ErrorCategory.PARAMETER_MISSING}
)


@dataclass(frozen=True)
class Question:
    """A turn to predict: the tools, `messages` up to where a call is due, and the accepted answers.

    Each answer is a number of calls in any order, one but for parallel calls. `group` is the scenario or category under
    which the question is counted too. `uncompared` are keywords that are left out of the comparison, such as
    credentials; the answers hold none of them. `free` holds, for each answer, the keywords that are due with any value.
    `prompt_ids` is the prompt as a model reads it, empty until the question is tokenised.
    """

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    answers: tuple[tuple[Call, ...], ...]
    group: str = ""
    uncompared: frozenset[str] = frozenset()
    free: tuple[frozenset[str], ...] = ()
    prompt_ids: Sequence[int] = ()

    @property
    def n_calls(self) -> int:
        """The calls that the accepted answers have, all the same number."""
        return len(self.answers[0])

    @property
    def golden(self) -> list[Call]:
        """The accepted calls, where one call is due."""
        return [call for (call,) in self.answers]

    def answers_to(self, calls: Sequence[Call]) -> Sequence[Sequence[Call]]:
        """The accepted answers; what is free in them is as in the call of the same tool among ``calls``."""
        if not self.free:
            return self.answers
        given = {call.name: call.arguments for call in calls}
        return [
            [Call(c.name, c.arguments | {k: v for k, v in given.get(c.name, {}).items() if k in free}) for c in answer]
            for answer, free in zip(self.answers, self.free, strict=True)
        ]

    def solved(self) -> Trajectory:
        """The messages and the first accepted call: a record as files of prompts have it."""
        call = Message("assistant", format_call(self.golden[0]), is_call=True)
        return Trajectory(self.id, self.tools, (*self.messages, call))


def questions_of(trajectory: Trajectory) -> list[Question]:
    """A question for each call of a trajectory that its feedback shows to be right."""
    wrong = iter(erroneous_calls(trajectory))
    return [
        Question(f"{trajectory.id}#{at}", trajectory.tools, trajectory.messages[:at], ((parse_call(m.content),),))
        for at, m in enumerate(trajectory.messages)
        if m.is_call and not next(wrong)
    ]


class CallScore(NamedTuple):
    """One predicted call against its accepted answers; each field implies the one before it."""

    ts: bool  # tool selection: the right tool
    pi: bool  # parameter identification: and exactly the right parameter names
    cf: bool  # content filling: and the right values


WRONG = CallScore(False, False, False)


def score_call(prediction: str, answers: str | Call | Sequence[str | Call], tools: Sequence[ToolSpec]) -> CallScore:
    """Score the text of a call against one or more accepted answers; the best match counts.

    Values compare as JSON values. Text that is no call, and a call of a tool that is not among `tools`, is wrong
    throughout. Raises CallSyntaxError for an answer that is no call, ValueError if there is no answer.
    """
    accepted = [answers] if isinstance(answers, str | Call) else answers
    golden = [parse_call(answer) if isinstance(answer, str) else answer for answer in accepted]
    if not golden:
        raise ValueError("no accepted answer to score against")
    try:
        call = parse_call(prediction)
    except CallSyntaxError:
        return WRONG
    if all(call.name != tool.name for tool in tools):
        return WRONG
    return max(match_calls([call], [answer]) for answer in golden)


def match_calls(
    calls: Sequence[Call], answer: Sequence[Call], same: Callable[[dict, dict], bool] = same_value
) -> CallScore:
    """Equality of two collections of calls in any order: of the names, of the parameter names, of the values.

    `same(a, b)` tells whether two dictionaries of arguments are equal; it has to be an equivalence.
    """
    ts = Counter(call.name for call in calls) == Counter(call.name for call in answer)
    pi = ts and Counter(map(_shape, calls)) == Counter(map(_shape, answer))
    return CallScore(ts, pi, pi and _same_content(calls, answer, same))


def _shape(call: Call) -> tuple[str, frozenset[str]]:
    return call.name, frozenset(call.arguments)


def _same_content(calls: Sequence[Call], answer: Sequence[Call], same: Callable[[dict, dict], bool]) -> bool:
    left = list(answer)
    for call in calls:
        found = [i for i, g in enumerate(left) if g.name == call.name and same(call.arguments, g.arguments)]
        if not found:
            return False
        del left[found[0]]
    return not left


@dataclass(frozen=True)
class EpisodeOutcome:
    """What counts of one episode of up to nine turns.

    `categories`: one per model turn, built-in tools and texts that are no call included; None where the executor itself
    failed, which is no error of the model. `valid`: it ended in `finish` with a real answer; `refused`: with words that
    are none. `right`: the answer is the true one, None where there is no truth to compare with.
    """

    categories: tuple[ErrorCategory | None, ...]
    servable: bool
    finished: bool
    valid: bool
    right: bool | None = None
    refused: bool = False


class EpisodeScores(NamedTuple):
    """Percentages over episodes, None where there is nothing to count; `n_…` are the denominators."""

    de: float | None  # calls with a documentation error
    ce: float | None  # calls with any other error
    va: float | None  # servable requests that got a real answer
    finished: float | None  # episodes that ended in `finish`
    answer_accuracy: float | None  # servable requests with a known truth whose answer is true
    refusal_accuracy: float | None  # requests that cannot be served and were refused in `finish`
    n_calls: int
    n_servable: int
    n_answerable: int
    n_refusals: int


def score_episodes(outcomes: Sequence[EpisodeOutcome]) -> EpisodeScores:
    """DE, CE and VA (section 4.3), with the accuracy of answers and of refusals, which the paper does not have."""
    categories = [category for outcome in outcomes for category in outcome.categories]
    documentation = sum(category in DOCUMENTATION_ERRORS for category in categories)
    right = sum(category in (ErrorCategory.ALL_RIGHT, None) for category in categories)
    servable = [o for o in outcomes if o.servable]
    answerable = [o for o in servable if o.right is not None]
    refusals = [o for o in outcomes if not o.servable]
    return EpisodeScores(
        de=percent(documentation, len(categories)),
        ce=percent(len(categories) - documentation - right, len(categories)),
        va=percent(sum(o.valid for o in servable), len(servable)),
        finished=percent(sum(o.finished for o in outcomes), len(outcomes)),
        answer_accuracy=percent(sum(bool(o.right) for o in answerable), len(answerable)),
        refusal_accuracy=percent(sum(o.refused for o in refusals), len(refusals)),
        n_calls=len(categories),
        n_servable=len(servable),
        n_answerable=len(answerable),
        n_refusals=len(refusals),
    )


def percent(count: int, n: int) -> float | None:
    """100 · count / n, None for n = 0."""
    return 100 * count / n if n else None


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share of n trials, both ends within [0, 1]; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = 1.96  # standard deviations on either side that hold 95 %
    share, square = successes / n, z * z / n
    centre = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)
