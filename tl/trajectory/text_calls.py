"""Calls that are written in an assistant's text, and results that came as a user's message."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from tl.calls import Call, CallSyntaxError, call_or_none
from tl.forms import ARGUMENT_KEYS, BESIDE_ARGUMENTS, call_of, marked, marked_calls, read_calls
from tl.forms.marks import Marked, fences, unfenced
from tl.forms.values import looks_like_calls
from tl.schema import FINISH, ToolSpec
from tl.trajectory.items import GivenCall, Item, calls_of_json, given_call, in_tags, json_or_none, parsed_call
from tl.trajectory.message import Note, Notes
from tl.trajectory.tools import several

SHELL = "bash"  # the tool that a command in a code block calls

_ACTION = re.compile(r"^[ \t]*Action[ \t]*:([^\n]*)\n+[ \t]*Action Input[ \t]*:", re.MULTILINE)
_OBSERVATION = re.compile(r"\n[ \t]*Observation[ \t]*:.*", re.DOTALL)
_LAST_WORD = re.compile(r"^[ \t]*Final Answer[ \t]*:", re.MULTILINE)
_RESULT = re.compile(  # within a message; a response that is not closed goes on to the end
    r"^[ \t]*Observation[ \t]*:(.*?)(?=^[ \t]*(?:Thought|Action|Final Answer)[ \t]*:|\Z)"
    r"|(?:^|(?<=</tool_call>)|(?<=</tool_response>))[ \t]*<tool_response>(.*?)(?:</tool_response>|\Z)",
    re.DOTALL | re.MULTILINE,
)
_ACTION_LIKE = re.compile(  # in other spellings, and LangChain's object
    r'^[ \t>*_#`-]*Action(?:[ _-]?Input|[ \t]*\d+)[ \t*_\d]*[:：]|"action_input"\s*:', re.IGNORECASE | re.MULTILINE
)
_FINAL_ANSWER = re.compile(r"\s*(?:Thought[ \t]*:.*?)?^[ \t]*Final Answer[ \t]*:\s*(.*)", re.DOTALL | re.MULTILINE)
_SHELLS = ("bash", "sh", "shell", "zsh", "console", "mswea_bash_command", "")
_CALL_KEYS = BESIDE_ARGUMENTS | set(ARGUMENT_KEYS)
_UNREAD = re.compile(  # calls in forms of other models
    r"<(?:[|｜](?:tool|function|action|python)[\w▁]*[|｜]>|TOOLCALL>|\w{1,40}:tool_call>|invoke name=|arg_key>)"
    r"|\[(?:TOOL_CALLS\]|(?<=\bfunctools\[))|=functions\.(?<=\bto=functions\.)|✿FUNCTION✿"
)
_CALL_LIKE = re.compile(
    r"(?<![\w.:$@/-])([\w.:$@/-]{1,200})(?:\(|[\"'`]?:?\s{0,9}\{)"
    r"|(?:name|action|tool|function)[\"']?[ \t]*[:=][ \t]*[\"'`]?([\w.:$@/-]{1,200})"
    r"|<([\w.:$@/-]{1,200})>",
    re.IGNORECASE,
)
_FEEDBACK = re.compile(r"\s*(?:<tool_response>|<returncode>|(?:Observation|OBSERVATION|FUNCTION RESPONSE)[ \t]*:)")
_RESPONSE_TAGS = re.compile(r"\s*(?:<tool_response>.*?</tool_response>\s*)+", re.DOTALL)
_CLOSING = re.compile(r"\A(?:\s{0,9}(?:</[\w-]{1,20}>|<\|\w{1,20}\|>))*")
_FEEDBACK_MARK = re.compile(r"\s*(?:Observation|OBSERVATION|FUNCTION RESPONSE|The output of the OS|Output)[ \t]*:\s*")
_OUTPUT = re.compile(
    r"\s*(?:<returncode>|(?:Observation|OBSERVATION|The output of the OS|Output|EXIT CODE|Exit code)[ \t]*:|\[exit )"
)


def read_text_calls(items: list[Item], tools: Sequence[ToolSpec], names: Collection[str | None], notes: Notes) -> None:
    """Moves calls from the text of the assistant's items to `calls`; `names` are the names of all known tools.

    After such a call, a user's message that looks like a result becomes one.
    """
    around = zip([None, *items[:-1]], items, [*items[1:], None], strict=True)
    items[:] = [turn for before, item, after in around for turn in _unpacked(before, item, after)]
    commands = _has_commands(items)
    said: list[tuple[int, Item]] = []  # what a user says after results
    for at, item in enumerate(items):
        if item.role == "assistant" and not item.calls:
            beside, item.calls = _calls(item, tools, names)
            if commands and not item.calls:
                beside, item.calls = _command(item.text)
            if not item.calls:
                _refuse_other_forms(item.text, item.where)
            item.text = beside if item.calls else item.text
            notes[Note.TEXT_CALLS] += len(item.calls)
        elif item.role == "assistant":
            told = [call.text for one in marked(item.text) for call in _marked(one, tools, item.where)]
            if told and told != [call.text for call in item.calls]:
                raise ValueError(f"{item.where}: the text has other calls than `tool_calls`: leave one of them")
        elif item.role == "user" and at and _is_result(item, items[at - 1], commands):
            if not items[at - 1].calls:  # what a result follows was meant as a call
                items[at - 1] = replace(items[at - 1], text="", calls=[GivenCall(None, items[at - 1].text)])
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


def _is_result(item: Item, before: Item, commands: bool) -> bool:
    """Whether a user's message is the result of the call in the message before, which may be in an unknown form."""
    return before.role == "assistant" and bool((commands and before.calls) or _FEEDBACK.match(item.text))


