"""The paper's metrics (section 4.3). They look at calls, not at how the calls were made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tl.calls import Call, CallSyntaxError, parse_call, same_value
from tl.schema import ToolSpec
from tl.trajectory import Message


@dataclass(frozen=True)
class Item:
    """A single turn to predict: `messages` up to where a call is due, and the accepted calls."""

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    answers: list[Call]


class CallScore(NamedTuple):
    """One predicted call against its accepted answers; each field implies the one before it."""

    ts: bool  # tool selection: the right tool
    pi: bool  # parameter identification: and exactly the right parameter names
    cf: bool  # content filling: and the right values


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
        return CallScore(False, False, False)
    if all(call.name != tool.name for tool in tools):
        return CallScore(False, False, False)
    return max(_score(call, answer) for answer in golden)


def _score(call: Call, answer: Call) -> CallScore:
    ts = call.name == answer.name
    pi = ts and call.arguments.keys() == answer.arguments.keys()
    return CallScore(ts, pi, pi and same_value(call.arguments, answer.arguments))


def wilson_interval(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval (z = 1.96) for a share of n trials, both ends within [0, 1]; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    share, square = successes / n, z * z / n
    centre = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)
