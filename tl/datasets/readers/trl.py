"""TRL: a prompt with its completion, or with a chosen and a rejected one; LLaMA-Factory's preferences likewise."""

from __future__ import annotations

from tl.datasets.readers.sharegpt import message, turns_of
from tl.trajectory import Notes


def is_preference(raw: object) -> bool:
    return isinstance(raw, dict) and ("chosen" in raw or ("prompt" in raw and "completion" in raw))


def preferred(raw: dict, notes: Notes) -> dict:
    """The conversation to learn from, with the chosen completion. Turns of the prompt are context."""
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
    """Messages, or a text as the only one; turns of from/value become messages (LLaMA-Factory)."""
    if isinstance(given, str):
        return [{"role": role, "content": given}]
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
