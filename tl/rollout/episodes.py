"""The episode loop: a policy and the tools take turns until `finish`, for nine turns at most (paper, section 4.3)."""

from __future__ import annotations

import json
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from tl.calls import call_or_none
from tl.executor import Cause, Feedback, Verdict
from tl.executor.driving import Steps, drive
from tl.mae import ErrorCategory
from tl.metrics import EpisodeOutcome
from tl.rollout.answers import REFUSALS, is_forced, is_refusal, is_right
from tl.rollout.dialogue import Dialogue, Policy, Response, StopReason
from tl.schema import FINISH, ToolSpec
from tl.trajectory import Message, Trajectory

CUT_OFF = Feedback("SyntaxError: the call was cut off at the limit of tokens", Cause.FORMAT_ERROR)

MAX_TURNS = 9


class ToolSession(Protocol):
    """Where the calls of an episode run, such as `tl.executor.Session`. `finished`: a call of `finish` succeeded."""

    finished: bool

    def steps(self, text: str) -> Steps[Feedback]: ...

    def check_steps(self, name: str, answer: str) -> Steps[Verdict]: ...


@dataclass(frozen=True)
class Request:
    """The start of an episode: `messages` up to the model's first turn, and a function that opens its session.

    `truth` is the right final answer, if it is known. An answer is right if it is neither empty nor a refusal, if it
    contains all `facts` or, without facts, equals the truth, and if the tools' function named by `check`, if any,
    accepts it. `servable` is False if the tools cannot do what is asked for.
    """

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    open: Callable[[], AbstractContextManager[ToolSession]]
    servable: bool = True
    truth: str | None = None
    facts: tuple[str, ...] = ()
    check: str | None = None
    max_turns: int = MAX_TURNS


@dataclass(frozen=True)
class Rollout:
    """A played episode. `note` says what was wrong with the last turn or with the executor. `checked` is the verdict of
    the request's check; None if it was not called or the executor failed. `feedback` is not saved."""

    trajectory: Trajectory
    categories: tuple[ErrorCategory | None, ...]  # one per call that was run, see EpisodeOutcome
    stop: StopReason
    answer: str | None = None  # of `finish`
    note: str = ""
    checked: bool | None = None
    feedback: tuple[Feedback, ...] = field(default=(), compare=False)  # one per call that was run

    def to_json(self) -> dict:
        return {
            "trajectory": self.trajectory.to_openai(),
            "categories": [category.value if category else None for category in self.categories],
            "stop": self.stop.value,
            "answer": self.answer,
            "note": self.note,
            "checked": self.checked,
        }

    @classmethod
    def from_json(cls, record: dict) -> Rollout:
        trajectory = Trajectory.from_openai(record["trajectory"])
        categories = tuple(value and ErrorCategory(value) for value in record["categories"])
        stop, checked = StopReason(record["stop"]), record.get("checked")
        return cls(trajectory, categories, stop, record["answer"], record["note"], checked)


