"""Reads tool declarations as JSON schema: OpenAI's function schemas and their variants."""

import json
import re

MAX_DEPTH = 32  # of a parameter's schema
MAX_SCHEMAS = 10_000  # of a tool, once its references are inlined

# Names that datasets use for the types of JSON schema, in lower case. "any" is a schema without a type.
_TYPES = {
    "string": (
        "string str char text date time datetime timestamp duration email url uri uuid enum path filepath file "
        "filename regex color iso base64 bytes binary varchar literal"
    ),
    "integer": "integer int long short byte",
    "number": "number float double decimal numeric real",
    "boolean": "boolean bool",
    "array": "array list tuple set arraylist sequence iterable",
    "object": "object dict dictionary map hashmap mapping json",
    "null": "null none nonetype",
    "any": "any",
}
_TYPE_NAMES = {alias: name for name, aliases in _TYPES.items() for alias in aliases.split()}
_EXACT = {  # names that mean the JSON type and nothing more special
    *(alias for aliases in list(_TYPES.values())[1:] for alias in aliases.split()),
    *("string", "str", "char", "text"),
}
_UNION = re.compile(r"\||\bunion\b|\bor\b")
_BETWEEN = re.compile(r"\||\bor\b|,")
_TYPE_WORDS = {*_TYPE_NAMES, "of", "or", "union", "optional", "required", "nullable"}
_WORD = re.compile(r"[a-z]\w*")

_PARAMETER_KEYS = ("parameters", "inputSchema", "input_schema", "input_parameters")
_SCHEMA_WORDS = (
    "type properties required optional title description default additionalProperties strict examples "
    "$schema $id $defs definitions anyOf oneOf allOf return patternProperties"
)
_SCHEMA_KEYS = frozenset(_SCHEMA_WORDS.split())
_DEFINITIONS = ("$defs", "definitions")
_OF_SCHEMAS = (*_DEFINITIONS, "additionalProperties", "patternProperties")  # keys of a schema whose values are objects


def read_declaration(tool: object) -> tuple[str, str, dict[str, dict], tuple[str, ...]]:
    """A tool's name, description, schemas of its parameters in order, and names of the required ones, from a function
    schema, bare or as `{"type": "function", "function": {...}}`.

    The parameters stand under `parameters`, `inputSchema` (MCP) or `input_schema`, as an object schema, as a JSON text
    of one, or as a bare map of names (`{"city": {"type": "string"}}`). What is required is said by `required` in the
    schema, beside it, or by `"required": true` inside a parameter. References are inlined, nulls that Arrow adds as
    padding are dropped, types get the names of JSON schema. Raises ValueError that names tool and parameter.
    """
    around = {}
    if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
        around, tool = tool, tool["function"]
    if not isinstance(tool, dict):
        raise ValueError(f"a tool must be an object, not {tool!r:.80}")
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"a tool without a name: {tool!r:.80}")
    description = _text(tool.get("description"), f"tool {name}: the description")
    schema = _parameters(next((tool[key] for key in _PARAMETER_KEYS if tool.get(key)), {}), name)
    properties, marked = _Reader(around | tool | schema).properties(
        schema["properties"], f"tool {name}, parameter", 0, ()
    )
    required = [*_names(schema.get("required"), name), *marked]
    if isinstance(tool.get("required"), list):
        required += _names(tool["required"], name)
    if unknown := [key for key in required if key not in properties]:
        raise ValueError(f"tool {name}: required but not declared: {', '.join(unknown)}")
    return name, description, properties, tuple(key for key in properties if key in required)


