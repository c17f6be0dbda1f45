"""Requests for `tools/tasks.py`."""

from tl.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import DATES, FIRST_NAMES
from tools.tasks import DUTIES, OBJECTS, PRIORITIES

TITLES = [f"{duty} the {thing}" for duty in DUTIES for thing in OBJECTS]


@scenario(
    phrasings=(
        "Add the task {title}.",
        "Write down that I have to {title}.",
        "New task: {title}.",
        "I must not forget to {title}. Add a task.",
    ),
    unseen=("Please note down the task {title}.", "Add to my tasks: {title}."),
    ask=Ask(
        "title",
        "title",
        phrasings=("Add a task.", "Write down a new task for me."),
        unseen=("Please note down a task.",),
    ),
)
def add(draw: Draw) -> Plan:
    title = draw.one(TITLES)
    yield {"title": title}
    yield call("add_task", title=title)


@scenario(
    phrasings=("Add the task {title} with {priority} priority.", "New task of {priority} priority: {title}."),
    unseen=("Please note down {title}, the priority is {priority}.",),
)
def add_with_priority(draw: Draw) -> Plan:
    title, priority = draw.one(TITLES), draw.any(PRIORITIES)
    yield {"title": title, "priority": priority}
    yield call("add_task", title=title, priority=priority)


@scenario(
    phrasings=(
        "Add the task {title}, {priority} priority, due {due}.",
        "I have to {title} until {due}. Add it with {priority} priority.",
    ),
    unseen=("New task, priority {priority}, due {due}: {title}.",),
)
def add_with_date(draw: Draw) -> Plan:
    title, priority, due = draw.one(TITLES), draw.any(PRIORITIES), draw.one(DATES)
    yield {"title": title, "priority": priority, "due": due}
    yield call("add_task", title=title, priority=priority, due=due)


@scenario(
    phrasings=("When is task {id} due?", "What is task {id}?", "Look up {id} in the tasks.", "Is the task {id} done?"),
    unseen=("Please look up when the task {id} is due.", "Tell me what {id} is and when it is due."),
    ask=Ask(
        "id",
        "task_id",
        phrasings=("When is my task due?", "Is that task done?"),
        unseen=("Please look up when the task is due.",),
    ),
)
def look_up(draw: Draw) -> Plan:
    task_id = draw.one(list(draw.world("tasks").tasks))
    yield {"id": task_id}
    yield call("get_task", task_id=task_id)


@scenario(
    phrasings=("What does {person} have to do?", "List the tasks of {person}.", "Which tasks does {person} have?"),
    unseen=("Please show what {person} has to do.", "Show the tasks that {person} has."),
)
def of_person(draw: Draw) -> Plan:
    person = draw.one(_people(draw))
    yield {"person": person}
    yield call("get_tasks_by_person", person=person)


@scenario(
    phrasings=("Which open tasks does {person} have?", "List only the open tasks of {person}."),
    unseen=("What does {person} still have to do? Only open tasks, please.",),
)
def open_of_person(draw: Draw) -> Plan:
    person = draw.one(_people(draw))
    yield {"person": person}
    yield call("get_tasks_by_person", person=person, open_only=True)


@scenario(
    phrasings=("Give task {id} to {person}.", "Assign {id} to {person}.", "{person} will do {id}. Assign the task."),
    unseen=("Please let {person} do the task {id}.", "Task {id} goes to {person}."),
    ask=Ask(
        "person",
        "person",
        phrasings=("Assign {id}.", "Give task {id} to somebody else."),
        unseen=("Please let somebody else do the task {id}.",),
    ),
)
def assign(draw: Draw) -> Plan:
    task_id, person = draw.one(list(draw.world("tasks").tasks)), draw.one(FIRST_NAMES)
    yield {"id": task_id, "person": person}
    yield call("assign_task", task_id=task_id, person=person)


@scenario(
    phrasings=("Task {id} is done.", "Mark {id} as done.", "I have finished {id}. Complete the task."),
    unseen=("Please tick off the task {id}, it is done.", "Set {id} to done."),
)
def complete(draw: Draw) -> Plan:
    tasks = draw.world("tasks").tasks
    task_id = draw.one([key for key in tasks if not tasks[key]["done"]])
    yield {"id": task_id}
    yield call("complete_task", task_id=task_id)


@scenario(
    phrasings=(
        "Add the task {title} and assign it to {person}.",
        "{person} has to {title}. Add the task and assign it.",
    ),
    unseen=("Please note down the task {title}, then give it to {person}.",),
)
def add_and_assign(draw: Draw) -> Plan:
    title, person = draw.one(TITLES), draw.one(FIRST_NAMES)
    yield {"title": title, "person": person}
    task = yield call("add_task", title=title)
    yield call("assign_task", task_id=task["task_id"], person=person)
    return task


@scenario(
    phrasings=(
        "Complete the first open task of {person}.",
        "Which open tasks does {person} have? Mark the first as done.",
    ),
    unseen=("Look up the open tasks of {person} and complete the first one.",),
)
def complete_first(draw: Draw) -> Plan:
    tasks = draw.world("tasks").tasks.values()
    person = draw.one(sorted({task["person"] for task in tasks if not task["done"]}))
    yield {"person": person}
    found = yield call("get_tasks_by_person", person=person, open_only=True)
    yield call("complete_task", task_id=found[0]["task_id"])


def _people(draw: Draw) -> list[str]:
    return sorted({task["person"] for task in draw.world("tasks").tasks.values()})
