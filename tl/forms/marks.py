"""Finds what surrounds calls in a text: tags and other marks, code blocks, reasoning. All in linear time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tl.calls import CallSyntaxError, leading_literal
from tl.forms.values import leading_value

END_TOKENS = (  # of prompt formats
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<|return|>"),
    *("<end_of_turn>", "<eos>", "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>", "</s>"),
)

_TAG = r"tool_calls?|function_?calls?"
_BARE_NAME = r"[\w.:$@/-]{1,200}"
_MARK = re.compile(
    rf"<({_TAG})>(?!`)|<function=({_BARE_NAME})>|\[(TOOL_CALLS)\](?=\s*(?:[\[{{]|{_BARE_NAME}\s*(?:\[ARGS\]\s*)?\{{))"
    rf"|<\|(assistant)\|>(?=\s*{_BARE_NAME}[ \t]*\r?\n\s*\{{)"
)
_END = re.compile(rf"{_MARK.pattern}|</(?:{_TAG}|function)>|<\|(?:endoftext|observation|user)\|>|</s>")
_FENCE = re.compile(r"```[ \t]{0,9}([\w-]{0,40})[ \t]{0,9}\r?\n")
OPEN_THOUGHT = re.compile(r"\s*(?:<think(?:ing)?>|\[THINK\])")
_THINK_END = re.compile(r"</think(?:ing)?>|\[/THINK\]")


@dataclass(frozen=True)
class Marked:
    """A mark of calls at `start` and the text after it, `body`. `name` is set if the mark names the tool."""

    start: int
    mark: str
    name: str
    body: str


def marked(text: str) -> list[Marked]:
    """Each mark of calls with the text after it, up to a closing tag, the next mark or the end.

    The marks are `<tool_call>`, `<function_call>`, `<functioncall>`, `<function=name>`, `[TOOL_CALLS]` and, before a
    name and an object, `<|assistant|>`. A mark within a string of the body does not end it. A tag that only surrounds
    another mark (`<tool_call><function=name>`) is a part of that.
    """
    found: list[Marked] = []
    at = 0
    outer: int | None = None
    while mark := _MARK.search(text, at):
        ending = _END.search(text, mark.end())
        at = ending.start() if ending else len(text)
        if ending and not _is_value(text[mark.end() : at]):
            at = max(at, _value_end(text, mark.end()))
        start = mark.start() if outer is None else outer
        kind, body = mark[1] or mark[3] or mark[4] or "function", text[mark.end() : at].strip()
        outer = start if mark[1] and not body and _MARK.match(text, at) else None
        if outer is None:
            found.append(Marked(start, kind, mark[2] or "", body))
    return found


def _is_value(body: str) -> bool:
    try:
        leading_value(body)
    except CallSyntaxError:
        return False
    return True


def _value_end(text: str, at: int) -> int:
    try:
        return leading_literal(text, at)[1]
    except CallSyntaxError:
        return 0


def fences(text: str) -> Iterator[tuple[int, str, str]]:
    """(start, language, content) of every code block."""
    at = 0
    while (opening := _FENCE.search(text, at)) and (end := text.find("```", opening.end())) >= 0:
        yield opening.start(), opening[1], text[opening.end() : end].removesuffix("\n")
        at = end + 3


def unfenced(text: str) -> str:
    """The content of the code block that a text consists of, or else the text; without white space around it."""
    text = text.strip()
    opening = _FENCE.match(text)
    if opening and text.endswith("```") and len(text) > opening.end() + 2:
        return text[opening.end() : -3].strip()
    return text


def drop_reasoning(text: str) -> tuple[str, int]:
    """The text without the `<think>` or `[THINK]` blocks at its start, and how many of these are not empty. The first
    may lack its opening tag, which some prompts end with."""
    at = count = 0
    closing = _THINK_END.search(text)
    before = text[: closing.start()] if closing else ""
    if closing and not any(mark in before for mark in ("<think", "[THINK]")) and text[closing.end() :].strip():
        count, at = bool(before.strip()), closing.end()
    while (opening := OPEN_THOUGHT.match(text, at)) and (closing := _THINK_END.search(text, opening.end())):
        count += bool(text[opening.end() : closing.start()].strip())
        at = closing.end()
    return (text[at:].lstrip(), count) if at else (text, 0)
