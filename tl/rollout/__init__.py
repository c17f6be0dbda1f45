"""Episodes: a model and the executor take turns until `finish`, for nine turns at most (paper, section 4.3)."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from tl.calls import CallSyntaxError, parse_call
from tl.executor import Feedback
from tl.mae import ErrorCategory
from tl.metrics import EpisodeOutcome
from tl.rollout.answers import is_real, is_right
from tl.rollout.dialogue import Dialogue, Policy, Response
from tl.schema import FINISH, ToolSpec
from tl.trajectory import Message, Trajectory

MAX_TURNS = 9


class ToolSession(Protocol):
    """Where the calls of one episode run, such as `tl.executor.ToolSession`."""

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
    open: Callable[[], AbstractContextManager[ToolSession]]
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
    session: ToolSession
    close: Callable
    messages: list[Message]
    categories: list[ErrorCategory | None] = field(default_factory=list)
    turns: int = 0
    over: bool = False
    last: Response = Response()

    def take(self, turn: Response) -> None:
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


def roll_out(requests: Sequence[Request], policy: Policy, parallel: int) -> Iterator[tuple[int, Rollout]]:
    """Plays an episode for each request, `parallel` at a time; gives each with its index when it is over."""
    waiting = deque(enumerate(requests))
    running: list[_Episode] = []
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(_open(*waiting.popleft()))
            turns = policy([Dialogue(e.request.tools, tuple(e.messages)) for e in running])
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
