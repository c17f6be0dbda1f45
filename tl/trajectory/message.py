"""One turn of a conversation, and notes on how its record was read."""

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from tl.calls import Call, call_or_none

Role = Literal["system", "user", "assistant", "tool"]
WEIGHT_0 = "weight 0 in the data"  # why a turn is not trained


@dataclass(frozen=True)
class Message:
    """One turn. With `is_call`, an assistant's content is the text of one call, otherwise text for the user.

    `trained` is False for a turn with weight 0 in its source; it stays in the context. In a tool's message, `failed` is
    the source's own verdict on the call, or None. A `joined` call was in the same message as the call before it.
    """

    role: Role
    content: str
    is_call: bool = False
    trained: bool = True
    failed: bool | None = None
    joined: bool = field(default=False, compare=False)

    @property
    def call(self) -> Call | None:
        """The parsed call; None if the message has none or it cannot be parsed."""
        return call_or_none(self.content) if self.is_call else None


class Note(enum.Enum):
    """Something that a reader did to a record and that users may want to know, with its description."""

    TEXT_BESIDE_CALL = "texts next to a call, dropped"
    REASONING = "turns with reasoning, which is dropped"
    WEIGHT_0 = "turns with weight 0 in the data, not trained"
    WEIGHT_ELSEWHERE = "weights on messages of other roles, which are never trained"
    TEXT_CALLS = "calls written in the text"
    CALL_LIKE_TEXT = "answers that look like calls, read as texts"
    BROKEN_CALLS = "calls that cannot be parsed"
    PARALLEL = "calls in the same message as the call before, written as separate turns"
    SPLIT_RESULTS = "messages with the results of several calls, split"
    FEWER_RESULTS = (
        "messages with more calls than results, which went to the first of them: nothing says whose they are"
    )
    END_TOKENS = "texts that end in a token of a prompt format, which is dropped"
    SYSTEM_TOOLS = "records with tools in the system message or the first request"
    IMPLIED_TOOLS = "records without a list of tools: their tools are the names that they call, with any arguments"
    COMPANION_TOOLS = "records with tools from a separate file"
    PADDING = "nulls for parameters that a tool does not have, dropped"
    POSITIONAL = "calls with positional arguments, read as arg0, arg1, …"
    UNDECLARED = "correct calls with a parameter that their tool does not declare"
    CHOSEN_ERRORS = "erroneous calls in chosen answers, trained all the same"
    ROLE_WORDS = "tool outputs with a line such as `User: …`, which looks like a turn"
    FOREIGN_CALLS = "calls made by the user, skipped"


Notes = Counter[Note]
