"""Runs calls against the tool library: text in, feedback out.

Whatever happens becomes a `Feedback`, in the words that Python itself would use. The text of a call is parsed as
literals and never evaluated. **The tools run in this process**: they are trusted code, bounded neither in time nor in
memory; only their arguments come from a model. `execute` is the part that knows nothing of sessions or processes.
"""

from __future__ import annotations

import enum
import inspect
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from tl.calls import Call, CallSyntaxError, parse_call
from tl.mae import ErrorCategory
from tl.schema import ASK_TO_USER, BUILT_INS, FINISH, ToolSpec
from tools import ToolkitError, load_toolkit, tool_functions, toolkit_names

UNKNOWN_ANSWER = "I do not know, please decide yourself."
MAX_FEEDBACK_CHARACTERS = 4000
CUT_MARK = " … "


class Cause(enum.Enum):
    """What happened to a call."""

    OK = "ok"
    FORMAT_ERROR = "format error"
    UNKNOWN_TOOL = "unknown tool"
    UNEXPECTED_KEYWORD = "unexpected keyword"
    MISSING_ARGUMENT = "missing argument"
    VALUE_OR_TYPE = "value or type"
    REPORTED_ERROR = "reported error"
    TOOL_EXCEPTION = "tool's exception"
    CONNECTION = "connection"
    TIME_OUT = "time-out"
    MEMORY = "memory"
    WORKER_DIED = "worker died"
    OUTPUT_CUT = "output cut"
    NOT_SERIALISABLE = "not serialisable"
    INFRASTRUCTURE = "infrastructure"


CATEGORY_OF: dict[Cause, ErrorCategory | None] = {
    Cause.OK: ErrorCategory.ALL_RIGHT,
    Cause.FORMAT_ERROR: ErrorCategory.TOOL_CALL_FAILURE,
    Cause.UNKNOWN_TOOL: ErrorCategory.TOOL_HALLUCINATION,
    Cause.UNEXPECTED_KEYWORD: ErrorCategory.PARAMETER_HALLUCINATION,
    Cause.MISSING_ARGUMENT: ErrorCategory.PARAMETER_MISSING,
    Cause.VALUE_OR_TYPE: ErrorCategory.TOOL_CALL_FAILURE,
    Cause.REPORTED_ERROR: ErrorCategory.OTHER,
    Cause.TOOL_EXCEPTION: ErrorCategory.TOOL_CALL_FAILURE,
    Cause.CONNECTION: ErrorCategory.TOOL_INSTABILITY,
    Cause.TIME_OUT: ErrorCategory.TOOL_INSTABILITY,
    Cause.MEMORY: ErrorCategory.TOOL_INSTABILITY,
    Cause.WORKER_DIED: ErrorCategory.TOOL_INSTABILITY,
    Cause.OUTPUT_CUT: ErrorCategory.ALL_RIGHT,
    Cause.NOT_SERIALISABLE: ErrorCategory.TOOL_CALL_FAILURE,
    Cause.INFRASTRUCTURE: None,
}


@dataclass(frozen=True)
class Feedback:
    """What a call gave: its text for the model, what happened, and how long it took in seconds."""

    text: str
    cause: Cause
    seconds: float = 0.0

    @property
    def category(self) -> ErrorCategory | None:
        """The paper's category of the cause; None where the executor itself failed, which says nothing of the call."""
        return CATEGORY_OF[self.cause]


def execute(tools: Mapping[str, Callable], text: str) -> Feedback:
    """Parse `text` as one call, bind it to a tool of `tools` and run it. Raises nothing."""
    start = time.perf_counter()
    try:
        call = parse_call(text)
    except CallSyntaxError as error:
        output, cause = f"SyntaxError: {error}", Cause.FORMAT_ERROR
    else:
        output, cause = _binding_error(tools, call) or _run(tools[call.name], call.arguments)
    return Feedback(output, cause, time.perf_counter() - start)


