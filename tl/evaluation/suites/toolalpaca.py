"""ToolAlpaca (Tang et al., 2023), eval_real: requests to eleven public APIs, with golden steps."""

import json
import re
from pathlib import Path

from tl.calls import Call
from tl.datasets import DataError
from tl.datasets.readers.toolalpaca import tools_of
from tl.evaluation.suites import Suite, each, has_type, python_score
from tl.evaluation.suites.files import find, read_list
from tl.metrics import Question
from tl.schema import BUILT_INS, ToolSpec
from tl.trajectory import Message

CREDENTIALS = frozenset({"access_key", "appid", "api_key"})
PAPER_COUNT = 114  # Table 2

_KEY_TWICE = re.compile(r'("[^"]*":\s*)\1')


def read(data: Path) -> Suite:
    """One item per request. Its first golden step is the answer."""
    path = find(data, ["toolalpaca"], ["eval_real.json"])
    questions: list[Question] = []
    several = 0
    for api in read_list(path):
        name = str(api.get("Name"))
        try:
            tools = (*map(ToolSpec.from_openai, tools_of(api["Function_Description"])), *BUILT_INS)
            for number, (request, steps) in enumerate(zip(api["Instructions"], api["Golden_Answers"], strict=True)):
                answer = _step(steps[0])
                questions.append(_question(f"{name}/{number}", tools, request, answer))
                several += len(steps) > 1
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}, API {name}: {type(error).__name__}: {error}") from error
    odd = [question.id for question in questions if _odd_types(question)]
    unknown = sum(all(tool.name != q.answers[0][0].name for tool in q.tools) for q in questions)
    notes = (
        f"eval_real: all {len(questions)} requests (the paper counts {PAPER_COUNT}). {several} have more golden steps; "
        "later ones depend on what the API returns, so the one call that is made is scored against the first",
        f"credentials ({', '.join(sorted(CREDENTIALS))}) are left out of the comparison; "
        f"{unknown} golden answers call a tool that the documentation lacks: no model can know it",
        *([f"{', '.join(odd)}: an argument of the golden answer is not of the documented type"] if odd else []),
        "arguments: names and values are compared as Python does. The released judge is GPT-4, which no rules "
        "reproduce; --judge asks a model",
    )
    scorings = {"arguments": each(python_score)}
    return Suite("toolalpaca", "ToolAlpaca, eval_real", tuple(questions), notes, scorings, "ToolAlpaca")


def _odd_types(question: Question) -> bool:
    """Whether an argument of the golden call does not have its documented type."""
    [golden] = question.answers[0]
    schemas = next((tool.parameters for tool in question.tools if tool.name == golden.name), {})
    return not all(has_type(value, schemas.get(key, {})) for key, value in golden.arguments.items())


def _question(identifier: str, tools: tuple[ToolSpec, ...], request: str, answer: Call) -> Question:
    called = next((tool for tool in tools if tool.name == answer.name), None)
    uncompared = CREDENTIALS & (called.parameters.keys() if called else answer.arguments.keys())
    arguments = {key: value for key, value in answer.arguments.items() if key not in uncompared}
    golden = Call(answer.name, arguments)
    return Question(
        identifier, tools, (Message("user", request),), ((golden,),), identifier.rpartition("/")[0], uncompared
    )


def _step(step: dict) -> Call:
    """A golden step. Its arguments are JSON text; four answers of the official file have a key twice there."""
    arguments = json.loads(_KEY_TWICE.sub(r"\1", step["Action_Input"]))
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of a golden step are not an object: {arguments!r:.80}")
    if not isinstance(step["Action"], str):
        raise ValueError(f"the action of a golden step is not a name: {step['Action']!r:.80}")
    return Call(step["Action"], arguments)
