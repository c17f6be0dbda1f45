"""Conversations of from/value (ShareGPT, LLaMA-Factory, Hermes, AgentInstruct), or as the paper's authors released."""

import re

from tl.trajectory import Notes

_TURNS = ("conversations", "conversation")
_NAME_FIRST = re.compile(r"\s*([\w.:$@/-]*\w)[ \t\r]*(?:\n\s*(\{.*))?\s*\Z", re.DOTALL)
_OUTPUT_MARK = re.compile(r"\s*The output of the OS:[ \t]*\n?")
_ACT = re.compile(r"(?:.*\n)?[^\S\n]*Act:\s*(.*)", re.DOTALL)


def turns_of(raw: object) -> list | None:
    """The turns of a record of conversations."""
    if not isinstance(raw, dict):
        return None
    return next((raw[key] for key in _TURNS if isinstance(raw.get(key), list)), None)


def is_sharegpt(raw: object) -> bool:
    return any(isinstance(turn, dict) and "from" in turn for turn in turns_of(raw) or [])


def sharegpt(raw: dict, _notes: Notes) -> dict:
    turns = turns_of(raw) or []
    return raw | {"messages": [message(turn, number) for number, turn in enumerate(turns, 1)]}


def message(turn: object, number: int) -> dict:
    """A turn of from/value as a message; other keys, such as a weight, stay."""
    if not isinstance(turn, dict) or "from" not in turn or "value" not in turn:
        raise ValueError(f"message {number}: must have `from` and `value`, not {turn!r:.80}")
    rest = {key: value for key, value in turn.items() if key not in ("from", "value")}
    return rest | {"role": turn["from"], "content": turn["value"]}


def is_released(raw: object) -> bool:
    return turns_of(raw) is not None


def released(raw: dict, _notes: Notes) -> dict:
    """A call has the tool's name on its first line and the arguments as JSON below."""
    turns = turns_of(raw) or []
    if not all(isinstance(turn, dict) for turn in turns):
        raise ValueError("`conversations` must be a list of objects")
    return raw | {"messages": [_released(turn, str(turns[0].get("content"))) for turn in turns]}


def _released(turn: dict, system: str) -> dict:
    content = turn.get("content")
    found = _NAME_FIRST.match(content) if turn.get("role") == "assistant" and isinstance(content, str) else None
    if not found or not (found[2] or f'"{found[1]}"' in system or found[1] in ("finish", "ask_to_user")):
        return turn
    return turn | {"content": None, "tool_calls": [{"function": {"name": found[1], "arguments": found[2]}}]}


def is_agentinstruct(raw: object) -> bool:
    turns = turns_of(raw) or []
    spoken = [turn for turn in turns if isinstance(turn, dict) and isinstance(turn.get("value"), str)]
    return any("loss" in turn for turn in spoken) and any(_ACT.match(turn["value"]) for turn in spoken)


def agentinstruct(raw: dict, notes: Notes) -> dict:
    """`Think: …` and `Act: bash` with a command in a code block; its output is the next turn. Loss null is no loss."""
    record = sharegpt(raw, notes)
    messages, open_call = [], False
    for given in record["messages"]:
        given = dict(given)
        content = given["content"] if isinstance(given["content"], str) else ""
        act = _ACT.match(content)
        if given["role"] in ("gpt", "assistant"):
            given["loss"] = bool(given.get("loss"))
            block = re.match(r"(?:bash|operation)\s*```\w*\n(.*?)\n?```", act[1], re.DOTALL) if act else None
            open_call = block is not None
            if block:
                call = {"name": "bash", "arguments": {"command": block[1]}}
                given |= {"content": content[: act.start(1)] if act else "", "tool_calls": [call]}
            elif act:
                given["content"] = act[1]
        else:
            given.pop("loss", None)
            if open_call and given["role"] in ("human", "user"):
                given["role"] = "tool"
                if isinstance(given["content"], str):
                    given["content"] = _OUTPUT_MARK.sub("", content, count=1)
            open_call = False
        messages.append(given)
    return record | {"messages": messages}


def is_toolllama(raw: object) -> bool:
    identifier = raw.get("id") if isinstance(raw, dict) else None
    return isinstance(identifier, str) and identifier.startswith("Step ") and is_sharegpt(raw)


def toolllama(raw: dict, notes: Notes) -> dict:
    """There is a record for each step, so only the last call of a record is trained."""
    record = sharegpt(raw, notes)
    said = [given for given in record["messages"] if given["role"] in ("assistant", "gpt")]
    for given in said[:-1]:
        given["weight"] = 0
    return record
