"""Reads tool calls in the forms in which other models write them (paper, Tables 6–12).

Everything is read as data: JSON, literals, or the syntax tree of a Python call whose arguments are constants.
"""

from __future__ import annotations

import ast
import json
import operator
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from tl.calls import JSON, MAX_LENGTH, Call, CallSyntaxError, format_call, parse_call, parse_literal
from tl.schema import FINISH, ToolSpec

Form = Literal["auto", "call", "python", "action", "json", "tool_call", "functioncall", "openai", "name_json"]
ARGUMENT_KEYS = ("arguments", "parameters", "params", "args", "input", "kwargs")  # under which a call has its arguments

_TOOL_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FUNCTION_CALL = re.compile(r"<functioncall>(.*?)(?:<\|endoftext\|>|</functioncall>|(?=<functioncall>)|\Z)", re.DOTALL)
_QUOTED_ARGUMENTS = re.compile(
    r"""\s*\{\s*"name"\s*:\s*"([^"]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*'(.*)'\s*\}\s*""", re.DOTALL
)
_ACTION = re.compile(r"Action\s*:(.*?)Action Input\s*:", re.DOTALL)
_FINAL_ANSWER = re.compile(r"Final Answer\s*:(.*)", re.DOTALL)
_NAME_JSON = re.compile(r"\s*([\w.:$@/-]+)\s*(?=\{)")
_FENCE = re.compile(r"\A\s*```(?:json|python)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_RAVEN = re.compile(r"(?:Call|Initial Answer):\s*(.*?)(?:<bot_end>|\n(?:Thought|Reflection):|\Z)", re.DOTALL)
_END_MARKS = re.compile(r"(?:<\|(?:eom_id|eot_id|im_end|endoftext)\|>|<bot_end>|</s>)\s*\Z")
_PYTHON_TAG = "<|python_tag|>"

_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_BESIDE_ARGUMENTS = {"name", "function", "id", "type", "index", "call_id", "tool_call_id"}
_NO_ARGUMENTS = ("", "null", "None", "[]")
_JSON_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Prediction:
    """What a model said for one item, one text per turn, and the calls in it; with a `problem` there are none."""

    texts: tuple[str, ...]
    calls: tuple[Call, ...]
    problem: str = ""


def read_prediction(texts: Sequence[str], form: str = "auto", tools: Sequence[ToolSpec] = ()) -> Prediction:
    """The calls of all texts, in order. Text that cannot be read becomes the prediction's `problem`; nothing raises."""
    try:
        calls = [call for text in texts for call in read_calls(text, form, tools)]
    except CallSyntaxError as error:
        return Prediction(tuple(texts), (), f"format error: {error}")
    return Prediction(tuple(texts), tuple(calls))


def read_calls(text: str, form: str = "auto", tools: Sequence[ToolSpec] = ()) -> list[Call]:
    """All calls of one output, at least one. Raises CallSyntaxError.

    Args:
        text: what the model said.
        form: "call" is exactly one call of Table 13. "python": calls as Python writes them, several on lines, between
            semicolons or in a list, also after NexusRaven's "Call:" (Table 7). "action": Action and Action Input, or a
            Final Answer, which is a call of `finish` (Tables 6 and 9). "json": objects with a name and parameters or
            arguments (Table 10). "tool_call": the same in tags (Table 11). "functioncall": the same behind Glaive's
            tag. "openai": a message with `tool_calls` (Table 12). "name_json": the name, then its arguments as JSON
            (Table 8). "auto": whichever it looks like.
        tools: where positional arguments of the form "python" find their names.
    """
    if len(text) > MAX_LENGTH:
        _fail(f"longer than {MAX_LENGTH:,} characters")
    if form == "auto":
        form = detect(text)
    if form == "call":
        return [parse_call(text)]
    bare = _END_MARKS.sub("", text).strip()
    fenced = _FENCE.match(bare)
    if fenced:
        bare = fenced[1]
    try:
        calls = read_python_calls(bare, tools) if form == "python" else _READERS[form](bare)
    except RecursionError:
        _fail("nested too deeply")
    return calls or _fail("no call in the text")


def detect(text: str) -> str:
    """The form in which a text seems to be written."""
    bare = _END_MARKS.sub("", text).strip()
    if fenced := _FENCE.match(bare):
        bare = fenced[1].strip()
    if "<tool_call>" in bare:
        return "tool_call"
    if "<functioncall>" in bare:
        return "functioncall"
    if bare.removeprefix(_PYTHON_TAG).lstrip().startswith(("{", "[{")):
        return "openai" if re.search(r'"(?:tool_calls|function|function_call)"\s*:', bare) else "json"
    if _ACTION.search(bare) or (_FINAL_ANSWER.search(bare) and not bare.endswith(")")):
        return "action"
    if _NAME_JSON.match(bare):
        return "name_json"
    return "python"


# ---- JSON forms


def _json_calls(text: str) -> list[Call]:
    """One or more objects, in a list or one after the other, separated by white space, commas or semicolons."""
    rest = text.removeprefix(_PYTHON_TAG).strip()
    calls = []
    while rest:
        value, end = _leading_json(rest)
        for item in value if isinstance(value, list) else [value]:
            calls.append(call_of(item))
        rest = rest[end:].lstrip(" \t\r\n,;")
    return calls


def _tagged_calls(text: str) -> list[Call]:
    """A JSON string may hold the closing tag: the object is read first, and the next tag is looked for after it."""
    calls: list[Call] = []
    at = 0
    while found := _TOOL_CALL.search(text, at):
        start = found.end(1) - len(found[1].lstrip())
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            value, at = _leading_json(found[1].strip())[0], found.end()
        calls += [call_of(item) for item in (value if isinstance(value, list) else [value])]
    return calls


def _function_calls(text: str) -> list[Call]:
    return [_function_call(found.strip()) for found in _FUNCTION_CALL.findall(text)]


def _function_call(text: str) -> Call:
    """Glaive writes the arguments as JSON between single quotes, with other single quotes inside as they are."""
    if quoted := _QUOTED_ARGUMENTS.fullmatch(text):
        try:
            return _call(quoted[1], quoted[2])
        except CallSyntaxError:
            pass
    value, end = _leading_json(text)
    return call_of(value) if end == len(text) else _fail("text after the call")


def _openai_calls(text: str) -> list[Call]:
    value, _ = _leading_json(text.removeprefix(_PYTHON_TAG).strip())
    items = value
    if isinstance(value, dict):
        items = value.get("tool_calls") or [value.get("function_call") or value]
    return [call_of(item) for item in items] if isinstance(items, list) else _fail("`tool_calls` is no list")


def _name_json_calls(text: str) -> list[Call]:
    found = _NAME_JSON.match(text) or _fail("no name before the arguments")
    return [_call(found[1], _leading_json(text[found.end() :])[0])]


def _action_calls(text: str) -> list[Call]:
    """The first action only: models often invent an observation and go on."""
    found = _ACTION.search(text)
    if found:
        return [_call(found[1].strip(), _leading_json(text[found.end() :].strip())[0])]
    answer = _FINAL_ANSWER.search(text) or _fail("neither an action nor a final answer")
    return [Call(FINISH.name, {"answer": answer[1].strip()})]


def call_of(item: JSON) -> Call:
    """`{"name": …, "arguments": …}`, or the same as the value of "function". Raises CallSyntaxError.

    Other keys for the arguments are known (ARGUMENT_KEYS). Without one of them a call has no arguments, but it must
    not have other entries either, since these may be what its author takes for the arguments.
    """
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict):
        _fail("a call must be an object")
    given = [key for key in ARGUMENT_KEYS if item.get(key) is not None]
    others = item.keys() - _BESIDE_ARGUMENTS - set(ARGUMENT_KEYS)
    if len(given) > 1 or (others and not given):
        _fail(f"the arguments of a call are expected under `arguments`, not {', '.join([*given, *sorted(others)]):.80}")
    return _call(item.get("name", item.get("function")), item[given[0]] if given else None)


