"""Error analysis: the shares of Table 1, and a reason for every item."""

import enum
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tl.calls import JSON, Call, format_call, same_value
from tl.evaluation.suites import compared
from tl.forms import Prediction
from tl.metrics import Question, match_calls, percent


class Fault(enum.Enum):
    """A fault of a prediction. A prediction can have several faults of the same aspect."""

    FORMAT = "no call that can be read"
    COUNT = "another number of calls"
    FIRST = "First"  # another tool; the names differ in their first token, see `diagnose`
    PREFIX = "Prefix"  # another tool; the names begin with the same token
    NO_SUCH_TOOL = "No such tool"
    REDUNDANCY = "Redundancy"
    MISSING = "Missing"
    HALLUCINATION = "Hallucination"
    ALIKE = "Alike"  # a wrong value that differs only in case, spaces and punctuation
    OTHER = "Others"


ASPECTS = {
    "Tool": (Fault.FIRST, Fault.PREFIX, Fault.NO_SUCH_TOOL),
    "Parameter": (Fault.REDUNDANCY, Fault.MISSING, Fault.HALLUCINATION),
    "Content": (Fault.ALIKE, Fault.OTHER),
}


@dataclass(frozen=True)
class Diagnosis:
    """The faults of one prediction (none if it is correct) and an explanation."""

    faults: frozenset[Fault]
    reason: str


def name_words(name: str) -> list[str]:
    """The words and other characters of a tool's name; used in place of tokens if the model's vocabulary is unknown.

    For 99 % of all pairs of names in RoTBench, it makes no difference whether the first words are compared or the first
    tokens of Llama-2.
    """
    return re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|.", name, re.DOTALL)


def diagnose(question: Question, prediction: Prediction, tokens: Callable[[str], Sequence]) -> Diagnosis:
    """Compares a prediction with the closest accepted answer, as JSON values.

    `tokens` splits a tool's name: into its tokens, `tl.prompt.name_ids`, or into `name_words`.
    """
    if prediction.problem:
        return Diagnosis(frozenset({Fault.FORMAT}), prediction.problem)
    calls = compared(prediction, question.uncompared)
    answer = max(question.answers_to(calls), key=lambda answer: match_calls(calls, answer))
    if len(calls) != len(answer):
        return Diagnosis(frozenset({Fault.COUNT}), f"{len(calls)} calls where {len(answer)} are due")
    found = [_compare(call, golden, question, tokens) for call, golden in _pairs(calls, answer)]
    worst = [aspect for aspect in ASPECTS.values() if any(faults & {*aspect} for faults, _ in found)][:1]
    counted = frozenset(fault for faults, _ in found for fault in faults if worst and fault in worst[0])
    return Diagnosis(counted, "; ".join(reason for faults, reason in found if faults) or "right")


def _pairs(calls: Sequence[Call], answer: Sequence[Call]) -> list[tuple[Call, Call]]:
    """Each call with a golden one: equal calls first, then calls of the same tool, then the others."""
    left, golden, pairs = list(calls), list(answer), []
    levels = (lambda a, b: match_calls([a], [b]).cf, lambda a, b: a.name == b.name, lambda a, b: True)
    for fits in levels:
        for call in list(left):
            at = next((i for i, other in enumerate(golden) if fits(call, other)), None)
            if at is not None:
                pairs.append((call, golden.pop(at)))
                left = [other for other in left if other is not call]
    return pairs


def _compare(call: Call, golden: Call, question: Question, tokens: Callable) -> tuple[set[Fault], str]:
    tools = {tool.name: tool for tool in question.tools}
    if call.name != golden.name:
        shared = [*tokens(call.name)][:1] == [*tokens(golden.name)][:1]
        faults = {Fault.PREFIX if shared else Fault.FIRST} | ({Fault.NO_SUCH_TOOL} if call.name not in tools else set())
        return faults, f"{'no such tool: ' if call.name not in tools else ''}{call.name} instead of {golden.name}"
    given, due = call.arguments.keys(), golden.arguments.keys()
    known = tools[call.name].parameters.keys() if call.name in tools else due
    names = {
        Fault.HALLUCINATION: [key for key in given if key not in due and key not in known],
        Fault.REDUNDANCY: [key for key in given if key not in due and key in known],
        Fault.MISSING: [key for key in due if key not in given],
    }
    if any(names.values()):
        named = (f"{fault.value.lower()} {', '.join(keys)}" for fault, keys in names.items() if keys)
        return {fault for fault, keys in names.items() if keys}, f"{call.name}: {'; '.join(named)}"
    wrong = [key for key in given if not same_value(call.arguments[key], golden.arguments[key])]
    alike = all(_bare(call.arguments[key]) == _bare(golden.arguments[key]) for key in wrong)
    reason = f"content of {', '.join(wrong)}: expected {format_call(golden)}"
    return ({Fault.ALIKE if alike else Fault.OTHER}, reason) if wrong else (set(), "")


def _bare(value: JSON) -> str:
    return "".join(filter(str.isalnum, str(value).casefold()))


def analyse(diagnoses: Iterable[Diagnosis]) -> dict[str, dict]:
    """For each aspect of Table 1, the number of items that fail in it, and the share of each fault in percent."""
    diagnoses = list(diagnoses)
    counts = Counter(fault for diagnosis in diagnoses for fault in diagnosis.faults)
    result: dict[str, dict] = {"Format": {"n": counts[Fault.FORMAT] + counts[Fault.COUNT]}}
    for aspect, faults in ASPECTS.items():
        n = sum(bool(diagnosis.faults & {*faults}) for diagnosis in diagnoses)
        result[aspect] = {"n": n} | {fault.value: percent(counts[fault], n) for fault in faults}
    return result
