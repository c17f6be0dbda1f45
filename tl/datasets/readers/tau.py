"""τ-bench and τ²-bench: conversations of an agent with a simulated user, who in τ² may call tools as well."""

from collections.abc import Iterator

from tl.trajectory import Note, Notes

DOMAINS = ("airline", "retail", "telecom")


def is_tau(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("traj"), list)


def tau(raw: dict, _notes: Notes) -> dict:
    told = [str(raw[key]) for key in ("task_id", "trial") if raw.get(key) is not None]
    return {"id": "/".join(told) or None, "tools": raw.get("tools"), "messages": raw["traj"]}


def is_few_shot(raw: object) -> bool:
    return isinstance(raw, dict) and raw.keys() == {"messages_display"}


def few_shot(_raw: dict, _notes: Notes) -> dict:
    raise ValueError("an example for τ-bench's prompt, in which the calls are missing (`assistant: None`)")


def is_results(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("simulations"), list)


def simulations(raw: dict) -> Iterator[tuple[str, object]]:
    """The runs in a file of τ²'s results."""
    for number, run in enumerate(raw["simulations"], 1):
        yield f"simulation {number}", run


def is_tau2(raw: object) -> bool:
    messages = raw.get("messages") if isinstance(raw, dict) else None
    return isinstance(messages, list) and any(_requestors(given) for given in messages if isinstance(given, dict))


def tau2(raw: dict, notes: Notes) -> dict:
    """The messages without the user's own calls and their results; `error` is the environment's verdict on a call."""
    messages = []
    for given in _single(raw["messages"]):
        if "user" in _requestors(given):
            notes[Note.FOREIGN_CALLS] += len(given.get("tool_calls") or [])
            if given.get("role") != "user" or not given.get("content"):
                continue
            given = given | {"tool_calls": None}
        if given.get("role") == "tool":
            failed = {"failed": given["error"]} if isinstance(given.get("error"), bool) else {}
            given = {"role": "tool", "content": given.get("content"), "tool_call_id": given.get("id")} | failed
        messages.append(given)
    return {"id": raw.get("id"), "tools": raw.get("tools"), "messages": messages}


def _single(messages: list) -> Iterator[dict]:
    """The messages, with the results of parallel calls (`tool_messages` of one message) as separate ones."""
    for given in messages:
        if not isinstance(given, dict):
            raise ValueError(f"a message must be an object, not {given!r:.80}")
        inner = given.get("tool_messages")
        yield from _single(inner) if isinstance(inner, list) else (given,)


def _requestors(given: dict) -> set[str]:
    calls = given.get("tool_calls")
    entries = [given, *(calls if isinstance(calls, list) else [])]
    return {str(entry["requestor"]) for entry in entries if isinstance(entry, dict) and entry.get("requestor")}
