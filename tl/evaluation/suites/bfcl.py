"""BFCL-v3 (Patil et al., 2024), the executable Python categories: one call, or several in any order."""

from __future__ import annotations

from pathlib import Path

from tl.calls import Call, CallSyntaxError
from tl.datasets import DataError
from tl.evaluation.suites import Suite, python_score
from tl.evaluation.suites.files import find, read_lines
from tl.forms import Prediction, read_prediction, read_python_calls
from tl.metrics import CallScore, Question
from tl.schema import BUILT_INS, ToolSpec
from tl.trajectory import Message

CATEGORIES = ("exec_simple", "exec_multiple", "exec_parallel", "exec_parallel_multiple")
PAPER_COUNT = 239  # Table 2, though every figure of Table 3 is a multiple of 1/240


def read(data: Path) -> Suite:
    """All items of the four categories; files of BFCL v3 and v4, whose ground truth lies in the question or beside."""
    questions = tuple(question for category in CATEGORIES for question in _category(data, category))
    notes = (
        f"executable: all {len(questions)} items of {', '.join(CATEGORIES)} (the paper counts {PAPER_COUNT}, but its "
        "percentages are multiples of 1/240); the category rest has responses and no calls as ground truth",
        "several calls: each is followed by an empty output, up to finish or the golden count; they match in any order",
        "official: the released scorer runs the calls, partly over the network, and compares results. Here calls with "
        "equal arguments (as Python compares them, positions and constant arithmetic read) have equal results",
    )
    return Suite("bfcl", "BFCL-v3, executable", questions, notes, official_score, "BFCL-v3")


def _category(data: Path, category: str) -> list[Question]:
    names = [f"{category}.jsonl", *(f"BFCL_{version}_{category}.json" for version in ("v3", "v4"))]
    path = find(data, ["bfcl", "question"], names)
    records = read_lines(path)
    in_question = all("ground_truth" in record for record in records)
    truths = records if in_question else read_lines(find(data, ["bfcl", "possible_answer"], names))
    if [r.get("id") for r in records] != [t.get("id") for t in truths]:
        raise DataError(f"{path}: the questions and their answers have different ids")
    return [
        _question(record, truth, category, f"{path}, record {number}")
        for number, (record, truth) in enumerate(zip(records, truths, strict=True), 1)
    ]


def _question(record: dict, truth: dict, category: str, where: str) -> Question:
    try:
        tools = (*map(ToolSpec.from_openai, record["function"]), *BUILT_INS)
        ((request,),) = record["question"]
        messages = (Message("user", request["content"]),)
        answer = tuple(_golden_call(text, tools) for text in truth["ground_truth"])
        identifier = str(record["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: {type(error).__name__}: {error}") from error
    if not answer:
        raise DataError(f"{where}: no golden call")
    return Question(identifier, tools, messages, (answer,), category)


def _golden_call(text: str, tools: tuple[ToolSpec, ...]) -> Call:
    calls = read_python_calls(text, tools)
    if len(calls) != 1:
        raise CallSyntaxError(f"{len(calls)} calls in one golden call", 0)
    return calls[0]


def official_score(question: Question, prediction: Prediction) -> CallScore:
    """As the released checker wherever it can be told without running the calls: their number, any order, Python's
    equality of arguments. A text that is no literal call is read as Python would read it."""
    if prediction.problem:
        prediction = read_prediction(prediction.texts, "python", question.tools)
    return python_score(question, prediction)
