"""ToolEyes (Ye et al., 2025): 382 requests to tools that need the network, without golden answers.

The tools themselves are not here, so that only what their documentation decides is known of a call.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tl.datasets import DataError
from tl.evaluation.suites import EpisodeSuite
from tl.evaluation.suites.files import find, read_list
from tl.executor.execution import InProcessSession, no_answer
from tl.executor.library import Tool
from tl.rollout.episodes import Request
from tl.schema import ToolSpec
from tl.trajectory import Message

PAPER_COUNT = 382  # Table 2
TOOLS_FOLLOW = "you have access of the following tools:"  # as published
NO_BACKEND = "The tool is not available now."


def read(data: Path) -> EpisodeSuite:
    """All requests, each with the tools of its category. `data`: a clone of the repository, or its folder Test_Data."""
    path = find(data, ["Test_Data"], ["scenario_data_zero_processed.json"])
    requests = tuple(
        _request(record, number, f"{path}, record {number}") for number, record in enumerate(read_list(path), 1)
    )
    notes = (
        f"all {len(requests)} requests (the paper counts {PAPER_COUNT})",
        "the tools need the network and are not here: each call that fits the documentation gets the feedback "
        f'"{NO_BACKEND}", so CE and VA mean nothing and are not given; DE and the share of episodes with finish do',
    )
    return EpisodeSuite("tooleyes", "ToolEyes", requests, notes, has_backend=False, paper=True)


def _request(record: dict, number: int, where: str) -> Request:
    try:
        system, user = (str(message["value"]) for message in record["conversations"])
        tools = tuple(map(ToolSpec.from_openai, _declared(system)))
        name = f"{number:03d}/{record['scenario']}"
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: {type(error).__name__}: {error}") from error
    return Request(name, tools, (Message("user", user.strip()),), partial(_session, tools))


def _declared(instructions: str) -> list[dict]:
    """The tools, which stand as a JSON list at the end of the instructions."""
    _, mark, text = instructions.partition(TOOLS_FOLLOW)
    if not mark:
        raise ValueError(f"the instructions do not name tools: no {TOOLS_FOLLOW!r}")
    return json.JSONDecoder().raw_decode(text.lstrip())[0]


def _session(tools: tuple[ToolSpec, ...]) -> InProcessSession:
    """Tools that do nothing: feedback says what the documentation says of a call, in Python's words."""
    return InProcessSession({tool.name: Tool(tool, lambda **_: NO_BACKEND) for tool in tools}, no_answer)
