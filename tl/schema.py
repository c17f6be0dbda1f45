"""Tools as models see them: name, description and parameters, and their block in the prompt (Table 13)."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass

from tl.calls import format_name
from tl.declarations import read_declaration


@dataclass(frozen=True)
class ToolSpec:
    """One tool. `parameters` maps each name to its JSON schema in order of declaration; `required` keeps that order."""

    name: str
    description: str
    parameters: dict[str, dict]
    required: tuple[str, ...]

    @classmethod
    def from_openai(cls, tool: dict) -> ToolSpec:
        """Reads an OpenAI function schema or one of its variants; see `tl.declarations`.

        Raises ValueError that names the tool and the parameter at fault.
        """
        return cls(*read_declaration(tool))

    @classmethod
    def from_function(cls, function: Callable) -> ToolSpec:
        """Derives the tool from type hints, defaults and a Google-style docstring; see `describe_function`.

        Raises ValueError, as `describe_function` does.
        """
        return cls.from_openai(describe_function(function))

    def to_openai(self) -> dict:
        """The inverse of `from_openai`."""
        parameters = {"type": "object", "properties": self.parameters, "required": list(self.required)}
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}

    def to_prompt(self) -> str:
        """The block of Table 13: signature, description and one line per parameter, the required ones first.

        White space in descriptions is collapsed, so that each is one line. Enums, nested types and defaults follow a
        parameter's description as compact JSON.
        """
        order = [*self.required, *(key for key in self.parameters if key not in self.required)]
        types = {key: _type_name(self.parameters[key]) for key in order}
        signature = ", ".join(
            f"{format_name(key)}: {types[key]}" + ("" if key in self.required else " = None") for key in order
        )
        lines = [f"{format_name(key)} ({types[key]}): {_details(self.parameters[key])}" for key in order]
        body = ['"""', " ".join(self.description.split()), "", "Args:", *lines, '"""']
        return "\n".join(
            ["Function:", f"def {format_name(self.name)}({signature}):", *(f"    {line}".rstrip() for line in body)]
        )


def _type_name(schema: dict) -> str:
    """The type in the signature: the first that is not null."""
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return next((name for name in names if name != "null"), "null")
    options = schema.get("anyOf") or schema.get("oneOf") or []
    names = [_type_name(option) for option in options]
    return next((name for name in names if name != "null"), "any")


def _details(schema: dict) -> str:
    """The description on one line, then whatever else the schema says as compact JSON."""
    shown = "type" if isinstance(schema.get("type"), str) else None
    rest = {key: value for key, value in schema.items() if key not in (shown, "description")}
    extra = json.dumps(rest, ensure_ascii=False, separators=(",", ":")) if rest else ""
    return " ".join([*schema.get("description", "").split(), extra]).rstrip()


ASK_TO_USER = ToolSpec(
    name="ask_to_user",
    description="Ask the user for what is missing.",
    parameters={"question": {"type": "string", "description": "The question."}},
    required=("question",),
)
FINISH = ToolSpec(
    name="finish",
    description="End with the answer to the user.",
    parameters={"answer": {"type": "string", "description": "The answer."}},
    required=("answer",),
)
BUILT_INS = (ASK_TO_USER, FINISH)
SPOKEN = tuple(tool.name for tool in BUILT_INS)  # what they are called with is text for the user


_SIMPLE = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}
_SECTION = re.compile(r"(Args|Arguments|Returns|Yields|Raises|Examples?|Notes?):\s*$")
_ENTRY = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def describe_function(function: Callable) -> dict:
    """The OpenAI schema of a function or bound method.

    A parameter with a default is optional; the default is part of its schema unless it is None. `T | None` with the
    default None is a `T` that may be left out. Raises ValueError, naming function and parameter, for a parameter
    without a hint, with one that has no JSON type or with a default that is no JSON value, for `*args`, `**kwargs` and
    positional-only parameters, and for a docstring that describes a parameter the function does not have.
    """
    name = getattr(function, "__name__", None)
    if name is None:
        raise ValueError(f"{function!r} has no name")
    try:
        signature, hints = inspect.signature(function), typing.get_type_hints(function)
    except (NameError, TypeError, ValueError) as error:
        raise ValueError(f"function {name}: its signature cannot be read: {error}") from error
    description, texts = _read_docstring(inspect.getdoc(function) or "", name)
    properties, required = {}, []
    for key, parameter in signature.parameters.items():
        where = f"function {name}, parameter {key}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ValueError(f"{where}: a tool takes only named parameters, not {parameter.kind.description} ones")
        if key not in hints:
            raise ValueError(f"{where}: no type hint")
        properties[key] = _parameter_schema(hints[key], parameter.default, where)
        if key in texts:
            properties[key]["description"] = texts.pop(key)
        if parameter.default is parameter.empty:
            required.append(key)
    if texts:
        raise ValueError(f"function {name}: the docstring describes {', '.join(texts)}, which it has no parameters for")
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "parameters": parameters}


def _parameter_schema(hint: object, default: object, where: str) -> dict:
    if default is inspect.Parameter.empty:
        return _schema(hint, where)
    if default is None:
        return _schema(_without_none(hint), where)
    schema = _schema(hint, where)
    try:
        return schema | {"default": json.loads(json.dumps(default, allow_nan=False))}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: the default {default!r} is no JSON value") from error


def _is_union(hint: object) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _without_none(hint: object) -> object:
    others = tuple(option for option in typing.get_args(hint) if option is not type(None))
    return typing.Union[others] if _is_union(hint) and others else hint  # noqa: UP007 - from a tuple of types


def _schema(hint: object, where: str) -> dict:
    """The JSON schema of a type hint."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any:
        return {}
    if typing.is_typeddict(hint):
        return _typeddict_schema(hint, where)
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if origin in _SIMPLE and not args:  # typing.List, typing.Dict
        return {"type": _SIMPLE[origin]}
    if origin is typing.Literal:
        names = list(dict.fromkeys(_schema(type(value), where)["type"] for value in args))
        return {"type": names[0] if len(names) == 1 else names, "enum": list(args)}
    if origin is list:
        return {"type": "array", "items": _schema(args[0], where)}
    if origin is dict and args[0] is str:
        return {"type": "object", "additionalProperties": _schema(args[1], where)}
    if _is_union(hint):
        options = [_schema(option, where) for option in args]
        if all(option.keys() == {"type"} for option in options):
            return {"type": [option["type"] for option in options]}
        return {"anyOf": options}
    raise ValueError(f"{where}: no JSON type for {hint!r}")


