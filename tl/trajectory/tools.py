"""Finds the tools of a record: in a list, in the system message, or implied by its calls."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from tl.calls import Call, CallSyntaxError, parse_literal
from tl.forms.values import unique_keys
from tl.schema import BUILT_INS, ToolSpec

MAX_PLACES = 10  # places in a system message where a list of tools is looked for
MAX_TOOLS = 1_000  # consecutive objects
_KEYS = ("tools", "functions", "tool_defs", "available_tools", "tool_definitions")
_OPEN, _CLOSE = "<tools>", "</tools>"
_BETWEEN = " \t\r\n,;"  # consecutive objects
_LIST = re.compile(r"\[\s*\{")
_OBJECT = re.compile(r"^\s*(?=\{\s*[\"'](?:name|type|function)[\"'])", re.MULTILINE)
_DECODER = json.JSONDecoder(strict=False)
_SCHEMAS = ("parameters", "inputSchema", "input_schema", "input_parameters")
_OTHER_SCHEMAS = (
    *("args", "arguments", "params", "schema", "args_schema", "parametersJsonSchema", "inputs", "properties"),
    *("required_parameters", "optional_parameters"),
)
_DECLARING = ("description", *_SCHEMAS, "function", "required")


def listed_tools(record: dict) -> list | None:
    """The record's list of tools, as objects; None if there is none or it is empty. Lists that differ are an error."""
    found = {key: tools for key in _KEYS if (tools := _listed(record, key))}
    first, *others = found or [""]
    for other in others:
        if found[other] != found[first] and read_tools(found[other]) != read_tools(found[first]):
            raise ValueError(f"`{first}` and `{other}` list different tools: leave one of them")
    return found.get(first) or _listed(record, "function")


def _listed(record: dict, key: str) -> list | None:
    tools = record.get(key)
    if isinstance(tools, str) and tools.strip():
        tools = _value(tools, f"`{key}`")
    if isinstance(tools, dict) and isinstance(tools.get("name", tools.get("function")), str | dict):
        tools = [tools]
    if not tools:
        return None
    if not isinstance(tools, list):
        raise ValueError(f"the tools must be a list, not {tools!r:.80}")
    return [_value(tool, "a tool") if isinstance(tool, str) else tool for tool in tools]


def _value(text: str, what: str) -> object:
    """The value of a text in JSON or as a Python literal."""
    try:
        return json.loads(text, strict=False, object_pairs_hook=unique_keys)
    except ValueError:
        pass
    try:
        return parse_literal(text)
    except CallSyntaxError as error:
        raise ValueError(f"{what}: neither JSON nor a literal: {error}") from None


def tools_in_text(text: str, sure: bool = False) -> tuple[list[dict], str]:
    """The tools that are declared in a message, and the message without them.

    They are in `<tools>` tags, in lists, or objects (Glaive, Llama 3.1), as JSON or Python literals. Outside tags, all
    tools but the first ones need a schema, and with `sure` these too. Raises ValueError if a list breaks off.
    """
    tools: list[dict] = []
    while "{" in text and len(tools) < MAX_TOOLS and (found := _first_tools(text, sure or bool(tools))):
        values, start, end = found
        more = [tool for tool in values if tool not in tools]
        if twice := {_inner(tool)["name"] for tool in more} & {_inner(tool)["name"] for tool in tools}:
            raise ValueError(f"the message declares {', '.join(map(repr, sorted(twice)))} twice, and differently")
        tools, text = tools + more, _without(text, start, end)
    return tools, text


def _first_tools(text: str, sure: bool) -> tuple[list[dict], int, int] | None:
    """The first tools in a text, and where they begin and end."""
    for start, end in islice(_in_tags(text), MAX_PLACES):
        value, rest = _objects(text[start + len(_OPEN) : end - len(_CLOSE)].strip())
        if tools := _declared(value):
            if rest:
                raise _breaks_off(rest)
            return tools, start, end
    for found in islice(_LIST.finditer(text), MAX_PLACES):
        value, end = _leading(text, found.start())
        if tools := _declared(value, sure):
            return tools, found.start(), end
    for found in islice(_OBJECT.finditer(text), MAX_PLACES):
        values, end = several(text, found.end())
        if tools := _declared(values, sure):
            if (rest := text[end:].lstrip()).startswith("{"):
                raise _breaks_off(rest)
            return tools, found.end(), end
    return None


def _breaks_off(rest: str) -> ValueError:
    return ValueError(f"the list of tools in the system message goes on with what is no tool: {rest!r:.80}")


