"""ToolACE: calls as `[Name of a tool(key="value"), …]`, whose names may hold spaces and parentheses."""

import re

from tl.calls import Call, CallSyntaxError, parse_call
from tl.datasets.readers.sharegpt import sharegpt, turns_of
from tl.datasets.source import python_call
from tl.trajectory import Notes
from tl.trajectory.tools import closing, listed_tools, tools_in_text

_FIRST_NAME = re.compile(r"\[\s*[^\s\[\](){}'\"](?:[^\[\](){}'\"]|(?<=\w)'(?=[\w ]))*\(")


def is_toolace(raw: object) -> bool:
    return any(
        isinstance(turn, dict) and turn.get("from") in ("assistant", "gpt") and isinstance(turn.get("value"), str)
        and _holds_calls(turn["value"])
        for turn in turns_of(raw) or []
    )  # fmt: skip


def _holds_calls(text: str) -> bool:
    """Whether a text is a list of something with a name and parentheses."""
    bare = text.strip()
    return bare.endswith("]") and bare[:-1].rstrip().endswith(")") and bool(_FIRST_NAME.match(bare))


def toolace(raw: dict, notes: Notes) -> dict:
    record = sharegpt(raw, notes)
    system = [raw.get("system"), *(m["content"] for m in record["messages"][:1] if m["role"] == "system")]
    declared = listed_tools(raw) or [
        tool for text in system if isinstance(text, str) for tool in tools_in_text(text)[0]
    ]
    names = [str(tool.get("name")) for tool in declared if isinstance(tool, dict)]
    return record | {"messages": [_message(given, names, notes) for given in record["messages"]]}


def _message(given: dict, names: list[str], notes: Notes) -> dict:
    content = given["content"]
    if given["role"] not in ("assistant", "gpt") or not isinstance(content, str) or not _holds_calls(content):
        return given
    return given | {"content": None, "tool_calls": calls_in_list(content.strip()[1:-1], names, notes)}


def calls_in_list(text: str, names: list[str], notes: Notes) -> list[dict]:
    """The calls of a list. A call's name is the longest declared name at its place, otherwise all text before "("."""
    calls, at = [], 0
    while at < len(text):
        if text[at] in " \t\r\n,":
            at += 1
            continue
        declared = [name for name in names if text.startswith(name, at) and text[at + len(name) :].lstrip()[:1] == "("]
        opening = text.find("(", at + len(max(declared, key=len, default="")))
        end = closing(text, opening) if opening >= 0 else 0
        if not end:
            calls.append({"text": text[at:]})
            break
        calls.append(_call(text[at:opening].strip(), text[opening:end], notes))
        at = end
    return calls


def _call(name: str, arguments: str, notes: Notes) -> dict:
    try:
        call: Call | None = Call(name, parse_call(f"f{arguments}").arguments)
    except CallSyntaxError:
        call = python_call(f"f{arguments}", notes)
    if call is None:
        return {"name": name or "?", "arguments": arguments[1:-1]}
    return {"name": name or "?", "arguments": call.arguments}
