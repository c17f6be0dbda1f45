"""A language model as teacher (paper, Appendix B): any OpenAI-compatible chat endpoint makes the calls.

The requests, tools and worlds are those of scripted episodes. Feedback is what execution returned, and execution
decides what is kept: the answer has to hold what the tools return to somebody who solves the request.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from tl.datasets import DataError
from tl.executor import Executor
from tl.rollout.dialogue import StopReason
from tl.rollout.endpoint import Endpoint, EndpointError, EndpointPolicy
from tl.rollout.episodes import Request, Rollout, outcome, play
from tl.synthesis.episodes import REFUSAL, Episode
from tl.synthesis.requests import request_of
from tl.trajectory import Message, Trajectory

INSTRUCTIONS = (
    "Serve the user's request with the tools. Make one call at a time and wait for its output. If something is missing "
    "that only the user knows, call ask_to_user. End with finish: a short sentence with all that was asked for. "
    f"If the tools cannot serve the request, finish with {REFUSAL!r}"
)
MAX_TOKENS = 1024  # of one turn of the teacher


def write_taught(out: Path, episodes: Sequence[Episode], toolkits: Sequence[str], endpoint: Endpoint) -> Counter[str]:
    """Appends the teacher's trajectories to a file, request by request, without those that the file already holds.
    Returns how many were left out, by reason."""
    done = resumed(out, {episode.trajectory.id for episode in episodes})
    faults: Counter[str] = Counter()
    with Executor(toolkits) as executor, out.open("a", encoding="utf-8") as file:
        requests = [request_of(episode, executor) for episode in episodes if episode.trajectory.id not in done]
        for trajectory in tqdm(teach(requests, endpoint, faults), "taught", total=len(requests), disable=None):
            file.write(trajectory.to_line())
            file.flush()
    return faults


def resumed(out: Path, ids: Collection[str]) -> set[str]:
    """Ids of the records that an earlier run for these ids wrote; an unfinished last line is removed from the file.

    Raises DataError, and leaves the file as it is, where it holds anything else."""
    if not out.exists():
        return set()
    *lines, rest = out.read_bytes().split(b"\n")
    try:
        done = [json.loads(line)["id"] for line in lines]
        ours = set(done) <= set(ids) and (not rest or rest.startswith(b'{"id": "'))
    except (ValueError, TypeError, KeyError):
        ours = False
    if not ours:
        raise DataError(f"{out} contains something other than the output of these flags: choose another --out")
    with out.open("r+b") as file:
        file.truncate(sum(len(line) + 1 for line in lines))
    return set(done)


def teach(
    requests: Sequence[Request], endpoint: Endpoint, faults: Counter[str], parallel: int = 8
) -> Iterator[Trajectory]:
    """The trajectories worth keeping, `parallel` requests at a time; `faults` counts the others by reason.

    Raises `EndpointError` when the endpoint fails for good; what was yielded before that is complete.
    """
    system = Message("system", INSTRUCTIONS)
    instructed = [replace(request, messages=(system, *request.messages)) for request in requests]
    policy = EndpointPolicy(endpoint, "auto", parallel, MAX_TOKENS)
    for index, rollout in play(instructed, policy, parallel):
        if rollout.stop is StopReason.POLICY:
            raise EndpointError(rollout.note)
        fault = fault_of(requests[index], rollout)
        if fault:
            faults[fault] += 1
        else:
            yield replace(rollout.trajectory, messages=rollout.trajectory.messages[1:])


def fault_of(request: Request, rollout: Rollout) -> str:
    """Why an episode is not to be kept; empty for a good one."""
    result = outcome(request, rollout)
    if None in result.categories:
        return "the executor failed"
    if not result.finished:
        return "no finish"
    if not request.servable and result.real:
        return "an answer where none can be had"
    if not (result.real if request.servable else result.refused):
        return "no real answer"
    return "a wrong answer" if result.right is False else ""
