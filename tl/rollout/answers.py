"""Final answers: whether an answer is a refusal, and whether it is correct."""

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

FORCED = "I cannot handle the task."  # the answer with which the paper's tools end an episode of too many turns

# An answer is a refusal if it contains one of these phrases as whole words.
REFUSALS = (
    "cannot handle",
    "can't handle",
    "unable to",
    "not able to",
    "cannot help",
    "can't help",
    "cannot assist",
    "can't assist",
    "cannot answer",
    "can't answer",
    "cannot complete",
    "can't complete",
    "cannot be handled",
    "i give up",
    "i don't know",
    "i do not know",
    "i'm sorry",
    "i am sorry",
)


_FIGURE = re.compile(r"(?<!\w)-?\w*\d\w*(?:[.,:/-]\w*\d\w*)*")  # 12, -9, 155.8, 17:15, 2026-12-04, K879
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d+)?")  # 007 is no number, but an id
_RANGE = re.compile(r"([\d.:]+)-([\d.:]+)")  # 10-12, 17:15-18:00
_WITH_UNIT = re.compile(r"(-?[\d.,:]+)[^\W\d_]+")  # 155.8km


def is_forced(answer: str) -> bool:
    """Whether an answer is FORCED, apart from case, spaces and the full stop."""
    return _words(answer) == _words(FORCED)


def is_refusal(answer: str, phrases: Sequence[str] = REFUSALS) -> bool:
    """Whether an answer contains one of the phrases."""
    return any(_has(answer.replace("’", "'"), phrase) for phrase in phrases)


def is_right(answer: str, truth: str, facts: Sequence[str]) -> bool:
    """Whether an answer contains every fact, ignoring case; without facts, whether it has the truth's words."""
    if not facts:
        return _words(answer) == _words(truth)
    figures = {_value(part) for figure in _figures(answer) for part in _parts(figure)}
    return all(_value(f) in figures if _FIGURE.fullmatch(f) else _has(answer, f) for f in facts)


def facts_of(truth: str, feedbacks: Sequence[str]) -> tuple[str, ...]:
    """What a right answer must contain: the figures of ``truth`` (numbers, dates, times, ids), and every other text in
    it that a tool returned as a whole."""
    texts = {leaf for feedback in feedbacks for leaf in _leaves(feedback) if len(leaf) > 1 and _has(truth, leaf)}
    figures = _figures(truth)
    return tuple(dict.fromkeys([*figures, *sorted(text for text in texts if not _FIGURE.search(text))]))


def _figures(text: str) -> list[str]:
    return _FIGURE.findall(text.replace("−", "-"))


def _parts(figure: str) -> Iterator[str]:
    """A figure, and those that are written in one with it: the items of a list, the ends of a range, a number without
    its unit."""
    yield figure
    if not _NUMBER.fullmatch(figure):
        yield from figure.split(",")
        for form in (_RANGE, _WITH_UNIT):
            if parts := form.fullmatch(figure):
                yield from parts.groups()


def _value(figure: str) -> str | Decimal:
    """A number if it is one (155.80 is 155.8, and 1,200 is 1200), else the text in lower case."""
    return Decimal(figure.replace(",", "")) if _NUMBER.fullmatch(figure) else figure.casefold()


def _has(text: str, words: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(words.casefold())}(?!\w)", text.casefold()))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _leaves(feedback: str) -> Iterator[str]:
    """The strings in a feedback, without keys. Feedback that is not JSON is one string."""
    try:
        stack = [json.loads(feedback)]
    except (ValueError, RecursionError):
        stack = [feedback]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list):
            stack += value
        elif isinstance(value, str):
            yield value
