"""How BFCL's calls are scored: by their arguments, by their results, and against accepted values per parameter."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from tl.calls import JSON, Call, format_call
from tl.evaluation.suites import Answered, Scoring, each, has_type, python_score
from tl.evaluation.toolkits import bfcl_functions
from tl.evaluation.toolkits.bfcl_functions import whole_numbers
from tl.executor import Cause, Executor, Session
from tl.executor.pool import PoolError
from tl.forms import Prediction, read_prediction
from tl.metrics import WRONG, CallScore, Question
from tl.schema import ToolSpec

Accepted = Mapping[str, Sequence[JSON]]  # parameter -> its accepted values

COMPUTED = {name for name, f in vars(bfcl_functions.Toolkit).items() if callable(f) and not name.startswith("_")}
COMMUTATIVE = {
    "add_binary_numbers": ("a", "b"),
    "calculate_cosine_similarity": ("vectorA", "vectorB"),
    "get_distance": ("pointA", "pointB"),
    "math_gcd": ("a", "b"),
    "math_lcm": ("a", "b"),
}
_DEFAULT = re.compile(r"[Dd]efaults? (?:is|to|as) (\w+)")  # in the description of a parameter


def readable(question: Question, prediction: Prediction) -> Prediction:
    """The prediction; a text that is no literal call, and was not cut, is parsed as Python."""
    if not prediction.problem or not prediction.is_whole:
        return prediction
    return read_prediction(prediction.texts, "python", question.tools)


# ---- by arguments


def arguments_score(question: Question, prediction: Prediction) -> CallScore:
    """Python's equality of arguments in their canonical form, see `_canonical`."""
    specs = {tool.name: tool for tool in question.tools}
    read = readable(question, prediction)
    answers = tuple(tuple(_canonical(call, specs) for call in answer) for answer in question.answers)
    calls = tuple(_canonical(call, specs) for call in read.calls)
    return python_score(replace(question, answers=answers), replace(read, calls=calls))


def _canonical(call: Call, specs: Mapping[str, ToolSpec]) -> Call:
    """The call with declared defaults and sorted commutative arguments, and no float in place of a whole number."""
    schemas = specs[call.name].parameters if call.name in specs else {}
    defaults = {key: value for key, schema in schemas.items() if (value := _default(schema)) is not None}
    arguments = defaults | call.arguments
    for key in whole_numbers(call.name) & arguments.keys():
        if isinstance(arguments[key], float):
            arguments[key] = f"not a whole number: {arguments[key]}"
    pair = COMMUTATIVE.get(call.name, ())
    if pair and arguments.keys() >= {*pair}:
        arguments |= dict(zip(pair, sorted((arguments[key] for key in pair), key=repr), strict=True))
    return Call(call.name, arguments)


def _default(schema: dict) -> JSON:
    if "default" in schema:
        return schema["default"]
    said = _DEFAULT.search(schema.get("description", ""))
    return said[1] if said and schema.get("type") == "string" else None


# ---- by results


def executed_scores(answered: Answered, require_isolation: bool = False) -> list[CallScore | None]:
    """By results if all golden functions are COMPUTED: the same number of calls, and for each golden call a predicted
    one with the same result. Otherwise by arguments, as are TS and PI of calls with other results."""
    scores: list[CallScore | None] = []
    with ExitStack() as opened:
        executor = None  # started only if something has to be run
        for question, prediction in answered:
            score = arguments_score(question, prediction)
            answer, calls = question.answers[0], readable(question, prediction).calls
            if not score.cf and len(calls) == len(answer) and all(call.name in COMPUTED for call in answer):
                executor = executor or opened.enter_context(executor_of_functions(require_isolation))
                with executor.session() as session:
                    same = _same_results([_result(session, c) for c in answer], [_result(session, c) for c in calls])
                score = CallScore(True, True, True) if same else score
            scores.append(score)
    return scores


def executor_of_functions(require_isolation: bool) -> Executor:
    """An executor with the functions. Raises IsolationError and PoolError as `Executor` does."""
    return Executor([bfcl_functions.__file__], workers=1, require_isolation=require_isolation)


