"""Makes synthetic episodes, and conversations of several (paper, Appendix B).

Draw a scenario and its values; let the teacher solve the request with the real executor; choose tools for the prompt
(the needed ones, some with similar names, a few others); run the calls again, now with the wanted mistakes. Feedback is
always what execution returned.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, cast

from tl.calls import JSON, Call, format_call, parse_call
from tl.executor import Cause, Feedback, InProcessExecutor
from tl.mae import ErrorCategory
from tl.schema import ASK_TO_USER, BUILT_INS, FINISH, ToolSpec
from tl.synthesis.mistakes import ERROR_SHARES, mistakes
from tl.synthesis.scenarios import Draw, NoValue, Plan, Scenario, all_scenarios
from tl.synthesis.scenarios import _wording as wording
from tl.trajectory import Message, Trajectory
from tools._service import has_outage
from tools._vocabulary import CITIES

Kind = Literal["plain", "error", "ask", "refusal"]

REFUSAL = "I cannot handle the task with these tools."
REFUSE = Call(FINISH.name, {"answer": REFUSAL})
TOOL_CHARACTERS = 480  # of the tool blocks in an episode's prompt, built-in tools apart
MORE_CHARACTERS = 110  # of tool blocks, for each further request of a conversation
OUT_OF_SCOPE_SHARE = 0.7  # of the refusals; the others need a tool that exists but is not in the prompt
SECOND_MISTAKE = 0.2  # share of the trajectories with an erroneous call that get a second one


@dataclass(frozen=True)
class EpisodeSpec:
    """The required content of an episode. `error` is the category of its mistake, if any."""

    kind: Kind
    error: ErrorCategory | None = None
    unseen_values: bool = False  # from the held-out side of the split
    unseen_phrasing: bool = False  # of the request, its wrapping and the user's answer


@dataclass(frozen=True)
class Task:
    """A request with the calls that solve it, `finish` included; `values` lie on one side of the held-out split."""

    source: str  # "toolkit.scenario"; "none" if no tool can serve the request
    seed: int
    request: str
    template: str
    values: tuple[str, ...]
    solution: tuple[Call, ...]
    user_answer: str = ""
    retried: bool = False
    tools: tuple[ToolSpec, ...] = ()  # of the prompt, the built-in ones apart

    @property
    def toolkit(self) -> str:
        """The toolkit that can serve the request, or "none"."""
        return self.source.partition(".")[0]

    @property
    def is_refused(self) -> bool:
        return self.solution[0] == REFUSE


@dataclass(frozen=True)
class Episode:
    """A trajectory and what it was made from."""

    spec: EpisodeSpec
    task: Task
    trajectory: Trajectory


@dataclass(frozen=True)
class Repertoire:
    """The toolkits of requests and of the tools in prompts, with their scenarios."""

    executor: InProcessExecutor
    scenarios: tuple[Scenario, ...]
    lengths: dict[str, int]  # characters of each tool's block in a prompt

    @classmethod
    @cache
    def of(cls, toolkits: tuple[str, ...]) -> Repertoire:
        """Loads the toolkits; `ToolkitError` names one that cannot be used."""
        executor = InProcessExecutor(toolkits)
        scenarios = tuple(scenario for scenario in all_scenarios() if scenario.toolkit in toolkits)
        return cls(executor, scenarios, {name: len(spec.to_prompt()) for name, spec in executor.specs.items()})


def draw_conversation(
    repertoire: Repertoire, specs: Sequence[EpisodeSpec], number: int, rng: random.Random
) -> list[Episode]:
    """Episodes with the same tools, one for each spec; `[]` if this try fails."""
    try:
        tasks = [_draw_task(repertoire, spec, rng) for spec in specs]
    except NoValue:
        return []
    tools = _choose_tools(repertoire, tasks, rng)
    episodes = []
    for spec, task in zip(specs, tasks, strict=True):
        episode = _make_episode(repertoire, spec, replace(task, tools=tools), number, rng) if tools else None
        if episode is None:
            return []
        episodes.append(episode)
    return episodes


def _make_episode(
    repertoire: Repertoire, spec: EpisodeSpec, task: Task, number: int, rng: random.Random
) -> Episode | None:
    """Runs the task's solution with the mistakes that the spec asks for; None if they cannot be made."""
    script = [format_call(call) for call in task.solution]
    if spec.error is ErrorCategory.TOOL_INSTABILITY:
        script = script if task.retried else []
    elif spec.error:
        script = _with_mistake(repertoire, task, script, spec.error, rng)
    if not script:
        return None
    if spec.error and rng.random() < SECOND_MISTAKE:
        another = rng.choice([category for category in ERROR_SHARES if category is not ErrorCategory.TOOL_INSTABILITY])
        script = _with_mistake(repertoire, task, script, another, rng) or script
    messages = [Message("user", task.request)]
    for text, feedback in zip(script, _run(repertoire, task, script), strict=True):
        messages += [Message("assistant", text, is_call=True), Message("tool", feedback.text)]
    name = f"{number:05d}/{spec.kind}/{task.source}/{task.seed}"
    without_last = tuple(messages[:-1])  # `finish` gets no feedback
    return Episode(spec, task, Trajectory(name, (*task.tools, *BUILT_INS), without_last))


