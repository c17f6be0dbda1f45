"""The paper's metrics (section 4.3), computed from calls."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tl.calls import Call, call_or_none, format_call, parse_call, same_value
from tl.mae import ErrorCategory, erroneous_calls
from tl.schema import ToolSpec
from tl.trajectory import Message, Trajectory

DOCUMENTATION_ERRORS = frozenset(
    {ErrorCategory.TOOL_HALLUCINATION, ErrorCategory.PARAMETER_HALLUCINATION, ErrorCategory.PARAMETER_MISSING}
)


@dataclass(frozen=True)
class Question:
    """A turn to predict: the tools, `messages` up to where a call is due, and the accepted answers.

    Each answer is a set of calls in any order, usually one call. `group` is the scenario or category for which scores
    are reported as well. `uncompared` are keywords that are not compared, such as credentials; the answers have none of
    them. `free` holds, for each answer, the keywords that must be there with any value. With `to_the_end`, the model is
    asked until it stops by itself, not only for as many calls as are due. `prompt_ids` is the tokenised prompt, empty
    until the question is tokenised.
    """

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    answers: tuple[tuple[Call, ...], ...]
    group: str = ""
    uncompared: frozenset[str] = frozenset()
    free: tuple[frozenset[str], ...] = ()
    to_the_end: bool = False
    prompt_ids: Sequence[int] = ()

    @property
    def n_calls(self) -> int:
        """The number of calls in each of the accepted answers."""
        return len(self.answers[0])

    @property
    def golden(self) -> list[Call]:
        """The accepted calls, if each answer is one call."""
        return [call for (call,) in self.answers]

    def answers_to(self, calls: Sequence[Call]) -> Sequence[Sequence[Call]]:
        """The accepted answers. Their `free` keywords get the values from the call of the same tool in ``calls``."""
        if not self.free:
            return self.answers
        given = {call.name: call.arguments for call in calls}
        return [
            [Call(c.name, c.arguments | {k: v for k, v in given.get(c.name, {}).items() if k in free}) for c in answer]
            for answer, free in zip(self.answers, self.free, strict=True)
        ]

    def solved(self) -> Trajectory:
        """The messages followed by the first accepted call, as in files of prompts."""
        call = Message("assistant", format_call(self.golden[0]), is_call=True)
        return Trajectory(self.id, self.tools, (*self.messages, call))


def questions_of(trajectory: Trajectory) -> list[Question]:
    """A question for each call of a trajectory whose feedback shows no error."""
    wrong = iter(erroneous_calls(trajectory))
    return [
        Question(f"{trajectory.id}#{at}", trajectory.tools, trajectory.messages[:at], ((parse_call(m.content),),))
        for at, m in enumerate(trajectory.messages)
        if m.is_call and not next(wrong)
    ]


def cluster_of(question_id: str) -> str:
    """What the score of a question is correlated with: its trajectory, see `questions_of`, or else its id."""
    return re.sub(r"#\d+\Z", "", question_id)


class CallScore(NamedTuple):
    """One predicted call against its accepted answers; each field implies the one before it."""

    ts: bool  # tool selection: the right tool
    pi: bool  # parameter identification: and exactly the right parameter names
    cf: bool | None  # content filling: and the right values; None where the content is not scored


WRONG = CallScore(False, False, False)


def score_call(prediction: str, answers: str | Call | Sequence[str | Call], tools: Sequence[ToolSpec]) -> CallScore:
    """Scores the text of a call against one or more accepted answers; the best match counts.

    Values are compared as JSON values. Text that is not a call, and a call of a tool that is not in `tools`, is wrong
    in all three. Raises CallSyntaxError for an answer that is not a call, ValueError if there is no answer.
    """
    accepted = [answers] if isinstance(answers, str | Call) else answers
    golden = [parse_call(answer) if isinstance(answer, str) else answer for answer in accepted]
    if not golden:
        raise ValueError("no accepted answer to score against")
    call = call_or_none(prediction)
    if call is None or all(call.name != tool.name for tool in tools):
        return WRONG
    return max(match_calls([call], [answer]) for answer in golden)


def match_calls(
    calls: Sequence[Call], answer: Sequence[Call], same: Callable[[dict, dict], bool] = same_value
) -> CallScore:
    """Compares two collections of calls in any order: their names, parameter names and values.

    `same(a, b)` tells whether two dictionaries of arguments are equal; it must be an equivalence relation.
    """
    ts = Counter(call.name for call in calls) == Counter(call.name for call in answer)
    pi = ts and Counter(map(_shape, calls)) == Counter(map(_shape, answer))
    return CallScore(ts, pi, pi and _same_content(calls, answer, same))


def _shape(call: Call) -> tuple[str, frozenset[str]]:
    return call.name, frozenset(call.arguments)


def _same_content(calls: Sequence[Call], answer: Sequence[Call], same: Callable[[dict, dict], bool]) -> bool:
    """Whether each call has one of its own in the answer, which has as many."""
    left = list(answer)
    for call in calls:
        found = [i for i, g in enumerate(left) if g.name == call.name and same(call.arguments, g.arguments)]
        if not found:
            return False
        del left[found[0]]
    return True


Interval = tuple[float, float]


@dataclass(frozen=True)
class EpisodeOutcome:
    """The scored facts of one episode of up to nine turns.

    `categories`: one per model turn, including built-in tools and texts that are not calls; None if the executor itself
    failed, which is not the model's error. `valid`: it ended in `finish`, but not with the forced answer. `real`: it
    ended with an answer that is not a refusal; `refused`: with a refusal. `right`: the answer is right; None if the
    right answer is unknown or the executor failed before the answer was checked.
    """

    categories: tuple[ErrorCategory | None, ...]
    servable: bool
    finished: bool
    valid: bool
    real: bool = False
    right: bool | None = None
    refused: bool = False

    def counts(self) -> dict[str, tuple[int, int]]:
        """The episode's contribution (numerator, denominator) to each of EpisodeScores' shares."""
        n = len(self.categories)
        documentation = sum(category in DOCUMENTATION_ERRORS for category in self.categories)
        right = sum(category in (ErrorCategory.ALL_RIGHT, None) for category in self.categories)
        answerable = self.servable and self.right is not None
        return {
            "de": (documentation, n),
            "ce": (n - documentation - right, n),
            "va": (self.servable and self.valid, self.servable),
            "real": (self.servable and self.real, self.servable),
            "finished": (self.finished, 1),
            "answer_accuracy": (answerable and bool(self.right), answerable),
            "refusal_accuracy": (not self.servable and self.refused, not self.servable),
        }


class EpisodeScores(NamedTuple):
    """Percentages over episodes, None if there is nothing to count; `n_…` are the denominators."""

    de: float | None  # calls with a documentation error
    ce: float | None  # calls with any other error
    va: float | None  # servable requests that ended in `finish`, not with the forced answer
    real: float | None  # servable requests whose answer is no refusal
    finished: float | None  # episodes that ended in `finish`
    answer_accuracy: float | None  # servable requests with a known truth whose answer is true
    refusal_accuracy: float | None  # requests that cannot be served and were refused in `finish`
    n_calls: int
    n_servable: int
    n_answerable: int
    n_refusals: int
    intervals: dict[str, Interval]  # of each share, in percent; the calls of an episode are not independent


def score_episodes(outcomes: Sequence[EpisodeOutcome]) -> EpisodeScores:
    """DE, CE and VA (section 4.3), with the accuracy of answers and of refusals, which the paper does not have."""
    counts = [outcome.counts() for outcome in outcomes]
    clusters = {name: [of[name] for of in counts] for name in EpisodeOutcome((), True, False, False).counts()}
    totals = {name: [sum(column) for column in zip(*pairs, strict=True)] or [0, 0] for name, pairs in clusters.items()}
    return EpisodeScores(
        **{name: percent(*total) for name, total in totals.items()},
        n_calls=totals["de"][1],
        n_servable=totals["va"][1],
        n_answerable=totals["answer_accuracy"][1],
        n_refusals=totals["refusal_accuracy"][1],
        intervals={name: share_interval(pairs) for name, pairs in clusters.items()},
    )


def percent(count: int, n: int) -> float | None:
    """100 · count / n, None for n = 0."""
    return 100 * count / n if n else None


def share_interval(clusters: Sequence[tuple[int, int]]) -> Interval:
    """95 % interval, in percent, of a share of trials that come in clusters, such as the calls of an episode.

    `clusters` holds (successes, trials) of each. The result is Wilson's interval for the effective number of trials:
    the number of independent trials with the same variance (design effect; linearised ratio, Kish 1965), at most their
    real number. It equals that if each cluster has one, and the number of clusters if all trials have the same outcome.
    """
    clusters = [cluster for cluster in clusters if cluster[1]]
    successes, n = (sum(column) for column in zip(*clusters, strict=True)) if clusters else (0, 0)
    effective = float(len(clusters))
    if 0 < successes < n:
        share = successes / n
        variance = sum((count - share * of) ** 2 for count, of in clusters) / n**2
        effective = min(share * (1 - share) / variance, n) if variance else float(n)
    low, high = wilson_interval(successes / n * effective if n else 0, effective)
    return 100 * low, 100 * high


def wilson_interval(successes: float, n: float) -> Interval:
    """Wilson's 95 % interval for a share of n trials, both ends within [0, 1]; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = 1.96  # standard deviations on either side that hold 95 %
    share, square = successes / n, z * z / n
    centre = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)