def _binding_error(tools: Mapping[str, Callable], call: Call) -> tuple[str, Cause] | None:
    """What Python would say of a call by keywords before running it; None when it would run it."""
    if call.name not in tools:
        return f"name {call.name} is not defined", Cause.UNKNOWN_TOOL
    parameters = inspect.signature(tools[call.name]).parameters
    for name in call.arguments:
        if name not in parameters:
            return f"{call.name}() got an unexpected keyword argument '{name}'", Cause.UNEXPECTED_KEYWORD
    missing = [
        f"'{name}'"
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in call.arguments
    ]
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
    except Exception as error:  # a tool may raise anything: all of it is feedback
        return f"{type(error).__name__}: {error}", _cause_of(error)
    try:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}", Cause.NOT_SERIALISABLE
    if isinstance(result, dict) and result.get("error"):
        return text, Cause.REPORTED_ERROR
    if len(text) > MAX_FEEDBACK_CHARACTERS:
        half = (MAX_FEEDBACK_CHARACTERS - len(CUT_MARK)) // 2
        return text[:half] + CUT_MARK + text[-half:], Cause.OUTPUT_CUT
    return text, Cause.OK


def _cause_of(error: Exception) -> Cause:
    if isinstance(error, (ConnectionError, TimeoutError)):
        return Cause.CONNECTION
    if isinstance(error, MemoryError):
        return Cause.MEMORY
    if isinstance(error, (ValueError, TypeError, LookupError)):
        return Cause.VALUE_OR_TYPE
    return Cause.TOOL_EXCEPTION


class Executor:
    """The tools of some toolkits (default: all), as specs and as sessions that run calls.

    `specs` maps tool names to specs, `toolkit_of` tool names to toolkits. A toolkit that cannot be used is left out and
    named in `broken` with the reason; one that is asked for by name raises `ToolkitError`.
    """

    def __init__(self, toolkits: Sequence[str] | None = None, seed: int = 0):
        self.seed = seed
        self.broken: dict[str, str] = {}
        self.specs: dict[str, ToolSpec] = {}
        self.toolkit_of: dict[str, str] = {}
        self._classes: dict[str, type] = {}
        for name in toolkit_names() if toolkits is None else toolkits:
            try:
                self._add(name, load_toolkit(name))
            except ToolkitError as error:
                if toolkits is not None:
                    raise
                self.broken[name] = str(error)

    def _add(self, name: str, toolkit: type) -> None:
        taken = {*self.specs, *(tool.name for tool in BUILT_INS)}
        if clash := taken & tool_functions(toolkit).keys():
            raise ToolkitError(f"toolkit {name!r} has tools that exist already: {', '.join(sorted(clash))}")
        instance = toolkit()
        self._classes[name] = toolkit
        for tool in tool_functions(toolkit):
            self.specs[tool] = ToolSpec.from_function(getattr(instance, tool))
            self.toolkit_of[tool] = name

    def session(
        self,
        seed: int | None = None,
        tools: Collection[str] | None = None,
        answer: Callable[[str], str] | None = None,
    ) -> Session:
        """The state of one episode, to be used as a context manager.

        Args:
            seed: of the tools' state; default the executor's.
            tools: names that the episode may call (default: all); any other is "not defined".
            answer: question to `ask_to_user` -> answer; default a fixed sentence.
        """
        names = [name for name in self.specs if tools is None or name in tools]
        classes = {name: self._classes[self.toolkit_of[name]] for name in names}
        return Session(classes, self.seed if seed is None else seed, answer or _no_answer)


def _no_answer(question: str) -> str:
    return UNKNOWN_ANSWER


class Session:
    """One episode: fresh toolkits, and whether it has finished. Made by `Executor.session`."""

    def __init__(self, classes: Mapping[str, type], seed: int, answer: Callable[[str], str]):
        self.finished = False
        instances = {toolkit: toolkit(seed=seed) for toolkit in set(classes.values())}
        self._tools = {name: getattr(instances[toolkit], name) for name, toolkit in classes.items()}

        def ask_to_user(question: str) -> str:
            return answer(question)

        def finish(answer: str) -> str:
            self.finished = True
            return ""

        self._tools |= {ASK_TO_USER.name: ask_to_user, FINISH.name: finish}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.finished = True

    def run(self, text: str) -> Feedback:
        """Run one call; `RuntimeError` once the episode has finished."""
        if self.finished:
            raise RuntimeError("the episode has finished: open a new session")
        return execute(self._tools, text)
