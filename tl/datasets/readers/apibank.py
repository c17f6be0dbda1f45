"""API-Bank: one dialogue a file, a turn a line, of the roles User, AI and API."""

from __future__ import annotations

from tl.trajectory import Notes

_ROLES = {"User": "user", "AI": "assistant"}


def is_dialogue(raw: object) -> bool:
    return isinstance(raw, list) and any(isinstance(turn, dict) and turn.get("role") in ("API", "AI") for turn in raw)


def dialogue(raw: list, _notes: Notes) -> dict:
    return {"messages": [message for number, turn in enumerate(raw, 1) for message in _messages(turn, number)]}


def _messages(turn: object, number: int) -> list[dict]:
    """A turn of the API is a call and its result; an exception is the source's own verdict on it."""
    if not isinstance(turn, dict):
        raise ValueError(f"message {number}: must be an object, not {turn!r:.80}")
    if turn.get("role") != "API":
        return [{"role": _ROLES.get(str(turn.get("role")), turn.get("role")), "content": turn.get("text")}]
    call = {"name": turn.get("api_name"), "arguments": turn.get("param_dict")}
    messages: list[dict] = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    result = turn.get("result")
    if isinstance(result, dict):
        exception, output = result.get("exception"), result.get("output")
        failed = exception is not None
        told = str(exception) if failed else "null" if output is None else output
        messages.append({"role": "tool", "content": told, "failed": failed})
    elif result is not None:
        messages.append({"role": "tool", "content": result})
    return messages