def _unpacked(before: Item | None, item: Item, after: Item | None) -> list[Item]:
    """The turns of a trace in one message: calls, results and an answer. Where the next message brings the result, the
    one in the trace is made up, and its message stays whole. An empty result at the end is a stop word."""
    if item.role != "assistant" or item.calls or not ("Observation" in item.text or "<tool_response>" in item.text):
        return [item]
    found = list(_RESULT.finditer(item.text))
    goes_on = found and before and not item.text[: found[0].start()].strip() and _bears_calls(before)
    if not found or not (_bears_calls(item) or goes_on):
        return [item]
    turns, at = [], 0
    for result in found:
        said = Item("tool", item.where, (result[1] or result[2] or "").strip())
        turns += [replace(item, text=item.text[at : result.start()].strip(), calls=[]), said]
        at = result.end()
    turns.append(replace(item, text=item.text[at:].strip(), calls=[]))
    if after and (after.role == "tool" or (after.role == "user" and _FEEDBACK.match(after.text))):
        if sum(map(_bears_calls, turns)) > 1:
            raise ValueError(
                f"{item.where}: several calls with results in one message, and another result in the next: write each "
                "call and each result as a message of its own"
            )
        return [item]
    if not any(turn.text for turn in turns[-2:]):
        turns = turns[:-2]
    return [turn for turn in turns if turn.role == "tool" or turn.text]


def _bears_calls(item: Item) -> bool:
    return item.role == "assistant" and bool(item.calls or _ACTION.search(item.text) or marked(item.text))


def _calls(item: Item, tools: Sequence[ToolSpec], names: Collection[str | None]) -> tuple[str, list[GivenCall]]:
    """(the text before and after the calls, the calls)."""
    text = item.text
    if marks := marked(text):
        last = marks[-1]
        after = _CLOSING.sub("", text[text.find(last.body, last.start) + len(last.body) :], count=1)
        return text[: marks[0].start] + after, [call for one in marks for call in _marked(one, tools, item.where)]
    if (action := _ACTION.search(text)) and (name := action[1].strip()):
        given = _OBSERVATION.sub("", text[action.end() :])
        if _ACTION.search(given) or _LAST_WORD.search(given) or _LAST_WORD.search(text[: action.start()]):
            raise ValueError(
                f"{item.where}: an Action with another one or a Final Answer, without an Observation between them: "
                "write each call and its result as messages of their own"
            )
        return text[: action.start()], [_action(name, given.strip())]
    if _ACTION_LIKE.search(text):
        raise ValueError(
            f"{item.where}: an action that cannot be read: write the lines `Action: NAME` and `Action Input: JSON`"
        )
    if found := _FINAL_ANSWER.match(text):
        return text[: found.start(1)], [given_call(FINISH.name, {FINISH.required[0]: found[1].strip()})]
    return "", _bare_json(text, names) or _bare_python(text, names)


def _refuse_other_forms(text: str, where: str) -> None:
    forms = (found for found in _UNREAD.finditer(text) if text[found.start() - 1 : found.start()] != "`")
    if form := next(forms, None):
        near = text[max(form.start() - 12, 0) : form.end() + 12]
        raise ValueError(f"{where}: a call in a form that cannot be read: put it under `tool_calls`: {near!r}")


def looks_like_a_call(text: str, names: Collection[str]) -> bool:
    """Whether a text that is read as an answer says one of these names as calls do, or is a call of another name."""
    bare = unfenced(text)
    if call_or_none(bare) or looks_like_calls(json_or_none(bare)):
        return True
    said = ((found[1] or found[2] or found[3]).rstrip(":") for found in _CALL_LIKE.finditer(text))
    return any(name in text for name in names) and any({one, one.rpartition(".")[2]} & {*names} for one in said)


def _marked(found: Marked, tools: Sequence[ToolSpec], where: str) -> list[GivenCall]:
    """The calls behind a mark. An object that cannot be read keeps the name of its tool."""
    if found.mark.startswith("tool_call") and found.body[:1] in ("{", "["):
        return calls_of_json(found.body, where)
    try:
        return [parsed_call(call) for call in marked_calls(found, tools)]
    except CallSyntaxError:
        _refuse_other_forms(found.body, where)
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
    bare = unfenced(text.strip().removeprefix("<|python_tag|>"))
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
