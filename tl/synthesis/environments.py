"""The five environments of RoTBench for questions of our own: the same requests, with noise in the names of tools.

    clean    as it is
    slight   typing errors: in half of the names, one to three characters are inserted, left out or replaced
    medium   meaningless names: half of the names are written backwards or replaced by random letters
    heavy    misleading names: the tools exchange their names, the parameters of each tool too, and every tool has an
             additional required parameter, whose value is in its description
    union    everything at once: typing errors or meaningless names, then exchanged, and the additional parameter

Descriptions and types stay with their tools and parameters, so that a request can be served in every environment. Noise
affects the built-in tools too. History, feedback that names a parameter and accepted answers are renamed as well.
"""

import json
import random
import re
import string
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from tl.calls import Call, format_call
from tl.mae import ErrorCategory, classify_feedback
from tl.metrics import Question
from tl.schema import ToolSpec
from tl.trajectory import Message

Environment = Literal["clean", "slight", "medium", "heavy", "union"]
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)

AFFECTED = 0.5  # share of the names that slight, medium and union change
_ABOUT_PARAMETERS = (ErrorCategory.PARAMETER_HALLUCINATION, ErrorCategory.PARAMETER_MISSING)


@dataclass(frozen=True)
class Renaming:
    """The names of one tool in an environment. `extra` is the name and value of the additional parameter."""

    name: str
    parameters: dict[str, str]
    extra: dict[str, str]


def in_environment(question: Question, environment: Environment, seed: int = 0) -> Question:
    """The question as it is in an environment; the same seed gives the same names."""
    if environment == "clean":
        return question
    rng = random.Random(f"{environment} {seed} {question.id}")
    renamings = _renamings(question.tools, environment, rng)
    return replace(
        question,
        id=f"{question.id}@{environment}",
        tools=tuple(_renamed_tool(tool, renamings[tool.name]) for tool in question.tools),
        messages=_renamed_messages(question.messages, renamings),
        answers=tuple(tuple(_renamed_call(call, renamings) for call in answer) for answer in question.answers),
    )


# ---- names


def _renamings(tools: Sequence[ToolSpec], environment: Environment, rng: random.Random) -> dict[str, Renaming]:
    names = _new_names([tool.name for tool in tools], environment, rng)
    renamings = {}
    for tool in tools:
        parameters = _new_names(list(tool.parameters), environment, rng)
        extra = {}
        if environment in ("heavy", "union"):
            extra[_fresh(_letters(rng), parameters.values(), rng)] = _letters(rng)
        renamings[tool.name] = Renaming(names[tool.name], parameters, extra)
    return renamings


def _new_names(names: list[str], environment: Environment, rng: random.Random) -> dict[str, str]:
    """Old name -> new name; all new names differ."""
    noises = _NOISES[environment]
    new = list(names)
    for at, name in enumerate(names):
        if noises and rng.random() < AFFECTED:
            new[at] = _fresh(rng.choice(noises)(name, rng), {*names, *new}, rng)
    if environment in ("heavy", "union"):
        rng.shuffle(new)
    return dict(zip(names, new, strict=True))


def _fresh(name: str, taken: Collection[str], rng: random.Random) -> str:
    """The name, with letters appended if it is taken."""
    while name in taken:
        name += rng.choice(string.ascii_letters)
    return name


def _mistyped(name: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(name))
        letter = rng.choice(string.ascii_letters)
        what = rng.choice(("insert", "leave out", "replace"))
        if what == "insert":
            name = name[:at] + letter + name[at:]
        elif what == "replace":
            name = name[:at] + letter + name[at + 1 :]
        elif len(name) > 2:
            name = name[:at] + name[at + 1 :]
    return name


def _backwards(name: str, rng: random.Random) -> str:
    return name[::-1]


def _meaningless(name: str, rng: random.Random) -> str:
    return _letters(rng)


def _letters(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_letters, k=rng.randint(3, 10)))


_NOISES: dict[Environment, tuple[Callable[[str, random.Random], str], ...]] = {
    "slight": (_mistyped,),
    "medium": (_backwards, _meaningless),
    "heavy": (),
    "union": (_mistyped, _backwards, _meaningless),
}


# ---- tools, calls and messages


def _renamed_tool(tool: ToolSpec, renaming: Renaming) -> ToolSpec:
    parameters = {renaming.parameters[key]: schema for key, schema in tool.parameters.items()}
    required = [renaming.parameters[key] for key in tool.required]
    for key, value in renaming.extra.items():
        parameters[key] = {"type": "string", "description": f"Always {json.dumps(value)}."}
        required.append(key)
    return ToolSpec(renaming.name, tool.description, parameters, tuple(key for key in parameters if key in required))


def _renamed_call(call: Call, renamings: dict[str, Renaming]) -> Call:
    """The call with new names. Names that no tool has, as in an erroneous call, stay."""
    if call.name not in renamings:
        return call
    renaming = renamings[call.name]
    renamed = {renaming.parameters.get(key, key): value for key, value in call.arguments.items()}
    return Call(renaming.name, {**renamed, **renaming.extra})


def _renamed_messages(messages: Sequence[Message], renamings: dict[str, Renaming]) -> tuple[Message, ...]:
    renamed, called = [], None
    for message in messages:
        if message.is_call:
            call = message.call
            called = renamings.get(call.name) if call else None
            if call:
                message = replace(message, content=format_call(_renamed_call(call, renamings)))
        elif message.role == "tool" and called and classify_feedback(message.content) in _ABOUT_PARAMETERS:
            message = replace(message, content=_renamed_complaint(message.content, called))
        renamed.append(message)
    return tuple(renamed)


def _renamed_complaint(feedback: str, called: Renaming) -> str:
    """Feedback such as `f() missing 1 required positional argument: 'x'` with the new names of f and x."""
    _, parenthesis, rest = feedback.partition("()")
    rest = re.sub(r"'([^']*)'", lambda quoted: f"'{called.parameters.get(quoted[1], quoted[1])}'", rest)
    return called.name + parenthesis + rest
