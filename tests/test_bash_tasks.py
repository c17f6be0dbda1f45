"""Our own bash tasks: golden commands satisfy their checks, doing nothing does not, errors are recovered from."""

from pathlib import Path

import pytest

from tl.calls import Call, format_call
from tl.datasets import read
from tl.executor import Executor
from tl.executor.driving import drive
from tl.mae import erroneous_calls
from tl.rollout.answers import is_right
from tl.rollout.episodes import final_answer
from tl.rollout.tasks import read_tasks

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NOTHING = Call("bash", {"command": "true"})


@pytest.fixture(scope="module")
def executor():
    with Executor([str(EXAMPLES / "bash_tasks.py")], workers=1) as made:
        if "bash" not in made.specs:
            pytest.skip("this machine does not permit to isolate bash")
        yield made


@pytest.fixture(scope="module")
def tasks(executor):
    return read_tasks([str(EXAMPLES / "bash_tasks.jsonl")], executor)


def played(executor, task, calls):
    """The feedback of some calls, and whether the task's check is satisfied afterwards."""
    with executor.session(0) as session:
        feedback = [session.run(format_call(call)) for call in calls]
        return feedback, task.check is None or drive([session.check_steps(task.check, "")])[0].right


def commands(task):
    return [call for call in task.calls if call.name == "bash"]


def test_thirty_tasks_each_with_an_objective_end(tasks):
    assert len(tasks) == 30 and len({task.query for task in tasks}) == 30
    assert all(task.check or task.truth for task in tasks)
    assert sum(len(commands(task)) > 1 for task in tasks) >= 12


def test_golden_commands_work_and_satisfy_the_check(executor, tasks):
    for task in tasks:
        feedback, right = played(executor, task, commands(task))
        assert right and not any(f.category.is_error for f in feedback), task.query
        assert all(fact in feedback[-1].text for fact in task.facts), task.query


def test_doing_nothing_satisfies_no_check(executor, tasks):
    assert [task.query for task in tasks if task.check and played(executor, task, [NOTHING])[1]] == []


def test_half_of_a_solution_satisfies_no_check(executor, tasks):
    longer = [task for task in tasks if len(commands(task)) > 1 and task.check != "report_is_executable"]
    wrong = [task.query for task in longer if task.check and played(executor, task, commands(task)[:-1])[1]]
    assert wrong == [
        'Append the line "call Anna" to notes/todo.txt and tell me how many lines it has then.',
        "scripts/test.sh fails. Correct src/add.sh, so that the test passes.",
    ]  # the last one only looks


def test_a_test_that_is_taken_out_is_no_correction(executor, tasks):
    task = next(task for task in tasks if task.check == "tests_pass")
    cheat = Call("bash", {"command": "printf '#!/bin/bash\\nexit 0\\n' > scripts/test.sh"})
    assert not played(executor, task, [cheat])[1]


def test_recovery_trajectories_go_as_they_were_recorded(executor, tasks):
    """The first command of each fails, here as in the file; what follows works and satisfies the task's check."""
    trajectories, _ = read([str(EXAMPLES / "bash_recovery.jsonl")])
    assert len(trajectories) == 10
    for trajectory in trajectories:
        task = next(task for task in tasks if task.query == trajectory.messages[0].content)
        recorded = [call for call, _ in trajectory.calls()]
        with executor.session(0) as session:
            feedback = [session.run(call.content) for call in recorded]
        errors = [f.category.is_error for f in feedback]
        assert errors == erroneous_calls(trajectory) == [True] + [False] * (len(errors) - 1), task.query
        answer = final_answer(recorded[-1].content)
        assert answer and (task.truth is None or is_right(answer, task.truth, task.facts))


def test_the_recovery_of_the_overview_is_among_them():
    first = (EXAMPLES / "bash_recovery.jsonl").read_text().splitlines()[0]
    assert "externally-managed-environment" in first and "requests --break-system-packages" in first
