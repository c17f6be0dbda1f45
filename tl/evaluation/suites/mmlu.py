"""MMLU (Hendrycks et al., 2021, arXiv 2009.03300): four choices, of which the likeliest letter is taken."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tl.datasets import DataError
from tl.evaluation.suites.files import find, read_text
from tl.evaluation.suites.general import Grades, TextItem, TextSuite

SHOTS = 5  # the original's
PAPER_COUNT = 14_042
LETTERS = "ABCD"

AREAS = {  # as the original groups its 57 subjects
    "STEM": "abstract_algebra astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
    "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
    "high_school_mathematics high_school_physics high_school_statistics machine_learning",
    "humanities": "formal_logic high_school_european_history high_school_us_history high_school_world_history "
    "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory "
    "professional_law world_religions",
    "social sciences": "econometrics high_school_geography high_school_government_and_politics "
    "high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality "
    "professional_psychology public_relations security_studies sociology us_foreign_policy",
    "other": "anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging management "
    "marketing medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology",
}
AREA_OF = {subject: area for area, subjects in AREAS.items() for subject in subjects.split()}


def read(data: Path, shots: int | None = None) -> TextSuite:
    """Every `test/SUBJECT_test.csv` under `data`, with shots from `dev/SUBJECT_dev.csv`.

    Raises DataError for a folder without them, and for a row that is not a question with four choices and a letter.
    """
    shots = SHOTS if shots is None else shots
    folder = next((f for f in (data, data / "data", data / "mmlu") if (f / "test").is_dir()), data)
    subjects = sorted({path.name.split("_test.csv")[0] for path in (folder / "test").glob("*_test.csv*")})
    if not subjects:
        raise DataError(f"{data}: no test/SUBJECT_test.csv found; --data must be the folder with MMLU's files")
    items = tuple(item for subject in subjects for item in _items(folder, subject, shots))
    notes = (
        f"{shots} shots in file order, one space before the subject, no normalisation by length, the mean is over items"
        f" (all of the set: {PAPER_COUNT:,}; here {len(subjects)} of its 57 subjects)"
    )
    return TextSuite("mmlu", "MMLU", items, notes, grade, areas={s: AREA_OF.get(s, "not of MMLU") for s in subjects})


def _items(folder: Path, subject: str, shots: int) -> list[TextItem]:
    name = subject.replace("_", " ")
    header = f"The following are multiple choice questions (with answers) about {name}.\n\n"
    examples: list[str] = []
    if shots:
        rows = _rows(find(folder, ["dev"], [f"{subject}_dev.csv"]))
        if len(rows) < shots:
            raise DataError(f"{folder}/dev/{subject}_dev.csv: only {len(rows)} rows, too few for {shots} shots")
        examples = [f"{_question(row)} {row[5]}\n\n" for row in rows[:shots]]
    return [
        TextItem(
            f"{subject}/{number}",
            _question(row),
            row[5],
            header,
            tuple(examples),
            tuple(f" {letter}" for letter in LETTERS),
            subject,
        )
        for number, row in enumerate(_rows(find(folder, ["test"], [f"{subject}_test.csv"])))
    ]


def _question(row: Sequence[str]) -> str:
    choices = "".join(f"\n{letter}. {text}" for letter, text in zip(LETTERS, row[1:5], strict=True))
    return f"{row[0]}{choices}\nAnswer:"


def _rows(path: Path) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(read_text(path), newline="")) if row]
    except csv.Error as error:  # a quotation mark without its other half takes in the rest of the file
        raise DataError(f"{path}: {error}: is a quotation mark missing?") from error
    for number, row in enumerate(rows, 1):
        if len(row) != 6 or row[5] not in tuple(LETTERS):
            raise DataError(f"{path}, row {number}: expected a question, four choices and a letter, not {row!r:.80}")
    return rows


def grade(items: Sequence[TextItem], said: Sequence[str]) -> list[Grades]:
    return [{"accuracy": text.strip() == item.gold} for item, text in zip(items, said, strict=True)]
