"""InterCode-bash (Yang et al., 2023, arXiv 2306.14898) without Docker: 200 tasks on four file systems, 24 test queries.

A task is solved when an action brings its reward to 1. The reward compares the state and the output after each action
with those of the golden command in a file system of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tl.datasets import DataError
from tl.evaluation.suites.files import find, read_list
from tl.evaluation.suites.intercode.reward import ADDED, changes_part, content_part, output_part
from tl.evaluation.suites.intercode.shell import Change, Observation, Shell
from tl.executor.driving import Steps, drive
from tl.executor.machines import Machines

MAX_TURNS = 10
NL2BASH = ("1", "2", "3", "4")
COUNTS = {"1": 60, "2": 53, "3": 60, "4": 27, "test": 24}

# Golden commands whose reward against themselves is below 1: their output or their archives contain the time.
UNSTABLE = {"1": (12, 45, 47), "2": (18, 32, 48), "3": (11, 12, 22, 29, 33, 44, 57), "4": (11,)}


@dataclass(frozen=True)
class Task:
    """A query and its golden command. `unstable`: running the golden command twice does not give the full reward."""

    file_system: str
    index: int
    query: str
    gold: str

    @property
    def id(self) -> str:
        return f"{self.file_system}/{self.index}"

    @property
    def unstable(self) -> bool:
        return self.index in UNSTABLE.get(self.file_system, ())


def read(data: Path, file_systems: Sequence[str] = NL2BASH) -> list[Task]:
    """The tasks of `nl2bash_fs_N.json`, and for "test" those of `test_queries.json`. Raises DataError."""
    tasks = []
    for name in file_systems:
        file = "test_queries.json" if name == "test" else f"nl2bash_fs_{name}.json"
        path = find(data, ["data", "nl2bash"], [file])
        for index, record in enumerate(read_list(path)):
            if not isinstance(record.get("query"), str) or not isinstance(record.get("gold"), str):
                raise DataError(f"{path}, record {index}: expected texts for query and gold")
            tasks.append(Task(name, index, record["query"], record["gold"]))
    return tasks


class Environment:
    """An episode on a task: takes actions, gives observations. `rewards` holds one reward per action.

    Raises tl.executor.machines.MachineError once a command has broken the machine.
    """

    def __init__(self, machines: Machines, task: Task) -> None:
        self.task = task
        self.rewards: list[float] = []
        self._shell = Shell(machines, task.file_system, "agent")
        self._golden = drive([_golden(machines, task)])[0]

    def close(self) -> None:
        self._shell.close()

    @property
    def solved(self) -> bool:
        return max(self.rewards, default=0.0) == 1.0

    @property
    def judged(self) -> bool:
        """Whether the golden command is a valid reference here: it is stable, and its programs are installed."""
        return not self.task.unstable and "command not found" not in self._golden.output

    def step(self, action: str) -> Steps[Observation]:
        """Runs an action and appends its reward."""
        observation = yield from self._shell.act(action)
        state = yield from _state(self._shell)
        reward = 0.01 + changes_part(state.changes, self._golden.changes)
        reward += content_part(state.digests, self._golden.digests) + output_part(observation.text, self._golden.output)
        self.rewards.append(round(reward, 2))
        return observation


@dataclass(frozen=True)
class _State:
    """The state of a file system after commands, and the output of the last one."""

    changes: list[Change]
    digests: dict[Change, str]  # of added files
    output: str = ""


def _state(shell: Shell, output: str = "") -> Steps[_State]:
    changes = yield from shell.changes()
    digests = {}
    for change in dict.fromkeys(changes):
        if change[1] in ADDED:
            digests[change] = yield from shell.digest(change[0])
    return _State(changes, digests, output)


def _golden(machines: Machines, task: Task) -> Steps[_State]:
    """The state after the golden command, run in the root folder of a new file system."""
    shell = Shell(machines, task.file_system, "golden")
    try:
        observation = yield from shell.run(task.gold, "/")
        return (yield from _state(shell, observation.text))
    finally:
        shell.close()
