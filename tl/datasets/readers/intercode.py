"""InterCode: a query and the commands that a model ran, with the environment's verdict on each."""

import re

from tl.datasets.readers.pairs import shell_tool
from tl.trajectory import Notes
from tl.trajectory.items import feedback_of

_EXECUTE = re.compile(r"\s*execute\[(.*)\]\s*", re.DOTALL)
_BASH = shell_tool("bash", "command", "Run a command.")
_SQL = shell_tool("sql", "query", "Run a query.")


def is_episode(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("turn_history"), dict)


def episode(raw: dict, _notes: Notes) -> dict:
    history = raw["turn_history"]
    actions, observations = history.get("actions"), history.get("observations")
    verdicts = history.get("valid_action") or [None] * len(actions or [])
    lists = (actions, observations, verdicts)
    if not all(isinstance(x, list) for x in lists) or len({len(x) for x in lists}) > 1:
        raise ValueError("actions, observations and valid_action must be lists of one length")
    is_sql = "sql" in str(raw.get("environment"))
    name, parameter = ("sql", "query") if is_sql else ("bash", "command")
    messages: list[dict] = [{"role": "user", "content": raw.get("query")}]
    for number, (action, observation, valid) in enumerate(zip(*lists, strict=True), 1):
        if not isinstance(action, str):
            raise ValueError(f"action {number}: must be a string, not {action!r:.80}")
        executed = _EXECUTE.fullmatch(action)
        call = {"name": name, "arguments": {parameter: executed[1] if executed else action}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        text = "" if observation is None else feedback_of(observation, f"observation {number}")
        messages.append({"role": "tool", "content": text} | ({} if valid is None else {"failed": not valid}))
    return {"tools": [_SQL if is_sql else _BASH], "messages": messages}
