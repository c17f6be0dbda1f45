"""ToolEyes (Ye et al., 2025): 382 requests to tools that need the network, without golden answers.

The tools themselves are not here. Where they are not given, only what their documentation decides is known of a call.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tl.datasets import DataError
from tl.evaluation.suites import EpisodeSuite
from tl.evaluation.suites.files import find, read_list
from tl.executor import Executor
from tl.executor.execution import InProcessSession, no_answer
from tl.executor.library import Tool
from tl.rollout.episodes import Request
from tl.schema import ToolSpec
from tl.trajectory import Message

PAPER_COUNT = 382  # Table 2
TOOLS_FOLLOW = "you have access of the following tools:"  # as published
NO_BACKEND = "The tool is not available now."


def read(data: Path, executor: Executor | None = None) -> EpisodeSuite:
    """All requests, each with the tools of its category. `data`: a clone of the repository, or its folder Test_Data.

    With an executor, the requests whose tools it has, which run there."""
    path = find(data, ["Test_Data"], ["scenario_data_zero_processed.json"])
    records = list(enumerate(read_list(path), 1))
    requests = [_request(record, number, f"{path}, record {number}", executor) for number, record in records]
    kept = tuple(request for request in requests if request)
    left_out: list[str] = []
    if executor is None:
        note = (
            "the tools need the network and are not here: each call that fits the documentation gets the feedback "
            f'"{NO_BACKEND}", so CE and VA mean nothing and are not given; DE and the share of episodes with finish do'
        )
    else:
        note = f"the requests whose tools could be loaded; {len(executor.broken)} of the tools' files could not"
        missing = [_toolkit(record) for (_, record), request in zip(records, requests, strict=True) if request is None]
        left_out = _reasons(missing, executor)
        if left_out:
            warnings.warn(f"{len(missing)} of {len(requests)} requests are {'; '.join(left_out)}", stacklevel=2)
    notes = (f"{len(kept)} of {len(requests)} requests (the paper counts {PAPER_COUNT})", note, *left_out)
    return EpisodeSuite("tooleyes", "ToolEyes", kept, notes, has_backend=executor is not None, paper=True)


def _toolkit(record: dict) -> str:
    """The name of the toolkit of a request, as `tl.executor` has it."""
    return "/".join(str(record["path"]).split("/")[-2:])


def _reasons(toolkits: Sequence[str], executor: Executor) -> list[str]:
    """Why requests are left out, a text for each reason; `toolkits` has the toolkit of each request."""
    by_reason: dict[str, list[str]] = {}
    for toolkit in toolkits:
        reason = executor.broken.get(toolkit, "--tools has no such folder").split(": ", 2)[-1]  # without its place
        by_reason.setdefault(reason, []).append(toolkit)
    return [
        f"left out: {len(names)} for {', '.join(dict.fromkeys(names))} ({reason})"
        for reason, names in by_reason.items()
    ]


def _request(record: dict, number: int, where: str, executor: Executor | None) -> Request | None:
    try:
        system, user = (str(message["value"]) for message in record["conversations"])
        tools = tuple(map(ToolSpec.from_openai, _declared(system)))
        name = f"{number:03d}/{record['scenario']}"
        toolkit = _toolkit(record)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: {type(error).__name__}: {error}") from error
    open_session: Callable = partial(_session, tools)
    if executor is not None:
        names = [key for key, owner in executor.toolkit_of.items() if owner == toolkit]
        if not names:
            return None
        open_session = partial(executor.session, None, names)
    return Request(name, tools, (Message("user", user.strip()),), open_session)


def _declared(instructions: str) -> list[dict]:
    """The tools, which stand as a JSON list at the end of the instructions."""
    _, mark, text = instructions.partition(TOOLS_FOLLOW)
    if not mark:
        raise ValueError(f"the instructions do not name tools: no {TOOLS_FOLLOW!r}")
    return json.JSONDecoder().raw_decode(text.lstrip())[0]


def _session(tools: tuple[ToolSpec, ...]) -> InProcessSession:
    """Tools that do nothing: feedback says what the documentation says of a call, in Python's words."""
    return InProcessSession({tool.name: Tool(tool, lambda **_: NO_BACKEND) for tool in tools}, no_answer)
