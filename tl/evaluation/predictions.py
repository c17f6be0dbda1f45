"""Files of predictions that were made elsewhere: JSONL, one record an item of a benchmark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tl.calls import CallSyntaxError
from tl.datasets import DataError
from tl.evaluation.suites.files import read_lines
from tl.forms import Prediction, call_of, read_prediction
from tl.metrics import Question

MAX_LISTED = 5  # items that a message names


def read_predictions(path: Path, questions: tuple[Question, ...], form: str, limit: int | None) -> list[Prediction]:
    """A prediction for each of the first `limit` questions, in their order.

    A record is `{"id": …, "prediction": text}`, with a list of texts for several turns or an OpenAI message instead of
    the text, or has the calls themselves: `{"id": …, "call": {"name": …, "arguments": {…}}}`, or a list as "calls".
    Records are matched by their ids, or by the order of lines where ids are absent or repeat.
    Raises DataError for records of another layout or of other items, and for items without a record.
    """
    records = read_lines(path)
    wanted = questions[:limit]
    known = {question.id for question in questions}
    ids = [str(record["id"]) for record in records if "id" in record]
    if len(known) == len(questions) and len(set(ids)) == len(records):
        if foreign := [identifier for identifier in ids if identifier not in known]:
            many = f"{len(foreign)} predictions are for items that are not in this set"
            raise DataError(f"{path}: {many}: {some(foreign)}")
        by_id = dict(zip(ids, records, strict=True))
        missing = [question.id for question in wanted if question.id not in by_id]
        if missing:
            raise DataError(f"{path}: {len(missing)} of {len(wanted)} items have no prediction: {some(missing)}")
        matched = [by_id[question.id] for question in wanted]
    else:
        matched = _by_line(path, records, wanted, len(questions))
    return [_prediction(r, q, form, f"{path}, item {q.id}") for r, q in zip(matched, wanted, strict=True)]


def _by_line(path: Path, records: list[dict], wanted: tuple[Question, ...], total: int) -> list[dict]:
    if len(records) not in (len(wanted), total):
        raise DataError(
            f"{path}: {len(records)} predictions for {len(wanted)} items; "
            "without an id of its own for each, there has to be one line an item"
        )
    ids = [str(record["id"]) if "id" in record else None for record in records]
    for number, (identifier, question) in enumerate(zip(ids, wanted, strict=False), 1):
        if identifier not in (None, question.id):
            repeated = Counter(ids)[identifier]
            why = f"it stands in {repeated} lines" if repeated > 1 else "ids are not unique in this set"
            raise DataError(
                f"{path}, record {number}: has the id {identifier!r}, but item {number} is {question.id!r}; "
                f"matched by line, because {why}"
            )
    return records[: len(wanted)]


def _prediction(record: dict, question: Question, form: str, where: str) -> Prediction:
    if "call" in record or "calls" in record:
        calls = record["calls"] if "calls" in record else [record["call"]]
        try:
            return Prediction((), tuple(call_of(call) for call in (calls if isinstance(calls, list) else [calls])))
        except CallSyntaxError as error:
            form = '{"name": text, "arguments": object}'
            raise DataError(f"{where}: a call has to be {form}: {error.message}") from error
    said = record.get("prediction")
    if isinstance(said, dict):
        said = json.dumps(said)
    texts: list[Any] = said if isinstance(said, list) else [said]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f'{where}: needs a "prediction" (text) or a "call"')
    return read_prediction(texts, form, question.tools)


def some(identifiers: Sequence[str]) -> str:
    """The first MAX_LISTED of them, and how many more there are."""
    listed = ", ".join(f"{identifier:.60}" for identifier in identifiers[:MAX_LISTED])
    return listed + (f" and {len(identifiers) - MAX_LISTED} more" if len(identifiers) > MAX_LISTED else "")
