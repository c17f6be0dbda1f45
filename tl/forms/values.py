"""What the forms share: reading values from a text, and calls given as a name and arguments in JSON."""

import json
import re
from collections import Counter
from typing import NoReturn

from tl.calls import JSON, MAX_LENGTH, Call, CallSyntaxError, format_call, leading_literal, parse_literal

ARGUMENT_KEYS = ("arguments", "parameters", "params", "args", "input", "kwargs")  # keys of a call's arguments

BESIDE_ARGUMENTS = {"name", "function", "id", "type", "index", "call_id", "tool_call_id"}  # other keys of a call
_SPACE = re.compile(r"\s*")
_NO_ARGUMENTS = ("", "null", "None", "[]")


def call_of(item: JSON) -> Call:
    """The call in `{"name": …, "arguments": …}`, or in the same as the value of "function". Raises CallSyntaxError.

    The arguments may have any key of ARGUMENT_KEYS. Without these keys the call has no arguments; then other entries
    are an error, because their author may have meant them as arguments.
    """
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict):
        fail("a call must be an object")
    given = [key for key in ARGUMENT_KEYS if item.get(key) is not None]
    others = item.keys() - BESIDE_ARGUMENTS - set(ARGUMENT_KEYS)
    if len(given) > 1 or (others and not given):
        fail(f"the arguments of a call are expected under `arguments`, not {', '.join([*given, *sorted(others)]):.80}")
    return named_call(item.get("name", item.get("function")), item[given[0]] if given else None)


def calls_of(value: JSON) -> list[Call]:
    """The calls of an object or of a list of them. Raises CallSyntaxError."""
    return [call_of(item) for item in (value if isinstance(value, list) else [value])]


def looks_like_calls(value: object) -> bool:
    """Whether a value is a call or a list of calls: name and arguments, and no other entry of meaning."""
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(
        isinstance(item, dict)
        and item.keys() <= {*BESIDE_ARGUMENTS, *ARGUMENT_KEYS}
        and (isinstance(item.get("function"), dict) or (bool(item.keys() & set(ARGUMENT_KEYS)) and "name" in item))
        for item in items
    )


def named_call(name: JSON, arguments: JSON) -> Call:
    """A call of this name. Raises CallSyntaxError if `format_call` cannot write it."""
    if not isinstance(name, str) or not name:
        fail("no name of a tool")
    call = Call(name, read_arguments(arguments))
    try:
        format_call(call)
    except ValueError as error:
        fail(str(error))
    return call


def read_arguments(given: JSON) -> dict[str, JSON]:
    """The arguments of a call, from an object or from its JSON text, even if encoded twice. Raises CallSyntaxError.

    An empty text, null and an empty list mean no arguments. Strings may contain raw line breaks.
    """
    for _ in range(3):
        if given is None or given == [] or (isinstance(given, str) and given.strip() in _NO_ARGUMENTS):
            return {}
        if not isinstance(given, str):
            break
        given = _literal(given)
    return given if isinstance(given, dict) else fail("the arguments are no object")


def _literal(text: str) -> JSON:
    """A JSON or Python literal; strings in JSON may contain control characters."""
    try:
        return parse_literal(text)
    except CallSyntaxError as error:
        if len(text) > MAX_LENGTH:
            raise
        try:
            return _DECODER.decode(text)
        except (ValueError, RecursionError):
            raise error from None


def leading_value(text: str, at: int = 0) -> tuple[JSON, int]:
    """The JSON value or Python literal at this place, after white space, and its end. Raises CallSyntaxError.

    Success takes time linear in the length of the value; a failure may read the whole text.
    """
    try:
        return leading_literal(text, at)
    except CallSyntaxError as error:
        literal_error = error
    try:  # JSON with control characters in its strings
        return _DECODER.raw_decode(text, found.end() if (found := _SPACE.match(text, at)) else at)
    except (ValueError, RecursionError):
        raise literal_error from None


def unique_keys(entries: list[tuple[str, JSON]]) -> dict[str, JSON]:
    """The object with these entries. Raises ValueError for a key that it has twice."""
    found = dict(entries)
    if len(found) < len(entries):
        ((key, _),) = Counter(key for key, _ in entries).most_common(1)
        raise ValueError(f"the key {key!r:.80} twice in an object")
    return found


def refuse_constant(name: str) -> NoReturn:
    """Raises ValueError for NaN and infinities, which Python reads in JSON."""
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=refuse_constant, object_pairs_hook=unique_keys)


def fail(message: str) -> NoReturn:
    raise CallSyntaxError(message, 0)
