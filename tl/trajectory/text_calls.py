"""Calls that are written in an assistant's text, and results that came as a user's message."""

from __future__ import annotations

import re
from collections.abc import Collection

from tl.calls import Call, CallSyntaxError
from tl.forms import ARGUMENT_KEYS, BESIDE_ARGUMENTS, call_of, marked, marked_calls, read_calls
from tl.forms.marks import Marked, fences, unfenced
from tl.schema import FINISH
from tl.trajectory.items import GivenCall, Item, calls_of_json, given_call, in_tags, json_or_none, parsed_call
from tl.trajectory.message import Note, Notes
from tl.trajectory.tools import several

SHELL = "bash"  # the tool that a command in a code block calls

_ACTION = re.compile(r"^[ \t]*Action[ \t]*:([^\n]*)\n+[ \t]*Action Input[ \t]*:", re.MULTILINE)
_OBSERVATION = re.compile(r"\n[ \t]*Observation[ \t]*:.*", re.DOTALL)
_FINAL_ANSWER = re.compile(r"\s*Thought[ \t]*:.*?^[ \t]*Final Answer[ \t]*:\s*(.*)", re.DOTALL | re.MULTILINE)
_SHELLS = ("bash", "sh", "shell", "zsh", "console", "mswea_bash_command", "")
_CALL_KEYS = BESIDE_ARGUMENTS | set(ARGUMENT_KEYS)
_ENDS_OF_TURN = ("<|eom_id|>", "<|eot_id|>", "<|im_end|>")
_UNREAD = re.compile(  # calls in forms of other models
    r"\s*(?:<\|python_(?:tag|start)\|>|\[TOOL_CALLS\]|<TOOLCALL>|<\|tool_call\|>|functools\[|<｜tool▁calls▁begin｜>)"
)
_FEEDBACK = re.compile(r"\s*(?:<tool_response>|<returncode>|(?:Observation|OBSERVATION|FUNCTION RESPONSE)[ \t]*:)")
_RESPONSE_TAGS = re.compile(r"\s*(?:<tool_response>.*?</tool_response>\s*)+", re.DOTALL)
_CLOSING = re.compile(r"\A(?:\s{0,9}(?:</[\w-]{1,20}>|<\|\w{1,20}\|>))*")
_FEEDBACK_MARK = re.compile(r"\s*(?:Observation|OBSERVATION|FUNCTION RESPONSE|The output of the OS|Output)[ \t]*:\s*")
_OUTPUT = re.compile(
    r"\s*(?:<returncode>|(?:Observation|OBSERVATION|The output of the OS|Output|EXIT CODE|Exit code)[ \t]*:|\[exit )"
)


def read_text_calls(items: list[Item], names: Collection[str | None], notes: Notes) -> None:
    """Moves calls from the text of the assistant's items to `calls`; `names` are the names of the declared tools.

    After such a call, a user's message that looks like a result becomes one.
    """
    commands = _has_commands(items)
    said: list[tuple[int, Item]] = []  # what a user says after results
    for at, item in enumerate(items):
        if item.role == "assistant" and not item.calls:
            beside, item.calls = _calls(item.text, names)
            if commands and not item.calls:
                beside, item.calls = _command(item.text)
            if not item.calls and (form := _UNREAD.match(item.text)):
                raise ValueError(f"{item.where}: a call in a form that cannot be read, after {form[0].strip()}")
            item.text = beside if item.calls else item.text
            notes[Note.TEXT_CALLS] += len(item.calls)
        elif item.role == "user" and at and items[at - 1].calls and (commands or _FEEDBACK.match(item.text)):
            item.role, item.text = "tool", _FEEDBACK_MARK.sub("", item.text, count=1)
            if (tags := _RESPONSE_TAGS.match(item.text)) and item.text[tags.end() :].strip():
                said.append((at + 1, Item("user", item.where, item.text[tags.end() :])))
                item.text = tags[0]
    for at, item in reversed(said):
        items.insert(at, item)
    for at, item in reversed(list(enumerate(items))):
        if item.role == "tool" and len(texts := in_tags(item.text)) > 1:
            items[at : at + 1] = [Item("tool", item.where, text) for text in texts]
        elif item.role == "tool":
            item.text = texts[0]


