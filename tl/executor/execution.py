"""Runs a call in this process: text in, feedback out. Independent of processes and limits.

Whatever happens to a call becomes a `Feedback`, in Python's own words. The text is parsed as literals and never
evaluated. Nothing limits the time and memory of the tools: for trusted ones only, as in data construction
(`InProcessExecutor`). `tl.executor` runs the same code in other processes.
"""

from __future__ import annotations

import enum
import json
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from tl.calls import Call, CallSyntaxError, parse_call
from tl.executor.driving import Steps
from tl.executor.library import Library, Tool, Tools
from tl.mae import ErrorCategory, classify_feedback
from tl.schema import ASK_TO_USER, FINISH

UNKNOWN_ANSWER = "I do not know, please decide yourself."
MAX_FEEDBACK_CHARACTERS = 4000
CUT_MARK = " … "


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Cause(enum.Enum):
    """What happened to a call, with the paper's category. None: the feedback decides, see `Feedback.category`."""

    OK = "ok", ErrorCategory.ALL_RIGHT
    FORMAT_ERROR = "format error", ErrorCategory.TOOL_CALL_FAILURE
    UNKNOWN_TOOL = "unknown tool", ErrorCategory.TOOL_HALLUCINATION
    UNEXPECTED_KEYWORD = "unexpected keyword", ErrorCategory.PARAMETER_HALLUCINATION
    MISSING_ARGUMENT = "missing argument", ErrorCategory.PARAMETER_MISSING
    VALUE_OR_TYPE = "value or type", None
    REPORTED_ERROR = "reported error", None
    TOOL_EXCEPTION = "tool's exception", None
    CONNECTION = "connection", None
    TIME_OUT = "time-out", ErrorCategory.TOOL_INSTABILITY
    MEMORY = "memory", ErrorCategory.TOOL_INSTABILITY
    WORKER_DIED = "worker died", ErrorCategory.TOOL_INSTABILITY
    OUTPUT_CUT = "output cut", ErrorCategory.ALL_RIGHT
    NOT_SERIALISABLE = "not serialisable", ErrorCategory.TOOL_CALL_FAILURE
    INFRASTRUCTURE = "infrastructure", None  # the executor itself failed


@dataclass(frozen=True)
class Feedback:
    """The result of a call: its text for the model, what happened, and how long it took in seconds."""

    text: str
    cause: Cause
    seconds: float = 0.0

    @property
    def category(self) -> ErrorCategory | None:
        """That of the cause. What a tool itself says of a failure is read as in training data; None where the executor
        failed, which says nothing about the call."""
        if self.cause is Cause.INFRASTRUCTURE:
            return None
        return self.cause.value[1] or classify_feedback(self.text)


Judge = Callable[[str, str], bool]  # of a check's name and an answer


class Verdict(NamedTuple):
    """Whether a check finds an answer right (None: the executor failed, so nobody knows), and what went wrong with the
    check."""

    right: bool | None
    problem: str = ""


def execute(tools: Tools, text: str) -> Feedback:
    """Parse `text` as one call, bind it to a tool of `tools` and run it. Raises nothing but `KeyboardInterrupt`."""
    start = time.perf_counter()
    try:
        call = parse_call(text)
    except CallSyntaxError as error:
        output, cause = f"SyntaxError: {error}", Cause.FORMAT_ERROR
    else:
        output, cause = _binding_error(tools, call) or _run(tools[call.name].run, call.arguments)
    text = shown(output)
    if cause is Cause.OK and call.name != ASK_TO_USER.name and classify_feedback(text).is_error:
        cause = Cause.REPORTED_ERROR  # a user's answer is not a tool's report
    elif cause is Cause.OK and len(output) > MAX_FEEDBACK_CHARACTERS:
        cause = Cause.OUTPUT_CUT
    return Feedback(text, cause, time.perf_counter() - start)


def _binding_error(tools: Tools, call: Call) -> tuple[str, Cause] | None:
    """The error that Python would raise before it runs a call with these keywords; None if it would run it."""
    if call.name not in tools:
        return f"name {call.name} is not defined", Cause.UNKNOWN_TOOL
    spec = tools[call.name].spec
    for name in call.arguments:
        if name not in spec.parameters:
            return f"{call.name}() got an unexpected keyword argument '{name}'", Cause.UNEXPECTED_KEYWORD
    missing = [f"'{name}'" for name in spec.required if name not in call.arguments]
    if missing:
        arguments = "argument" if len(missing) == 1 else "arguments"
        text = f"{call.name}() missing {len(missing)} required positional {arguments}: {_enumerate(missing)}"
        return text, Cause.MISSING_ARGUMENT
    return None


