"""Parses tool calls in the formats in which other models write them (paper, Tables 6–12).

Everything is read as data: JSON, literals, or the syntax tree of a Python call whose arguments are constants. Every
reader takes time linear in the length of the text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tl.calls import JSON, MAX_LENGTH, Call, CallSyntaxError, parse_call, parse_literal
from tl.forms.around import calls_among_words
from tl.forms.marks import END_TOKENS, Marked, drop_reasoning, marked, unfenced
from tl.forms.python import read_python_calls
from tl.forms.values import (
    ARGUMENT_KEYS,
    BESIDE_ARGUMENTS,
    call_of,
    calls_of,
    fail,
    leading_value,
    looks_like_calls,
    named_call,
    read_arguments,
)
from tl.schema import FINISH, ToolSpec

__all__ = [
    "ARGUMENT_KEYS",
    "BESIDE_ARGUMENTS",
    "Form",
    "Prediction",
    "call_of",
    "detect",
    "drop_reasoning",
    "marked",
    "marked_calls",
    "read_arguments",
    "read_calls",
    "read_prediction",
    "read_python_calls",
]

Form = Literal["auto", "call", "python", "action", "json", "tool_call", "functioncall", "openai", "name_json"]

_QUOTED_ARGUMENTS = re.compile(
    r"""\s*\{\s*"name"\s*:\s*"([^"]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*'(.*)'\s*\}\s*""", re.DOTALL
)
_ACTION = re.compile(r"Action\s*:")
_ACTION_INPUT = re.compile(r"Action Input\s*:(?:\s*```(?:json)?\n)?")
_NO_INPUT = re.compile(r"\s*(?:\Z|(?:Observation|Thought|Final Answer)\s*:)")
_FINAL_ANSWER = re.compile(r"Final Answer\s*:(.*)", re.DOTALL)
_NAME_JSON = re.compile(r"\s*(?:<\|assistant\|>\s*)?([\w.:$@/-]+)\s*(?:\[ARGS\]\s*)?(?=\{)")
_END_MARKS = re.compile(rf"(?:{'|'.join(map(re.escape, END_TOKENS))}|<bot_end>)\s*\Z")
_ESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)\\_")  # Markdown's \_, not the \\_ of a string
_NEXT = re.compile(r"[ \t\r\n,;]*(?=[^ \t\r\n,;])")
_PARAMETER = re.compile(r"<parameter=([^<>\n]{1,200})>\n?((?:(?!<parameter=).)*?)\n?</parameter>\s*", re.DOTALL)
_PYTHON_TAG = "<|python_tag|>"


@dataclass(frozen=True)
class Prediction:
    """A model's output for one item, one text per turn, and its calls. With a `problem` there are no calls. It is not
    whole if the texts are not all that the model said, as when it was cut: they are wrong as they are."""

    texts: tuple[str, ...]
    calls: tuple[Call, ...]
    problem: str = ""
    is_whole: bool = True


def read_prediction(texts: Sequence[str], form: str = "auto", tools: Sequence[ToolSpec] = ()) -> Prediction:
    """The calls of all texts, in order. Does not raise: text that cannot be read becomes the prediction's `problem`."""
    try:
        calls = [call for text in texts for call in read_calls(text, form, tools)]
    except CallSyntaxError as error:
        return Prediction(tuple(texts), (), f"format error: {error}")
    return Prediction(tuple(texts), tuple(calls))


def read_calls(text: str, form: str = "auto", tools: Sequence[ToolSpec] = ()) -> list[Call]:
    """All calls of one output, at least one. Raises CallSyntaxError.

    Args:
        text: the model's output.
        form: "call": exactly one call of Table 13. "python": calls as Python writes them; several are on lines, between
            semicolons or in a list, also as strings, also after NexusRaven's "Call:" (Table 7). "action": Action and
            Action Input, or a Final Answer, which is a call of `finish` (Tables 6 and 9). "json": objects with a name
            and parameters or arguments (Table 10). "tool_call": the same after a mark, see `marked` (Table 11).
            "functioncall": the same after Glaive's tag. "openai": a message with `tool_calls` (Table 12). "name_json":
            a name, then its arguments as JSON (Table 8), possibly several times. "auto": detect the form; `<think>`
            blocks and Markdown's backslashes before underscores are removed, and there may be text around the calls.
        tools: give names to positional arguments of the form "python"; calls surrounded by text must call one of them.
    """
    if len(text) > MAX_LENGTH:
        fail(f"longer than {MAX_LENGTH:,} characters")
    try:
        if form != "auto":
            return _read(text, form, tools)
        text = _plain(text)
        try:
            return _read(text, detect(text), tools)
        except CallSyntaxError:
            if calls := calls_among_words(text, tools):
                return calls
            raise
    except RecursionError:
        fail("nested too deeply")


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1_", drop_reasoning(text)[0])


def _read(text: str, form: str, tools: Sequence[ToolSpec]) -> list[Call]:
    if form == "call":
        return [parse_call(text)]
    bare = _bare(text)
    calls = _READERS_WITH_TOOLS[form](bare, tools) if form in _READERS_WITH_TOOLS else _READERS[form](bare)
    return calls or fail("no call in the text")


def _bare(text: str) -> str:
    return unfenced(_END_MARKS.sub("", text))


