"""HumanEval (Chen et al., 2021, arXiv 2107.03374): functions written from their docstrings, run against tests."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tl.datasets import DataError
from tl.evaluation.suites.files import find, read_lines
from tl.evaluation.suites.general import Grades, TextItem, TextSuite
from tl.executor.machines import File, MachineError, Machines, system_python
from tl.executor.pool import cores

PAPER_COUNT = 164
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
MAX_NEW_TOKENS = 512
SECONDS = 3.0

# Only a program that ran to its end has this exit code; sys.exit(0) does not give it.
_PASSED = 91
_RUN = f"""
import os
try:
    exec(compile(open("program.py").read(), "program.py", "exec"), {{}})
except BaseException:
    os._exit(1)
os._exit({_PASSED})
"""


def read(data: Path) -> TextSuite:
    """`HumanEval.jsonl` under `data`. Raises DataError where it is missing or a record lacks a part."""
    path = find(data, ["data"], ["HumanEval.jsonl"])
    keys = ("task_id", "prompt", "entry_point", "test")
    records = read_lines(path)
    for number, record in enumerate(records, 1):
        if not all(isinstance(record.get(key), str) for key in keys):
            raise DataError(f"{path}, record {number}: expected texts for {', '.join(keys)}")
    items = tuple(TextItem(r["task_id"], r["prompt"], _test(r)) for r in records)
    notes = (
        f"0 shots, greedy, pass@1, stops {', '.join(map(repr, STOPS))}, a program "
        f"may take {SECONDS:g} s (all of the set: {PAPER_COUNT})"
    )
    return TextSuite("humaneval", "HumanEval", items, notes, grade, STOPS, MAX_NEW_TOKENS)


def _test(record: dict) -> str:
    """The code after prompt and completion."""
    return f"\n{record['test']}\ncheck({record['entry_point']})\n"


def grade(items: Sequence[TextItem], said: Sequence[str]) -> list[Grades]:
    """Whether prompt, completion and test run to their end without an exception, each in a machine of its own.

    Raises tl.executor.machines.MachineError where programs cannot be isolated.
    """
    with Machines() as machines, ThreadPoolExecutor(cores()) as threads:
        programs = [item.question + text + item.gold for item, text in zip(items, said, strict=True)]
        return [{"pass@1": passed} for passed in threads.map(partial(passes, machines), programs)]


def passes(machines: Machines, program: str) -> bool:
    """Whether a program runs to its end in time. Raises MachineError if its machine does not start."""
    source = program.encode(errors="backslashreplace")
    with machines.open([File("/tmp/program.py", source)]) as machine:
        try:
            return machine.run([system_python(), "-I", "-B", "-c", _RUN], "/tmp", SECONDS).code == _PASSED
        except MachineError:  # the program took all memory, or killed the process that ran it
            return False
