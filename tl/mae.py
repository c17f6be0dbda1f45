"""MAE, the paper's section 3.1: which calls of a trajectory failed, read from the feedback of the tools alone.

A feedback is an error when the tool itself says so: as the message of a Python exception, as the status line of a
server, or as a field of its answer (`"error": "…"`). What a tool quotes or talks about is not read, so a document on
error handling is no error.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass

from tl.calls import CallSyntaxError, parse_call
from tl.schema import ASK_TO_USER
from tl.trajectory import Trajectory


class ErrorCategory(enum.Enum):
    """What a feedback shows about its call (Figure 3, Table 14). `ALL_RIGHT` is the only one trained on."""

    TOOL_HALLUCINATION = "tool hallucination"
    PARAMETER_HALLUCINATION = "parameter hallucination"
    PARAMETER_MISSING = "parameter missing"
    TOOL_CALL_FAILURE = "tool call failure"
    TOOL_INSTABILITY = "tool instability"
    OTHER = "other"
    ALL_RIGHT = "all right"


@dataclass(frozen=True)
class Rule:
    """One form of an error message; `pattern` must match at the start of the message."""

    category: ErrorCategory
    pattern: re.Pattern[str]
    example: str


def _rule(category: ErrorCategory, pattern: str, example: str) -> Rule:
    return Rule(category, re.compile(pattern, re.IGNORECASE), example)


_C = ErrorCategory
_QUOTE = r"['\"`‘’“”]?"

RULES: tuple[Rule, ...] = (
    _rule(_C.TOOL_HALLUCINATION, rf"name {_QUOTE}[\w.-]+{_QUOTE} i[sf] not defined", "name 'search' is not defined"),
    _rule(
        _C.PARAMETER_HALLUCINATION,
        r"[\w.-]+\(\) got an unexpected keyword argument",
        "f() got an unexpected keyword argument 'x'",
    ),
    _rule(_C.PARAMETER_MISSING, r"[\w.-]+\(\) missing \d+ required", "f() missing 1 required positional argument: 'x'"),
    _rule(
        _C.TOOL_INSTABILITY,
        r"https?connection(pool)?\(",
        "HTTPSConnectionPool(host='x', port=443): Max retries exceeded",
    ),
    _rule(_C.TOOL_INSTABILITY, r"connection (error|refused|reset|aborted)", "connection error."),
    _rule(_C.TOOL_INSTABILITY, r"invalid api call", "Invalid API call. Currency codes might be invalid."),
    _rule(_C.TOOL_INSTABILITY, r"\d{3} (client|server) error", "400 Client Error: Bad Request for url: https://x.org"),
    _rule(_C.TOOL_INSTABILITY, r"(\w+ ){0,4}(timed? ?out|out of memory)\b", "Command timed out"),
    _rule(_C.TOOL_CALL_FAILURE, r"response error", "Response error."),
    _rule(
        _C.TOOL_CALL_FAILURE,
        rf"{_QUOTE}[<>=!]+{_QUOTE} not supported between",
        "'<=' not supported between instances of 'str' and 'int'",
    ),
    _rule(
        _C.TOOL_CALL_FAILURE,
        r"object of type \w+ is not json serializable",
        "Object of type bytes is not JSON serializable",
    ),
    _rule(_C.TOOL_CALL_FAILURE, r"'[^'\n]*'\Z", "'related_searches'"),
    _rule(_C.TOOL_CALL_FAILURE, r"(\w+(error|exception)): ", "ValueError: invalid literal for int() with base 10: 'x'"),
    _rule(_C.TOOL_CALL_FAILURE, r"error: ", "Error: flight not available"),
)

_EXCEPTION_NAME = re.compile(r"\w{1,60}(?:Error|Exception|Timeout): ")


def classify_feedback(text: str) -> ErrorCategory:
    """The category of one tool feedback, in time linear in its length."""
    message = text.strip()
    if message.startswith("{"):
        return _classify_json(message)
    return _classify_message(message)


def _classify_message(message: str) -> ErrorCategory:
    without_name = _EXCEPTION_NAME.sub("", message, count=1) if _EXCEPTION_NAME.match(message) else message
    for candidate in (without_name, message):
        for rule in RULES:
            if rule.pattern.match(candidate):
                return rule.category
    return ErrorCategory.ALL_RIGHT


def _classify_json(text: str) -> ErrorCategory:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return ErrorCategory.ALL_RIGHT
    error = answer.get("error") if isinstance(answer, dict) else None
    if not error:
        return ErrorCategory.ALL_RIGHT
    category = _classify_message(error if isinstance(error, str) else json.dumps(error))
    return ErrorCategory.OTHER if category is ErrorCategory.ALL_RIGHT else category


def call_categories(trajectory: Trajectory) -> list[ErrorCategory]:
    """One category per assistant call, in order.

    A call that does not parse is a tool call failure and one to a tool outside the trajectory's list a tool
    hallucination, whatever the feedback says. Answers to `ask_to_user` come from a person and are not classified.
    """
    names = {tool.name for tool in trajectory.tools}
    return [_call_category(call.content, feedback, names) for call, feedback in trajectory.calls()]


def _call_category(call_text: str, feedback: str | None, names: set[str]) -> ErrorCategory:
    try:
        name = parse_call(call_text).name
    except CallSyntaxError:
        return ErrorCategory.TOOL_CALL_FAILURE
    if name not in names:
        return ErrorCategory.TOOL_HALLUCINATION
    if feedback is None or name == ASK_TO_USER.name:
        return ErrorCategory.ALL_RIGHT
    return classify_feedback(feedback)


def erroneous_calls(trajectory: Trajectory) -> list[bool]:
    """T_e of section 3.1: one flag per assistant call, in order; True means weight 0 in the loss."""
    return [category is not ErrorCategory.ALL_RIGHT for category in call_categories(trajectory)]
