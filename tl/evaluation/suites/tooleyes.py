"""ToolEyes (Ye et al., 2025): 382 requests to tools that need the network, without golden answers.

The tools themselves are not here, so that only what their documentation decides is known of a call.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from tl.calls import CallSyntaxError, parse_call
from tl.datasets import DataError
from tl.evaluation.suites import EpisodeSuite
from tl.evaluation.suites.files import find, read_json, read_list
from tl.executor import Cause, Feedback
from tl.executor.driving import Steps
from tl.rollout.episodes import Request
from tl.schema import FINISH, ToolSpec
from tl.trajectory import Message

PAPER_COUNT = 382  # Table 2
NO_BACKEND = "The tool is not available now."


def read(data: Path) -> EpisodeSuite:
    """All requests, each with the tools of its category."""
    path = find(data, ["tooleyes"], ["scenario_data_raw.json"])
    docs = read_json(find(data, ["tooleyes"], ["tool_docs.json"]))
    requests = tuple(
        _request(record, docs, number, f"{path}, record {number}") for number, record in enumerate(read_list(path), 1)
    )
    notes = (
        f"all {len(requests)} requests (the paper counts {PAPER_COUNT})",
        "the tools need the network and are not here: each call that fits the documentation gets the feedback "
        f'"{NO_BACKEND}", so CE and VA mean nothing and are not given; DE and the share of episodes with finish do',
    )
    return EpisodeSuite("tooleyes", "ToolEyes", requests, notes, has_backend=False, paper=True)


def _request(record: dict, docs: dict, number: int, where: str) -> Request:
    try:
        key = "/".join(str(record["path"]).split("/")[-2:])
        tools = tuple(map(ToolSpec.from_openai, docs[key]))
        message = Message("user", str(record["query"]).strip())
        name = f"{number:03d}/{record['scenario']}"
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: {type(error).__name__}: {error}") from error
    return Request(name, tools, (message,), lambda: nullcontext(DocumentedSession(tools)))


class DocumentedSession:
    """A session whose tools do nothing: feedback says what the documentation says of a call, in Python's words."""

    def __init__(self, tools: tuple[ToolSpec, ...]) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.finished = False

    def steps(self, text: str) -> Steps[Feedback]:
        yield from ()  # nothing to wait for
        try:
            call = parse_call(text)
        except CallSyntaxError as error:
            return Feedback(f"SyntaxError: {error}", Cause.FORMAT_ERROR)
        tool = self.tools.get(call.name)
        if tool is None:
            return Feedback(f"name {call.name} is not defined", Cause.UNKNOWN_TOOL)
        if unknown := [key for key in call.arguments if key not in tool.parameters]:
            said = f"{call.name}() got an unexpected keyword argument '{unknown[0]}'"
            return Feedback(said, Cause.UNEXPECTED_KEYWORD)
        if missing := [key for key in tool.required if key not in call.arguments]:
            said = f"{call.name}() missing {len(missing)} required positional arguments: {', '.join(missing)}"
            return Feedback(said, Cause.MISSING_ARGUMENT)
        self.finished = call.name == FINISH.name
        return Feedback("" if self.finished else NO_BACKEND, Cause.OK)
