"""Trajectories: conversations with tool calls and their feedback, and the files that hold them.

Two layouts are read: OpenAI messages (`tools`, `messages`) and the released `conversations` (roles system, user,
assistant, function), from files with one record a line or one JSON list, plain or gzip. Each record becomes a
Trajectory: a flat list of messages in which every call is one message, followed by its feedback if it has any.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from tl.calls import Call, CallSyntaxError, format_call, format_name, parse_call, parse_literal
from tl.schema import BUILT_INS, FINISH, ToolSpec

Role = Literal["system", "user", "assistant", "tool"]
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Message:
    """One turn. With `is_call`, an assistant's content is the text of one call, else what it says to the user."""

    role: Role
    content: str
    is_call: bool = False


@dataclass(frozen=True)
class Trajectory:
    """A conversation and its tools, built-in ones included. A tool message is the feedback of the call before it."""

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]

    def calls(self) -> list[tuple[Message, str | None]]:
        """Every call in order, with the text of its feedback or None."""
        following = [*self.messages[1:], None]
        return [
            (message, after.content if after is not None and after.role == "tool" else None)
            for message, after in zip(self.messages, following, strict=True)
            if message.is_call
        ]

    @classmethod
    def from_openai(cls, record: object, default_id: str = "") -> Trajectory:
        """Read a record of OpenAI messages: `tools`, `messages` and perhaps an `id`. Raises ValueError with the reason.

        Text beside a call is dropped. Parallel calls become consecutive pairs of call and feedback, matched by
        `tool_call_id` (in order where there is none). Text that ends the conversation becomes `finish(answer=...)`.
        """
        if not isinstance(record, dict):
            raise ValueError(f"a record must be an object, not {record!r:.80}")
        if "messages" not in record:
            raise ValueError(f"no `messages`, but {_keys(record)}")
        messages = tuple(_read_messages(record["messages"], first=1))
        return cls(_identifier(record, default_id), _read_tools(record.get("tools") or []), messages)

    def to_openai(self) -> dict:
        """A record that `from_openai` reads back as an equal trajectory, provided that it does not end in plain text.

        A call whose text `format_call` would write differently, such as a malformed one, keeps its exact text in an
        extra key `text`.
        """
        messages: list[dict] = []
        for index, message in enumerate(self.messages):
            if message.is_call:
                calls = [_write_call(message.content, f"call_{index}")]
                messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            elif message.role == "tool":
                messages.append({"role": "tool", "tool_call_id": f"call_{index - 1}", "content": message.content})
            else:
                messages.append({"role": message.role, "content": message.content})
        return {"id": self.id, "tools": [spec.to_openai() for spec in self.tools], "messages": messages}

    def to_line(self) -> str:
        """A line of a trajectory file."""
        return json.dumps(self.to_openai(), ensure_ascii=False) + "\n"


# ---- one record: OpenAI messages


def _identifier(record: dict, default_id: str) -> str:
    identifier = default_id if record.get("id") is None else record["id"]
    if not isinstance(identifier, str | int):
        raise ValueError(f"the id must be a string, not {identifier!r:.80}")
    return str(identifier)


def _read_tools(tools: object) -> tuple[ToolSpec, ...]:
    """The tools of a record, and the built-in ones that are not among them."""
    if not isinstance(tools, list):
        raise ValueError(f"the tools must be a list, not {tools!r:.80}")
    specs = [ToolSpec.from_openai(tool) for tool in tools]
    names = {spec.name for spec in specs}
    return (*specs, *(spec for spec in BUILT_INS if spec.name not in names))


def _read_messages(items: object, first: int) -> Iterator[Message]:
    """Validate and flatten the messages of a record; `first` is the number of the first one in error messages."""
    if not isinstance(items, list) or not items:
        raise ValueError("the messages must be a list with at least one message")
    roles = [_role(item, number) for number, item in enumerate(items, first)]
    at = 0
    while at < len(items):
        item, role, where = items[at], roles[at], f"message {first + at}"
        at += 1
        if role == "assistant" and item.get("tool_calls"):
            after = at
            while at < len(items) and roles[at] == "tool":
                at += 1
            yield from _read_calls(item, items[after:at], where)
            continue
        content = _text(item.get("content"), where)
        if role == "tool":
            raise ValueError(f"{where}: feedback without a call before it")
        if role == "system" and at > 1:
            raise ValueError(f"{where}: a system message can only be the first")
        if role == "assistant" and not content.strip():
            raise ValueError(f"{where}: an assistant message with neither text nor a call")
        if role == "assistant" and at == len(items):
            yield Message(role, format_call(Call(FINISH.name, {"answer": content})), is_call=True)
        else:
            yield Message(role, content)


