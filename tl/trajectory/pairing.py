"""Matches results to calls: by id, otherwise by name, otherwise by order; a contradiction is an error."""

from __future__ import annotations

import re
from dataclasses import replace

from tl.trajectory.items import GivenCall, Item, feedback_of, json_or_none
from tl.trajectory.message import Note, Notes

_ENVELOPE = {"name", "tool_call_id", "role", "call_id", "id"}
_NAMED = re.compile(r"""\s*\[?\s*\{.{0,200}?["']name["']\s*:""", re.DOTALL)
_CONTENTS = ("content", "results", "result", "response", "output")


def pair(calls: list[GivenCall], items: list[Item], is_one_message: bool, notes: Notes) -> list[Item | None]:
    """For each of the calls in a row the result that answers it, from the tool messages right after them.

    Fewer results than calls, without ids and names, answer the first ones of a message, but of several messages nobody
    knows which.
    """
    results = _results(calls, items, notes)
    ids = [call.id for call in calls]
    answers: list[Item | None] = [None] * len(calls)
    for result in results:
        free = [i for i in range(len(calls)) if answers[i] is None]
        found = _by_id(result, ids, free) if result.id is not None and any(ids) else free
        named = [i for i in found if calls[i].name == result.name] if result.name else found
        if result.id is not None and any(ids) and len(found) == 1 and not _contradicts(result, calls):
            named = found
        if not named:
            wanted = result.id if result.id is not None and any(ids) else result.name
            raise ValueError(
                f"{result.where}: feedback for the call {wanted!r:.80}, which does not exist or already has feedback"
            )
        answers[named[0]] = result
    unnamed = [r for r in results if (r.id is None or not any(ids)) and r.name is None]
    if unnamed and len(results) < len(calls) and not is_one_message:
        raise ValueError(
            f"{unnamed[0].where}: {len(calls)} calls and {len(results)} results, but neither ids "
            "nor names say which call each result belongs to"
        )
    return answers


def _by_id(result: Item, ids: list[str | None], free: list[int]) -> list[int]:
    return [i for i in free if ids[i] == result.id]


def _contradicts(result: Item, calls: list[GivenCall]) -> bool:
    """Whether a result has the name of another call than the one that has its id."""
    by_id = next(call for call in calls if call.id == result.id)
    names = {call.name for call in calls}
    return result.name is not None and by_id.name is not None and result.name != by_id.name and result.name in names


# ---- several results in one message


def _results(calls: list[GivenCall], items: list[Item], notes: Notes) -> list[Item]:
    """The results, one each: a list in one message is split over the calls, wrappers with a call's name are opened."""
    results = []
    for item in items:
        is_one_of_several = len(items) == 1 < len(calls)
        value = json_or_none(item.text) if is_one_of_several or _NAMED.match(item.text) else None
        if is_one_of_several and isinstance(value, list) and len(value) == len(calls):
            notes[Note.SPLIT_RESULTS] += 1
            texts = ["null" if v is None else feedback_of(v, item.where) for v in value]
            results += [_opened(replace(item, text=t), v, calls) for t, v in zip(texts, value, strict=True)]
        elif isinstance(value, list) and len(value) == 1 and _is_envelope(value[0], calls):
            results.append(_opened(item, value[0], calls))
        else:
            results.append(_opened(item, value, calls))
    return results


def _is_envelope(value: object, calls: list[GivenCall]) -> bool:
    """`{"name": …, "content": …}` with the name of one of the calls, and nothing else that says anything."""
    if not isinstance(value, dict):
        return False
    contents = [key for key in _CONTENTS if key in value]
    known = len(contents) == 1 and value.keys() <= {*_ENVELOPE, *contents}
    return known and value[contents[0]] is not None and value.get("name") in {call.name for call in calls} - {None}


def _opened(item: Item, value: object, calls: list[GivenCall]) -> Item:
    if not isinstance(value, dict) or not _is_envelope(value, calls):
        return item
    content = next(value[key] for key in _CONTENTS if key in value)
    call_id = value.get("tool_call_id", value.get("call_id"))
    known = item.id or (str(call_id) if call_id and any(call.id == str(call_id) for call in calls) else None)
    return replace(item, text=feedback_of(content, item.where), id=known, name=item.name or value["name"])