def join(episodes: Sequence[Episode]) -> Trajectory:
    """One trajectory of episodes with the same tools: each answer is followed by the next request.

    Every request has a session of its own, as in evaluation, where a session ends with its answer.
    """
    first, *others = [episode.trajectory for episode in episodes]
    names = [first.id, *(other.id.partition("/")[2] for other in others)]
    return Trajectory("+".join(names), first.tools, tuple(m for t in (first, *others) for m in t.messages))


# ---- the request and its solution


def _draw_task(repertoire: Repertoire, spec: EpisodeSpec, rng: random.Random) -> Task:
    """A request that fits the spec, with its solution. Raises `NoValue` if there is none."""
    outage = spec.error is ErrorCategory.TOOL_INSTABILITY
    seed = next(seed for seed in iter(lambda: rng.randrange(1_000_000), None) if has_outage(seed) == outage)
    if spec.kind == "refusal" and rng.random() < OUT_OF_SCOPE_SHARE:
        return _out_of_scope(spec, seed, rng)
    scenarios = [one for one in repertoire.scenarios if one.ask or spec.kind != "ask"]
    if not scenarios:
        raise NoValue("no scenario leaves something for the user to say")
    scenario = rng.choice(scenarios)
    ask = scenario.ask if spec.kind == "ask" else None
    draw = Draw(rng, seed, spec.unseen_values)
    plan = scenario.plan(draw)
    facts = cast(dict[str, Any], next(plan))
    words = ask or scenario
    template = rng.choice(words.unseen if spec.unseen_phrasing else words.phrasings)
    solution, retried = _solve(repertoire, plan, scenario, seed)
    user_answer = ""
    if ask:
        solution.insert(0, Call(ASK_TO_USER.name, {"question": f"What is the {_spoken(ask.parameter)}?"}))
        answers = wording.UNSEEN_USER_ANSWERS if spec.unseen_phrasing else wording.USER_ANSWERS
        user_answer = rng.choice(answers).format(facts[ask.fact])
    if spec.kind == "refusal":
        solution = [REFUSE]
    request = _wrapped(template.format(**facts), spec, rng)
    values = tuple(draw.split_values)
    if spec.unseen_values and not spec.unseen_phrasing and not any(value in request for value in values):
        raise NoValue("nothing that the request says is new")
    return Task(scenario.name, seed, request, template, values, tuple(solution), user_answer, retried)


def _out_of_scope(spec: EpisodeSpec, seed: int, rng: random.Random) -> Task:
    """A request that no tool of the library can serve."""
    draw = Draw(rng, seed, spec.unseen_values)
    template = rng.choice(wording.UNSEEN_OUT_OF_SCOPE if spec.unseen_phrasing else wording.OUT_OF_SCOPE)
    request = _wrapped(template.format(place=draw.one(CITIES)), spec, rng)
    return Task("none", seed, request, template, tuple(draw.split_values), (REFUSE,))


def _wrapped(request: str, spec: EpisodeSpec, rng: random.Random) -> str:
    return rng.choice(wording.UNSEEN_ASIDES if spec.unseen_phrasing else wording.ASIDES).format(request)


def _solve(repertoire: Repertoire, plan: Plan, scenario: Scenario, seed: int) -> tuple[list[Call], bool]:
    """The teacher: follows the plan to its answer, and repeats a call once if the connection failed.

    Returns the calls, and whether one was repeated. Raises `NoValue` if a tool reports that something is impossible.
    """
    calls: list[Call] = []
    retried, result = False, None
    own = [name for name, toolkit in repertoire.executor.toolkit_of.items() if toolkit == scenario.toolkit]
    with repertoire.executor.session(seed, own) as session:
        while True:
            try:
                call = cast(Call, plan.send(result))
            except StopIteration as stop:
                answer = report(result if stop.value is None else stop.value)
                return [*calls, Call(FINISH.name, {"answer": answer})], retried
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
            result = value_of(feedback.text)


