"""Tool calls as text: `name(key=<literal>, ...)` and back.

A small scanner reads a model's text as data: nothing is evaluated, time is linear in the length, and length, depth and
digits have limits. It accepts the spelling of JSON and of Python: `true` and `True`, `null` and `None`, both quotes,
the escapes of both languages, lists, dictionaries with string keys, tuples (read as lists), trailing commas.

Real tools and parameters are called `preferred-routes_get`, `api.v2.search`, `from` or `code:`. A name made of letters,
digits and `_ . - : $ @ /` stands bare; any other (`page[size]`, `limit=10`) stands as a string: `f("page[size]"=3)`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import NoReturn

JSON = None | bool | int | float | str | list | dict

MAX_LENGTH = 1_000_000  # characters of one call
MAX_DEPTH = 64  # nested lists and dictionaries
MAX_DIGITS = 1_000  # characters of one number; Python's own conversion takes quadratic time

_TOO_LARGE = 10 ** (MAX_DIGITS - 1)
_BARE_NAME = re.compile(r"[\w.:$@/-]+")
_WORD = re.compile(r"[^\W\d]\w*")
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_PLAIN = {
    '"': re.compile(r'[^"\\\r\n]*'),
    "'": re.compile(r"[^'\\\r\n]*"),
}  # up to the next quote, escape or line break
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_ONE_LINE = re.compile("[\x85\u2028\u2029]")  # line ends to str.splitlines, but json.dumps leaves them as they are

_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_CLOSERS = {"[": "]", "(": ")", "{": "}"}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "a": "\a", "v": "\v"} | {c: c for c in "\"'\\/"}
_HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
_HEX = re.compile(r"[0-9a-fA-F]*")
_OCTAL = re.compile(r"[0-7]{1,3}")


@dataclass(frozen=True)
class Call:
    """One call of a tool: keyword arguments only, values as in JSON."""

    name: str
    arguments: dict[str, JSON]


class CallSyntaxError(ValueError):
    """Text that is not exactly one literal call; `position` is the index of the character at which reading stopped."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message, position)
        self.message = message
        self.position = position

    def __str__(self) -> str:
        return f"{self.message} (at character {self.position})"


def parse_call(text: str) -> Call:
    """Reads exactly one call; white space around it is allowed. Raises only CallSyntaxError."""
    scanner = _whole(text)
    call = scanner.call()
    scanner.end("a call")
    return call


def call_or_none(text: str) -> Call | None:
    """As `parse_call`, but None for any other text."""
    try:
        return parse_call(text)
    except CallSyntaxError:
        return None


def parse_literal(text: str) -> JSON:
    """Reads exactly one JSON or Python literal, as it may occur after `key=`. Raises CallSyntaxError."""
    scanner = _whole(text)
    scanner.space()
    value = scanner.value(depth=0)
    scanner.end("a literal")
    return value


def leading_literal(text: str, at: int) -> tuple[JSON, int]:
    """The JSON or Python literal at this place, after white space, and where it ends. Raises CallSyntaxError."""
    scanner = _Scanner(text, at)
    scanner.space()
    return scanner.value(depth=0), scanner.at


def format_call(call: Call) -> str:
    """Writes a call on one line, its values as JSON, so that `parse_call(format_call(call)) == call`.

    Raises ValueError for a value that JSON cannot represent (NaN, a tuple, a key that is not a string, a lone
    surrogate), and for a call beyond the parser's limits.
    """
    for value in call.arguments.values():
        _check_literal(value, depth=0)
    arguments = ", ".join(f"{format_name(key)}={_dumps(value)}" for key, value in call.arguments.items())
    text = f"{format_name(call.name)}({arguments})"
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the call has {len(text):,} characters, but only {MAX_LENGTH:,} can be parsed back")
    return text


def format_name(name: str) -> str:
    """The name of a tool or parameter as written in a call: bare if possible, otherwise a JSON string.

    Raises ValueError for what is not a string, or holds a lone surrogate.
    """
    if not isinstance(name, str):
        raise ValueError(f"a name must be a string, not {name!r}")
    if _BARE_NAME.fullmatch(name):
        return name
    _check_literal(name, depth=0)
    return _dumps(name)


