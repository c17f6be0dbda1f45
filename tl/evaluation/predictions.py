"""Reads predictions made elsewhere, one record per item of a benchmark."""

import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from tl.calls import CallSyntaxError
from tl.datasets import DataError
from tl.evaluation.suites.files import read_records
from tl.forms import Prediction, call_of, read_prediction
from tl.metrics import Question
from tl.rollout.endpoint import texts_of

MAX_LISTED = 5  # items that a message lists


def read_predictions(
    paths: Sequence[Path], questions: tuple[Question, ...], form: str, limit: int | None
) -> list[Prediction]:
    """A prediction for each of the first `limit` questions, in order, from one or more files or folders.

    A record is `{"id": …, "prediction": text}`, where an OpenAI message or (for several turns) a list of texts may
    replace the text. Or it has the calls: `{"id": …, "call": {"name": …, "arguments": {…}}}`, or a list as "calls".
    Published results are read as well: BFCL's `{"id": …, "result": text or [{name: arguments as JSON}]}`, and
    RoTBench's list of records, whose last turn is the answer. In a folder, files without an item of this set are
    skipped. Records are matched by their ids, or by the order of lines if ids are missing or repeat.
    Raises DataError for records of another layout or of other items, and for items without a record.
    """
    wanted = questions[:limit]
    known = {question.id for question in questions}
    records = [record for path in paths for record in _records(path, known)]
    where = ", ".join(map(str, paths))
    ids = [str(record["id"]) for record in records if "id" in record]
    if len(known) == len(questions) and len(set(ids)) == len(records):
        if foreign := [identifier for identifier in ids if identifier not in known]:
            many = f"{len(foreign)} predictions are for items that are not in this set"
            raise DataError(f"{where}: {many}: {some(foreign)}")
        by_id = dict(zip(ids, records, strict=True))
        missing = [question.id for question in wanted if question.id not in by_id]
        if missing:
            raise DataError(f"{where}: {len(missing)} of {len(wanted)} items have no prediction: {some(missing)}")
        matched = [by_id[question.id] for question in wanted]
    else:
        matched = _by_line(where, records, wanted, len(questions))
    return [_prediction(r, q, form, f"{where}, item {q.id}") for r, q in zip(matched, wanted, strict=True)]


def _records(path: Path, known: Collection[str]) -> list[dict]:
    """The records of a file, or of the files in a folder that have an item of the set; a warning counts the others."""
    if not path.is_dir():
        return read_records(path)
    files = sorted(file for suffix in ("*.json", "*.jsonl") for file in path.rglob(suffix))
    parts = [read_records(file) for file in files]
    fitting = [part for part in parts if any(str(record.get("id")) in known for record in part)]
    if not fitting:
        raise DataError(f"{path}: none of its {len(files)} *.json and *.jsonl files has predictions for this suite")
    if others := len(parts) - len(fitting):
        warnings.warn(f"{path}: {others} of {len(parts)} files have no predictions for this suite", stacklevel=2)
    return [record for part in fitting for record in part]


def _by_line(where: str, records: list[dict], wanted: tuple[Question, ...], total: int) -> list[dict]:
    if len(records) not in (len(wanted), total):
        raise DataError(
            f"{where}: {len(records)} predictions for {len(wanted)} items; "
            "without unique ids, there must be one line per item"
        )
    ids = [str(record["id"]) if "id" in record else None for record in records]
    for number, (identifier, question) in enumerate(zip(ids, wanted, strict=False), 1):
        if identifier not in (None, question.id):
            repeated = Counter(ids)[identifier]
            why = f"it occurs in {repeated} lines" if repeated > 1 else "ids are not unique in this set"
            raise DataError(
                f"{where}, record {number}: has the id {identifier!r}, but item {number} is {question.id!r}; "
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
    said = _said(record, where)
    if said is None:
        return Prediction((), (), "no prediction", is_whole=False)
    if isinstance(said, dict):  # a message: without tool calls, its text is an answer, as through an endpoint
        return read_prediction(texts_of(said, form, question.tools), "call", question.tools)
    return read_prediction([said] if isinstance(said, str) else said, form, question.tools)


def _said(record: dict, where: str) -> str | list[str] | dict | None:
    """The prediction in a record: a text, texts, an OpenAI message, or None."""
    turns = record.get("conversations")
    if isinstance(turns, list) and turns and isinstance(turns[-1], dict):  # RoTBench
        record = {"prediction": turns[-1].get("value")}
    key = next((key for key in ("prediction", "result") if key in record), "")
    said = record.get(key)
    # BFCL's calls are {name: arguments}
    if isinstance(said, list) and all(isinstance(c, dict) and len(c) == 1 and "function" not in c for c in said):
        calls = [{"function": {"name": name, "arguments": given}} for call in said for name, given in call.items()]
        return {"tool_calls": calls}
    texts = isinstance(said, list) and all(isinstance(text, str) for text in said)
    if not key or not (texts or said is None or isinstance(said, str | dict)):
        raise DataError(f'{where}: needs a "prediction" (text) or a "call"')
    return said


def some(identifiers: Sequence[str]) -> str:
    """The first MAX_LISTED ids, and how many more there are."""
    listed = ", ".join(f"{identifier:.60}" for identifier in identifiers[:MAX_LISTED])
    return listed + (f" and {len(identifiers) - MAX_LISTED} more" if len(identifiers) > MAX_LISTED else "")