def _call(name: JSON, arguments: JSON) -> Call:
    if not isinstance(name, str) or not name:
        _fail("no name of a tool")
    call = Call(name, read_arguments(arguments))
    try:
        format_call(call)
    except ValueError as error:
        _fail(str(error))
    return call


def read_arguments(given: JSON) -> dict[str, JSON]:
    """The arguments of a call: an object, or the text of one, perhaps encoded twice. Raises CallSyntaxError.

    Nothing, null and an empty list are no arguments. Line breaks may stand in strings as they are.
    """
    for _ in range(3):
        if given is None or given == [] or (isinstance(given, str) and given.strip() in _NO_ARGUMENTS):
            return {}
        if not isinstance(given, str):
            break
        given = _literal(given)
    return given if isinstance(given, dict) else _fail("the arguments are no object")


def _literal(text: str) -> JSON:
    """A JSON or Python literal; JSON may have control characters in its strings."""
    try:
        return parse_literal(text)
    except CallSyntaxError as error:
        if len(text) > MAX_LENGTH:
            raise
        try:
            return _DECODER.decode(text)
        except (ValueError, RecursionError):
            raise error from None


def _object(entries: list[tuple[str, JSON]]) -> dict[str, JSON]:
    if len(dict(entries)) < len(entries):
        raise ValueError("the same key twice in an object")
    return dict(entries)


