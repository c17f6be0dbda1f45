"""The interface of prompt formats: they write conversations as segments and parse a model's output."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar, NamedTuple

from tl.calls import JSON, Call, CallSyntaxError, format_call
from tl.forms import read_calls
from tl.llama.tokenizer import Tokenizer, TokenizerError
from tl.schema import BUILT_INS, FINISH, ToolSpec
from tl.trajectory import Message

ASSETS = Path(__file__).parent.parent / "assets"


class Control(str):
    """A control token, such as `<|im_end|>`: one id if the vocabulary has it, otherwise plain text."""


Pieces = tuple[str, ...]  # a text in parts; a Control among them differs from the same characters in a message


class Segment(NamedTuple):
    """A part of a conversation that is encoded by itself: context, or the text of an assistant's `turn`."""

    pieces: Pieces
    turn: Message | None = None
    call: Call | None = None  # that the turn makes; None for plain text and for a call that cannot be parsed
    lead: Pieces = ()  # of a call: the text before the tool's name

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Template(ABC):
    """A prompt format for one vocabulary. Raises TokenizerError if the vocabulary lacks a token of the format.

    Everywhere else in the project the text of a call is `name(key=<literal>, …)`. A template converts it when it writes
    a turn and when it reads a model's output.
    """

    tokenizer: Tokenizer

    name: ClassVar[str]
    needs: ClassVar[Pieces] = ()  # control tokens
    answer: ClassVar[Pieces]  # text before a turn of the model
    after: ClassVar[Pieces] = ()  # text after it, if the conversation goes on

    def __post_init__(self) -> None:
        missing = [token for token in self.needs if token not in self.tokenizer.control_ids]
        if missing:
            raise TokenizerError(
                f"{self.tokenizer.path}: has no {' and no '.join(missing)}, which the prompt format {self.name} needs: "
                "choose another --template"
            )

    @property
    def end_id(self) -> int:
        """The token that ends a turn of the model, its last target."""
        return self.tokenizer.control_ids[self.after[0]] if self.after else self.tokenizer.eos_id

    @property
    @abstractmethod
    def lead(self) -> Pieces:
        """The text before the name in a call."""

    def spell(self, name: str) -> str:
        """A tool's name as written in a call: by default as in a JSON string."""
        return json_text(name)[1:-1]

    @abstractmethod
    def opening(self, tools: Sequence[ToolSpec], messages: Sequence[Message]) -> tuple[Pieces, int]:
        """The text that presents the tools, and how many of the messages it contains as well."""

    @abstractmethod
    def message(self, message: Message) -> Pieces:
        """The text of a user's message or of a tool's feedback."""

    @abstractmethod
    def turn(self, message: Message, call: Call | None) -> Segment:
        """The text of an assistant turn: a call, or the text of the message."""

    @abstractmethod
    def read(self, text: str) -> tuple[str, ...]:
        """The calls in a model's output, as text that `tl.calls` parses. Output that cannot be read becomes text that
        `tl.calls` rejects."""

    def read_one(self, text: str) -> str:
        """As `read`, if one call is expected; several calls become text that `tl.calls` rejects."""
        calls = self.read(text)
        return calls[0] if len(calls) == 1 else f"{len(calls)} calls in one turn: {text}"

    def segments(self, tools: Sequence[ToolSpec], messages: Sequence[Message]) -> list[Segment]:
        """The conversation as alternating segments of context and assistant turns.

        When the last message is not the assistant's, the last segment ends where the model continues.
        """
        context, used = self.opening(tools, messages)
        segments: list[Segment] = []
        for message in messages[used:]:
            if message.role == "assistant":
                segments += [Segment((*context, *self.answer)), self.turn(message, message.call)]
                context = self.after
            else:
                context = (*context, *self.message(message))
        if not segments or messages[-1].role != "assistant":
            segments.append(Segment((*context, *self.answer)))
        return segments

    def encode(self, pieces: Iterable[str]) -> list[int]:
        """The ids of a segment's pieces: of each control token, and of the whole texts between them."""
        ids: list[int] = []
        for is_text, run in groupby(pieces, self.is_text):
            if is_text:
                ids += self.tokenizer.encode("".join(run))
            else:
                ids += [self.tokenizer.control_ids[piece] for piece in run]
        return ids

    def is_text(self, piece: str) -> bool:
        """Whether a piece is encoded as text, as are control tokens that the vocabulary does not have."""
        return not isinstance(piece, Control) or piece not in self.tokenizer.control_ids

    def chat_template(self) -> str:
        """A jinja template that writes the same conversations, for checkpoints that other programs open."""
        template = (ASSETS / f"{self.name}.jinja").read_text(encoding="utf-8")
        return template.replace("BUILT_INS", json.dumps([tool.to_openai() for tool in BUILT_INS]))


def json_text(value: JSON, indent: int | None = None) -> str:
    """JSON in the style of transformers' chat templates."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def read_json_calls(text: str, form: str) -> tuple[str, ...]:
    """The calls in a form of `tl.forms`; text that cannot be read as calls stays as it is."""
    try:
        return tuple(format_call(call) for call in read_calls(text, form))
    except CallSyntaxError:
        return (text,)


def read_plain(text: str) -> tuple[str, ...]:
    """Plain text of the model as a call of `finish`; empty text is no call."""
    return (format_call(Call(FINISH.name, {"answer": text.strip()})) if text.strip() else "",)
