"""Calls surrounded by other text: in code blocks, as objects, or on lines that they fill or end."""

import re
from collections.abc import Callable, Iterator, Sequence

from tl.calls import Call, CallSyntaxError
from tl.forms.marks import fences
from tl.forms.python import read_python_calls
from tl.forms.values import calls_of, leading_value, looks_like_calls
from tl.schema import ToolSpec

MAX_FAILURES = 20  # opening brackets where no value can be read

_OPENING = re.compile(r"[\[{]")
_NAME = r"[\w.:$@/-]{1,200}\("
_FIRST_LINE = re.compile(rf"\s*(?:\[\s*)?(?:{_NAME}|\[\s*\Z)")
_IN_LINE = re.compile(rf"(?:\A|[:.!?>→]\s)[\s`*-]{{0,6}}(?:\d{{1,2}}[.)]\s)?`?(\[?{_NAME})")
_CLOSING = " \t`.;,*"


def calls_among_words(text: str, tools: Sequence[ToolSpec]) -> list[Call]:
    """All calls of the first kind that occurs in the text; [] if none does. With `tools`, only calls of these."""
    names = {tool.name for tool in tools}
    readers: tuple[Callable[[str, Sequence[ToolSpec]], Iterator[list[Call]]], ...] = (
        _in_code_blocks,
        _as_objects,
        _over_lines,
        _in_lines,
    )
    for read in readers:
        calls = [call for found in read(text, tools) for call in found if not names or call.name in names]
        if calls:
            return calls
    return []


def _in_code_blocks(text: str, tools: Sequence[ToolSpec]) -> Iterator[list[Call]]:
    for _, _, inner in fences(text):
        objects = [call for found in _as_objects(inner, tools) for call in found]
        yield objects or _python(inner.strip(), tools)


def _python(text: str, tools: Sequence[ToolSpec]) -> list[Call]:
    try:
        return read_python_calls(text, tools)
    except CallSyntaxError:
        return []


def _as_objects(text: str, _tools: Sequence[ToolSpec]) -> Iterator[list[Call]]:
    """Objects with a name and arguments; any other value is content."""
    at = failures = 0
    while failures < MAX_FAILURES and (opening := _OPENING.search(text, at)):
        try:
            value, at = leading_value(text, opening.start())
            if looks_like_calls(value):
                yield calls_of(value)
        except CallSyntaxError:
            at = max(at, opening.end())
            failures += 1


def _over_lines(text: str, tools: Sequence[ToolSpec]) -> Iterator[list[Call]]:
    """Calls from the first line that begins like a call or a list of calls to the last line that ends like one."""
    lines = text.splitlines()
    first = next((at for at, line in enumerate(lines) if _FIRST_LINE.match(line)), len(lines))
    last = next((at for at in range(len(lines) - 1, first - 1, -1) if lines[at].rstrip().endswith((")", "]"))), first)
    yield _python("\n".join(lines[first : last + 1]).strip(), tools)


def _in_lines(text: str, tools: Sequence[ToolSpec]) -> Iterator[list[Call]]:
    """Calls that fill a line, or that end a line after a sentence and have arguments."""
    for line in text.splitlines():
        if found := _IN_LINE.search(line.strip()):
            calls = _python(line.strip()[found.start(1) :].rstrip(_CLOSING), tools)
            if found.start() == 0 or all(call.arguments for call in calls):
                yield calls
