"""Tools as the chat templates of Llama 3.1 and 3.2 write them, in the first message of the user (paper, Table 10):

    <|start_header_id|>system<|end_header_id|>

    Environment: ipython
    …<|eot_id|><|start_header_id|>user<|end_header_id|>

    Given the following functions, …
    {"type": "function", …} (on many lines)

    Find me a hotel in Oslo.<|eot_id|><|start_header_id|>assistant<|end_header_id|>

    {"name": "search", "parameters": {"query": "Oslo"}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>

    "[{\"id\": 7}]"<|eot_id|>…

The form has no parallel calls; as in all our conversations, the result of each call follows it.
"""

from collections.abc import Sequence

from tl.calls import Call
from tl.schema import ToolSpec
from tl.templates.template import Control, Pieces, Segment, Template, json_text, read_json_calls, read_plain
from tl.trajectory import Message

# Fixed words of the prompt format of Llama-3.1-Instruct and Llama-3.2-Instruct (Meta, Llama 3.1 and 3.2 Community
# License). The date is their template's default.
_ENVIRONMENT = "Environment: ipython\n"
_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
_BEFORE_TOOLS = (
    "Given the following functions, please respond with a JSON for a function call with its proper arguments that best "
    'answers the given prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of argument '
    "name and its value}.Do not use variables.\n\n"
)

_START, _END, _TURN_END = Control("<|start_header_id|>"), Control("<|end_header_id|>"), Control("<|eot_id|>")
_PYTHON_TAG = "<|python_tag|>"


def _header(role: str) -> Pieces:
    return (_START, role, _END, "\n\n")


class Llama3(Template):
    name = "llama3"
    needs = (_START, _END, _TURN_END)
    answer = _header("assistant")
    after = (_TURN_END,)
    lead = ('{"name": "',)

    def opening(self, tools: Sequence[ToolSpec], messages: Sequence[Message]) -> tuple[Pieces, int]:
        own = [m.content.strip() for m in messages[:1] if m.role == "system"]
        pieces = (*_header("system"), _ENVIRONMENT * bool(tools) + _DATES + "".join(own), *self.after)
        if not tools:
            return pieces, len(own)
        first = [m.content.strip() for m in messages[len(own) : len(own) + 1] if m.role == "user"]
        listed = "".join(json_text(tool.to_openai(), indent=4) + "\n\n" for tool in tools)
        said = _BEFORE_TOOLS + listed + "".join(first)
        return (*pieces, *_header("user"), said, *self.after), len(own) + len(first)

    def message(self, message: Message) -> Pieces:
        if message.role == "tool":
            return (*_header("ipython"), json_text(message.content), *self.after)
        return (*_header("user"), message.content.strip(), *self.after)

    def turn(self, message: Message, call: Call | None) -> Segment:
        if call is None:
            return Segment((message.content.strip(),), message)
        rest = f'", "parameters": {json_text(call.arguments)}}}'
        return Segment((*self.lead, self.spell(call.name) + rest), message, call, self.lead)

    def read(self, text: str) -> tuple[str, ...]:
        """Text that begins like an object should be a call; any other text is for the user."""
        bare = text.strip().removeprefix(_PYTHON_TAG).lstrip()
        return read_json_calls(bare, "json") if bare.startswith("{") else read_plain(text)
