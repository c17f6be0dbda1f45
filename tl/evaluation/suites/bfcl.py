"""BFCL (Patil et al., 2024): the executable Python categories of v3, and two sets with accepted values."""

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

from tl.calls import JSON, Call, CallSyntaxError
from tl.datasets import DataError
from tl.evaluation.suites import Scoring, Suite, each
from tl.evaluation.suites.bfcl_scores import (
    COMPUTED,
    Accepted,
    arguments_score,
    ast_scoring,
    executed_scores,
    executor_of_functions,
)
from tl.evaluation.suites.files import find, read_lines
from tl.forms import read_python_calls
from tl.metrics import Question
from tl.schema import BUILT_INS, ToolSpec
from tl.trajectory import Message

CATEGORIES = ("exec_simple", "exec_multiple", "exec_parallel", "exec_parallel_multiple")
AST_CATEGORIES = ("simple_python", "multiple")
PAPER_COUNT = 239  # Table 2, though every figure of Table 3 is a multiple of 1/240

ASKED_ON = (
    "each call is followed by an empty output, until the model says something else or one call more than is due; a "
    "further call makes PI and CF wrong. Several calls match in any order"
)

Answers = tuple[tuple[Call, ...], ...]


def read(data: Path, require_isolation: bool = False) -> Suite:
    """All items of the four categories, from files of BFCL v3 or v4; the ground truth is in these or other files.
    Raises IsolationError if isolation is required and not available."""
    if require_isolation:
        executor_of_functions(require_isolation).close()
    questions = tuple(question for category in CATEGORIES for question in _category(data, category, _golden_calls))
    computed = sum(all(call.name in COMPUTED for call in q.answers[0]) for q in questions)
    beyond = [q.id for q in questions if any(_undeclared(call, q.tools) for call in q.answers[0])]
    notes = (
        f"executable: all {len(questions)} items of {', '.join(CATEGORIES)} (the paper counts {PAPER_COUNT}, but its "
        "percentages are multiples of 1/240); the category rest has responses and no calls as ground truth",
        ASKED_ON,
        "arguments: equal as Python compares them, positions and constant arithmetic read, declared defaults filled in "
        "on both sides, arguments of functions such as math_gcd in either order; 20.0 is wrong for a whole number",
        f"executed: as the released scorer does, the calls of the {computed} items whose functions only compute are "
        f"run and their results compared; the {len(questions) - computed} others need the network: by arguments",
        *([f"{', '.join(beyond)}: the golden call has a keyword that the documentation lacks"] if beyond else []),
    )
    scorings: dict[str, Scoring] = {
        "arguments": each(arguments_score),
        "executed": partial(executed_scores, require_isolation=require_isolation),
    }
    return Suite("bfcl", "BFCL-v3, executable", questions, notes, scorings, "BFCL-v3")


def read_ast(data: Path) -> Suite:
    """The sets simple_python and multiple: one call each, with accepted values for every parameter."""
    accepted: dict[str, Accepted] = {}

    def answers(truths: list[dict], tools: tuple[ToolSpec, ...], identifier: str) -> Answers:
        if identifier in accepted:
            raise ValueError(f"another item has the id {identifier}, too")
        [(name, values)] = truths[0].items()
        accepted[identifier] = values
        required = next(tool.required for tool in tools if tool.name == name)
        made = _combinations(values)
        complete = [choice for choice in made if choice.keys() >= {*required}] or made[:1]
        return tuple((Call(name, choice),) for choice in complete)

    questions = tuple(question for category in AST_CATEGORIES for question in _category(data, category, answers))
    notes = (
        f"all {len(questions)} items of {', '.join(AST_CATEGORIES)}",
        ASKED_ON,
        "accepted: the released checker's rules. Every required parameter is given, and every value has the declared "
        "type and is an accepted one; in texts, case, blanks and ,./-_*^ are ignored",
    )
    scorings = {"accepted": ast_scoring(accepted)}
    return Suite("bfcl-ast", "BFCL, accepted values", questions, notes, scorings)


def _category(
    data: Path, category: str, read_answers: Callable[[list, tuple[ToolSpec, ...], str], Answers]
) -> list[Question]:
    names = [f"{category}.jsonl", *(f"BFCL_{version}_{category}.json" for version in ("v3", "v4"))]
    path = find(data, ["bfcl", "question"], names)
    records = read_lines(path)
    in_question = all("ground_truth" in record for record in records)
    truths = records if in_question else read_lines(find(data, ["bfcl", "possible_answer"], names))
    if [r.get("id") for r in records] != [t.get("id") for t in truths]:
        raise DataError(f"{path}: the questions and their answers have different ids")
    return [
        _question(record, truth, category, read_answers, f"{path}, record {number}")
        for number, (record, truth) in enumerate(zip(records, truths, strict=True), 1)
    ]


def _question(record: dict, truth: dict, category: str, read_answers: Callable, where: str) -> Question:
    try:
        tools = (*map(ToolSpec.from_openai, record["function"]), *BUILT_INS)
        ((request,),) = record["question"]
        messages = (Message("user", request["content"]),)
        identifier = str(record["id"])
        answers = read_answers(truth["ground_truth"], tools, identifier)
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise DataError(f"{where}: {type(error).__name__}: {error}") from error
    if not answers or not answers[0]:
        raise DataError(f"{where}: no golden call")
    return Question(identifier, tools, messages, answers, category, to_the_end=True)


def _golden_calls(texts: list[str], tools: tuple[ToolSpec, ...], identifier: str) -> Answers:
    return (tuple(_golden_call(text, tools) for text in texts),)


def _golden_call(text: str, tools: tuple[ToolSpec, ...]) -> Call:
    calls = read_python_calls(text, tools)
    if len(calls) != 1:
        raise CallSyntaxError(f"{len(calls)} calls in one golden call", 0)
    return calls[0]


def _undeclared(call: Call, tools: tuple[ToolSpec, ...]) -> bool:
    return any(call.arguments.keys() - tool.parameters.keys() for tool in tools if tool.name == call.name)


def _combinations(accepted: Accepted) -> list[dict[str, JSON]]:
    """Every combination of accepted values of the parameters; "" leaves a parameter out."""
    made: list[dict[str, JSON]] = [{}]
    for key, values in accepted.items():
        choices = [{} if value == "" else {key: choice} for value in values for choice in _choices(value)]
        made = [before | choice for before in made for choice in choices]
    return made


def _choices(value: JSON) -> list:
    """The values that an accepted one stands for: dictionaries, also in lists, have accepted values of their own."""
    if isinstance(value, dict):
        return _combinations(value)
    return [[*choice] for choice in product(*map(_choices, value))] if isinstance(value, list) else [value]
