"""A request and its calls, without feedback or answer: xLAM-60k, APIBench (Gorilla), NL2Bash."""

import re

from tl.calls import Call
from tl.datasets.source import python_call
from tl.trajectory import Notes
from tl.trajectory.items import json_or_none

_INSTRUCTION = re.compile(r"\s*#{2,3} ?Instruction:(.*?)(?:#{2,3} ?Output:|\Z)", re.DOTALL)


def is_xlam(raw: object) -> bool:
    return isinstance(raw, dict) and {"query", "answers", "tools"} <= raw.keys()


def xlam(raw: dict, _notes: Notes) -> dict:
    answers = json_or_none(raw["answers"]) if isinstance(raw["answers"], str) else raw["answers"]
    if not isinstance(answers, list) or not answers:
        raise ValueError("`answers` must be a list of calls with at least one")
    return {"id": raw.get("id"), "tools": raw["tools"], "messages": request(raw["query"], answers)}


def request(text: object, calls: list) -> list[dict]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": None, "tool_calls": calls}]


def is_apibench(raw: object) -> bool:
    return isinstance(raw, dict) and {"code", "api_call"} <= raw.keys()


def apibench(raw: dict, notes: Notes) -> dict:
    """The call is Python source; the tool is described by `api_data`, and its parameters are those that are given."""
    found = _INSTRUCTION.match(str(raw["code"]))
    request_text = found[1].strip() if found else ""
    if not request_text:
        raise ValueError("`code` contains no ###Instruction:")
    call = python_call(str(raw["api_call"]), notes)
    if call is None:
        raise ValueError(f"the call {raw['api_call']!r:.80} is not one call with literal arguments")
    return {"tools": [_described(call, raw.get("api_data"))], "messages": request(request_text, [_entry(call)])}


def _described(call: Call, documentation: object) -> dict:
    description = documentation.get("description") if isinstance(documentation, dict) else None
    properties: dict[str, dict] = {key: {} for key in call.arguments}
    text = description if isinstance(description, str) else ""
    return {"name": call.name, "description": text, "parameters": {"type": "object", "properties": properties}}


def _entry(call: Call) -> dict:
    return {"name": call.name, "arguments": call.arguments}


def is_nl2bash(raw: object) -> bool:
    return isinstance(raw, dict) and raw.keys() == {"nl", "cm"}


def nl2bash(raw: dict, _notes: Notes) -> dict:
    """A line of all.nl with the line of all.cm."""
    if not raw["nl"] or not raw["cm"]:
        raise ValueError("a request without a command, or a command without a request")
    if any("\ufffd" in str(text) for text in raw.values()):
        raise ValueError("a byte that is not UTF-8")
    call = {"name": "bash", "arguments": {"command": raw["cm"]}}
    return {"tools": [shell_tool("bash", "command", "Run a command.")], "messages": request(raw["nl"], [call])}


def shell_tool(name: str, parameter: str, description: str) -> dict:
    properties = {parameter: {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": [parameter]}
    return {"name": name, "description": description, "parameters": schema}
