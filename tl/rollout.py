"""Episodes: a model and the executor take turns until `finish`, for nine turns at most (paper, section 4.3)."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from tl.calls import CallSyntaxError, parse_call
from tl.dialogue import Dialogue, Speaker, Turn
from tl.executor import Feedback
from tl.mae import ErrorCategory
from tl.metrics import EpisodeOutcome
from tl.schema import FINISH, ToolSpec
from tl.trajectory import Message, Trajectory

MAX_TURNS = 9

# An answer is not real when it is empty or holds one of these.
NOT_REAL = (
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
    "give up",
    "i'm sorry",
    "i am sorry",
)

_FIGURE = re.compile(r"(?<!\w)-?\w*\d\w*(?:[.,:/-]\w*\d\w*)*")  # 12, -9, 155.8, 17:15, 2026-12-04, K879


class Session(Protocol):
    """Where the calls of one episode run, such as `tl.executor.Session`."""

    finished: bool

    def run(self, text: str) -> Feedback: ...


@dataclass(frozen=True)
class Request:
    """What an episode starts from: `messages` up to the model's first turn, and a way to open its session.

    `truth` is the true final answer where one is known; an answer is right if it has all of `facts`, or is the truth
    itself where there are none. `servable`: False if the tools cannot do what is asked for.
    """

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    open: Callable[[], AbstractContextManager[Session]]
    servable: bool = True
    truth: str | None = None
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpisodeSuite:
    """A multi-turn benchmark. Without a backend its tools do not run, and only DE and `finished` mean something."""

    name: str
    title: str
    requests: tuple[Request, ...]
    notes: tuple[str, ...] = ()
    has_backend: bool = True
    paper: bool = False  # Table 4 is about it


@dataclass(frozen=True)
class Rollout:
    """An episode as it went. `answer` is that of `finish`, None if there was none; `failed`: it was broken off because
    the model was out of reach, and does not count."""

    trajectory: Trajectory
    categories: tuple[ErrorCategory | None, ...]  # one per call, see EpisodeOutcome
    answer: str | None = None
    note: str = ""
    failed: bool = False

    def to_json(self) -> dict:
        categories = [category.value if category else None for category in self.categories]
        return {
            "trajectory": self.trajectory.to_openai(),
            "categories": categories,
            "answer": self.answer,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, record: dict) -> Rollout:
        categories = tuple(value and ErrorCategory(value) for value in record["categories"])
        return cls(Trajectory.from_openai(record["trajectory"]), categories, record["answer"], record["note"])


@dataclass
class _Episode:
    """A running episode."""

    index: int
    request: Request
    session: Session
    close: Callable
    messages: list[Message]
    categories: list[ErrorCategory | None] = field(default_factory=list)
    turns: int = 0
    over: bool = False
    last: Turn = Turn()

    def take(self, turn: Turn) -> None:
        """Run the calls of a turn. One that was cut is run too: what it gives is the feedback of a format error."""
        self.last = turn
        self.turns += 1
        for text in turn.texts:
            self.messages.append(Message("assistant", text, is_call=True))
            feedback = self.session.run(text)
            self.categories.append(feedback.category)
            if self.session.finished:
                break
            self.messages.append(Message("tool", feedback.text))
        self.over = self.session.finished or not turn.texts or self.turns == MAX_TURNS

    def rollout(self) -> Rollout:
        trajectory = Trajectory(self.request.id, self.request.tools, tuple(self.messages))
        answer = final_answer(self.messages[-1].content) if self.session.finished else None
        return Rollout(trajectory, tuple(self.categories), answer, self.last.note, self.last.failed)


def roll_out(requests: Sequence[Request], speak: Speaker, parallel: int) -> Iterator[tuple[int, Rollout]]:
    """Plays an episode for each request, `parallel` at a time; gives each with its index when it is over."""
    waiting = deque(enumerate(requests))
    running: list[_Episode] = []
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(_open(*waiting.popleft()))
            turns = speak([Dialogue(e.request.tools, tuple(e.messages)) for e in running])
            for episode, turn in zip(running, turns, strict=True):
                episode.take(turn)
            over = [episode for episode in running if episode.over]
            running = [episode for episode in running if not episode.over]
            for episode in over:
                episode.close()
                yield episode.index, episode.rollout()
    finally:
        for episode in running:
            episode.close()


def _open(index: int, request: Request) -> _Episode:
    manager = request.open()
    session = manager.__enter__()
    return _Episode(index, request, session, lambda: manager.__exit__(None, None, None), list(request.messages))


def final_answer(text: str) -> str | None:
    """The answer of a call of `finish`; None for anything else."""
    try:
        call = parse_call(text)
    except CallSyntaxError:
        return None
    if call.name != FINISH.name or "answer" not in call.arguments:
        return None
    answer = call.arguments["answer"]
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def outcome(request: Request, rollout: Rollout) -> EpisodeOutcome:
    """What counts of an episode."""
    valid = rollout.answer is not None and is_real(rollout.answer)
    right = None if request.truth is None else valid and is_right(rollout.answer, request.truth, request.facts)
    refused = bool(rollout.answer and rollout.answer.strip()) and not valid
    return EpisodeOutcome(rollout.categories, request.servable, rollout.answer is not None, valid, right, refused)


def is_real(answer: str) -> bool:
    """Whether an answer says something, and none of the phrases NOT_REAL."""
    said = answer.casefold().replace("’", "'")
    return bool(said.strip()) and not any(phrase in said for phrase in NOT_REAL)


def is_right(answer: str, truth: str, facts: Sequence[str]) -> bool:
    """Whether an answer has every fact, in any case; without facts, whether it has the truth's words."""
    if not facts:
        return _words(answer) == _words(truth)
    figures = _figures(answer)
    return all(_value(f) in figures if _FIGURE.fullmatch(f) else _has(answer, f) for f in facts)


def facts_of(truth: str, feedbacks: Sequence[str]) -> tuple[str, ...]:
    """What a true answer has to say: its figures (numbers, dates, times, ids), and every other text in it that a tool
    returned as a whole."""
    texts = {leaf for feedback in feedbacks for leaf in _leaves(feedback) if len(leaf) > 1 and _has(truth, leaf)}
    figures = _FIGURE.findall(truth)
    return tuple(dict.fromkeys([*figures, *sorted(text for text in texts if not _FIGURE.search(text))]))


def _figures(text: str) -> set[str | float]:
    return {_value(figure) for figure in _FIGURE.findall(text)}


def _value(figure: str) -> str | float:
    """155.80 is 155.8, and 1,200 is 1200; what is no number stays text."""
    try:
        return float(figure.replace(",", ""))
    except ValueError:
        return figure.casefold()


def _has(text: str, words: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(words.casefold())}(?!\w)", text.casefold()))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _leaves(feedback: str) -> Iterator[str]:
    """The texts in a feedback, numbers apart; keys do not count. Feedback that is not JSON is one text."""
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
