"""API-Bank: one dialogue per file, one turn per line, with the roles User, AI and API."""

from tl.trajectory import Notes

SEARCHER = {  # a tool of level 2 that the list of APIs lacks
    "name": "ToolSearcher",
    "description": "Searches for relevant tools in the library by keywords.",
    "parameters": {"type": "object", "properties": {"keywords": {"type": "string"}}, "required": ["keywords"]},
}
_ROLES = {"User": "user", "AI": "assistant"}


def is_dialogue(raw: object) -> bool:
    turns = raw.get("dialogue") if isinstance(raw, dict) else raw
    return isinstance(turns, list) and any(
        isinstance(turn, dict) and turn.get("role") in ("API", "AI") for turn in turns
    )


def dialogue(raw: list | dict, _notes: Notes) -> dict:
    turns, tools = (raw["dialogue"], raw.get("tools")) if isinstance(raw, dict) else (raw, None)
    messages = [message for number, turn in enumerate(turns, 1) for message in _messages(turn, number)]
    return {"tools": tools, "messages": messages}


def called(turns: list, apis: dict[str, dict]) -> list[dict]:
    """The tools of the library that a dialogue calls; the whole library would not fit into a prompt."""
    names = dict.fromkeys(turn.get("api_name") for turn in turns if isinstance(turn, dict))
    known = apis | {SEARCHER["name"]: SEARCHER}
    return [known[name] for name in names if isinstance(name, str) and name in known]


def _messages(turn: object, number: int) -> list[dict]:
    """The messages of a turn. One of the API is a call and its result; an exception is the source's verdict."""
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
