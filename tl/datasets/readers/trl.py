"""TRL: a prompt with its completion, or with a chosen and a rejected one; and preferences in other layouts."""

import re
from typing import Any

from tl.datasets.readers.sharegpt import message, turns_of
from tl.trajectory import Notes

_CHOSEN = ("chosen", "chosen_messages", "preferred_output")
_REQUESTS = ("user", "human")
_RESULTS = ("tool", "tool_response")
_HH_ROLES = {"Human": "user", "Assistant": "assistant"}
_HH_DIALOGUE = re.compile(r"\s*Human:.*?\n\nAssistant:", re.DOTALL)
_HH_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


def is_preference(raw: object) -> bool:
    return isinstance(raw, dict) and (any(key in raw for key in _CHOSEN) or {"prompt", "completion"} <= raw.keys())


def in_trls_layout(raw: Any) -> Any:
    """The record with `chosen` and `rejected`, if it is a pair as OpenAI (`preferred_output`), ms-swift (`messages`
    with `rejected_response` or `rejected_messages`) or LLaMA-Factory v1 (`chosen_messages`) have it."""
    if not isinstance(raw, dict) or "chosen" in raw:
        return raw
    if "preferred_output" in raw:
        asked = raw["input"] if isinstance(raw.get("input"), dict) else {"messages": raw.get("input")}
        sides = {"chosen": raw["preferred_output"], "rejected": raw.get("non_preferred_output")}
        return raw | asked | {"prompt": asked.get("messages")} | sides
    if "messages" in raw and "rejected_response" in raw:
        return raw | _split_at_last_request(raw["messages"], raw["rejected_response"])
    if "chosen_messages" not in raw and not {"messages", "rejected_messages"} <= raw.keys():
        return raw
    if raw.get("rejected_tools") not in (None, raw.get("tools")):
        raise ValueError("`rejected_tools` differ from `tools`: both sides of a pair must have the same")
    whole = raw.get("chosen_messages", raw.get("messages"))
    return raw | {"chosen": whole, "rejected": raw.get("rejected_messages")}


def _split_at_last_request(messages: object, rejected: object) -> dict:
    """ms-swift's `rejected_response` replaces all messages after the last request."""
    if not isinstance(messages, list):
        raise ValueError(f"`messages` must be a list, not {messages!r:.80}")
    roles = [given.get("role") if isinstance(given, dict) else None for given in messages]
    start = max((at for at, role in enumerate(roles, 1) if role in _REQUESTS), default=0)
    if isinstance(rejected, str) and any(role in _RESULTS for role in roles[start:]):
        raise ValueError(
            "`rejected_response` is a text, and results follow the last request: ms-swift's versions differ in whether "
            "it replaces the last answer or all after the request. Write it as a list of messages, which replaces all"
        )
    return {"prompt": messages[:start], "chosen": messages[start:], "rejected": rejected}


def preferred(raw: dict, notes: Notes) -> dict:
    """The conversation to learn from, with the chosen completion. Turns of the prompt are context."""
    raw = in_trls_layout(raw)
    return _conversation(raw, raw["chosen"] if "chosen" in raw else raw["completion"])


def rejected(raw: dict, notes: Notes) -> dict:
    """The other side of the pair."""
    return _conversation(raw, raw["rejected"])


def _conversation(raw: dict, completion: object) -> dict:
    if raw.get("label") in (False, 0):
        raise ValueError("the completion has the label false: it is one to avoid")
    prompt = _messages(raw.get("prompt") or turns_of(raw) or [], "user")
    rest = {key: value for key, value in raw.items() if key not in ("prompt", "completion", "chosen", "rejected")}
    return rest | {"messages": _joined(prompt, _messages(completion, "assistant"))}


def _joined(prompt: list, completion: list) -> list:
    """Prompt and completion. A completion that begins with a user or system message is the whole conversation (as in
    UltraFeedback, which repeats the request as the prompt)."""
    first = completion[0].get("role") if completion and isinstance(completion[0], dict) else None
    if first not in ("user", "system", "human"):
        if not prompt:
            raise ValueError("nothing comes before the completion: put the request into `prompt`")
        return [*map(_context, prompt), *completion]
    said = [given.get("content") for given in completion if isinstance(given, dict)]
    if any(not isinstance(given, dict) or given.get("content") not in said for given in prompt):
        raise ValueError("the completion begins with a conversation that the prompt is not a part of")
    return completion


def _messages(given: object, role: str) -> list:
    """Messages, or a text as the only one or in hh-rlhf's form; turns of from/value become messages (LLaMA-Factory)."""
    if isinstance(given, str):
        return _hh_turns(given) if _HH_DIALOGUE.match(given) else [{"role": role, "content": given}]
    turns = [given] if isinstance(given, dict) else given
    if not isinstance(turns, list):
        raise ValueError(f"prompt and completion must be texts or lists of messages, not {given!r:.80}")
    return [
        message(turn, number) if isinstance(turn, dict) and "from" in turn else turn
        for number, turn in enumerate(turns, 1)
    ]


def _context(given: object) -> object:
    said = isinstance(given, dict) and given.get("role") in ("assistant", "gpt", "model", "tool_call", "function_call")
    return given | {"weight": 0} if said and isinstance(given, dict) else given


def _hh_turns(text: str) -> list[dict]:
    """The turns of "Human: …" and "Assistant: …", without the assistant's empty one that a prompt ends with."""
    _, *pieces = _HH_TURN.split(text)
    turns = [
        {"role": _HH_ROLES[name], "content": said.strip()} for name, said in zip(pieces[::2], pieces[1::2], strict=True)
    ]
    return turns[:-1] if turns[-1] == {"role": "assistant", "content": ""} else turns
