"""MMLU, GSM8K and HumanEval in their released layouts: prompts to the letter, scores by hand, two models compared."""

import csv
import gzip
import json
import shutil

import pytest

from tl.__main__ import main
from tl.datasets import DataError
from tl.evaluation.suites import gsm8k, humaneval, mmlu
from tl.evaluation.suites.general import TextItem
from tl.executor.machines import MachineError, Machines


@pytest.fixture(scope="session")
def machines():
    try:
        with Machines(workers=1) as made:
            yield made
    except MachineError as error:
        pytest.skip(str(error))


# ---- MMLU

ROWS = [
    ["Which is 2, \"two\"?", "1", "2", "3,5", "four\nlines", "B"],
    ["What floats?", "Wood", "Iron", "Lead", "Gold", "A"],
    ["What sinks?", "Wood", "Cork", "Lead", "Foam", "C"],
]  # fmt: skip


def write_csv(path, rows):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def exam(tmp_path):
    for subject in ("abstract_algebra", "virology"):
        write_csv(tmp_path / "test" / f"{subject}_test.csv", ROWS[:1])
        write_csv(tmp_path / "dev" / f"{subject}_dev.csv", ROWS[1:])
    return tmp_path


def test_an_mmlu_prompt_to_the_letter(exam):
    suite = mmlu.read(exam, shots=2)
    text, dropped = suite.items[0].prompt()
    assert text == (
        "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
        "What floats?\nA. Wood\nB. Iron\nC. Lead\nD. Gold\nAnswer: A\n\n"
        "What sinks?\nA. Wood\nB. Cork\nC. Lead\nD. Foam\nAnswer: C\n\n"
        'Which is 2, "two"?\nA. 1\nB. 2\nC. 3,5\nD. four\nlines\nAnswer:'
    )
    assert dropped == 0 and suite.items[0].choices == (" A", " B", " C", " D")
    assert suite.grade(suite.items, [" B", " A"]) == [{"accuracy": True}, {"accuracy": False}]
    assert suite.areas == {"abstract_algebra": "STEM", "virology": "other"}