def _keys(item: dict) -> str:
    return f"{', '.join(map(str, item)) or 'nothing':.80}"


def _role(item: object, number: int) -> Role:
    if not isinstance(item, dict):
        raise ValueError(f"message {number}: must be an object, not {item!r:.80}")
    if "role" not in item:
        raise ValueError(f"message {number}: no `role` and `content`, but {_keys(item)}")
    if item["role"] not in get_args(Role):
        raise ValueError(f"message {number}: unknown role {item['role']!r:.80}")
    return item["role"]


def _text(content: object, where: str) -> str:
    if not isinstance(content, str):
        raise ValueError(f"{where}: the content must be a string, not {content!r:.80}")
    return content


def _read_calls(item: dict, feedbacks: list[dict], where: str) -> Iterator[Message]:
    """The calls of one assistant message, each followed by its feedback from the tool messages right after it."""
    calls = item["tool_calls"]
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise ValueError(f"{where}: `tool_calls` must be a list of objects")
    ids = [call.get("id") for call in calls]
    if any(ids.count(call_id) > 1 for call_id in ids if call_id is not None):
        raise ValueError(f"{where}: two calls with the same id")
    answers: dict[int, str] = {}
    for feedback in feedbacks:
        wanted = feedback.get("tool_call_id")
        found = [i for i, call_id in enumerate(ids) if i not in answers and wanted in (None, call_id)]
        if not found:
            raise ValueError(f"{where}: feedback for the call {wanted!r:.80}, which is not there or already has one")
        answers[found[0]] = _text(feedback.get("content"), f"{where}, feedback")
    for i, call in enumerate(calls):
        yield Message("assistant", _read_call(call, where), is_call=True)
        if i in answers:
            yield Message("tool", answers[i])


def _read_call(call: dict, where: str) -> str:
    """The text of a call in the layout of OpenAI."""
    if isinstance(call.get("text"), str):
        return call["text"]
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError(f"{where}: a call without the name of a function")
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        return format_call(Call(function["name"], arguments))
    if not isinstance(arguments, str):
        raise ValueError(f"{where}: the arguments of a call must be a JSON string, not {arguments!r:.80}")
    return call_text(function["name"], arguments)


def call_text(name: str, arguments: str) -> str:
    """The text of a call whose arguments are JSON text; what is not an object stays as it is: `name(arguments)`."""
    try:
        literal = parse_literal(arguments)
    except CallSyntaxError:
        literal = None
    if isinstance(literal, dict):
        return format_call(Call(name, literal))
    return f"{format_name(name)}({arguments})"


def _write_call(text: str, call_id: str) -> dict:
    try:
        call = parse_call(text)
        name, arguments = call.name, json.dumps(call.arguments, ensure_ascii=False)
    except CallSyntaxError:
        name, _, rest = text.partition("(")
        arguments = rest.removesuffix(")")
    entry = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return entry if call_text(name, arguments) == text else entry | {"text": text}


# ---- one record: the released conversations


