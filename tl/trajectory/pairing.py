"""Matches results to calls: by id, otherwise by name, otherwise by order. A contradiction is an error."""

import re
from dataclasses import replace

from tl.trajectory.items import GivenCall, Item, feedback_of, json_or_none
from tl.trajectory.message import Note, Notes

_ENVELOPE = {"name", "tool_call_id", "role", "call_id", "id"}
_NAMED = re.compile(r"""\s*\[?\s*\{.{0,200}?["']name["']\s*:""", re.DOTALL)
_CONTENTS = ("content", "results", "result", "response", "output")


def pair(calls: list[GivenCall], items: list[Item], is_one_message: bool, notes: Notes) -> list[Item | None]:
    """For each of these consecutive calls its result, or None, from the tool messages right after them.

    Without ids and names, fewer results than calls answer the first calls if all calls are in one message. If they are
    in several messages, it is unknown which calls they answer, and that is an error.
    """
    results = _results(calls, items, notes)
    have_ids = any(call.id for call in calls)
    answers: list[Item | None] = [None] * len(calls)
    for result in results:
        by_id = have_ids and result.id is not None
        found = [i for i, call in enumerate(calls) if answers[i] is None and (not by_id or call.id == result.id)]
        if result.name and not (by_id and len(found) == 1 and not _contradicts(result, calls)):
            found = [i for i in found if calls[i].name == result.name]
        if not found:
            wanted = result.id if by_id else result.name
            raise ValueError(
                f"{result.where}: feedback for the call {wanted!r:.80}, which does not exist or already has feedback"
            )
        answers[found[0]] = result
    unnamed = [r for r in results if not (have_ids and r.id is not None) and r.name is None]
    if unnamed and len(results) < len(calls):
        notes[Note.FEWER_RESULTS] += 1
        if is_one_message:
            return answers
        raise ValueError(
            f"{unnamed[0].where}: {len(calls)} calls and {len(results)} results, but neither ids "
            "nor names say which call each result belongs to"
        )
    return answers


def _contradicts(result: Item, calls: list[GivenCall]) -> bool:
    """Whether a result has the id of one call and the name of another."""
    by_id = next(call for call in calls if call.id == result.id)
    names = {call.name for call in calls}
    return result.name is not None and by_id.name is not None and result.name != by_id.name and result.name in names


# ---- several results in one message


def _results(calls: list[GivenCall], items: list[Item], notes: Notes) -> list[Item]:
    """Single results: a list in one message is split over the calls, and wrappers with a call's name are removed."""
    results = []
    for item in items:
        is_one_of_several = len(items) == 1 < len(calls) and item.id is None and item.name is None
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
    """Whether a value is a wrapper: `{"name": …, "content": …}` with a call's name and nothing else of meaning."""
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
