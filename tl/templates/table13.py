"""The paper's prompt format (Table 13), for CodeLLaMA, base models and the embedded model:

    System: Function:
    def search(query: string):
    …
    User: Find me a hotel in Oslo.
    Assistant: search(query="Oslo")
    Output: [{"id": 7}]
    Assistant: finish(answer="…")

`</s>` ends a turn; it is only a target and not part of the history. Plain text instead of a call is a format error.
"""

from collections.abc import Sequence

from tl.calls import Call, format_name
from tl.schema import ToolSpec
from tl.templates.template import Pieces, Segment, Template
from tl.trajectory import Message

_HEADERS = {"system": "System: ", "user": "User: ", "tool": "Output: "}


class Table13(Template):
    name = "table13"
    answer = ("\nAssistant:",)

    @property
    def lead(self) -> Pieces:
        """The space after `Assistant:`. Sentencepiece adds it by itself; in a byte-level vocabulary it is part of the
        call's first token, such as `Ġget`."""
        return () if self.tokenizer.vocabulary.adds_space else (" ",)

    def spell(self, name: str) -> str:
        return format_name(name)

    def opening(self, tools: Sequence[ToolSpec], messages: Sequence[Message]) -> tuple[Pieces, int]:
        own = [m.content for m in messages[:1] if m.role == "system"]
        return (_HEADERS["system"] + "\n\n".join([*own, *(tool.to_prompt() for tool in tools)]),), len(own)

    def message(self, message: Message) -> Pieces:
        return ("\n" + _HEADERS[message.role] + message.content,)

    def turn(self, message: Message, call: Call | None) -> Segment:
        """The exact text of the message. White space or a quote may precede the name of a call."""
        text = message.content
        lead = text[: len(text) - len(text.lstrip())]
        if call and text[len(lead)] in "'\"" and format_name(call.name) == call.name:
            lead += text[len(lead)]
        return Segment((*self.lead, text), message, call, (*self.lead, lead))

    def read(self, text: str) -> tuple[str, ...]:
        return (text.removeprefix("".join(self.lead)),)
