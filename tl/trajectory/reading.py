"""One record of messages, in any supported layout → its tools and its turns."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from tl.calls import Call, format_call
from tl.forms.values import unique_keys
from tl.schema import FINISH, ToolSpec
from tl.trajectory.items import GivenCall, Item, keys_of, read_items, refuse_media, whole_text
from tl.trajectory.message import Message, Note, Notes
from tl.trajectory.pairing import pair
from tl.trajectory.text_calls import looks_like_a_call, read_text_calls
from tl.trajectory.tools import implied_tools, listed_tools, read_tools, tools_in_text

_TOOLS_BEFORE_REQUEST = re.compile(  # the words of Llama 3's prompt format around a list of tools
    r"\s*Given the following functions, please respond with a JSON for a function call.*?Do not use variables\.\s*",
    re.DOTALL,
)
_LABELS = ("label", "kto_tag")  # of KTO
_WEIGHTS = ("weight", "loss", "train", "trainable", "loss_mask", "loss_weight", "completion_mask", "assistant_masks")


def read_record(record: dict, notes: Notes) -> tuple[tuple[ToolSpec, ...], tuple[Message, ...]]:
    """The tools and turns of a record with `messages`. Raises ValueError with the reason if it cannot be right."""
    if "messages" not in record:
        raise ValueError(f"no `messages`, but {keys_of(record)}")
    refuse_media(record)
    for key in _WEIGHTS:
        if record.get(key) not in (None, 1):
            raise ValueError(f"`{key}` is outside the messages; only a message may have it")
    for key in _LABELS:
        if str(record.get(key)).lower() in ("false", "0"):
            raise ValueError(f"`{key}` is {record[key]!r}: the record is an example of what to avoid")
    messages = record["messages"]
    if isinstance(messages, str):
        messages = _json(messages)
    record = record | _tools_of_a_message(record, messages)
    items = _with_system(read_items(messages, notes), record.get("system"))
    declared = _declared_tools(record, items, notes)
    specs = read_tools(declared or ())
    known = {spec.name for spec in specs} | {call.name for item in items for call in item.calls if declared is None}
    read_text_calls(items, specs, known, notes)
    given = [call for item in items for call in item.calls]
    notes[Note.BROKEN_CALLS] += sum(call.call is None for call in given)
    if declared is None and given:
        notes[Note.IMPLIED_TOOLS] += 1
        specs = implied_tools(call.call for call in given if call.call)
    for call in given:
        _drop_padding(call, specs, notes)
    return specs, tuple(_turns(items, specs, notes))


def _json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise ValueError(f"the messages are a string, but not JSON: {error}") from None


def _tools_of_a_message(record: dict, messages: object) -> dict:
    """`tools` of the system message, as of the record (GLM-4). Raises ValueError for those of any other message."""
    for number, given in enumerate(messages if isinstance(messages, list) else [], 1):
        if isinstance(given, dict) and given.get("tools"):
            if number > 1 or given.get("role") != "system" or listed_tools(record):
                raise ValueError(f"message {number}: only the record, or else its system message, may have `tools`")
            return {"tools": given["tools"]}
    return {}


def _with_system(items: list[Item], system: object) -> list[Item]:
    """At most one system message, at the start: the record's `system` and the leading system messages are joined."""
    leading = 0
    while leading < len(items) and items[leading].role == "system":
        leading += 1
    if late := next((item for item in items[leading:] if item.role == "system"), None):
        raise ValueError(
            f"{late.where}: only the first message may be a system message (in a file with a message a line, blank "
            "lines separate conversations)"
        )
    texts = [item.text for item in items[:leading]]
    told = whole_text(system, "`system`")
    if told.strip() and told not in texts:
        texts.insert(0, told)
    return [Item("system", "the system message", "\n\n".join(texts)), *items[leading:]] if texts else items