def same_value(a: JSON, b: JSON) -> bool:
    """Equality of JSON values: 1 equals 1.0, but true is not 1; the order of keys does not count."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_value(value, b[key]) for key, value in a.items())
    return a == b


def _dumps(value: JSON) -> str:
    return _NOT_ONE_LINE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def _check_literal(value: object, depth: int) -> None:
    """Raise ValueError unless the scanner reads back the JSON text of this value as the same value."""
    if value is None or type(value) is bool:
        return
    if type(value) is str:
        if not value.isascii() and _LONE_SURROGATE.search(value):
            raise ValueError(f"lone surrogate in {value[:40]!r}")
    elif type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written as JSON")
    elif type(value) is int:
        if abs(value) >= _TOO_LARGE:
            raise ValueError(f"an integer of more than {MAX_DIGITS - 1} digits")
    elif isinstance(value, list | dict):
        if depth == MAX_DEPTH:
            raise ValueError(f"values nested deeper than {MAX_DEPTH}")
        if isinstance(value, dict) and (odd := [key for key in value if type(key) is not str]):
            raise ValueError(f"the key {odd[0]!r} is not a string")
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_literal(item, depth + 1)
    else:
        raise ValueError(f"a {type(value).__name__} is not a JSON value")


def _whole(text: str) -> _Scanner:
    """A scanner of a text, which must be short enough and valid Unicode."""
    scanner = _Scanner(text)
    if len(text) > MAX_LENGTH:
        scanner.fail(f"longer than {MAX_LENGTH:,} characters", MAX_LENGTH)
    if not text.isascii() and (surrogate := _LONE_SURROGATE.search(text)):
        scanner.fail("a lone surrogate", surrogate.start())
    return scanner


class _Scanner:
    """Recursive descent over one text; recursion is bounded by MAX_DEPTH. `at` is the index of the next character."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        raise CallSyntaxError(message, self.at if position is None else position)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def space(self) -> None:
        self.match(_SPACE)

    def step(self, token: str) -> bool:
        """Step over this character, if it comes next."""
        found = self.peek() == token
        self.at += found
        return found

    def take(self, token: str) -> bool:
        """Step over white space, then over this character, if it comes next."""
        self.space()
        return self.step(token)

    def match(self, pattern: re.Pattern) -> str:
        """Step over what the pattern matches here; empty if it does not match."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def end(self, what: str) -> None:
        self.space()
        if self.at < len(self.text):
            self.fail(f"text after {what}")

    def call(self) -> Call:
        self.space()
        name = self.name("the name of a tool expected")
        if not self.take("("):
            self.fail("'(' expected after the name of the tool")
        arguments: dict[str, JSON] = {}
        while not self.take(")"):
            key, start = self.keyword()
            if key in arguments:
                self.fail(f"the keyword {format_name(key)} is given twice", start)
            self.space()
            arguments[key] = self.value(depth=0)
            self.separator(")")
        return Call(name, arguments)

    def name(self, expected: str) -> str:
        if self.peek() in _PLAIN:
            return self.string()
        return self.match(_BARE_NAME) or self.fail(expected)

    def keyword(self) -> tuple[str, int]:
        """Read `name =`; also returns where it starts."""
        self.space()
        start = self.at
        if self.peek() == "*":
            self.fail("starred arguments are not literal")
        if self.peek() in ("[", "{", "("):
            self.fail("a positional argument; only key=value is allowed")
        key = self.name("a keyword expected")
        if not self.take("="):
            self.fail("a positional argument; only key=value is allowed", start)
        return key, start

    def separator(self, closer: str) -> bool:
        """Step over a comma; without one the closer must follow. Returns whether there was a comma."""
        if self.take(","):
            return True
        if self.peek() != closer:
            self.fail(f"',' or '{closer}' expected" if self.at < len(self.text) else f"the text ends before '{closer}'")
        return False

    def value(self, depth: int) -> JSON:
        first = self.peek()
        if first in _PLAIN:
            return self.string()
        if first in _CLOSERS:
            if depth == MAX_DEPTH:
                self.fail(f"nested deeper than {MAX_DEPTH}")
            self.at += 1
            return self.dictionary(depth + 1) if first == "{" else self.items(_CLOSERS[first], depth + 1)
        start = self.at
        if word := self.match(_WORD):
            if word not in _WORDS:
                self.fail(f"{word[:40]} is not a literal", start)
            return _WORDS[word]
        return self.number()

    def items(self, closer: str, depth: int) -> JSON:
        """The inside of a list or a tuple; `(x)` is x in parentheses, as in Python."""
        items: list[JSON] = []
        comma = True
        while not self.take(closer):
            items.append(self.value(depth))
            comma = self.separator(closer)
        return items[0] if closer == ")" and len(items) == 1 and not comma else items

    def dictionary(self, depth: int) -> dict[str, JSON]:
        entries: dict[str, JSON] = {}
        while not self.take("}"):
            start = self.at
            if self.peek() not in _PLAIN:
                self.fail("a string expected as key")
            key = self.string()
            if key in entries:
                self.fail("the same key twice in a dictionary", start)
            if not self.take(":"):
                self.fail("':' expected")
            self.space()
            entries[key] = self.value(depth)
            self.separator("}")
        return entries

    def number(self) -> int | float:
        start = self.at
        digits = self.match(_NUMBER)
        if not digits:
            self.fail("a value expected" if self.peek() else "the text ends where a value is expected")
        if len(digits) > MAX_DIGITS:
            self.fail(f"a number of more than {MAX_DIGITS} characters", start)
        if not any(c in digits for c in ".eE"):
            return int(digits)
        value = float(digits)
        if not math.isfinite(value):
            self.fail("a number out of range", start)
        return value

    def string(self) -> str:
        start = self.at
        quote = self.text[start]
        self.at += 1
        pieces: list[str] = []
        while True:
            pieces.append(self.match(_PLAIN[quote]))
            if self.step(quote):
                return "".join(pieces)
            if self.at == len(self.text):
                self.fail("a string without end", start)
            if not self.step("\\"):
                self.fail("a line break in a string")
            pieces.append(self.escape(self.at - 1))

    def escape(self, start: int) -> str:
        """The character that an escape stands for; its backslash was at `start`."""
        if octal := self.match(_OCTAL):
            return chr(int(octal, 8))
        letter = self.peek()
        if letter in _HEX_ESCAPES:
            self.at += 1
            return self.code_point(_HEX_ESCAPES[letter], start)
        if letter not in _ESCAPES:
            self.fail("an unknown escape" if letter else "an escape without end", start)
        self.at += 1
        return _ESCAPES[letter]

    def code_point(self, width: int, start: int) -> str:
        code = self.hexadecimal(width, start)
        if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", self.at):  # JSON writes 😀 as \ud83d\ude00
            self.at += 2
            low = self.hexadecimal(4, start)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
        if 0xD800 <= code < 0xE000:
            self.fail("a lone surrogate", start)
        if code > 0x10FFFF:
            self.fail("an escape beyond Unicode", start)
        return chr(code)

    def hexadecimal(self, width: int, start: int) -> int:
        digits = self.text[self.at : self.at + width]
        if len(digits) < width or not _HEX.fullmatch(digits):
            self.fail(f"{width} hexadecimal digits expected", start)
        self.at += width
        return int(digits, 16)
