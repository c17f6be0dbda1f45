"""Trajectories: conversations with tool calls and their feedback, and the record that holds one.

A Trajectory is a flat list of messages in which every call is one message, followed by its feedback if it has any.
`Trajectory.from_openai` reads a record of messages as people write them; files and other formats: `tl.datasets`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from tl.calls import JSON, CallSyntaxError, parse_call
from tl.schema import ToolSpec
from tl.trajectory.items import given_call
from tl.trajectory.message import Message, Note, Notes
from tl.trajectory.reading import read_record

__all__ = ["Message", "Note", "Notes", "Trajectory", "call_text"]


@dataclass(frozen=True)
class Trajectory:
    """A conversation with its tools, including the built-in ones. A tool message answers the call before it."""

    id: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]

    def answered_calls(self) -> list[tuple[Message, Message | None]]:
        """Every call in order, with its feedback or None."""
        following = [*self.messages[1:], None]
        return [
            (message, after if after is not None and after.role == "tool" else None)
            for message, after in zip(self.messages, following, strict=True)
            if message.is_call
        ]

    def calls(self) -> list[tuple[Message, str | None]]:
        """Every call in order, with the text of its feedback or None."""
        return [(call, feedback.content if feedback else None) for call, feedback in self.answered_calls()]

    @classmethod
    def from_openai(cls, record: object, default_id: str = "", notes: Notes | None = None) -> Trajectory:
        """Reads a record of `messages`, with its tools and optionally an `id`. Raises ValueError with the reason.

        Accepts present and legacy OpenAI messages and common variants: tools under `tools`, `functions` or in the
        system message; calls under `tool_calls` or `function_call` or in the text; several results in one message;
        weights of 0. If no tools are listed, they are inferred from the calls. Parallel calls become consecutive pairs
        of call and feedback. Text beside a call and reasoning are dropped, and text that ends the conversation becomes
        `finish(answer=...)`. `notes` counts what was done.
        """
        if isinstance(record, list):
            record = {"messages": record}
        if not isinstance(record, dict):
            raise ValueError(f"a record must be an object, not {record!r:.80}")
        identifier = default_id if record.get("id") is None else record["id"]
        if not isinstance(identifier, str | int):
            raise ValueError(f"the id must be a string, not {identifier!r:.80}")
        return cls(str(identifier), *read_record(record, Counter() if notes is None else notes))

    def to_openai(self) -> dict:
        """A record that `from_openai` reads back as an equal trajectory, unless it ends in plain text.

        A call that `format_call` would write differently (such as a malformed one) or that has nulls keeps its exact
        text in an extra key `text`. A turn that is not trained has `weight` 0. A source's verdict on feedback is kept
        as `failed`.
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
            if not message.trained:
                messages[-1]["weight"] = 0
            if message.failed is not None:
                messages[-1]["failed"] = message.failed
        return {"id": self.id, "tools": [spec.to_openai() for spec in self.tools], "messages": messages}

    def to_line(self) -> str:
        """One line of a trajectory file."""
        return json.dumps(self.to_openai(), ensure_ascii=False) + "\n"


def call_text(name: str, arguments: JSON) -> str:
    """The text of a call. Arguments that are neither an object nor the JSON text of one are kept as they are."""
    return given_call(name, arguments).text


def _write_call(text: str, call_id: str) -> dict:
    nulls = False  # readers may take them for padding
    try:
        call = parse_call(text)
        name, arguments = call.name, json.dumps(call.arguments, ensure_ascii=False)
        nulls = None in call.arguments.values()
    except CallSyntaxError:
        name, _, rest = text.partition("(")
        arguments = rest.removesuffix(")")
    entry = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return entry if name and call_text(name, arguments) == text and not nulls else entry | {"text": text}
