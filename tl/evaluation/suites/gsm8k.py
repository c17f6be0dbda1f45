"""GSM8K (Cobbe et al., 2021, arXiv 2110.14168): school arithmetic, answered in writing."""

import re
from collections.abc import Sequence
from pathlib import Path

from tl.datasets import DataError
from tl.evaluation.suites.files import find, read_lines
from tl.evaluation.suites.general import Grades, TextItem, TextSuite

SHOTS = 5
PAPER_COUNT = 1319
STOPS = ("Question:", "</s>")
MAX_NEW_TOKENS = 512

_STRICT = re.compile(r"#### (-?[0-9.,]+)")
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")


def read(data: Path, shots: int | None = None) -> TextSuite:
    """`test.jsonl` under `data`, with the first rows of `train.jsonl` as shots, their calculator marks included.

    Raises DataError for files that are missing, or records that are not questions with answers.
    """
    shots = SHOTS if shots is None else shots
    folders = ["grade_school_math", "data"]
    examples: tuple[str, ...] = ()
    if shots:
        train = _read(find(data, folders, ["train.jsonl", "gsm8k_train.jsonl"]))[:shots]
        if len(train) < shots:
            raise DataError(f"{data}: train.jsonl has only {len(train)} rows, too few for {shots} shots")
        examples = tuple(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in train)
    test = _read(find(data, folders, ["test.jsonl", "gsm8k_test.jsonl"]))
    items = tuple(
        TextItem(f"test/{number}", f"Question: {question}\nAnswer:", answer.rpartition("#### ")[2], shots=examples)
        for number, (question, answer) in enumerate(test)
    )
    notes = (
        f"{shots} shots, always the first of train.jsonl; greedy, no calculator, "
        f"stops {', '.join(STOPS)} (all of the set: {PAPER_COUNT:,})"
    )
    return TextSuite("gsm8k", "GSM8K", items, notes, grade, STOPS, MAX_NEW_TOKENS)


def _read(path: Path) -> list[tuple[str, str]]:
    records = read_lines(path)
    for number, record in enumerate(records, 1):
        texts = [record.get(key) for key in ("question", "answer")]
        if not all(isinstance(text, str) for text in texts) or "#### " not in record["answer"]:
            raise DataError(f"{path}, record {number}: expected a question, and an answer that ends in '#### N'")
    return [(record["question"], record["answer"]) for record in records]


def grade(items: Sequence[TextItem], said: Sequence[str]) -> list[Grades]:
    """By the first `#### N` (strict), by the last number (flexible), and by the value of the last number, so that 18.0
    equals 18. `no number` counts answers such as `finish(answer="done")`, which are wrong by all three."""
    return [_grades(item.gold, text) for item, text in zip(items, said, strict=True)]


def _grades(gold: str, text: str) -> Grades:
    strict, numbers = _STRICT.search(text), _FLEXIBLE.findall(text)
    last = numbers[-1] if numbers else ""
    return {
        "strict": strict is not None and _bare(strict[1]) == _bare(gold),
        "flexible": bool(last) and _bare(last) == _bare(gold),
        "flexible, by value": _value(last) is not None and _value(last) == _value(gold),
        "no number": not any(map(str.isdecimal, text)),  # the pattern also takes "..." for one
    }


def _bare(number: str) -> str:
    return number.strip().replace(",", "").replace("$", "").removesuffix(".")


def _value(number: str) -> float | None:
    try:
        return float(_bare(number))
    except ValueError:
        return None