def value_of(text: str) -> JSON:
    """What a tool returned: its feedback as JSON, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


# ---- the answer


def report(result: JSON) -> str:
    """A sentence that says what a tool returned; of several records, the first field of each."""
    if isinstance(result, list) and len(result) == 1:
        (result,) = result
    if isinstance(result, list) and result and isinstance(result[0], dict):
        key = next(iter(result[0]))
        result = {f"{key}s": [record[key] for record in result]}
    elif isinstance(result, list) and result and isinstance(result[0], list):
        result = [row[0] for row in result]
    if not isinstance(result, dict):
        result = {"results" if isinstance(result, list) else "result": result}
    parts = [
        f"the {_spoken(name)} {_told(name, value)}" for name, value in result.items() if value not in (None, [], "")
    ]
    if not parts:
        return "I found nothing."
    text = " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
    return f"T{text[1:]}."


def _told(name: str, value: JSON) -> str:
    """`is 7`, `are 7, 8`: the name decides."""
    verb = "are" if name.endswith("s") and not name.endswith("us") else "is"
    return f"{verb} {', '.join(map(str, value)) if isinstance(value, list) else value}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")


# ---- the tools of the prompt


def _choose_tools(repertoire: Repertoire, tasks: Sequence[Task], rng: random.Random) -> tuple[ToolSpec, ...] | None:
    """The tools that the solutions need, the tool with the name most similar to the first of these, and others while
    they fit; shuffled. Toolkits that could serve a refused request are left out.

    None if the needed tools do not fit (a single request may exceed the limit), or if a refused request could use one.
    """
    toolkit_of, lengths = repertoire.executor.toolkit_of, repertoire.lengths
    missing = {task.toolkit for task in tasks if task.is_refused}
    specs = {name: spec for name, spec in repertoire.executor.specs.items() if toolkit_of[name] not in missing}
    needed = list(dict.fromkeys(call.name for task in tasks for call in task.solution if call.name in toolkit_of))
    room = TOOL_CHARACTERS + MORE_CHARACTERS * (len(tasks) - 1)
    if not specs.keys() >= set(needed) or (len(tasks) > 1 and sum(lengths[name] for name in needed) > room):
        return None
    others = rng.sample([name for name in specs if name not in needed], len(specs) - len(needed))
    siblings = [_most_similar(name, others) for name in needed if others]
    chosen = dict.fromkeys([*needed, *siblings[:1]])
    room -= sum(lengths[name] for name in chosen)
    for name in [*siblings[1:], *others]:
        if name not in chosen and lengths[name] <= room:
            chosen[name] = None
            room -= lengths[name]
    tools = [specs[name] for name in chosen]
    rng.shuffle(tools)
    return tuple(tools)


def _most_similar(name: str, others: Sequence[str]) -> str:
    return max(others, key=lambda other: len(os.path.commonprefix((name, other))))


# ---- mistakes, and the run that is recorded


def _with_mistake(
    repertoire: Repertoire, task: Task, script: list[str], wanted: ErrorCategory, rng: random.Random
) -> list[str]:
    """The script with an additional call that fails with the category `wanted`; `[]` if no candidate does."""
    specs = {tool.name: tool for tool in task.tools}
    right_calls = {format_call(call) for call in task.solution if call.name in specs}
    places = [at for at, text in enumerate(script) if text in right_calls]
    if not places:
        return []
    at = rng.choice(places)
    right = parse_call(script[at])
    for wrong in mistakes(wanted, right, specs[right.name], repertoire.executor.specs, rng):
        text = format_call(wrong)
        if _run(repertoire, task, [*script[:at], text])[-1].category is wanted:
            return [*script[:at], text, *script[at:]]
    return []


def _run(repertoire: Repertoire, task: Task, script: list[str]) -> list[Feedback]:
    """Runs calls in a new session with only the task's tools."""
    names = [tool.name for tool in task.tools]
    with repertoire.executor.session(task.seed, names, answer=lambda _question: task.user_answer) as session:
        return [session.run(text) for text in script]