def _leading_json(text: str) -> tuple[JSON, int]:
    """The JSON value at the start of a text and its end, or else the Python literal that is the whole text."""
    try:
        return _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return parse_literal(text), len(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant, object_pairs_hook=_object)


# ---- Python calls


def read_python_calls(text: str, tools: Sequence[ToolSpec] = ()) -> list[Call]:
    """Calls in the form "python" of `read_calls`. Arguments are constants, or arithmetic on numbers.

    Raises CallSyntaxError.
    """
    if found := _RAVEN.match(text):
        text = found[1].strip()
    try:
        return [parse_call(text)]
    except CallSyntaxError as error:
        first_error = error
    try:
        return [parse_call(line) for line in text.splitlines() if line.strip()]
    except CallSyntaxError:
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise first_error from None
    return [call for statement in statements for call in _calls_of_node(statement, tools)]


def _calls_of_node(node: ast.AST, tools: Sequence[ToolSpec]) -> list[Call]:
    if isinstance(node, ast.Expr):
        return _calls_of_node(node.value, tools)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [call for element in node.elts for call in _calls_of_node(element, tools)]
    if not isinstance(node, ast.Call):
        _fail("text that is no call")
    name = ast.unparse(node.func)
    if not re.fullmatch(r"\w+(\.\w+)*", name):
        _fail("the name of a tool expected")
    declared = next((list(tool.parameters) for tool in tools if tool.name == name), [])
    if len(node.args) > len(declared):
        _fail("a positional argument for which no parameter is declared")
    arguments = {key: _constant(value) for key, value in zip(declared, node.args, strict=False)}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            _fail("starred arguments, or a keyword given twice")
        arguments[keyword.arg] = _constant(keyword.value)
    return [_call(name, arguments)]


def _constant(node: ast.AST) -> JSON:
    """The value of a literal, or of arithmetic between numbers such as 1/6."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    if isinstance(node, ast.Name) and node.id in _JSON_WORDS:
        return _JSON_WORDS[node.id]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_constant(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        return {_key(key): _constant(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _number(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        try:
            return _OPERATORS[type(node.op)](_number(node.left), _number(node.right))
        except ArithmeticError as error:
            _fail(str(error))
    return _fail("an argument that is no literal")


def _key(node: ast.AST | None) -> str:
    key = _constant(node) if node is not None else None
    return key if isinstance(key, str) else _fail("a key that is no string")


def _number(node: ast.AST) -> int | float:
    value = _constant(node)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else _fail("a number expected")


def _fail(message: str) -> NoReturn:
    raise CallSyntaxError(message, 0)


_READERS: dict[str, Callable[[str], list[Call]]] = {
    "action": _action_calls,
    "json": _json_calls,
    "tool_call": _tagged_calls,
    "functioncall": _function_calls,
    "openai": _openai_calls,
    "name_json": _name_json_calls,
}