def detect(text: str) -> str:
    """The form that a text appears to have."""
    bare = _bare(text)
    found = marked(bare)
    if found and not (found[0].mark == "assistant" and _NAME_JSON.match(bare)):
        return "functioncall" if found[0].mark == "functioncall" else "tool_call"
    if bare.removeprefix(_PYTHON_TAG).lstrip().startswith(("{", "[{")):
        return "openai" if re.search(r'"(?:tool_calls|function|function_call)"\s*:', bare) else "json"
    if _action(bare) or (_FINAL_ANSWER.search(bare) and not bare.endswith(")")):
        return "action"
    if _NAME_JSON.match(bare):
        return "name_json"
    return "python"


# ---- JSON forms


def _json_calls(text: str) -> list[Call]:
    """One or more objects: in a list, or separated by white space, commas or semicolons."""
    text = text.removeprefix(_PYTHON_TAG)
    calls: list[Call] = []
    at = 0
    while found := _NEXT.match(text, at):
        value, at = leading_value(text, found.end())
        calls += calls_of(value)
    return calls


def _tagged_calls(text: str, tools: Sequence[ToolSpec]) -> list[Call]:
    return [call for found in marked(text) for call in marked_calls(found, tools)]


def marked_calls(found: Marked, tools: Sequence[ToolSpec] = ()) -> list[Call]:
    """The calls after a mark: as JSON or, except after `<tool_call>`, also as Python. Raises CallSyntaxError."""
    if found.body.startswith("<parameter="):
        return [named_call(found.name, _parameters(found, tools))]
    if found.name:
        return [named_call(found.name, leading_value(found.body)[0] if found.body else None)]
    if found.mark == "functioncall":
        return [_glaive_call(found.body)]
    if found.mark.startswith("tool_call") or found.body[:1] == "{":
        return calls_of(leading_value(found.body)[0])
    if _NAME_JSON.match(found.body):
        return _name_json_calls(found.body)
    try:
        return calls_of(leading_value(found.body)[0])
    except CallSyntaxError:
        return read_python_calls(found.body)


def _parameters(found: Marked, tools: Sequence[ToolSpec]) -> dict[str, JSON]:
    """Arguments in tags of their own (Qwen3-Coder). Only the tool's schema says which of them are no strings."""
    schemas = next((tool.parameters for tool in tools if tool.name == found.name), {})
    arguments: dict[str, JSON] = {}
    at = 0
    while given := _PARAMETER.match(found.body, at):
        if given[1] in arguments:
            fail("the same parameter twice")
        arguments[given[1]] = _typed(given[2], schemas.get(given[1], {}))
        at = given.end()
    return arguments if at == len(found.body) else fail("text between the parameters")


def _typed(text: str, schema: dict) -> JSON:
    types = [option.get("type") for option in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ()))]
    if not any(types) or any(of and "string" in of for of in types):
        return text
    try:
        return parse_literal(text)
    except CallSyntaxError:
        return text


def _glaive_call(text: str) -> Call:
    """Glaive writes the arguments as JSON in single quotes, without escaping single quotes inside."""
    if quoted := _QUOTED_ARGUMENTS.fullmatch(text):
        try:
            return named_call(quoted[1], quoted[2])
        except CallSyntaxError:
            pass
    value, end = leading_value(text)
    return call_of(value) if end == len(text) else fail("text after the call")


def _openai_calls(text: str) -> list[Call]:
    value, _ = leading_value(text.removeprefix(_PYTHON_TAG).strip())
    items = value
    if isinstance(value, dict):
        items = value.get("tool_calls") or [value.get("function_call") or value]
    return calls_of(items) if isinstance(items, list) else fail("`tool_calls` is no list")


def _name_json_calls(text: str) -> list[Call]:
    calls: list[Call] = []
    at = 0
    while found := _NAME_JSON.match(text, at):
        value, at = leading_value(text, found.end())
        # Before an object that is itself a call, the "name" is only a word such as "Answer:".
        calls += calls_of(value) if looks_like_calls(value) else [named_call(found[1], value)]
    return calls or fail("no name before the arguments")


def _action(text: str) -> tuple[str, str] | None:
    """The name of the first action, and the text after its "Action Input:"."""
    action = _ACTION.search(text)
    given = _ACTION_INPUT.search(text, action.end()) if action else None
    return (text[action.end() : given.start()].strip(), text[given.end() :]) if action and given else None


def _action_calls(text: str) -> list[Call]:
    """Only the first action counts: models often invent an observation and go on."""
    if found := _action(text):
        name, given = found
        arguments: JSON = None if _NO_INPUT.match(given) else leading_value(given)[0]
        return [named_call(name, arguments)]
    answer = _FINAL_ANSWER.search(text) or fail("neither an action nor a final answer")
    return [named_call(FINISH.name, {"answer": answer[1].strip()})]


_READERS: dict[str, Callable[[str], list[Call]]] = {
    "action": _action_calls,
    "json": _json_calls,
    "openai": _openai_calls,
    "name_json": _name_json_calls,
}
_READERS_WITH_TOOLS: dict[str, Callable[[str, Sequence[ToolSpec]], list[Call]]] = {
    "python": read_python_calls,
    "tool_call": _tagged_calls,
    "functioncall": _tagged_calls,
}
