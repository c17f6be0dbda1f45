"""MAE, mitigating the adverse effects of erroneous calls (paper section 3.1): which calls failed, and how.

T_e, the calls excluded from the loss, is determined from the tools' feedback alone, without a model. `statements.py`
finds where feedback reports on itself; `rules.py` maps what it says there to a category.
"""

import re

from tl.calls import CallSyntaxError, parse_call
from tl.mae.rules import ALONE, EXCEPTIONS, MESSAGES, REASONS, REASONS_OF_PARAMETERS, SHELL, ErrorCategory, Rule
from tl.mae.statements import Place, Statement, statements
from tl.schema import ASK_TO_USER
from tl.trajectory import Message, Trajectory

__all__ = ["ErrorCategory", "call_categories", "classify_feedback", "erroneous_calls"]

ONE_LINE = 300  # characters; a longer text is content, not a message

_EXCEPTION = re.compile(
    r"((?:\w+\.){0,8}[A-Z]\w{0,60}?(?:Error|Exception|Timeout|Exceeded|Expired|Refused|Disconnected|Iteration|Interrupt|"
    r"Exit|Warning))(?:: |\s*\Z)"
)


def classify_feedback(text: str) -> ErrorCategory:
    """The error category of one feedback (Figure 3). Never raises; takes time linear in the length of the text."""
    for statement in statements(text):
        category = _classify_statement(statement)
        if category.is_error:
            return category
    return ErrorCategory.ALL_RIGHT


def _classify_statement(statement: Statement) -> ErrorCategory:
    said = statement.text
    if statement.place is Place.STATUS or statement.status is not None:
        return _first(REASONS_OF_PARAMETERS, said) or _of_status(statement.status, said)
    if statement.place is Place.FIELD:
        return _of_message(said) or _first(REASONS, said) or ErrorCategory.OTHER
    if statement.place is Place.PREFIX:
        return _of_message(said) or _first(REASONS, said) or ErrorCategory.TOOL_CALL_FAILURE
    if statement.place is Place.COMMAND:
        return _first(SHELL, said) or _of_message(said) or ErrorCategory.TOOL_CALL_FAILURE
    if statement.place is Place.LAST_LINE:
        return _first(SHELL, said) or ErrorCategory.ALL_RIGHT
    return _first(SHELL, said) or _of_message(said) or _alone(said) or ErrorCategory.ALL_RIGHT


def _of_message(said: str) -> ErrorCategory | None:
    exception = _EXCEPTION.match(said)
    if not exception:
        return _first(MESSAGES, said)
    name, message = exception[1].rpartition(".")[2], said[exception.end() :]
    return _first(EXCEPTIONS, name) or _first(MESSAGES, message) or ErrorCategory.TOOL_CALL_FAILURE


def _of_status(status: int | None, said: str) -> ErrorCategory:
    """Category of a failing HTTP status: a fault of the server, a refusal, or a request that it could not serve."""
    if status is None:
        return _of_message(said) or _alone(said) or ErrorCategory.TOOL_CALL_FAILURE
    if status in (401, 402, 403, 407, 451):
        return ErrorCategory.OTHER
    # 501 Not Implemented: the server does not know this kind of request.
    instable = status in (408, 425, 429) or (status >= 500 and status != 501)
    return ErrorCategory.TOOL_INSTABILITY if instable else ErrorCategory.TOOL_CALL_FAILURE


def _alone(said: str) -> ErrorCategory | None:
    is_one_line = "\n" not in said and len(said) <= ONE_LINE
    return _first(ALONE, said) if is_one_line else None


def _first(table: tuple[Rule, ...], said: str) -> ErrorCategory | None:
    return next((rule.category for rule in table if rule.pattern.match(said)), None)


def call_categories(trajectory: Trajectory) -> list[ErrorCategory]:
    """One category per assistant call, in order.

    A call that does not parse is a tool call failure and one to a tool outside the trajectory's list a tool
    hallucination, whatever the feedback says. A verdict of the data set takes precedence over the feedback's words.
    Answers to `ask_to_user(question=…)` come from a person and are not classified.
    """
    names = {tool.name for tool in trajectory.tools}
    return [_call_category(call.content, feedback, names) for call, feedback in trajectory.answered_calls()]


def _call_category(call_text: str, feedback: Message | None, names: set[str]) -> ErrorCategory:
    try:
        call = parse_call(call_text)
    except CallSyntaxError:
        return ErrorCategory.TOOL_CALL_FAILURE
    if call.name not in names:
        return ErrorCategory.TOOL_HALLUCINATION
    asked = call.name == ASK_TO_USER.name and call.arguments.keys() == ASK_TO_USER.parameters.keys()
    if feedback is None or asked or feedback.failed is False:
        return ErrorCategory.ALL_RIGHT
    category = classify_feedback(feedback.content)
    is_unsaid = category is ErrorCategory.ALL_RIGHT and feedback.failed is True
    return ErrorCategory.TOOL_CALL_FAILURE if is_unsaid else category


def erroneous_calls(trajectory: Trajectory) -> list[bool]:
    """T_e of section 3.1: one flag per assistant call, in order; True means weight 0 in the loss.

    Calls that their source gives weight 0 are among them.
    """
    categories = zip(call_categories(trajectory), trajectory.answered_calls(), strict=True)
    return [category.is_error or not call.trained for category, (call, _) in categories]