def _from_conversations(record: dict, default_id: str) -> Trajectory:
    """Read a record of `conversations`, in which the system message is a JSON list of tools, and a call is the tool's
    name on one line and its arguments as JSON below."""
    turns = record["conversations"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError("`conversations` must be a list of objects")
    tools: object = []
    has_tools = bool(turns) and turns[0].get("role") == "system"
    if has_tools:
        tools = _loads(_text(turns[0].get("content"), "message 1").encode(), "the system message")
    specs = _read_tools(tools)
    names = {spec.name for spec in specs}
    messages = [_openai_message(turn, names) for turn in turns[has_tools:]]
    return Trajectory(_identifier(record, default_id), specs, tuple(_read_messages(messages, first=1 + has_tools)))


def _openai_message(turn: dict, names: set[str]) -> dict:
    role, content = turn.get("role"), turn.get("content")
    if role == "function":
        return {"role": "tool", "content": content}
    if role != "assistant" or not isinstance(content, str):
        return turn
    name, _, arguments = content.partition("\n")
    name = name.strip()
    if name in names or (len(name.split()) == 1 and arguments.lstrip().startswith("{")):
        return {"role": role, "content": None, "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}
    return turn


# ---- files


@dataclass(frozen=True)
class BadRecord:
    """A record that was refused: its file, its place there (such as `line 12`) and the reason."""

    path: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, {self.place}: {self.reason}"


class DataError(ValueError):
    """Files that cannot be read, or hold bad records; those are listed in `bad`."""

    def __init__(self, message: str, bad: Sequence[BadRecord] = ()) -> None:
        super().__init__(message)
        self.bad = list(bad)


@dataclass
class ReadReport:
    """Counts of a reading: records read, bad records, and texts that were dropped because they stood beside a call."""

    read: int = 0
    bad: list[BadRecord] = field(default_factory=list)
    dropped_thoughts: int = 0

    def warn(self) -> None:
        """Lists the bad records in a warning, if there are any."""
        if self.bad:
            listed = "\n".join(f"  {bad}" for bad in self.bad)
            warnings.warn(f"{len(self.bad):,} bad records are left out:\n{listed}", stacklevel=3)


def read_record(record: object, default_id: str = "") -> Trajectory:
    """One record of either layout, told by its keys. Raises ValueError with the reason."""
    if isinstance(record, dict) and "conversations" in record:
        return _from_conversations(record, default_id)
    return Trajectory.from_openai(record, default_id)


def read_trajectories(
    paths: str | PathLike | Sequence[str | PathLike],
    on_bad: Literal["error", "skip"] = "error",
    check: Callable[[Trajectory], object] | None = None,
) -> tuple[list[Trajectory], ReadReport]:
    """Read and validate every record of one or more files.

    With `on_bad="skip"` bad records are left out and listed in the report. A record without an id gets its file and
    place as one; ids need not be unique. `check` is called with every trajectory; a record for which it raises
    ValueError is a bad one.

    Raises:
        DataError: a file is missing, cut off or empty; or, with `on_bad="error"`, records are bad: it lists them all.
    """
    if on_bad not in ("error", "skip"):
        raise ValueError(f"on_bad must be 'error' or 'skip', not {on_bad!r}")
    report = ReadReport()
    trajectories = []
    for path in [paths] if isinstance(paths, str | PathLike) else paths:
        for place, record in _records(Path(path)):
            try:
                if isinstance(record, bytes):
                    record = _loads(record, "the line")
                trajectory = read_record(record, f"{path}, {place}")
                if check:
                    check(trajectory)
            except (ValueError, RecursionError) as error:
                report.bad.append(BadRecord(str(path), place, str(error)))
            else:
                trajectories.append(trajectory)
                report.dropped_thoughts += _thoughts(record)
    report.read = len(trajectories)
    if report.bad and on_bad == "error":
        count = f"{len(report.bad):,} of {report.read + len(report.bad):,} records are bad"
        raise DataError("\n".join(["bad records:", *(f"  {bad}" for bad in report.bad), count]), report.bad)
    return trajectories, report


def _thoughts(record: object) -> int:
    """The number of texts beside a call in a record that was read."""
    messages = record.get("messages", ()) if isinstance(record, dict) else ()
    return sum(bool(message.get("tool_calls") and message.get("content")) for message in messages)


def _records(path: Path) -> Iterator[tuple[str, object]]:
    """Each record with its place: lines as raw bytes, or the items of a JSON list. Raises DataError for a bad file."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    data = data.removeprefix(codecs.BOM_UTF8)
    records: list[tuple[str, object]]
    if data.lstrip().startswith(b"["):
        try:
            listed = _loads(data, "the file")
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: {error}") from error
        records = [(f"record {n}", record) for n, record in enumerate(listed, 1)]
    else:
        records = [(f"line {n}", line) for n, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if not records:
        raise DataError(f"{path}: holds no record")
    yield from records


def _loads(data: bytes, what: str) -> Any:
    """Strict JSON in UTF-8: no NaN, and no lone surrogates, which no text could hold."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"{what} is not JSON: {error.msg} ({place})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}") from None
    if _ESCAPED_SURROGATE.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what} holds a lone surrogate") from None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
