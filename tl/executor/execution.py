"""Runs a call in this process: text in, feedback out. Knows nothing of other processes and of limits.

Whatever happens to a call becomes a `Feedback`, in Python's own words. The text is parsed as literals and never
evaluated. `InProcessExecutor` limits neither time nor memory, so it is only for trusted tools and calls, as in data
construction. `tl.executor` runs the same code in other processes.
"""

from __future__ import annotations

import enum
import json
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from tl.calls import JSON, Call, CallSyntaxError, parse_call
from tl.executor.driving import Steps
from tl.executor.library import Library, Tool, Tools
from tl.mae import ErrorCategory, classify_feedback
from tl.schema import ASK_TO_USER, FINISH

UNKNOWN_ANSWER = "I do not know, please decide yourself."
MAX_FEEDBACK_CHARACTERS = 4000
CUT_MARK = " … "

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Cause(enum.Enum):
    """What happened to a call, and its category in the paper. None: see `Feedback.category`."""

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
        """The category of the cause. If the cause has none, the text is classified as in training data. None if the
        executor itself failed, which says nothing about the call."""
        if self.cause is Cause.INFRASTRUCTURE:
            return None
        return self.cause.value[1] or classify_feedback(self.text)


Judge = Callable[[str, str], bool]  # (name of a check, answer) -> whether the answer is right


class Verdict(NamedTuple):
    """Whether a check finds an answer right (None: unknown, because the executor failed), and what went wrong with the
    check itself."""

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
        cause = Cause.REPORTED_ERROR  # an answer of the user is not classified
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
    except BaseException as error:  # any exception of a tool is feedback, SystemExit included
        return _described(error), _cause_of(error)
    try:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, allow_nan=False)
    except MemoryError as error:
        return _described(error), Cause.MEMORY
    except Exception as error:
        return _described(error), Cause.NOT_SERIALISABLE
    return text, Cause.OK


def _described(error: BaseException) -> str:
    """`ValueError: message`, or the bare name if there is no message, so that `classify_feedback` finds an error. Any
    kind of `MemoryError`, such as numpy's, has that name."""
    try:
        message = str(error).strip()
    except Exception:
        message = ""
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
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
    """The text without lone surrogates, which UTF-8 cannot encode, and cut in the middle beyond `most` characters."""
    if len(text) > most:
        half = (most - len(CUT_MARK)) // 2
        text = text[:half] + CUT_MARK + text[-half:]
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


class InProcessExecutor(Library):
    """Runs tools in this process, without limits or isolation: for trusted calls only. Its sessions have the methods of
    those of `tl.executor.Executor`, which runs the calls of a model."""

    def session(
        self, seed: int = 0, tools: Collection[str] | None = None, answer: Callable[[str], str] | None = None
    ) -> InProcessSession:
        """A new episode, to be used as a context manager. Arguments as for `tl.executor.Executor.session`."""
        opened = self.open(seed, tools)
        return InProcessSession(opened.tools, answer or no_answer, opened.check)


def no_answer(question: str) -> str:
    """The user's answer where none is given: they do not know."""
    return UNKNOWN_ANSWER


def no_checks(name: str, answer: str) -> bool:
    """For tools without checks."""
    raise KeyError(name)


class InProcessSession:
    """One episode in this process: its tools and the built-in ones. A valid call of `finish` sets `finished`."""

    def __init__(self, tools: Tools, answer: Callable[[str], str], judge: Judge = no_checks) -> None:
        self.finished = False

        def ask_to_user(question: JSON) -> str:  # a model may call it with anything
            return answer(question if isinstance(question, str) else json.dumps(question, ensure_ascii=False))

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
        """Run one call. Raises `RuntimeError` once the episode has finished."""
        if self.finished:
            raise RuntimeError("the episode has finished: open a new session")
        return execute(self._tools, text)

    def steps(self, text: str) -> Steps[Feedback]:
        """As `run`, in steps that never wait."""
        yield from ()
        return self.run(text)

    def check(self, name: str, answer: str) -> Verdict:
        """Judge the final answer with a check. A check that raises counts as no, and the verdict says why."""
        try:
            return Verdict(self._judge(name, answer))
        except Exception as error:
            return Verdict(False, f"the check {name} raised {_described(error)}")

    def check_steps(self, name: str, answer: str) -> Steps[Verdict]:
        """As `check`, in steps that never wait."""
        yield from ()
        return self.check(name, answer)