def _declared_tools(record: dict, items: list[Item], notes: Notes) -> list | None:
    """The tools in the record's list, or else in its system message or in its first request as Llama 3 has them; they
    are removed from messages."""
    listed = listed_tools(record)
    if items[0].role == "system":
        told, rest = tools_in_text(items[0].text, sure=listed is not None)
        if told and listed and read_tools(told) != read_tools(listed):
            raise ValueError("the record and its system message list different tools: leave one of the lists")
        if told:
            items[:1] = [replace(items[0], text=rest)] if rest else []
            notes[Note.SYSTEM_TOOLS] += listed is None
            return listed or told
    at = items[0].role == "system"
    if listed or len(items) <= at or items[at].role != "user":
        return listed
    told, rest = tools_in_text(items[at].text, sure=True)
    if not told:
        return None
    if not (words := _TOOLS_BEFORE_REQUEST.match(rest)):
        raise ValueError(f"{items[at].where}: a list of tools in a user's message: put it under `tools`")
    items[at] = replace(items[at], text=rest[words.end() :])
    notes[Note.SYSTEM_TOOLS] += 1
    return told


def _drop_padding(given: GivenCall, specs: tuple[ToolSpec, ...], notes: Notes) -> None:
    """Drops nulls for parameters that the tool does not have: Arrow gives every row the keys of all rows."""
    spec = next((spec for spec in specs if given.call and spec.name == given.call.name), None)
    if not given.call or not spec or given.exact:
        return
    arguments = {k: v for k, v in given.call.arguments.items() if v is not None or k in spec.parameters}
    if len(arguments) < len(given.call.arguments):
        notes[Note.PADDING] += len(given.call.arguments) - len(arguments)
        given.call = Call(given.call.name, arguments)
        given.text = format_call(given.call)


def _turns(items: list[Item], specs: tuple[ToolSpec, ...], notes: Notes) -> Iterator[Message]:
    """The messages, with each call followed by its feedback and a final text as a call of `finish`."""
    at = 0
    while at < len(items):
        item = items[at]
        at += 1
        if item.role == "assistant" and item.calls:
            start = at - 1
            while at < len(items) and items[at].role == "assistant" and items[at].calls:
                at += 1
            after = at
            while at < len(items) and items[at].role == "tool":
                at += 1
            yield from _calls(items[start:after], items[after:at], notes)
        elif item.role == "tool":
            raise ValueError(f"{item.where}: feedback without a call before it")
        elif item.role != "assistant":
            yield Message(item.role, item.text)
        elif at < len(items) and items[at].role == "assistant":
            notes[Note.TEXT_BESIDE_CALL] += bool(item.text.strip())
        elif not item.text.strip():
            raise ValueError(f"{item.where}: an assistant message with neither text nor a call")
        else:
            notes[Note.WEIGHT_0] += not item.trained
            notes[Note.CALL_LIKE_TEXT] += looks_like_a_call(item.text, {spec.name for spec in specs})
            yield _said(item, specs, ends=at == len(items))


def _said(item: Item, specs: tuple[ToolSpec, ...], ends: bool) -> Message:
    finish = next(spec for spec in specs if spec.name == FINISH.name)
    (answer,) = FINISH.required
    if ends and answer in finish.parameters and set(finish.required) <= {answer}:
        return Message("assistant", format_call(Call(FINISH.name, {answer: item.text})), True, item.trained)
    return Message("assistant", item.text, trained=item.trained)


def _calls(items: list[Item], results: list[Item], notes: Notes) -> Iterator[Message]:
    """The calls of consecutive messages, each followed by its result."""
    calls = [(call, item) for item in items for call in item.calls]
    answers = pair([call for call, _ in calls], results, len(items) == 1, notes)
    notes[Note.TEXT_BESIDE_CALL] += sum(bool(item.text.strip()) for item in items)
    notes[Note.WEIGHT_0] += sum(not item.trained for _, item in calls)
    notes[Note.PARALLEL] += len(calls) - len(items)
    for (call, item), answer in zip(calls, answers, strict=True):
        yield Message("assistant", call.text, True, item.trained, joined=call is not item.calls[0])
        if answer is not None:
            yield Message("tool", answer.text, failed=answer.failed)
