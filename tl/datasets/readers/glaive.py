"""Glaive function calling v2: `system` declares functions as JSON objects, `chat` holds all turns in one text."""

import re

from tl.trajectory import Notes

_MARK = re.compile(r"^(USER|ASSISTANT|FUNCTION RESPONSE|SYSTEM):[ \t]*", re.MULTILINE)
_ROLES = {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "tool"}


def is_glaive(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("system"), str) and isinstance(raw.get("chat"), str)


def glaive(raw: dict, _notes: Notes) -> dict:
    pieces = _MARK.split(raw["chat"])
    if pieces[0].strip() or len(pieces) < 3:
        raise ValueError("the chat does not begin with USER: or ASSISTANT:")
    messages = [{"role": "system", "content": raw["system"].removeprefix("SYSTEM:").strip()}]
    for mark, text in zip(pieces[1::2], pieces[2::2], strict=True):
        if mark not in _ROLES:
            raise ValueError(f"a turn of the role {mark} within the chat")
        messages.append({"role": _ROLES[mark], "content": text.replace("<|endoftext|>", "").strip()})
    return {key: value for key, value in raw.items() if key not in ("system", "chat")} | {"messages": messages}
