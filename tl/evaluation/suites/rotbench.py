"""RoTBench (Ye et al., 2024b): the next call in the first or third turn, in five environments of noisy tools.

A file of the environments slight, medium and heavy holds the items of "clean" twice: once with noise in the names of
the tools, once in the parameters. All are scored.
"""

import json
import re
from pathlib import Path

from tl.calls import Call, format_call
from tl.datasets import DataError
from tl.evaluation.suites import Suite, each
from tl.evaluation.suites.files import find, read_list
from tl.forms import Prediction, read_calls, read_prediction
from tl.metrics import WRONG, CallScore, Question
from tl.schema import FINISH, SPOKEN, ToolSpec
from tl.trajectory import Message

ENVIRONMENTS = ("clean", "slight", "medium", "heavy", "union")
TURNS = {"first": "First_Turn", "third": "Third_Turn"}
PAPER_COUNT = 105  # Table 2; it reports the first turn of the clean environment

FREE = "None"  # as a value in an answer: the keyword must be there, with any value

_TOOLS_START = "following tools:"
_ACTION, _INPUT = "Action:", "Action Input:"
_RAVEN = re.compile(r"\s*Call:(.*?)(?:<bot_end>|\n[^\S\n]*Thought:|\Z)", re.DOTALL)


def read(data: Path, name: str = "rotbench", turn: str = "first", environment: str = "clean") -> Suite:
    """The items of one file; every call needs a tool of the item, every item an accepted answer."""
    path = find(data, ["rotbench", TURNS[turn]], [f"{environment}.json"])
    questions = tuple(_question(record, f"{path}, record {i}") for i, record in enumerate(read_list(path), 1))
    note = f"{turn} turn, {environment}: all {len(questions)} items of {path.name}"
    in_paper = (turn, environment) == ("first", "clean")
    if in_paper:
        note += f" (the paper counts {PAPER_COUNT})"
    elif environment not in ("clean", "union"):
        note += ", half with noise in the tools' names, half in the parameters"
    empty = sum(all(not call.arguments for (call,) in question.answers) for question in questions)
    rules = (
        f"official: the released scorer takes calls without arguments for wrong; those are all answers of {empty} items"
    )
    title = f"RoTBench, {turn} turn, {environment}"
    paper = "RoTBench" if in_paper else None
    family = f"RoTBench, {turn} turn: robustness (section 6.1)"
    return Suite(name, title, questions, (note, rules), {"official": each(official_score)}, paper, family, environment)


def _question(record: dict, where: str) -> Question:
    try:
        system, *history, last = record["conversations"]
        tools = tuple(map(ToolSpec.from_openai, _tool_list(system["value"])))
        messages = tuple(_message(turn, i) for i, turn in enumerate(history))
        answers = tuple((_read(text),) for text in last["value"])
        identifier, scenario = str(record["id"]), str(record["scenario"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: {type(error).__name__}: {error}") from error
    names = {tool.name for tool in tools}
    if len(tools) < 2 or not answers or any(call.name not in names for (call,) in answers):
        raise DataError(f"{where}: an item needs at least two tools, and answers that call them")
    free = tuple(frozenset(k for k, v in call.arguments.items() if v == FREE) for (call,) in answers)
    return Question(identifier, tools, messages, answers, scenario, free=free)


def _tool_list(system: str) -> list[dict]:
    """The JSON array in the system text; the prose around it is the prompt of another model."""
    start = system.index("[", system.index(_TOOLS_START))
    return json.JSONDecoder().raw_decode(system, start)[0]


def _message(turn: dict, index: int) -> Message:
    """A turn of the history. A user's turn after a call answers the question of that call."""
    role, text = turn["from"], turn["value"]
    if role == "assistant":
        return Message("assistant", format_call(_read(text)), is_call=True)
    if role == "function" or index:
        return Message("tool", text)
    return Message("user", text.strip().removesuffix("Begin!").rstrip())


def _read(text: str) -> Call:
    return read_calls(text, "action")[0]


def official_score(question: Question, prediction: Prediction) -> CallScore:
    """The rules of the released scorer (Code/Evaluation/evaluate.py of RoTBench), its side effects included.

    - A call without arguments is wrong throughout, whatever the answer.
    - The answers are tried in order until one is right in all respects. When an answer calls the last tool, a
      predicted `finish` counts as that tool, also for all later answers.
    - Tool selection: the name is that of an answer. It does not have to be among the tools.
    - Parameter identification: the keywords are those of an answer with this name.
    - Content: an argument that is the text "None" in the answer may have any value. It is also removed from the
      prediction, which then no longer matches a later answer with the same keywords.
    - For the last two tools and tools named `finish` or `ask_to_user`, the values do not count.
    - Values compare as in Python: 1, 1.0 and true are equal.
    """
    name, arguments = _as_released(prediction)
    if not arguments:
        return WRONG
    *_, ask, last = (tool.name for tool in question.tools)
    ts = pi = False
    rest = arguments
    for (answer,) in question.answers:
        if answer.name == last and name == FINISH.name:
            name = last
        if answer.name != name:
            continue
        ts, pi = True, pi or answer.arguments.keys() == arguments.keys()
        if answer.arguments.keys() != rest.keys():
            continue
        golden = {key: value for key, value in answer.arguments.items() if value != FREE}
        rest = {key: value for key, value in rest.items() if key in golden}
        if name in (last, ask, *SPOKEN) or golden == rest:
            return CallScore(True, True, True)
    return CallScore(ts, pi, False)


def _as_released(prediction: Prediction) -> tuple[str, dict]:
    """Name and arguments as the released scorer cuts them out of a text. In the benchmark's own form, it skips one
    character before the name, and only JSON may follow "Action Input:"; it also reads NexusRaven's form. For other
    forms, the call that was parsed. A turn that was cut has none."""
    text = prediction.texts[0] if len(prediction.texts) == 1 and prediction.is_whole else ""
    if raven := _RAVEN.match(text):
        return _raven_call(raven[1])
    if _ACTION in text and _INPUT in text:
        name = text[text.index(_ACTION) + len(_ACTION) + 1 : text.index(_INPUT)].removesuffix("\n")
        try:
            arguments = json.loads(text[text.index(_INPUT) + len(_INPUT) :])
        except (ValueError, RecursionError):
            return name, {}
        return name, arguments if isinstance(arguments, dict) else {}
    if len(prediction.calls) != 1:
        return "", {}
    return prediction.calls[0].name, prediction.calls[0].arguments


def _raven_call(text: str) -> tuple[str, dict]:
    """The first of several calls, which ends at the first semicolon anywhere; of nested calls the innermost, at the
    first closing bracket. Arguments with an empty text are dropped; a value with an equals sign cannot be read."""
    text = text.partition(";")[0].strip()
    if text.count("(") > 1:
        inner = text[: text.find(")") + 1]
        text = inner[inner.rfind("=", 0, inner.rfind("(")) + 1 :]
    calls = read_prediction([text], "python").calls
    if len(calls) != 1 or text.count("=") > len(calls[0].arguments):
        return "", {}
    return calls[0].name, {key: value for key, value in calls[0].arguments.items() if value != ""}
