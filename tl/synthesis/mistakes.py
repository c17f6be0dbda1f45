"""Candidates for typical mistakes of models. The caller executes them to see how they fail."""

import random
from collections.abc import Callable, Collection, Iterator

from tl.calls import JSON, Call
from tl.mae import ErrorCategory
from tl.schema import ToolSpec

# Relative frequency of each category. TOOL_INSTABILITY depends on the session's seed, not on the call.
ERROR_SHARES: dict[ErrorCategory, float] = {
    ErrorCategory.TOOL_HALLUCINATION: 3,
    ErrorCategory.PARAMETER_HALLUCINATION: 3,
    ErrorCategory.PARAMETER_MISSING: 3,
    ErrorCategory.TOOL_CALL_FAILURE: 4,
    ErrorCategory.TOOL_INSTABILITY: 2,
    ErrorCategory.OTHER: 2,
}

_VERBS = {
    "get": ("fetch", "read", "retrieve", "lookup"),
    "search": ("find", "query", "lookup"),
    "find": ("search", "get", "query"),
    "list": ("get", "show", "read"),
    "create": ("add", "make", "new"),
    "delete": ("remove", "cancel", "drop"),
    "cancel": ("delete", "stop", "revoke"),
    "move": ("update", "reschedule", "shift"),
}
_ENDINGS = ("info", "data", "by_id", "by_name", "list", "v2")
_SPARE_PARAMETERS: dict[str, JSON] = {
    "language": "en",
    "format": "json",
    "sort_by": "date",
    "verbose": True,
    "page": 1,
    "details": True,
    "source": "web",
    "timeout": 10,
}
_RENAMED = {
    "id": "identifier",
    "date": "day",
    "city": "location",
    "limit": "max_results",
    "start": "time",
    "text": "query",
}
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def mistakes(
    category: ErrorCategory, call: Call, spec: ToolSpec, library: Collection[str], rng: random.Random
) -> list[Call]:
    """Variants of `call`, a correct call of the tool `spec`, that may fail with `category`; in random order."""
    found = list(_MAKERS[category](call, spec))
    rng.shuffle(found)
    return [wrong for wrong in found if wrong.name == call.name or wrong.name not in library]


def _wrong_names(call: Call, spec: ToolSpec) -> Iterator[Call]:
    verb, _, rest = call.name.partition("_")
    names = [f"{other}_{rest}" for other in _VERBS.get(verb, ()) if rest]
    names += [f"{call.name}_{ending}" for ending in _ENDINGS]
    names += [call.name.rpartition("_")[0], call.name.title().replace("_", ""), f"{call.name}s"]
    for name in names:
        if name:
            yield Call(name, call.arguments)


def _spare_parameters(call: Call, spec: ToolSpec) -> Iterator[Call]:
    for name, value in _SPARE_PARAMETERS.items():
        if name not in spec.parameters:
            yield Call(call.name, {**call.arguments, name: value})
    for name in call.arguments:
        renamed = _RENAMED.get(name) or (name.rpartition("_")[2] if "_" in name else f"{name}_name")
        if renamed not in spec.parameters:
            yield Call(call.name, {renamed if key == name else key: value for key, value in call.arguments.items()})


def _missing_parameters(call: Call, spec: ToolSpec) -> Iterator[Call]:
    for name in spec.required:
        yield Call(call.name, {key: value for key, value in call.arguments.items() if key != name})


def _wrong_values(call: Call, spec: ToolSpec) -> Iterator[Call]:
    for name, value in call.arguments.items():
        for wrong in _spoiled(value, spec.parameters[name]):
            yield Call(call.name, {**call.arguments, name: wrong})


def _spoiled(value: JSON, schema: dict) -> list[JSON]:
    """Plausible replacements for `value` of the wrong type or format, or outside the enum."""
    if isinstance(value, bool) or value is None:
        return [str(value)]
    if isinstance(value, int | float):
        return [str(value), _NUMBER_WORDS[int(value)] if value in range(11) else f"{value} units", -value]
    if isinstance(value, list):
        return [", ".join(map(str, value)), {"values": value}]
    if isinstance(value, dict):
        return [str(value), [value]]
    if "enum" in schema:
        return [value.upper(), value.capitalize(), "any"]
    digits = "".join(character for character in value if character.isdigit())
    spoiled: list[JSON] = [f"{value[8:]}/{value[5:7]}/{value[:4]}", f"{value}:00 o'clock"]
    return spoiled + ([int(digits), f"#{digits}"] if digits else [[value]])


def _misspelled_values(call: Call, spec: ToolSpec) -> Iterator[Call]:
    for name, value in call.arguments.items():
        if isinstance(value, str) and "enum" not in spec.parameters[name]:
            for at in range(1, len(value) - 1):
                swapped = value[:at] + value[at + 1] + value[at] + value[at + 2 :]
                if swapped != value:
                    yield Call(call.name, {**call.arguments, name: swapped})


_MAKERS: dict[ErrorCategory, Callable[[Call, ToolSpec], Iterator[Call]]] = {
    ErrorCategory.TOOL_HALLUCINATION: _wrong_names,
    ErrorCategory.PARAMETER_HALLUCINATION: _spare_parameters,
    ErrorCategory.PARAMETER_MISSING: _missing_parameters,
    ErrorCategory.TOOL_CALL_FAILURE: _wrong_values,
    ErrorCategory.OTHER: _misspelled_values,
}
