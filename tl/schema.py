"""What a tool looks like to a model: name, description and parameters, and the block that stands for it in a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from tl.calls import format_name
from tl.signatures import describe_function

MAX_DEPTH = 32  # of a parameter's schema

# Names that datasets use for the types of JSON schema, in lower case. "any" is a schema without a type.
_TYPES = {
    "string": ("string", "str", "char", "text"),
    "integer": ("integer", "int", "long", "short", "byte"),
    "number": ("number", "float", "double", "decimal"),
    "boolean": ("boolean", "bool"),
    "array": ("array", "list", "tuple", "set", "arraylist"),
    "object": ("object", "dict", "dictionary", "map", "hashmap"),
    "null": ("null", "none", "nonetype"),
}
_TYPE_NAMES = {alias: name for name, aliases in _TYPES.items() for alias in aliases}


@dataclass(frozen=True)
class ToolSpec:
    """One tool. `parameters` maps each name to its JSON schema in order of declaration; `required` keeps that order."""

    name: str
    description: str
    parameters: dict[str, dict]
    required: tuple[str, ...]

    @classmethod
    def from_openai(cls, tool: dict) -> ToolSpec:
        """Read an OpenAI function schema, bare or as `{"type": "function", "function": {...}}`.

        Type names of other languages become those of JSON schema (dict → object, float → number). Raises ValueError
        that names the tool and the parameter at fault.
        """
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
            tool = tool["function"]
        if not isinstance(tool, dict):
            raise ValueError(f"a tool must be an object, not {tool!r:.80}")
        name = tool.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"a tool without a name: {tool!r:.80}")
        description = _text(tool.get("description"), f"tool {name}: the description")
        schema = tool.get("parameters") or {}
        if not isinstance(schema, dict) or not isinstance(schema.get("properties") or {}, dict):
            raise ValueError(f"tool {name}: the parameters must be an object schema")
        parameters = {
            key: _normalised(value, f"tool {name}, parameter {key}", depth=0)
            for key, value in (schema.get("properties") or {}).items()
        }
        required = schema.get("required") or []
        if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
            raise ValueError(f"tool {name}: `required` must be a list of parameter names")
        if unknown := [key for key in required if key not in parameters]:
            raise ValueError(f"tool {name}: required but not declared: {', '.join(unknown)}")
        return cls(name, description, parameters, tuple(key for key in parameters if key in required))

    @classmethod
    def from_function(cls, function: Callable, name: str | None = None) -> ToolSpec:
        """Derive the tool from type hints, defaults and a Google-style docstring; see `tl.signatures`."""
        return cls.from_openai(describe_function(function, name))

    def to_openai(self) -> dict:
        """The inverse of `from_openai`."""
        parameters = {"type": "object", "properties": self.parameters, "required": list(self.required)}
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}

    def to_prompt(self) -> str:
        """The block of Table 13: signature, description and one line per parameter, the required ones first.

        White space in descriptions is collapsed, so that every description is one line and the block has one reading.
        Enums, nested types and defaults follow a parameter's description as compact JSON.
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


def _text(value: object, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, not {value!r:.80}")
    return value


def _normalised(schema: object, where: str, depth: int) -> dict:
    """A copy of a parameter's schema with the type names of JSON schema at every level."""
    if not isinstance(schema, dict):
        raise ValueError(f"{where}: the schema must be an object, not {schema!r:.80}")
    if depth > MAX_DEPTH:
        raise ValueError(f"{where}: the schema is nested deeper than {MAX_DEPTH}")
    result = {}
    for key, value in schema.items():
        if key == "type":
            result |= _normalised_type(value, where)
        elif key == "description":
            result[key] = _text(value, f"{where}: the description")
        elif key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            result[key] = {k: _normalised(v, where, depth + 1) for k, v in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if not isinstance(value, list):
                raise ValueError(f"{where}: `{key}` must be a list of schemas")
            result[key] = [_normalised(v, where, depth + 1) for v in value]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            result[key] = _normalised(value, where, depth + 1)
        else:
            result[key] = value
    return result


def _normalised_type(value: object, where: str) -> dict:
    """`{"type": ...}`, or `{}` where any type will do."""
    names = value if isinstance(value, list) else [value]
    known = []
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{where}: the type must be a name, not {value!r:.80}")
        if name.lower() == "any":
            return {}
        if name.lower() not in _TYPE_NAMES:
            raise ValueError(f"{where}: unknown type {name!r}")
        known.append(_TYPE_NAMES[name.lower()])
    if not known:
        return {}
    return {"type": known if isinstance(value, list) else known[0]}


def _type_name(schema: dict) -> str:
    """The one type that stands in the signature: the first that is not null."""
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
