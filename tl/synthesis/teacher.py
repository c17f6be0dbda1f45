"""Makes trajectories from tasks (paper, Appendix B): a teacher makes the calls, execution decides what is kept.

The teacher is a language model behind any OpenAI-compatible chat endpoint, or the golden calls of the tasks themselves.
Feedback is what execution returned, and the answer must contain the facts that the tools return.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tl.calls import Call, format_call
from tl.datasets import DataError
from tl.executor import Executor
from tl.files import open_alone
from tl.rollout.dialogue import Dialogue, Response, StopReason
from tl.rollout.endpoint import Endpoint, EndpointError, EndpointPolicy
from tl.rollout.episodes import Request, Rollout, outcome, play
from tl.rollout.tasks import Task
from tl.schema import FINISH
from tl.synthesis.episodes import REFUSAL, report, value_of
from tl.trajectory import Message, Trajectory

INSTRUCTIONS = (
    "Serve the user's request with the tools. Make one call at a time and wait for its output. If something is missing "
    "that only the user knows, call ask_to_user. End with finish: a short sentence with all that was asked for. "
    f"If the tools cannot serve the request, finish with {REFUSAL!r}"
)
MAX_TOKENS = 1024  # of one turn of the teacher
PARALLEL = 8  # requests at a time
EXECUTOR_FAILED = "the executor failed"
_START = b'{"id": "'  # of every record


def write_taught(out: Path, tasks: Sequence[Task], executor: Executor, endpoint: Endpoint | None) -> Counter[str]:
    """Appends the teacher's trajectories to a file, except for tasks that the file already contains. Without an
    endpoint, the golden calls are used. Returns how many were left out, by reason. Raises DataError if golden calls
    are missing, or if the file is of another command or teacher."""
    if endpoint is None and (unsolved := [task.id for task in tasks if not task.calls]):
        first = f"{len(unsolved)} of {len(tasks)} tasks have no golden calls, {unsolved[0]} first"
        raise DataError(f"{first}: give them `calls`, or name a --teacher")
    faults: Counter[str] = Counter()
    settings = {"teacher_model": endpoint.model} if endpoint else None
    with open_alone(out) as file:
        done = resumed(out, {task.id: task.query for task in tasks}, settings)
        left = [task for task in tasks if task.id not in done]
        requests = [task.request(executor) for task in left]
        made = teach(requests, endpoint, faults) if endpoint else rehearse(left, requests, faults)
        for trajectory in tqdm(made, "taught", total=len(requests), disable=None):
            record = trajectory.to_openai() | ({"made_with": settings} if settings else {})
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
    return faults


def made_with(config: Any, weights: str) -> dict[str, Any]:
    """What sampled episodes depend on, for `resumed`: settings, tools, and the model's weights, as a digest."""
    settings = {name: getattr(config, name) for name in ("model", "template", "samples", "max_new_tokens", "seed")}
    return settings | {"weights": weights} | config.sources()


def resumed(out: Path, queries: Mapping[str, str], settings: dict | None = None) -> set[str]:
    """Ids of the records that an earlier run for these queries, by id, wrote; an unfinished last line is removed from
    the file.

    Raises DataError and leaves the file unchanged if it contains anything else, such as other queries under these ids,
    or records whose `made_with` differs from the settings."""
    if not out.exists():
        return set()
    *lines, rest = out.read_bytes().split(b"\n")
    try:
        records = [json.loads(line) for line in lines]
        done = [record["id"] for record in records]
        ours = all(_query(record) == queries[record["id"]] for record in records) and (
            rest.startswith(_START) or _START.startswith(rest)
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        ours = False
    if not ours:
        raise DataError(f"{out} was not written by the same command for the same requests: choose another name")
    if done:
        before, now = records[0].get("made_with") or {}, settings or {}
        changes = [f"{n}: {before.get(n)} -> {now.get(n)}" for n in before | now if before.get(n) != now.get(n)]
        if changes:
            told = ", ".join(changes)
            raise DataError(f"{out} was made with other settings: {told}. Delete it, or choose another name")
    with out.open("r+b") as file:
        file.truncate(sum(len(line) + 1 for line in lines))
    return set(done)


def _query(record: dict) -> str | None:
    """The user's first message in a trajectory, or in the prompt of a pair."""
    messages = record.get("messages") or record["prompt"]
    return next((message["content"] for message in messages if message["role"] == "user"), None)


def teach(requests: Sequence[Request], endpoint: Endpoint, faults: Counter[str]) -> Iterator[Trajectory]:
    """Yields the trajectories worth keeping; `faults` counts the others by reason.

    Raises `EndpointError` if the endpoint fails permanently; what was yielded before is complete.
    """
    system = Message("system", INSTRUCTIONS)
    instructed = [replace(request, messages=(system, *request.messages)) for request in requests]
    policy = EndpointPolicy(endpoint, "auto", PARALLEL, MAX_TOKENS)
    for index, rollout in play(instructed, policy, PARALLEL):
        if rollout.stop is StopReason.POLICY:
            if policy.broken:
                raise EndpointError(rollout.note)
            faults["the endpoint gave no turn"] += 1
            warnings.warn(f"{requests[index].id} left out: {rollout.note}", stacklevel=2)
            continue
        fault = fault_of(requests[index], rollout)
        if fault:
            faults[fault] += 1
        else:
            yield replace(rollout.trajectory, messages=rollout.trajectory.messages[1:])


def rehearse(tasks: Sequence[Task], requests: Sequence[Request], faults: Counter[str]) -> Iterator[Trajectory]:
    """Yields the trajectories of the golden calls if all calls work and the answer is right; `faults` counts the other
    tasks by reason, and a warning names the failed call. An unknown answer reports the last tool's result."""

    def golden(dialogues: Sequence[Dialogue]) -> list[Response]:
        return [Response((_next_call(tasks[dialogue.number], dialogue.messages),)) for dialogue in dialogues]

    whole = [replace(r, max_turns=len(t.calls) + 1) for r, t in zip(requests, tasks, strict=True)]
    for index, rollout in play(whole, golden, PARALLEL):
        wrong = [
            f"{c.content} gave {f.text}"
            for (c, _), f in zip(rollout.trajectory.calls(), rollout.feedback, strict=True)
            if f.category and f.category.is_error
        ]
        fault = "a golden call failed" if wrong else fault_of(requests[index], rollout)
        if wrong:
            warnings.warn(f"{tasks[index].id} left out: {wrong[0]}", stacklevel=2)
        if fault:
            faults[fault] += 1
        else:
            yield rollout.trajectory


def _next_call(task: Task, messages: Sequence[Message]) -> str:
    made = sum(message.is_call for message in messages)
    if made < len(task.calls):
        return format_call(task.calls[made])
    return format_call(Call(FINISH.name, {"answer": report(value_of(messages[-1].content))}))


def fault_of(request: Request, rollout: Rollout) -> str:
    """Why an episode is dropped; empty if it is kept."""
    result = outcome(request, rollout)
    if None in result.categories or rollout.stop is StopReason.EXECUTOR:
        return EXECUTOR_FAILED
    if not result.finished:
        return "no room for another call" if rollout.stop is StopReason.CONTEXT else "no finish"
    if not request.servable and result.real:
        return "an answer where none can be had"
    if not (result.real if request.servable else result.refused):
        return "no real answer"
    if result.right is None and request.check is not None:
        return EXECUTOR_FAILED
    return "a wrong answer" if result.right is False else ""