def _in_tags(text: str) -> Iterator[tuple[int, int]]:
    """Where each `<tools>` begins, and where its `</tools>` ends."""
    start = text.find(_OPEN)
    while start >= 0 and (end := text.find(_CLOSE, start)) >= 0:
        yield start, end + len(_CLOSE)
        start = text.find(_OPEN, start + len(_OPEN))


def _objects(text: str) -> tuple[object, str]:
    """A list, or consecutive objects, and what stands after them."""
    value, end = _leading(text, 0)
    if isinstance(value, list) and not text[end:].strip():
        return value, ""
    values, end = several(text, 0)
    return values, text[end:].strip(_BETWEEN)


def several(text: str, at: int) -> tuple[list[object], int]:
    """The consecutive objects from here on, and where they end."""
    values: list[object] = []
    while len(values) < MAX_TOOLS:
        start = at
        while text[start : start + 1] and text[start] in _BETWEEN:
            start += 1
        value, end = _leading(text, start)
        if not isinstance(value, dict):
            break
        values.append(value)
        at = end
    return values, at


def _leading(text: str, at: int) -> tuple[object, int]:
    """The JSON value or Python literal at this place, and where it ends; None where there is none."""
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        pass
    end = closing(text, at)
    try:
        return (parse_literal(text[at:end]), end) if end else (None, at)
    except CallSyntaxError:
        return None, at


def closing(text: str, at: int) -> int:
    """The position after the bracket that closes the one at `at`; 0 if it is not closed."""
    depth, quote = 0, ""
    position = at
    while position < len(text):
        letter = text[position]
        if quote:
            position += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return 0


def _declared(value: object, sure: bool = False) -> list[dict]:
    """The value if it is a list of tools, which have a name and something that declares them, with `sure` a schema;
    otherwise []."""
    if not isinstance(value, list) or not value:
        return []
    for tool in value:
        inner = _inner(tool)
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            return []
        told = any(_is_schema(inner.get(key)) and (inner[key] or "description" in inner) for key in _SCHEMAS)
        if not told and (sure or inner.keys().isdisjoint(_DECLARING)):
            return []
    return value


def _inner(tool: Any) -> Any:
    """What names and declares a tool."""
    return tool["function"] if isinstance(tool, dict) and isinstance(tool.get("function"), dict) else tool


def _is_schema(value: object) -> bool:
    return isinstance(value, dict) and ("properties" in value or all(isinstance(v, dict) for v in value.values()))


def _without(text: str, start: int, end: int) -> str:
    before, after = text[:start].rstrip(), text[end:].strip()
    return "\n".join(filter(None, (before, after)))


def read_tools(declared: Iterable[object]) -> tuple[ToolSpec, ...]:
    """The tools, and the built-in ones that are not among them."""
    specs = [ToolSpec.from_openai(_checked(tool)) for tool in declared]  # type: ignore[arg-type]
    names = {spec.name for spec in specs}
    return (*specs, *(spec for spec in BUILT_INS if spec.name not in names))


def _checked(tool: object) -> object:
    """The tool, with Bedrock's schema in its place. Raises ValueError for parameters that would not be read."""
    tool = tool.get("toolSpec", tool) if isinstance(tool, dict) else tool
    inner = _inner(tool)
    if not isinstance(inner, dict):
        return tool
    schema = inner.get("parameters") or next((inner[key] for key in _SCHEMAS if inner.get(key)), None)
    if schema is None:
        others = [key for key in _OTHER_SCHEMAS if inner.get(key)]
    elif not isinstance(schema, dict) or schema.get("properties"):
        return tool
    elif schema.keys() == {"json"} and _is_schema(schema["json"]):
        return {key: value for key, value in inner.items() if key not in _SCHEMAS} | {"parameters": schema["json"]}
    else:
        others = [key for key in ("anyOf", "oneOf") if schema.get(key)]
    if others:
        raise ValueError(
            f"tool {inner.get('name')}: its parameters stand under `{others[0]}`, which is not read: write them as "
            "`properties` of an object schema under `parameters`"
        )
    return tool


def implied_tools(calls: Iterable[Call]) -> tuple[ToolSpec, ...]:
    """The tools of a record without a list: the names that it calls, with the keywords that it uses, all optional."""
    keywords: dict[str, dict[str, dict]] = {}
    for call in calls:
        known = keywords.setdefault(call.name, {})
        # A keyword that is always null may belong to another tool (Arrow gives every row the keys of all rows).
        known.update((key, {}) for key, value in call.arguments.items() if value is not None)
    built_in = {"", *(spec.name for spec in BUILT_INS)}  # and no tool without a name
    specs = [ToolSpec(name, "", parameters, ()) for name, parameters in keywords.items() if name not in built_in]
    return (*specs, *BUILT_INS)