def _typeddict_schema(hint: typing.Any, where: str) -> dict:
    properties, required = {}, []
    for key, value in typing.get_type_hints(hint, include_extras=True).items():
        marker = typing.get_origin(value)
        marked = marker in (typing.Required, typing.NotRequired)
        properties[key] = _schema(typing.get_args(value)[0] if marked else value, where)
        if marker is typing.Required or (not marked and key in hint.__required_keys__):
            required.append(key)
    return {"type": "object", "properties": properties, "required": required}


def _read_docstring(text: str, name: str) -> tuple[str, dict[str, str]]:
    """The description (all before the first section) and the text of each parameter under `Args:`."""
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for line in text.splitlines():
        if header := _SECTION.match(line):
            current = header[1]
        sections.setdefault(current, []).append(line)
    entries = [line for line in sections.get("Args", sections.get("Arguments", []))[1:] if line.strip()]
    texts: dict[str, str] = {}
    for line in entries:
        indented = _indent(line) > _indent(entries[0])
        entry = _ENTRY.match(line.strip())
        if indented:
            key = list(texts)[-1]
            texts[key] = f"{texts[key]} {line.strip()}".strip()
        elif entry is None or entry[1] in texts:
            raise ValueError(f"function {name}: cannot read the line {line.strip()!r} under Args")
        else:
            texts[entry[1]] = entry[2]
    return "\n".join(sections[""]).strip(), texts


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