def _enumerate(names: list[str]) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`, as in Python's messages."""
    if len(names) < 3:
        return " and ".join(names)
    return f"{', '.join(names[:-1])}, and {names[-1]}"


def _run(tool: Callable, arguments: dict) -> tuple[str, Cause]:
    try:
        result = tool(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a tool may raise anything, SystemExit included: all of it is feedback
        return _described(error), _cause_of(error)
    try:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, allow_nan=False)
    except Exception as error:
        return _described(error), Cause.NOT_SERIALISABLE
    return text, Cause.OK


def _described(error: BaseException) -> str:
    """`ValueError: message`; the bare name where there is no message. `classify_feedback` knows it as an error."""
    try:
        message = str(error).strip()
    except Exception:
        message = ""
    name = type(error).__name__
    text = f"{name}: {message}" if message else name
    known = name.endswith("Error") and classify_feedback(shown(text)).is_error
    return text if known else f"RuntimeError: the tool raised {text}"


def _cause_of(error: BaseException) -> Cause:
    if isinstance(error, (ConnectionError, TimeoutError)):
        return Cause.CONNECTION
    if isinstance(error, MemoryError):
        return Cause.MEMORY
    if isinstance(error, (ValueError, TypeError, LookupError)):
        return Cause.VALUE_OR_TYPE
    return Cause.TOOL_EXCEPTION


def shown(text: str, most: int = MAX_FEEDBACK_CHARACTERS) -> str:
    """Text that can be encoded as UTF-8, cut in the middle if it is too long."""
    if len(text) > most:
        half = (most - len(CUT_MARK)) // 2
        text = text[:half] + CUT_MARK + text[-half:]
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


class InProcessExecutor(Library):
    """Runs tools in this process, with neither limits nor isolation: for trusted calls only. Its sessions work as those
    of `tl.executor.Executor`, which runs the calls of a model."""

    def session(
        self, seed: int = 0, tools: Collection[str] | None = None, answer: Callable[[str], str] | None = None
    ) -> InProcessSession:
        """One episode, to be used as a context manager; the arguments are those of `tl.executor.Executor.session`."""
        world = self.open(seed, tools)
        return InProcessSession(world.tools, answer or no_answer, world.check)


def no_answer(question: str) -> str:
    """The default answer of a user: they do not know."""
    return UNKNOWN_ANSWER


def no_checks(name: str, answer: str) -> bool:
    """For tools without checks."""
    raise KeyError(name)


class InProcessSession:
    """One episode in this process: its tools and the built-in ones. `finished` once a call of `finish` was good."""

    def __init__(self, tools: Tools, answer: Callable[[str], str], judge: Judge = no_checks) -> None:
        self.finished = False

        def ask_to_user(question: str) -> str:
            return answer(question)

        def finish(answer: str) -> str:
            self.finished = True
            return ""

        built_in = {ASK_TO_USER.name: Tool(ASK_TO_USER, ask_to_user), FINISH.name: Tool(FINISH, finish)}
        self._tools = {**tools, **built_in}
        self._judge = judge

    def __enter__(self) -> InProcessSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.finished = True

    def run(self, text: str) -> Feedback:
        """Run one call; `RuntimeError` once the episode has finished."""
        if self.finished:
            raise RuntimeError("the episode has finished: open a new session")
        return execute(self._tools, text)

    def steps(self, text: str) -> Steps[Feedback]:
        """`run` as steps that wait for nothing."""
        yield from ()
        return self.run(text)

    def check(self, name: str, answer: str) -> Verdict:
        """What a check says of the final answer; one that raises says no, and why."""
        try:
            return Verdict(self._judge(name, answer))
        except Exception as error:
            return Verdict(False, f"the check {name} raised {_described(error)}")

    def check_steps(self, name: str, answer: str) -> Steps[Verdict]:
        """`check` as steps that wait for nothing."""
        yield from ()
        return self.check(name, answer)
