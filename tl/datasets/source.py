"""Calls written as Python source, in which arguments may be positional."""

import re

from tl.calls import Call, CallSyntaxError
from tl.forms import read_calls
from tl.schema import ToolSpec
from tl.trajectory import Note, Notes

_NAME = re.compile(r"\s*([\w.]+)\s*\(")
_UNNAMED: dict[str, dict] = {f"arg{number}": {} for number in range(20)}


def python_call(text: str, notes: Notes, tools: tuple[ToolSpec, ...] = ()) -> Call | None:
    """One call, or None if it is not literal. Unnamed arguments get the names of the tool's parameters, else arg0, …"""
    for known in (tools, _numbered(text)):
        try:
            (call,) = read_calls(text, "python", known)
        except (CallSyntaxError, ValueError):
            continue
        notes[Note.POSITIONAL] += "arg0" in call.arguments
        return call
    return None


def _numbered(text: str) -> tuple[ToolSpec, ...]:
    found = _NAME.match(text)
    return (ToolSpec(found[1], "", dict(_UNNAMED), ()),) if found else ()
