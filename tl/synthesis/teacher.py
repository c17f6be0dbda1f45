"""A language model as teacher (paper, Appendix B): any OpenAI-compatible chat endpoint makes the calls.

The requests, tools and worlds are those of scripted episodes. Feedback is what execution returned, and execution
decides what is kept: the answer has to hold what the tools return to somebody who solves the request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tl.rollout.dialogue import StopReason
from tl.rollout.endpoint import Endpoint, EndpointError, EndpointPolicy
from tl.rollout.episodes import Request, Rollout, outcome, play
from tl.synthesis.episodes import REFUSAL
from tl.trajectory import Message, Trajectory

INSTRUCTIONS = (
    "Serve the user's request with the tools. Make one call at a time and wait for its output. If something is missing "
    "that only the user knows, call ask_to_user. End with finish: a short sentence with all that was asked for. "
    f"If the tools cannot serve the request, finish with {REFUSAL!r}"
)
MAX_TOKENS = 1024  # of one turn of the teacher


def teach(
    requests: Sequence[Request], endpoint: Endpoint, faults: Counter[str], parallel: int = 8
) -> Iterator[Trajectory]:
    """The trajectories worth keeping, `parallel` requests at a time; `faults` counts the others by reason.

    Raises `EndpointError` when the endpoint fails for good; what was given before is good.
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
    if not request.servable and result.valid:
        return "an answer where none can be had"
    if not (result.valid if request.servable else result.refused):
        return "no real answer"
    return "a wrong answer" if result.right is False else ""