def test_a_subject_whose_file_lies_there_twice_counts_once(exam):
    plain = exam / "test" / "virology_test.csv"
    (exam / "test" / "virology_test.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert [item.group for item in mmlu.read(exam, shots=2).items] == ["abstract_algebra", "virology"]


def test_mmlu_has_57_subjects_in_four_areas():
    assert len(mmlu.AREA_OF) == 57
    assert {area: len(subjects.split()) for area, subjects in mmlu.AREAS.items()} == {
        "STEM": 18, "humanities": 13, "social sciences": 12, "other": 14,
    }  # fmt: skip


def test_whole_shots_are_dropped_from_the_end_where_the_context_is_too_short(exam):
    item = mmlu.read(exam, shots=2).items[0]
    text, dropped = item.prompt(lambda text: text.count("Answer:") <= 2)
    assert dropped == 1 and "What floats?" in text and "What sinks?" not in text
    assert item.prompt(lambda text: False) == (item.header + item.question, 2)


@pytest.mark.parametrize("row", [["q", "a", "b", "c", "d", "E"], ["q", "a", "b", "c", "d", "AB"], ["q", "a", "B"]])
def test_a_row_that_is_no_question_is_told_with_its_place(exam, row):
    write_csv(exam / "test" / "virology_test.csv", [ROWS[0], row])
    with pytest.raises(DataError, match=r"virology_test.csv, row 2: expected a question, four choices"):
        mmlu.read(exam, shots=1)


def test_a_file_with_an_open_quotation_mark_is_told(exam):
    (exam / "test" / "virology_test.csv").write_text('"q,a,b,c,d,A\n' + "q,a,b,c,d,A\n" * 12_000)
    with pytest.raises(DataError, match="virology_test.csv: field larger than .*: is a quotation mark missing"):
        mmlu.read(exam, shots=1)


def test_too_few_rows_for_the_shots(exam):
    with pytest.raises(DataError, match="2 rows, too few for 5 shots"):
        mmlu.read(exam)


def test_a_folder_without_mmlu(tmp_path):
    with pytest.raises(DataError, match="no test/SUBJECT_test.csv found"):
        mmlu.read(tmp_path)


# ---- GSM8K


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def school(tmp_path):
    answers = ["2+2=<<2+2=4>>4\n#### 4", "It is much.\n#### 1,200"]
    records = [{"question": f"How many, {n}?", "answer": answer} for n, answer in enumerate(answers)]
    write_lines(tmp_path / "test.jsonl", records)
    write_lines(tmp_path / "train.jsonl", records[:1])
    return tmp_path


def test_a_gsm8k_prompt_to_the_letter(school):
    suite = gsm8k.read(school, shots=1)
    assert suite.items[1].prompt()[0] == (
        "Question: How many, 0?\nAnswer: 2+2=<<2+2=4>>4\n#### 4\n\nQuestion: How many, 1?\nAnswer:"
    )
    assert suite.items[1].gold == "1,200" and suite.stops == ("Question:", "</s>")


@pytest.mark.parametrize(
    ("text", "strict", "flexible", "by_value"),
    [
        (" So 1,200.\n#### 1,200", True, True, True),
        (" #### 1200. That is it", True, True, True),  # one closing full stop goes
        (" #### 1200.0", False, False, True),
        (" It is $1,200.", False, True, True),
        (" #### 5\n#### 1200", False, True, True),  # the first one counts, and the last number
        (" 1200 less 1 is 1199", False, False, False),
        (" 1200 and so on...", False, False, False),  # the pattern takes "..." for a number, as the released one does
        (' finish(answer="done")', False, False, False),
        (" Well... cannot say", False, False, False),
    ],
)
def test_a_gsm8k_answer_is_graded_by_the_first_mark_and_by_the_last_number(text, strict, flexible, by_value):
    (grades,) = gsm8k.grade([TextItem("1", "", "1,200")], [text])
    assert (grades["strict"], grades["flexible"], grades["flexible, by value"]) == (strict, flexible, by_value)
    assert grades["no number"] == ("finish" in text or "cannot" in text)


@pytest.mark.parametrize("answer", ["4", ["#### 4"], None])
def test_a_record_without_its_mark_is_told(school, answer):
    write_lines(school / "test.jsonl", [{"question": "q", "answer": answer}])
    with pytest.raises(DataError, match="test.jsonl, record 1: expected a question, and an answer that ends"):
        gsm8k.read(school, shots=0)


def test_the_golden_answers_of_gsm8k_are_right(shared):
    with gzip.open(shared / "data" / "general" / "gsm8k_test.jsonl.gz", "rt") as file:
        answers = [json.loads(line)["answer"] for line in file]
    items = [TextItem(str(n), "", answer.rpartition("#### ")[2]) for n, answer in enumerate(answers)]
    grades = gsm8k.grade(items, answers)
    assert len(grades) == 1319 and all(g["strict"] and g["flexible"] for g in grades)


# ---- HumanEval

PROMPT = 'def double(x):\n    """Twice x."""\n'
TEST = "def check(candidate):\n    assert candidate(2) == 4\n"


@pytest.fixture
def functions(tmp_path):
    record = {"task_id": "Test/0", "prompt": PROMPT, "entry_point": "double", "test": TEST, "canonical_solution": ""}
    write_lines(tmp_path / "HumanEval.jsonl", [record])
    return tmp_path


@pytest.mark.parametrize(
    ("body", "passed"),
    [
        ("    return 2 * x\n", True),
        ("    return 3 * x\n", False),
        ("    import sys; sys.exit(0)\n", False),  # the program ended, but not at its end
        ("    import os; os._exit(0)\n", False),
        ("    while True: pass\n", False),
        ("    return [0] * (1 << 40)\n", False),
        ("    import socket; socket.create_connection(('127.0.0.1', 80)); return 4\n", False),
        ("    open('/usr/x', 'w'); return 4\n", False),
        ("   return 2 * x\n  # badly indented", False),
    ],
)
def test_a_program_passes_where_it_runs_to_its_end(machines, functions, body, passed, monkeypatch):
    monkeypatch.setattr(humaneval, "SECONDS", 1.0)
    item = humaneval.read(functions).items[0]
    assert item.prompt() == (PROMPT, 0)
    assert humaneval.passes(machines, item.question + body + item.gold) == passed


def test_a_machine_that_does_not_start_makes_no_program_wrong(machines, monkeypatch):
    def no_machine(files):
        raise MachineError("no reply")

    monkeypatch.setattr(machines, "open", no_machine)
    with pytest.raises(MachineError):
        humaneval.passes(machines, "")


def test_programs_see_nothing_of_each_other(machines, functions):
    item = humaneval.read(functions).items[0]
    body = "    import os, sys\n    assert os.listdir('.') == ['program.py'] and not sys.stdin.read()\n"
    body += "    open('left', 'w')\n    return 4\n"
    assert all(humaneval.passes(machines, item.question + body + item.gold) for _ in range(2))


def test_the_canonical_solutions_pass(machines, shared):
    suite = humaneval.read(shared / "data" / "general")
    with gzip.open(shared / "data" / "general" / "HumanEval.jsonl.gz", "rt") as file:
        solutions = [json.loads(line)["canonical_solution"] for line in file]
    failed = [
        item.id
        for item, solution in zip(suite.items, solutions, strict=True)
        if not humaneval.passes(machines, item.question + solution + item.gold)
    ]
    assert len(solutions) == 164 and not failed


# ---- two models


def test_two_models_through_all_three_sets(machines, exam, school, functions, toy_sft, tmp_path, capsys):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    for folder in (base, tuned):
        shutil.copytree(toy_sft / "model", folder)
    report = tmp_path / "out" / "report.json"
    flags = ["--data", str(tmp_path), "--shots", "1", "--max_new_tokens", "4", "--report", str(report)]
    assert main(["ability", str(base), str(tuned), *flags]) == 0
    printed = capsys.readouterr().out
    for said in ("MMLU: 2 items", "1 shots in file order", "GSM8K: 2 items", "at most 4 new tokens", "HumanEval: 1 it"):
        assert said in printed
    assert f"{tuned} (second) minus {base} (first), in points" in printed
    assert ["accuracy", "2"] in [line.split()[:2] for line in printed.splitlines()]
    suites = json.loads(report.read_text())["suites"]
    assert [len(suites[name]["items"]) for name in ("mmlu", "gsm8k", "humaneval")] == [2, 2, 1]
    assert [len(item["said"]) for item in suites["gsm8k"]["items"]] == [2, 2]


def test_a_second_model_that_is_not_there_is_told_before_the_first_has_run(school, toy_sft, capsys):
    flags = [str(toy_sft / "model"), "nowhere", "--data", str(school), "--suite", "gsm8k", "--shots", "0"]
    assert main(["ability", *flags]) == 2
    told = capsys.readouterr().err
    assert "nowhere: no such folder" in told and "items" not in told  # of a progress bar


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "name at least one model"),
        (["m", "--data", "d", "--suite", "arc"], "unknown suite arc; choose from mmlu, gsm8k, humaneval"),
        (["m", "m", "--data", "d"], "the same model is named twice"),
        (["m", "--data", "d", "--suite", "gsm8k"], "no grade_school_math/data/train.jsonl"),
    ],
)
def test_bad_flags_of_ability_are_told_in_one_line(flags, reason, capsys):
    assert main(["ability", *flags]) == 2
    assert reason in capsys.readouterr().err