def _calls(text: str, names: Collection[str | None]) -> tuple[str, list[GivenCall]]:
    """(the text before and after the calls, the calls)."""
    if marks := marked(text):
        last = marks[-1]
        after = _CLOSING.sub("", text[text.find(last.body, last.start) + len(last.body) :], count=1)
        return text[: marks[0].start] + after, [call for one in marks for call in _marked(one)]
    if (action := _ACTION.search(text)) and (name := action[1].strip()):
        return text[: action.start()], [_action(name, _OBSERVATION.sub("", text[action.end() :]).strip())]
    if found := _FINAL_ANSWER.match(text):
        return text[: found.start(1)], [given_call(FINISH.name, {FINISH.required[0]: found[1].strip()})]
    return "", _bare_json(text, names) or _bare_python(text, names)


def _marked(found: Marked) -> list[GivenCall]:
    """The calls behind a mark. An object that cannot be read keeps the name of its tool."""
    if found.mark.startswith("tool_call") and found.body[:1] in ("{", "["):
        return calls_of_json(found.body, "")
    try:
        return [parsed_call(call) for call in marked_calls(found)]
    except CallSyntaxError:
        return [GivenCall(None, found.body)]


def _action(name: str, arguments: str) -> GivenCall:
    """A call of Action and Action Input. Text after its arguments, such as an imagined observation, is left out."""
    try:
        (call,) = read_calls(f"Action: {name}\nAction Input: {arguments}", "action")
    except (CallSyntaxError, ValueError):
        return given_call(name, arguments)
    return parsed_call(call)


def _bare_json(text: str, names: Collection[str | None]) -> list[GivenCall]:
    """The calls in a text that consists of objects with the name of a known tool and its arguments."""
    text = text.strip().removeprefix("<|python_tag|>")
    for end_of_turn in _ENDS_OF_TURN:
        text = text.removesuffix(end_of_turn)
    bare = unfenced(text)
    if not bare.startswith(("{", "[")) or not bare.endswith(("}", "]")):
        return []
    value = json_or_none(bare)
    if value is None:
        value, end = several(bare, 0)  # one after the other, as Llama 3 writes them
        value = value if end == len(bare) else None
    entries = value if isinstance(value, list) else [value]
    objects = [entry for entry in entries if isinstance(entry, dict) and entry.keys() <= _CALL_KEYS and len(entry) > 1]
    if not entries or len(objects) < len(entries):
        return []
    try:
        calls = [call_of(entry) for entry in objects]
    except CallSyntaxError:
        return []
    return [parsed_call(call) for call in calls] if all(call.name in names for call in calls) else []


def _bare_python(text: str, names: Collection[str | None]) -> list[GivenCall]:
    """The calls in a text that consists of Python calls of known tools, one or a list."""
    if not text.rstrip().endswith((")", ")]")) or not any(name and f"{name}(" in text for name in names):
        return []
    try:
        calls = read_calls(text, "python")
    except (CallSyntaxError, ValueError):
        return []
    return [parsed_call(call) for call in calls] if all(call.name in names for call in calls) else []


# ---- commands in a fence


def _has_commands(items: list[Item]) -> bool:
    """Whether code blocks are commands that are run: the user's next message is then their output."""
    return any(
        item.role == "assistant" and not item.calls and _command(item.text)[1] and after.role == "user"
        and _OUTPUT.match(after.text)
        for item, after in zip(items, items[1:], strict=False)
    )  # fmt: skip


def _command(text: str) -> tuple[str, list[GivenCall]]:
    """(the text before the only code block, that block as a call of the shell)."""
    blocks = [(start, inner) for start, language, inner in fences(text) if language.lower() in _SHELLS]
    if len(blocks) != 1:
        return text, []
    ((start, command),) = blocks
    return text[:start], [parsed_call(Call(SHELL, {"command": command}))]