def _result(session: Session, call: Call) -> tuple[JSON] | None:
    """What a call returns, or None if it fails. A result that is too long is compared as it is cut. Raises PoolError if
    the executor itself fails."""
    feedback = session.run(format_call(call))
    if feedback.cause is Cause.INFRASTRUCTURE:
        raise PoolError(feedback.text)
    if feedback.cause is Cause.OUTPUT_CUT:
        return (feedback.text,)
    if feedback.cause is not Cause.OK:
        return None
    try:
        return (json.loads(feedback.text),)
    except ValueError:
        return (feedback.text,)


def _same_results(golden: Sequence[tuple[JSON] | None], given: Sequence[tuple[JSON] | None]) -> bool:
    left = list(given)
    for result in golden:
        if result is None or result not in left:
            return False
        left.remove(result)
    return True


# ---- against accepted values

_PUNCTUATION = re.compile(r"[ ,./\-_*^]")


def ast_scoring(accepted: Mapping[str, Accepted]) -> Scoring:
    """The released checker's rules for one call; `accepted` maps an item's id to the accepted values of its parameters.
    TS: the name is right. PI: no parameter is missing or unknown. CF: the values are also among the accepted
    ones, and have the declared type or that of an accepted value."""

    def score(question: Question, prediction: Prediction) -> CallScore:
        calls = readable(question, prediction).calls
        golden = question.answers[0][0].name
        if not calls or _plain(calls[0].name) != _plain(golden):
            return WRONG
        schemas = next(tool for tool in question.tools if tool.name == golden)
        values, given = accepted[question.id], calls[0].arguments
        due = {key for key, options in values.items() if "" not in options} | {*schemas.required}
        if len(calls) > 1 or due - given.keys() or given.keys() - values.keys() or given.keys() - schemas.parameters:
            return CallScore(True, False, False)
        return CallScore(True, True, all(_is_right(v, values[k], schemas.parameters[k]) for k, v in given.items()))

    return each(score)


def _is_right(value: JSON, options: Sequence[JSON], schema: dict) -> bool:
    """Whether a value is an accepted one, and has the declared type or that of an accepted one. Among the options, ""
    says that the parameter may be left out; the released checker also takes it for an empty text or list."""
    empty: dict[str, list[JSON]] = {"string": [""], "array": [[]]}
    accepted = [option for option in options if option != ""]
    accepted += empty.get(str(schema.get("type")), []) if "" in options else []
    return _accepts(accepted, value) and (_is_declared(value, schema) or any(_alike(value, o) for o in accepted))


def _is_declared(value: JSON, schema: dict) -> bool:
    """Whether a value has the declared type. An integer may stand for a float, but not as an element of a list."""
    items = schema.get("items")
    floats = isinstance(items, dict) and items.get("type") == "number"
    return has_type(value, schema) and not (floats and isinstance(value, list) and int in map(type, value))


def _alike(value: JSON, option: JSON) -> bool:
    """Whether a value has the type of an accepted one, elements included; that may be another than declared."""
    if isinstance(value, list) and isinstance(option, list):
        return len(value) == len(option) and all(map(_alike, value, option))
    return type(value) is type(option)


def _plain(name: str) -> str:
    """The name with underscores for dots: some servers do not allow dots in names."""
    return name.replace(".", "_")


def _accepts(options: Sequence[JSON], value: JSON) -> bool:
    return any(_is_accepted(option, value) for option in options)


def _is_accepted(option: JSON, value: JSON) -> bool:
    """Texts are compared without case and punctuation, lists by element, dictionaries by key, each with accepted values
    of its own."""
    if isinstance(option, str) and isinstance(value, str):
        return _bare(option) == _bare(value)
    if isinstance(option, list) and isinstance(value, list):
        return len(option) == len(value) and all(map(_is_accepted, option, value))
    if isinstance(option, dict) and isinstance(value, dict):
        due = {key for key, options in option.items() if not isinstance(options, list) or "" not in options}
        if due - value.keys() or value.keys() - option.keys():
            return False
        return all(_accepts(option[k] if isinstance(option[k], list) else [option[k]], v) for k, v in value.items())
    return option == value


def _bare(text: str) -> str:
    return _PUNCTUATION.sub("", text).lower().replace("'", '"')
