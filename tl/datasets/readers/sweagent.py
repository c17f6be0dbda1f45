"""SWE-agent's trajectories: `history` with tool calls, or with commands in the text and their output in user turns."""

from tl.trajectory import Notes


def is_trajectory(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("history"), list) and "messages" not in raw


def trajectory(raw: dict, _notes: Notes) -> dict:
    """The history from its last system message on. Earlier messages and marked ones are demonstrations."""
    history = raw["history"]
    if not all(isinstance(given, dict) for given in history):
        raise ValueError("`history` must be a list of objects")
    history = [given for given in history if not given.get("is_demo")]
    start = max((at for at, given in enumerate(history) if given.get("role") == "system"), default=0)
    messages: list[dict] = []
    for given in history[start:]:
        given = {key: value for key, value in given.items() if key != "thought"}
        action = given.get("action")
        if given.get("role") == "assistant" and isinstance(action, str) and action.strip() and not _has_calls(given):
            given["tool_calls"] = [{"name": "bash", "arguments": {"command": action.strip("\n")}}]
        elif given.get("role") == "user" and messages and _is_command(messages[-1]):
            given["role"] = "tool"
        messages.append(given)
    return raw | {"id": raw.get("instance_id"), "messages": messages}


def _has_calls(given: dict) -> bool:
    return bool(given.get("tool_calls") or given.get("function_call"))


def _is_command(given: dict) -> bool:
    return given.get("role") == "assistant" and _has_calls(given)
