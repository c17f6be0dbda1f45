"""From a Python function to an OpenAI function schema: types from its hints, words from its Google-style docstring."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable

_SIMPLE = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    tuple: "array",
    dict: "object",
    type(None): "null",
}
_SECTION = re.compile(r"(Args|Arguments|Returns|Yields|Raises|Examples?|Notes?):\s*$")
_ENTRY = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def describe_function(function: Callable, name: str | None = None) -> dict:
    """The OpenAI schema of a function or bound method.

    A parameter with a default is optional; the default is part of its schema unless it is None. `T | None` with the
    default None is a `T` that may be left out. Raises ValueError, naming function and parameter, for a parameter
    without a hint or with one that has no JSON type, for `*args`, `**kwargs` and positional-only parameters, and for a
    docstring that describes a parameter the function does not have.
    """
    name = name or getattr(function, "__name__", None)
    if name is None:
        raise ValueError(f"{function!r} has no name; give one")
    hints = _hints(function, name)
    description, texts = _read_docstring(inspect.getdoc(function) or "", name)
    properties, required = {}, []
    for key, parameter in inspect.signature(function).parameters.items():
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
        raise ValueError(f"function {name}: the docstring describes {', '.join(texts)}, which it does not take")
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "parameters": parameters}


def _hints(function: Callable, name: str) -> dict[str, object]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError) as error:
        raise ValueError(f"function {name}: its type hints cannot be read: {error}") from error


def _parameter_schema(hint: object, default: object, where: str) -> dict:
    if default is None:
        others = [option for option in typing.get_args(hint) if option is not type(None)]
        if _is_union(hint) and len(others) < len(typing.get_args(hint)):
            hint = typing.Union[tuple(others)]  # noqa: UP007 - a union of a list of types has no other spelling
    schema = _schema(hint, where)
    if default is not None and default is not inspect.Parameter.empty:
        schema["default"] = default
    return schema


def _is_union(hint: object) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _schema(hint: object, where: str) -> dict:
    """The JSON schema of a type hint."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any:
        return {}
    if typing.is_typeddict(hint):
        properties = {key: _schema(value, where) for key, value in typing.get_type_hints(hint).items()}
        return {
            "type": "object",
            "properties": properties,
            "required": [key for key in properties if key in hint.__required_keys__],
        }
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
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


def _read_docstring(text: str, name: str) -> tuple[str, dict[str, str]]:
    """The description (all before the first section) and the text of each parameter under `Args:`."""
    section, description, texts, current = None, [], {}, None
    indent = 0
    for line in text.splitlines():
        if header := _SECTION.match(line):
            section, current = header[1], None
        elif section is None:
            description.append(line)
        elif section in ("Args", "Arguments") and line.strip():
            depth = len(line) - len(line.lstrip())
            if current is None or depth <= indent:
                entry = _ENTRY.match(line.strip())
                if entry is None:
                    raise ValueError(f"function {name}: cannot read the line {line.strip()!r} under Args")
                indent, current = depth, entry[1]
                texts[current] = entry[2]
            else:
                texts[current] = f"{texts[current]} {line.strip()}".strip()
    return "\n".join(description).strip(), texts
