"""TRL: a prompt with its completion, or with a chosen and a rejected one."""

from __future__ import annotations

from tl.trajectory import Notes


def is_preference(raw: object) -> bool:
    return isinstance(raw, dict) and ("chosen" in raw or ("prompt" in raw and "completion" in raw))


def preferred(raw: dict, notes: Notes) -> dict:
    """What is to be learnt: the chosen completion. Turns of the prompt are context."""
    return _conversation(raw, raw["chosen"] if "chosen" in raw else raw["completion"])


def rejected(raw: dict, notes: Notes) -> dict:
    """The other side of the pair."""
    return _conversation(raw, raw["rejected"])


def _conversation(raw: dict, completion: object) -> dict:
    if raw.get("label") is False:
        raise ValueError("the completion has the label false: it is one to avoid")
    prompt = [_context(given) for given in _messages(raw.get("prompt") or [], "user")]
    rest = {key: value for key, value in raw.items() if key in ("id", "tools", "functions", "system")}
    return rest | {"messages": [*prompt, *_messages(completion, "assistant")]}


def _messages(given: object, role: str) -> list:
    """Messages, or a text as the only one."""
    if isinstance(given, str):
        return [{"role": role, "content": given}]
    if not isinstance(given, list):
        raise ValueError(f"prompt and completion must be texts or lists of messages, not {given!r:.80}")
    return given


def _context(given: object) -> object:
    is_assistant = isinstance(given, dict) and given.get("role") == "assistant"
    return given | {"weight": 0} if is_assistant and isinstance(given, dict) else given
