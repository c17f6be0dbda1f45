"""One turn of a conversation, and what reading did to the record that it comes from."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Message:
    """One turn. With `is_call`, an assistant's content is the text of one call, else what it says to the user.

    `trained` is False for a turn that its source gives weight 0: it stays in the context. `failed` of a tool's message
    is the source's own verdict on the call that it answers, None where there is none. A `joined` call stood in one
    message with the call before it.
    """

    role: Role
    content: str
    is_call: bool = False
    trained: bool = True
    failed: bool | None = None
    joined: bool = field(default=False, compare=False)


class Note(enum.Enum):
    """What a reader did that its user may want to know, with the words for it."""

    TEXT_BESIDE_CALL = "texts beside a call, dropped"
    REASONING = "turns with reasoning, which is dropped"
    WEIGHT_0 = "turns with weight 0 in the data, not trained"
    WEIGHT_ELSEWHERE = "weights on messages that are not the assistant's, which are never trained"
    TEXT_CALLS = "calls that were written in the text"
    BROKEN_CALLS = "calls that cannot be read, not trained"
    PARALLEL = "calls that stood in one message with the call before, written as turns of their own"
    SPLIT_RESULTS = "messages with the results of several calls, split"
    SYSTEM_TOOLS = "records whose tools stand in the system message"
    IMPLIED_TOOLS = "records without a list of tools: their tools are the names that they call, with any arguments"
    COMPANION_TOOLS = "records whose tools are those of a file beside the data"
    PADDING = "nulls for parameters that a tool does not have, dropped"
    POSITIONAL = "calls with arguments without a name, read as arg0, arg1, …"
    UNDECLARED = "right calls with a parameter that their tool does not declare"
    ROLE_WORDS = "tool outputs that hold a line such as `User: …`, which reads as a turn of its own"
    FOREIGN_CALLS = "calls that the user made, left out"


Notes = Counter[Note]
