"""Data construction (paper, Appendix B): user requests, solved by a scripted teacher against the real executor.

A trajectory comes about in four steps: a scenario and its values are drawn, the teacher solves the request, tools are
chosen for the prompt (those needed, their siblings by name, a few others), and the calls are run again, now with the
mistakes that are to be in it. Feedback is always what execution returned. The same arguments give the same data.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

from tl.calls import JSON, Call, format_call, parse_call
from tl.executor import Cause, Executor
from tl.mae import ErrorCategory, erroneous_calls
from tl.mistakes import ERROR_SHARES, mistakes
from tl.scenarios import Draw, NoValue, Scenario, all_scenarios
from tl.scenarios import _wording as wording
from tl.schema import ASK_TO_USER, BUILT_INS, FINISH, ToolSpec
from tl.trajectory import Message, Trajectory
from tools._service import has_outage
from tools._vocabulary import CITIES

T = TypeVar("T")
Kind = Literal["plain", "error", "ask", "refusal"]

MIX = (53, 17, 30)  # plain successes, trajectories with erroneous calls, requests to ask about or to refuse
REFUSAL = "I cannot handle the task with these tools."
TOOL_CHARACTERS = 750  # of the tool blocks in a prompt, built-in tools apart
SECOND_MISTAKE = 0.2  # share of the trajectories with erroneous calls that get another one


@dataclass(frozen=True)
class Item:
    """A prompt: `messages` up to where a call is due, and the calls that are accepted there."""

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    answers: list[Call]


@dataclass(frozen=True)
class Task:
    """A request with the calls that solve it, `finish` included; `values` lie on one side of the held-out split."""

    source: str  # "toolkit.scenario"; toolkit alone where no tool can serve it
    seed: int
    request: str
    template: str
    values: tuple[str, ...]
    solution: tuple[Call, ...]
    user_answer: str = ""
    retried: bool = False


@dataclass(frozen=True)
class Episode:
    """A trajectory and what it was made from."""

    kind: Kind
    task: Task
    trajectory: Trajectory


def synthesize(size: int = 1217, seed: int = 0, mix: Sequence[float] = MIX) -> list[Trajectory]:
    """Training trajectories; `mix` weighs plain successes, erroneous calls, and requests to ask about or to refuse."""
    return [episode.trajectory for episode in episodes(size, seed, mix)]


def held_out(size: int = 400, seed: int = 0, mix: Sequence[float] = MIX) -> list[Item]:
    """Single turns, one per episode, of requests whose phrasings and values are never used in training.

    At least half of the items are the first call of their episode, the others lie behind real feedback.
    """
    rng = random.Random(f"items {seed}")
    items = []
    for episode in episodes(size, seed, mix, unseen=True):
        trajectory = episode.trajectory
        calls = [index for index, message in enumerate(trajectory.messages) if message.is_call]
        wrong = erroneous_calls(trajectory)
        due = [index for index, is_wrong in zip(calls, wrong, strict=True) if not is_wrong]
        chosen = rng.choice((due[0], rng.choice(due)))
        answer = parse_call(trajectory.messages[chosen].content)
        items.append(Item(trajectory.id, trajectory.tools, trajectory.messages[:chosen], [answer]))
    return items


def session_seed(trajectory_id: str) -> int:
    """The seed of the session in which a synthetic trajectory was executed."""
    return int(trajectory_id.rpartition("/")[2])


def episodes(size: int, seed: int = 0, mix: Sequence[float] = MIX, *, unseen: bool = False) -> list[Episode]:
    """`size` different episodes, of the training side or of the held-out (`unseen`) one."""
    rng = random.Random(f"episodes {seed} {unseen}")
    wishes = _wishes(size, mix)
    rng.shuffle(wishes)
    made: list[Episode] = []
    known: set[tuple] = set()
    while len(made) < size:
        episode = _episode(*wishes[len(made)], len(made), rng, unseen)
        key = episode and (episode.task.request, *map(format_call, episode.task.solution))
        if episode and key not in known:
            known.add(key)
            made.append(episode)
    return made


def _wishes(size: int, mix: Sequence[float]) -> list[tuple[Kind, ErrorCategory | None]]:
    """What each episode is to be, with the category of its error where it is to have one."""
    plain, error, edge = mix
    kinds = _shares(size, {"plain": plain, "error": error, "ask": edge / 2, "refusal": edge / 2})
    categories = iter(_shares(kinds.count("error"), ERROR_SHARES))
    return [(kind, next(categories) if kind == "error" else None) for kind in kinds]


def _shares(size: int, weights: dict[T, float]) -> list[T]:
    """`size` keys in proportion to their weights, none off by more than one."""
    keys: list[T] = []
    due = 0.0
    for key, weight in weights.items():
        due += size * weight / sum(weights.values())
        keys += [key] * (round(due) - len(keys))
    return keys


@cache
def _executor() -> Executor:
    return Executor()


@cache
def _scenarios() -> list[Scenario]:
    return all_scenarios()


def _episode(
    kind: Kind, wanted: ErrorCategory | None, number: int, rng: random.Random, unseen: bool
) -> Episode | None:
    """One try; None when the world of the drawn seed does not allow for it."""
    try:
        task = _draw_task(kind, rng, unseen, outage=wanted is ErrorCategory.TOOL_INSTABILITY)
    except NoValue:
        return None
    tools = _foreign_tools(task, rng) if kind == "refusal" else _tools(task, rng)
    script = _with_mistake(task, tools, [format_call(call) for call in task.solution], wanted, rng)
    if script and wanted and rng.random() < SECOND_MISTAKE:
        another = rng.choice([category for category in ERROR_SHARES if category is not ErrorCategory.TOOL_INSTABILITY])
        script = _with_mistake(task, tools, script, another, rng) or script
    if not script:
        return None
    messages = _execute(task, tools, script)
    trajectory = Trajectory(f"{number:05d}/{kind}/{task.source}/{task.seed}", (*tools, *BUILT_INS), tuple(messages))
    return Episode(kind, task, trajectory)


# ---- the request and its solution


def _draw_task(kind: Kind, rng: random.Random, unseen: bool, outage: bool) -> Task:
    seed = next(seed for seed in iter(lambda: rng.randrange(1_000_000), None) if has_outage(seed) == outage)
    if kind == "refusal" and rng.random() < 0.5:
        return _out_of_scope(rng, seed, unseen)
    scenario = rng.choice([one for one in _scenarios() if kind != "ask" or one.ask])
    draw = Draw(rng, seed, unseen)
    plan = scenario.plan(draw)
    facts = next(plan)
    words = scenario.ask if kind == "ask" else scenario
    template = rng.choice(words.unseen if unseen else words.phrasings)
    solution, retried = _solve(plan, scenario, seed)
    user_answer = ""
    if kind == "ask":
        solution.insert(0, Call(ASK_TO_USER.name, {"question": scenario.ask.question}))
        answers = wording.UNSEEN_USER_ANSWERS if unseen else wording.USER_ANSWERS
        user_answer = rng.choice(answers).format(facts[scenario.ask.fact])
    if kind == "refusal":
        solution = [Call(FINISH.name, {"answer": REFUSAL})]
    request = _wrapped(template.format(**facts), rng, unseen)
    return Task(scenario.name, seed, request, template, tuple(draw.split_values), tuple(solution), user_answer, retried)


def _out_of_scope(rng: random.Random, seed: int, unseen: bool) -> Task:
    """A request that no tool of the library can serve."""
    draw = Draw(rng, seed, unseen)
    template = rng.choice(wording.UNSEEN_OUT_OF_SCOPE if unseen else wording.OUT_OF_SCOPE)
    request = _wrapped(template.format(place=draw.one(CITIES)), rng, unseen)
    solution = (Call(FINISH.name, {"answer": REFUSAL}),)
    return Task("none", seed, request, template, tuple(draw.split_values), solution)


def _wrapped(request: str, rng: random.Random, unseen: bool) -> str:
    return rng.choice(wording.UNSEEN_ASIDES if unseen else wording.ASIDES).format(request)


def _solve(plan, scenario: Scenario, seed: int) -> tuple[list[Call], bool]:
    """The teacher: follows the plan to its answer, repeating once what failed for want of a connection.

    Returns the calls, and whether one was repeated. Raises `NoValue` where a tool reports that it cannot be done.
    """
    calls: list[Call] = []
    retried, result = False, None
    with _executor().session(seed) as session:
        while True:
            try:
                call = plan.send(result)
            except StopIteration as stop:
                return [*calls, Call(FINISH.name, {"answer": stop.value})], retried
            feedback = session.run(format_call(call))
            calls.append(call)
            if feedback.cause is Cause.CONNECTION:
                retried = True
                feedback = session.run(format_call(call))
                calls.append(call)
            if feedback.cause is Cause.REPORTED_ERROR:
                raise NoValue(feedback.text)
            if feedback.cause is not Cause.OK:
                raise AssertionError(f"scenario {scenario.name}, seed {seed}: {call} gave {feedback.text}")
            result = _value(feedback.text)


def _value(text: str) -> JSON:
    try:
        return json.loads(text)
    except ValueError:
        return text


# ---- the tools of the prompt


def _tools(task: Task, rng: random.Random) -> list[ToolSpec]:
    """What the solution needs, the tool of the most similar name for each of these, and others while they fit."""
    specs = _executor().specs
    needed = list(dict.fromkeys(call.name for call in task.solution if call.name in specs))
    others = rng.sample([name for name in specs if name not in needed], len(specs) - len(needed))
    siblings = [max(others, key=lambda name, own=own: len(os.path.commonprefix((own, name)))) for own in needed]
    return _that_fit(needed, [*siblings, *others], rng)


def _foreign_tools(task: Task, rng: random.Random) -> list[ToolSpec]:
    """Tools of other toolkits than the one that the request is for."""
    toolkit_of = _executor().toolkit_of
    others = [name for name in toolkit_of if toolkit_of[name] != task.source.partition(".")[0]]
    return _that_fit([], rng.sample(others, len(others)), rng)


def _that_fit(needed: Sequence[str], others: Sequence[str], rng: random.Random) -> list[ToolSpec]:
    """The needed tools and as many of the others, in that order, as the prompt has room for; shuffled."""
    chosen = dict.fromkeys(needed)
    room = TOOL_CHARACTERS - sum(_length(name) for name in needed)
    for name in dict.fromkeys(others):
        if name not in chosen and _length(name) <= room:
            chosen[name] = None
            room -= _length(name)
    tools = [_executor().specs[name] for name in chosen]
    rng.shuffle(tools)
    return tools


@cache
def _length(name: str) -> int:
    return len(_executor().specs[name].to_prompt())


# ---- mistakes, and the run that is recorded


def _with_mistake(
    task: Task, tools: list[ToolSpec], script: list[str], wanted: ErrorCategory | None, rng: random.Random
) -> list[str] | None:
    """The script with a call put in that fails with the category `wanted`; None when no candidate does."""
    if wanted is None:
        return script
    if wanted is ErrorCategory.TOOL_INSTABILITY:
        return script if task.retried else None
    specs = {tool.name: tool for tool in tools}
    right_calls = {format_call(call) for call in task.solution if call.name in specs}
    places = [at for at, text in enumerate(script) if text in right_calls]
    if not places:
        return None
    at = rng.choice(places)
    right = parse_call(script[at])
    for wrong in mistakes(wanted, right, specs[right.name], _executor().specs, rng):
        text = format_call(wrong)
        with _executor().session(task.seed, specs) as session:
            for before in script[:at]:
                session.run(before)
            if session.run(text).category is wanted:
                return [*script[:at], text, *script[at:]]
    return None


def _execute(task: Task, tools: list[ToolSpec], script: list[str]) -> list[Message]:
    """Runs the script in the session of the task, with no other tools than those of the prompt."""
    messages = [Message("user", task.request)]
    names = [tool.name for tool in tools]
    with _executor().session(task.seed, names, answer=lambda _question: task.user_answer) as session:
        for text in script:
            messages.append(Message("assistant", text, is_call=True))
            feedback = session.run(text)
            if not session.finished:
                messages.append(Message("tool", feedback.text))
    return messages
