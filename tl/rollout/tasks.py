"""Tasks: requests to tools with their known solutions, generated or read from the user's files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tl.calls import Call, CallSyntaxError, parse_call
from tl.datasets import DataError
from tl.datasets.files import parsed, raw_records
from tl.executor import Executor
from tl.executor.library import Catalogue
from tl.rollout.answers import facts_of
from tl.rollout.episodes import Request
from tl.schema import BUILT_INS, FINISH, ToolSpec
from tl.trajectory import Message

KEYS = ("query", "tools", "calls", "answer", "check")  # of a line in a file of tasks


@dataclass(frozen=True)
class Task:
    """A request and its solution, as far as it is known. `seed` determines the tools' state.

    `calls` are the golden calls in order, possibly up to `finish`. `truth`, `facts` and `check`, a function in the
    tools' files, decide whether a final answer is right, as in `Request`. `prompt_ids` is the tokenised prompt, empty
    until the task is tokenised.
    """

    id: str
    tools: tuple[ToolSpec, ...]  # of the prompt, the built-in ones included
    query: str
    calls: tuple[Call, ...] = ()
    seed: int = 0
    user_answer: str = ""  # to any question
    servable: bool = True
    truth: str | None = None
    facts: tuple[str, ...] = ()
    check: str | None = None
    prompt_ids: Sequence[int] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        return (Message("user", self.query),)

    def request(self, executor: Executor) -> Request:
        """The task as a request that is played with the executor's tools."""
        answer = (lambda question: self.user_answer) if self.user_answer else None
        session = partial(executor.session, self.seed, [tool.name for tool in self.tools], answer)
        return Request(self.id, self.tools, self.messages, session, self.servable, self.truth, self.facts, self.check)


def read_tasks(paths: Sequence[str], tools: Catalogue) -> list[Task]:
    """Reads tasks from JSON-lines files: objects with the keys KEYS, of which only `query` is required.

    A final answer must contain the figures of `answer` or, if it has none, all of `answer`. Raises DataError with file,
    line and reason for anything that is not a task for these tools.
    """
    if any(name != spec.name for name, spec in tools.specs.items()):
        raise DataError("--tasks needs Python files or MCP servers; ToolEyes' tools only work with --suite tooleyes")
    tasks = []
    for path in map(Path, paths):
        for number, (place, record) in enumerate(raw_records(path), 1):
            try:
                tasks.append(_task(parsed(record), f"{path.stem}/{number:05d}", tools))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, {place}: {error}") from error
    if len({task.id for task in tasks}) < len(tasks):
        raise DataError(
            f"{', '.join(paths)}: two files have the same name, which is part of the tasks' ids: rename one"
        )
    return tasks


def _task(record: object, name: str, tools: Catalogue) -> Task:
    if not isinstance(record, dict):
        raise ValueError(f"a task must be an object, not {record!r:.80}")
    if unknown := [key for key in record if key not in KEYS]:
        raise ValueError(f"unknown keys {', '.join(unknown)}; a task may have {', '.join(KEYS)}")
    query, truth, check = record.get("query"), record.get("answer"), record.get("check")
    if not isinstance(query, str) or not query.strip():
        raise ValueError("`query` must be a string, the user's request")
    if not isinstance(truth, str | None) or (truth is not None and not truth.strip()):
        raise ValueError(f"`answer` must be a string or null, not {truth!r:.80}")
    if check is not None and check not in list(tools.checks):  # it may be anything
        known = ", ".join(tools.checks) or "none that takes (session, answer)"
        raise ValueError(f"`check` is not a function in the tools' files: {check!r:.80}; known: {known}")
    specs = (*_specs(_texts(record, "tools"), tools), *BUILT_INS)
    calls = [_golden(text, specs) for text in _texts(record, "calls") or ()]
    if any(call.name == FINISH.name for call in calls[:-1]):
        raise ValueError(f"`calls`: {FINISH.name} ends the task, but other calls follow it")
    if truth is not None and calls and calls[-1].name != FINISH.name:
        calls.append(Call(FINISH.name, {"answer": truth}))
    facts = (facts_of(truth, ()) or (truth.strip(),)) if truth is not None else ()
    return Task(name, specs, query, tuple(calls), truth=truth, facts=facts, check=check)


def _texts(record: dict, key: str) -> list[str] | None:
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise ValueError(f"`{key}` must be a list of one or more strings")
    return value


def _specs(names: list[str] | None, tools: Catalogue) -> list[ToolSpec]:
    """The named tools, or all if there are no names."""
    own = [name for name in names or tools.specs if all(name != tool.name for tool in BUILT_INS)]
    if unknown := [name for name in own if name not in tools.specs]:
        raise ValueError(f"`tools` names unknown tools: {', '.join(unknown)}; known: {', '.join(tools.specs)}")
    return [tools.specs[name] for name in tools.chosen(own)]


def _golden(text: str, specs: Sequence[ToolSpec]) -> Call:
    try:
        call = parse_call(text)
    except CallSyntaxError as error:
        raise ValueError(f"`calls`: {text!r:.80} is not a call: {error}") from error
    spec = next((spec for spec in specs if spec.name == call.name), None)
    if spec is None:
        raise ValueError(f"`calls`: {call.name} is not one of the task's tools")
    if unknown := call.arguments.keys() - spec.parameters.keys():
        raise ValueError(f"`calls`: {call.name} takes no {', '.join(sorted(unknown))}")
    if missing := [key for key in spec.required if key not in call.arguments]:
        raise ValueError(f"`calls`: {text!r:.80} lacks {', '.join(missing)}")
    return call
