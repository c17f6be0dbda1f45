"""InterCode's tasks as episodes for a model that calls tools: `bash` until `finish`, ten turns at most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tl.evaluation.suites.intercode import MAX_TURNS, NL2BASH, Environment, Task, read
from tl.executor import Executor, Verdict
from tl.executor.driving import drive
from tl.executor.execution import InProcessSession, no_answer
from tl.executor.library import Tool
from tl.executor.machines import Machines
from tl.metrics import percent, wilson_interval
from tl.rollout import tasks
from tl.rollout.episodes import Request
from tl.schema import BUILT_INS, ToolSpec
from tl.trajectory import Message

MAX_OBSERVATION = 1000  # characters, as chat models were shown

BASH = ToolSpec.from_openai(
    {
        "name": "bash",
        "description": "Run a command in the shell of a machine and give what it writes.",
        "parameters": {
            "type": "object",
            "properties": {
                "command": {"type": "string", "description": "A line of bash. A cd stays for the next one."}
            },
            "required": ["command"],
        },
    }
)


class ShellSession(InProcessSession):
    """An episode on a task: calls run in this process, their commands in the task's machine. It ends with `finish` and,
    with `until_solved`, once the task is solved."""

    def __init__(self, environment: Environment, until_solved: bool = True) -> None:
        super().__init__({BASH.name: Tool(BASH, self._bash)}, no_answer)
        self.environment, self._until_solved = environment, until_solved

    def __exit__(self, *problem: object) -> None:
        super().__exit__(*problem)
        self.environment.close()

    def _bash(self, command: str) -> str:
        if not isinstance(command, str):
            raise TypeError(f"command has to be a text, not {type(command).__name__}")
        observation = drive([self.environment.step(command)])[0]
        self.finished = self._until_solved and self.environment.solved
        return observation.text[:MAX_OBSERVATION]

    def check(self, name: str, answer: str) -> Verdict:
        """Whether the task is solved; the answer does not matter."""
        return Verdict(self.environment.solved)


def request_of(task: Task, machines: Machines, opened: dict[str, Environment]) -> Request:
    """The task as a request. Its environment, which holds the rewards, is put into `opened` under the task's id."""

    def open_session() -> ShellSession:
        opened[task.id] = Environment(machines, task)
        return ShellSession(opened[task.id])

    messages = (Message("user", task.query),)
    return Request(task.id, (BASH, *BUILT_INS), messages, open_session, max_turns=MAX_TURNS)


@dataclass(frozen=True)
class ShellTask(tasks.Task):
    """A task for PPO: an episode ends with `finish`, and is right if its commands have the effect of the golden
    command, `check`."""

    file_system: str = ""

    def request(self, executor: Executor) -> Request:
        task = Task(self.file_system, 0, self.query, self.check or "")
        session = partial(_session, task)
        return Request(self.id, self.tools, self.messages, session, check=self.check, max_turns=MAX_TURNS)


def shell_tasks(data: Path) -> list[ShellTask]:
    """The 200 tasks without the unstable ones. Raises DataError, and MachineError if commands cannot be isolated."""
    _machines()
    return [
        ShellTask(task.id, (BASH, *BUILT_INS), task.query, check=task.gold, file_system=task.file_system)
        for task in read(data, NL2BASH)
        if not task.unstable
    ]


def _session(task: Task) -> ShellSession:
    return ShellSession(Environment(_machines(), task), until_solved=False)


@cache
def _machines() -> Machines:
    """The machines of this process, which end with it."""
    return Machines(own_root=True)


@dataclass(frozen=True)
class Played:
    """The result of a task: the reward after each action; `judged` as in `Environment`."""

    task: Task
    rewards: tuple[float, ...]
    judged: bool = True

    @classmethod
    def of(cls, environment: Environment) -> Played:
        return cls(environment.task, tuple(environment.rewards), environment.judged)

    @property
    def best(self) -> float:
        return max(self.rewards, default=0.0)

    @property
    def solved(self) -> bool:
        return self.best == 1.0


def lines(played: Sequence[Played]) -> list[str]:
    """Success, reward and turns for each file system, for the first three and for all."""
    rows: dict[str, list[Played]] = defaultdict(list)
    for one in played:
        rows[f"file system {one.task.file_system}"].append(one)
    own_files = [one for one in played if one.task.file_system in ("1", "2", "3")]
    machine = [one for one in played if one.task.file_system == "4"]
    groups: Mapping[str, Sequence[Played]] = {
        **rows,
        **({"files, 1 to 3": own_files} if own_files and machine else {}),
        "all": played,
        "all with a usable gold": [one for one in played if one.judged],
    }
    head = f"  {'':<26}{'tasks':>6}{'success':>9}{'':19}{'reward':>8}{'turns':>7}"
    return [head, *(_line(name, group) for name, group in groups.items())]


def _line(name: str, played: Sequence[Played]) -> str:
    n, solved = len(played), sum(one.solved for one in played)
    low, high = wilson_interval(solved, n)
    reward = sum(one.best for one in played) / n if n else 0.0
    turns = sum(len(one.rewards) for one in played) / n if n else 0.0
    interval = f"[{100 * low:6.2f}, {100 * high:6.2f}]"
    return f"  {name:<26}{n:>6}{percent(solved, n) or 0.0:9.2f} {interval}{reward:8.3f}{turns:7.2f}"