def play(
    requests: Sequence[Request], policy: Policy, parallel: int, *, n_groups: int = 1, strict: bool = False
) -> Iterator[tuple[int, Rollout]]:
    """Plays an episode for each request, `parallel` at a time; yields each with its index when it ends.

    The tools of one group of episodes run, all at once, while the policy answers another group. The grouping depends
    on the episodes and not on timing, so equal answers give equal episodes.

    An episode ends with `finish`, with the last turn that its request allows, or when the policy has no answer. A call
    that was cut is not run and gets the feedback of a format error. With `strict`, it ends the episode, and so does a
    call or a check in which the executor itself failed.
    """
    waiting = deque(enumerate(requests))
    groups = [_Group(parallel // n_groups + (number < parallel % n_groups)) for number in range(n_groups)]
    try:
        with ThreadPoolExecutor(n_groups) as background:
            while waiting or any(group.episodes for group in groups):
                for group in groups:
                    if group.tools:
                        group.tools.result()
                    for episode, stop in [(episode, episode.stop) for episode in group.episodes if episode.stop]:
                        group.episodes.remove(episode)
                        episode.opened.close()
                        yield episode.number, episode.rollout(stop)
                    while waiting and len(group.episodes) < group.room:
                        group.episodes.append(_Episode(*waiting.popleft()))
                    if group.episodes:
                        turns = policy([episode.dialogue() for episode in group.episodes])
                        calls = [e.run(turn, strict) for e, turn in zip(group.episodes, turns, strict=True)]
                        group.tools = background.submit(drive, calls)
    finally:
        for group in groups:
            for episode in group.episodes:
                episode.opened.close()


@dataclass
class _Group:
    """Episodes that the policy answers together, and whose calls then run together."""

    room: int
    episodes: list[_Episode] = field(default_factory=list)
    tools: Future[list[None]] | None = None


class _Episode:
    def __init__(self, number: int, request: Request) -> None:
        self.number, self.request = number, request
        self.opened = ExitStack()
        self.session = self.opened.enter_context(request.open())
        self.messages = list(request.messages)
        self.feedback: list[Feedback] = []
        self.turns = 0
        self.note = ""
        self.checked: bool | None = None
        self.stop: StopReason | None = None

    def dialogue(self) -> Dialogue:
        return Dialogue(self.request.tools, tuple(self.messages), number=self.number)

    def run(self, turn: Response, strict: bool) -> Steps[None]:
        """Runs the calls of the next turn one after the other and appends their feedback."""
        self.turns += 1
        self.note = turn.note
        if turn.stop and (strict or not turn.texts):
            self.messages += [Message("assistant", text, is_call=True) for text in turn.texts]
            self.stop = turn.stop
            return
        for number, text in enumerate(turn.texts, 1):
            self.messages.append(Message("assistant", text, is_call=True))
            is_cut = turn.stop is StopReason.CUT and number == len(turn.texts)
            feedback = CUT_OFF if is_cut else (yield from self.session.steps(text))
            self.feedback.append(feedback)
            if strict and feedback.cause is Cause.INFRASTRUCTURE:
                self.stop, self.note = StopReason.EXECUTOR, feedback.text
                return
            if self.session.finished:
                self.stop = StopReason.FINISHED
                if self.request.check is not None:
                    yield from self.judge(self.request.check, text, strict)
                return
            self.messages.append(Message("tool", feedback.text))
        if self.turns == self.request.max_turns:
            self.stop = StopReason.TURNS

    def judge(self, check: str, text: str, strict: bool) -> Steps[None]:
        """Calls the request's check with the answer in the last call."""
        verdict = yield from self.session.check_steps(check, final_answer(text) or "")
        self.checked = verdict.right
        if verdict.right is None and strict:
            self.stop, self.note = StopReason.EXECUTOR, verdict.problem
        elif verdict.problem:
            counts = "is not judged" if verdict.right is None else "counts as wrong"
            warnings.warn(f"{self.request.id} {counts}: {verdict.problem}", stacklevel=2)

    def rollout(self, stop: StopReason) -> Rollout:
        trajectory = Trajectory(self.request.id, self.request.tools, tuple(self.messages))
        categories = tuple(feedback.category for feedback in self.feedback)
        answer = final_answer(self.messages[-1].content) if stop is StopReason.FINISHED else None
        return Rollout(trajectory, categories, stop, answer, self.note, self.checked, tuple(self.feedback))


def final_answer(text: str) -> str | None:
    """The answer in a call of `finish`; None for anything else."""
    call = call_or_none(text)
    if call is None or call.name != FINISH.name or "answer" not in call.arguments:
        return None
    answer = call.arguments["answer"]
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def outcome(request: Request, rollout: Rollout, refusals: Sequence[str] = REFUSALS) -> EpisodeOutcome:
    """The scored facts of an episode; `refusals` are phrases that mark an answer as a refusal."""
    answer = rollout.answer or ""
    finished = rollout.answer is not None
    refused = bool(answer.strip()) and is_refusal(answer, refusals)
    real = bool(answer.strip()) and not refused
    right = None
    if request.truth is not None or request.check is not None:
        right = real and (request.truth is None or is_right(answer, request.truth, request.facts))
        if right and request.check is not None:
            right = rollout.checked
    return EpisodeOutcome(
        rollout.categories,
        request.servable,
        finished,
        valid=finished and not is_forced(answer),
        real=real,
        right=right,
        refused=refused,
    )


def ends_right(request: Request, rollout: Rollout) -> bool:
    """Whether an episode ends with the right answer to its request, or refuses a request that cannot be served."""
    result = outcome(request, rollout)
    return bool(result.right) if request.servable else result.refused
