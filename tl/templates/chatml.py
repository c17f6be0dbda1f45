"""ChatML with tools as Qwen 2.5's own chat template writes it (paper, Table 11), and Qwen 3's without thinking:

<|im_start|>system
…<tools>
{"type": "function", "function": {"name": "search", …}}
</tools>…<|im_end|>
<|im_start|>user
Find me a hotel in Oslo.<|im_end|>
<|im_start|>assistant
<tool_call>
{"name": "search", "arguments": {"query": "Oslo"}}
</tool_call><|im_end|>
<|im_start|>user
<tool_response>
[{"id": 7}]
</tool_response><|im_end|>
…
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tl.calls import Call
from tl.schema import ToolSpec
from tl.templates.template import Control, Pieces, Segment, Template, json_text, read_json_calls, read_plain
from tl.trajectory import Message

# Fixed words of the prompt format of Qwen2.5-Instruct and Qwen3 (Alibaba Cloud, Apache-2.0).
QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."  # Qwen 2.5's; Qwen 3 has none
_BEFORE_TOOLS = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_AFTER_TOOLS = "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
_CALL_FORM = '\n{"name": <function-name>, "arguments": <args-json-object>}\n'

_START, _END = Control("<|im_start|>"), Control("<|im_end|>")
_CALL, _CALL_END = Control("<tool_call>"), Control("</tool_call>")
_OUTPUT, _OUTPUT_END = Control("<tool_response>"), Control("</tool_response>")
_THINKING, _THINKING_END = "<think>", "</think>"


@dataclass(frozen=True)
class ChatML(Template):
    """`system` is the system message of conversations that have none of their own."""

    system: str | None = None

    name = "chatml"
    needs = (_START, _END)
    answer = (_START, "assistant\n")
    after = (_END, "\n")
    lead = (_CALL, '\n{"name": "')

    def opening(self, tools: Sequence[ToolSpec], messages: Sequence[Message]) -> tuple[Pieces, int]:
        own = [m.content for m in messages[:1] if m.role == "system"]
        system = own[0] if own else self.system
        parts: list[str] = [] if system is None else [system]
        if tools:
            listed = "".join("\n" + json_text(tool.to_openai()) for tool in tools)
            parts += ["\n\n"] * len(parts) + [_BEFORE_TOOLS + listed + _AFTER_TOOLS, _CALL, _CALL_END, " XML tags:\n"]
            parts += [_CALL, _CALL_FORM, _CALL_END]
        return (_START, "system\n", *parts, *self.after) if parts else (), len(own)

    def message(self, message: Message) -> Pieces:
        said: Pieces = (message.content,)
        if message.role == "tool":
            said = (_OUTPUT, "\n" + message.content + "\n", _OUTPUT_END)
        return (_START, "user\n", *said, *self.after)

    def turn(self, message: Message, call: Call | None) -> Segment:
        if call is None:
            return Segment((message.content,), message)
        rest = f'", "arguments": {json_text(call.arguments)}}}\n'
        return Segment((*self.lead, self.spell(call.name) + rest, _CALL_END), message, call, self.lead)

    def read(self, text: str) -> tuple[str, ...]:
        """Text beside the calls and the model's thoughts are left out. Without a call, the text is for the user. A turn
        that ends within a thought is no call."""
        # After a call's beginning, the tag is in an argument.
        said = text if text.lstrip().startswith(_CALL) else text.rpartition(_THINKING_END)[2]
        if said.lstrip().startswith(_THINKING):
            return (text,)
        at = said.find(_CALL)
        return read_plain(said) if at < 0 else read_json_calls(said[at:], "tool_call")

    def chat_template(self) -> str:
        return super().chat_template().replace("DEFAULT_SYSTEM", json_text(self.system or ""))