def _text(value: object, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, not {value!r:.80}")
    return value


def _names(required: object, tool: str) -> list[str]:
    if required is None:
        return []
    if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
        raise ValueError(f"tool {tool}: `required` must be a list of parameter names")
    return required


def _parameters(given: object, tool: str) -> dict:
    """The parameters of a tool as an object schema that has `properties`."""
    refused = ValueError(f"tool {tool}: the parameters must be an object schema")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            raise refused from None
    if isinstance(given, list):  # [{"name": "city", "type": "string"}]
        if not all(isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in given):
            raise refused
        given = {"properties": {e["name"]: {key: value for key, value in e.items() if key != "name"} for e in given}}
    if not isinstance(given, dict):
        raise refused
    if "$ref" in given or given.get("allOf"):
        given = _Reader(given).inlined(given, f"tool {tool}", 0, ())[0]
    declared = given.get("properties")
    if declared is not None and not isinstance(declared, dict):
        raise refused
    named = {} if declared is not None else {key: value for key, value in given.items() if _is_parameter(key, value)}
    if named:
        bare = {key: _bare(value) for key, value in named.items() if value is not None}
        return {key: value for key, value in given.items() if key not in named} | {"properties": bare}
    return given | {"properties": declared or {}}


def _is_parameter(key: str, value: object) -> bool:
    """Whether this entry of a schema without `properties` is a parameter. `type` is one if its value is an object."""
    return key not in _SCHEMA_KEYS or (isinstance(value, dict) and not key.startswith("$") and key not in _OF_SCHEMAS)


def _bare(value: object) -> object:
    """The schema that `"city": "string"` or `"city": "The city"` stands for."""
    if not isinstance(value, str):
        return value
    words = re.findall(r"[a-z]+", value.lower())  # a description has others than those of types
    is_type = all(not {word, word.removesuffix("s")}.isdisjoint(_TYPE_WORDS) for word in words)
    return {"type": value} if is_type and _known_types(value) else {"description": value}


class _Reader:
    """Reads the schemas within one tool; references are looked up in `root`, the schema with what stands around it."""

    def __init__(self, root: dict) -> None:
        self.root = root
        self.left = MAX_SCHEMAS

    def properties(
        self, given: dict, where: str, depth: int, seen: tuple[str, ...]
    ) -> tuple[dict[str, dict], list[str]]:
        """The schemas by name, and the names of those that say `"required": true`. Null is padding."""
        marked = [key for key, value in given.items() if isinstance(value, dict) and value.get("required") is True]
        name = (lambda key: f"{where} {key}") if depth == 0 else (lambda _: where)
        read = {key: self.schema(value, name(key), depth, seen) for key, value in given.items() if value is not None}
        return read, marked

    def schema(self, given: object, where: str, depth: int, seen: tuple[str, ...]) -> dict:
        """A copy of one schema with JSON schema's type names at every level and without references."""
        given, seen = self.inlined(given, where, depth, seen)
        result: dict = {}
        # A default of null is padding only beside other padding.
        padded = any(value is None and key not in ("default", "const") for key, value in given.items())
        for key, value in given.items():
            if key in _DEFINITIONS or (value is None and (padded or key not in ("default", "const"))):
                continue
            if key == "type":
                result |= _type(value, where, given)
            elif key == "required" and isinstance(value, bool):
                continue  # belongs to the declaration of this parameter, and `properties` has read it
            elif key == "required" and not isinstance(value, list):
                raise ValueError(f"{where}: `required` must be true, false or a list of names, not {value!r:.80}")
            elif key == "description":
                result[key] = _text(value, f"{where}: the description")
            elif key == "properties" and isinstance(value, dict):
                result[key], marked = self.properties(value, where, depth + 1, seen)
                if marked:
                    named = given.get("required")
                    result["required"] = list(dict.fromkeys([*(named if isinstance(named, list) else []), *marked]))
            elif key in ("anyOf", "oneOf", "prefixItems"):
                result[key] = [self.schema(v, where, depth + 1, seen) for v in _schemas(value, key, where)]
            elif key in ("items", "additionalProperties") and isinstance(value, dict):
                result[key] = self.schema(value, where, depth + 1, seen)
            else:
                result.setdefault(key, value)
        return result

    def inlined(self, given: object, where: str, depth: int, seen: tuple[str, ...]) -> tuple[dict, tuple[str, ...]]:
        """The schema with `$ref` and `allOf` replaced by what they stand for, and the references followed so far.

        A reference to one of these is a cycle and becomes its type alone; one that leads nowhere allows any type.
        """
        if not isinstance(given, dict):
            raise ValueError(f"{where}: the schema must be an object, not {given!r:.80}")
        if depth > MAX_DEPTH:
            raise ValueError(f"{where}: the schema is nested deeper than {MAX_DEPTH}")
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"{where}: more than {MAX_SCHEMAS:,} schemas, once references are inlined")
        reference = given.get("$ref")
        if isinstance(reference, str):
            target = self.target(reference)
            rest = {key: value for key, value in given.items() if key != "$ref"}
            if reference in seen:
                return {key: target[key] for key in ("type",) if key in target} | rest, seen
            return self.inlined(target | rest, where, depth + 1, (*seen, reference))
        if given.get("allOf") is None:
            return given, seen
        merged: dict = {}
        for part in _schemas(given["allOf"], "allOf", where):
            part, seen = self.inlined(part, where, depth + 1, seen)
            merged = _merged(merged, part)
        return _merged(merged, {key: value for key, value in given.items() if key != "allOf"}), seen

    def target(self, reference: str) -> dict:
        """The schema that a reference leads to; an empty one, which allows anything, if there is none."""
        found: object = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) and reference.startswith("#") else None
        return found if isinstance(found, dict) else {}


def _schemas(value: object, key: str, where: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{where}: `{key}` must be a list of schemas")
    return value


def _merged(a: dict, b: dict) -> dict:
    """The union of two schemas; where they contradict each other, the second one counts."""
    both = a | b
    for key in ("properties", *_DEFINITIONS):
        if isinstance(a.get(key), dict) and isinstance(b.get(key), dict):
            both[key] = a[key] | b[key]
    if isinstance(a.get("required"), list) and isinstance(b.get("required"), list):
        both["required"] = [*a["required"], *(key for key in b["required"] if key not in a["required"])]
    return both


def _type(value: object, where: str, schema: dict) -> dict:
    """`{"type": ...}`, or `{}` for any type. The original name of a more special type is kept as `format`."""
    names = value if isinstance(value, list) else [value]
    known: list[str] = []
    result: dict = {}
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{where}: the type must be a name, not {value!r:.80}")
        types = _known_types(name)
        if not types:
            raise ValueError(f"{where}: unknown type {name!r}")
        if name.lower() not in _EXACT and schema.get("format") is None:
            result["format"] = name
        known += types
    if not known or "any" in known:
        return result
    known = list(dict.fromkeys(known))
    return {"type": known if isinstance(value, list) or len(known) > 1 else known[0]} | result


def _known_types(text: str) -> list[str]:
    """The types that a text such as `List[int]`, `str, optional`, `int | None` or `date` stands for, usually one."""
    text = text.lower().replace("typing.", "")
    if text.rstrip().endswith("[]"):
        return ["array"]
    parts = _BETWEEN.split(text) if _UNION.search(text) else [text]
    named = [next((_TYPE_NAMES[word] for word in _WORD.findall(part) if word in _TYPE_NAMES), "") for part in parts]
    return [name for name in dict.fromkeys(named) if name not in ("", "null")] or [name for name in named if name][:1]
