"""The interface of prompt formats: they write conversations as segments, and parse a model's output."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from tl.calls import JSON, Call, CallSyntaxError, format_call, parse_call
from tl.forms import read_calls
from tl.llama.tokenizer import Tokenizer, TokenizerError
from tl.schema import BUILT_INS, FINISH, ToolSpec
from tl.trajectory import Message

ASSETS = Path(__file__).parent.parent / "assets"


class Control(str):
    """A control token, such as `<|im_end|>`: one id if the vocabulary has it, otherwise plain text."""


Pieces = tuple[str, ...]  # of a text; a Control among them differs from the same characters in somebody's message


class Segment(NamedTuple):
    """A part of a conversation that is encoded by itself: context, or what the assistant says in `turn`."""

    pieces: Pieces
    turn: Message | None = None
    call: Call | None = None  # that the turn makes; None for plain text, and for text that should be a call and is none
    lead: Pieces = ()  # what stands before the called tool's name

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Template(ABC):
    """A prompt format for one vocabulary. Raises TokenizerError for a vocabulary without the tokens that it needs.

    Inside the project the text of a call is `name(key=<literal>, …)` everywhere: a template converts it where it writes
    a turn and where it reads what a model has said.
    """

    tokenizer: Tokenizer

    name: ClassVar[str]
    needs: ClassVar[Pieces] = ()  # control tokens
    answer: ClassVar[Pieces]  # stands before a turn of the model
    after: ClassVar[Pieces] = ()  # stands after it where the conversation goes on

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

    @abstractmethod
    def spell(self, name: str) -> str:
        """A tool's name as written in a call."""

    @abstractmethod
    def opening(self, tools: Sequence[ToolSpec], messages: Sequence[Message]) -> tuple[Pieces, int]:
        """The text with the tools, and how many of the messages are in it as well."""

    @abstractmethod
    def message(self, message: Message) -> Pieces:
        """A message of the user, or a tool's feedback."""

    @abstractmethod
    def turn(self, message: Message, call: Call | None) -> Segment:
        """The text of an assistant turn: a call, or the text of the message."""

    @abstractmethod
    def read(self, text: str) -> tuple[str, ...]:
        """The calls in what a model has said, in the project's own text. What cannot be read becomes text that
        `tl.calls` does not read either."""

    def read_one(self, text: str) -> str:
        """As `read`, if one call is expected; several calls are text that is not a call."""
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
                segments += [Segment((*context, *self.answer)), self.turn(message, _call(message))]
                context = self.after
            else:
                context = (*context, *self.message(message))
        if not segments or messages[-1].role != "assistant":
            segments.append(Segment((*context, *self.answer)))
        return segments

    def encode(self, pieces: Iterable[str]) -> list[int]:
        """The ids of a segment."""
        return self.ids_of(self.runs(pieces))

    def runs(self, pieces: Iterable[str]) -> list[str | int]:
        """The ids of control tokens, and the texts between them whole."""
        runs: list[str | int] = []
        for piece in pieces:
            id = self.tokenizer.control_ids.get(piece) if isinstance(piece, Control) else None
            if id is not None:
                runs.append(id)
            elif runs and isinstance(runs[-1], str):
                runs[-1] += piece
            else:
                runs.append(str(piece))
        return runs

    def ids_of(self, runs: Iterable[str | int]) -> list[int]:
        return [id for run in runs for id in ([run] if isinstance(run, int) else self.tokenizer.encode(run))]

    def chat_template(self) -> str:
        """A jinja template that writes the same conversations, for checkpoints that other programs open."""
        template = (ASSETS / f"{self.name}.jinja").read_text(encoding="utf-8")
        return template.replace("BUILT_INS", json.dumps([tool.to_openai() for tool in BUILT_INS]))


def _call(message: Message) -> Call | None:
    if not message.is_call:
        return None
    try:
        return parse_call(message.content)
    except CallSyntaxError:
        return None


def json_text(value: JSON, indent: int | None = None) -> str:
    """JSON in the style of transformers' chat templates."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def read_json_calls(text: str, form: str) -> tuple[str, ...]:
    """Calls in a form of `tl.forms`; text that begins like JSON or a tag and is no call stays as it is."""
    try:
        return tuple(format_call(call) for call in read_calls(text, form))
    except CallSyntaxError:
        return (text,)


def read_plain(text: str) -> tuple[str, ...]:
    """Plain words of the model as a call of `finish`; silence is no call."""
    return (format_call(Call(FINISH.name, {"answer": text.strip()})) if text.strip() else "",)
