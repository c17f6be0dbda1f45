"""Requests for `tools/tasks.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import DATES, FIRST_NAMES
from tools.tasks import DUTIES, OBJECTS, PRIORITIES

TITLES = [f"{duty} the {thing}" for duty in DUTIES for thing in OBJECTS]


@scenario(
    phrasings=(
        "Add the task {title}.",
        "Write down that I have to {title}.",
        "New task: {title}.",
        "I must not forget to {title}. Add a task.",
        'Put "{title}" on my list.',
        "Create a task: {title}.",
        "Remember for me that I have to {title}.",
        "I still have to {title}. Make a task of it.",
        "Note: {title}. It is a new task.",
    ),
    unseen=("Please note down the task {title}.", "Add to my tasks: {title}."),
    ask=Ask(
        "title",
        "title",
        phrasings=(
            "Add a task.",
            "Write down a new task for me.",
            "Create a task.",
            "Put something on my list.",
            "Make a new task.",
        ),
        unseen=("Please note down a task.",),
    ),
)
def add(draw: Draw) -> Plan:
    title = draw.one(TITLES)
    yield {"title": title}
    yield call("add_task", title=title)


@scenario(
    phrasings=(
        "Add the task {title} with {priority} priority.",
        "New task of {priority} priority: {title}.",
        "I have to {title}, with {priority} priority. Add it to my tasks.",
        "Create a task of {priority} priority: {title}.",
        "Put {title} on my list; its priority is {priority}.",
        "Task: {title}. It has {priority} priority.",
    ),
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
        "Create the task {title}. Priority {priority}, due on {due}.",
        "Put {title} on my list until {due}, with {priority} priority.",
        "By {due} I must {title}; the priority is {priority}. Add a task.",
        "Task: {title}, to be done by {due}, {priority} priority.",
    ),
    unseen=("New task, priority {priority}, due {due}: {title}.",),
)
def add_with_date(draw: Draw) -> Plan:
    title, priority, due = draw.one(TITLES), draw.any(PRIORITIES), draw.one(DATES)
    yield {"title": title, "priority": priority, "due": due}
    yield call("add_task", title=title, priority=priority, due=due)


@scenario(
    phrasings=(
        "When is task {id} due?",
        "What is task {id}?",
        "Look up {id} in the tasks.",
        "Is the task {id} done?",
        "Tell me about task {id}.",
        "Show me {id}.",
        "Until when do I have to do {id}?",
        "Give me the details of task {id}.",
        "Has {id} been done?",
    ),
    unseen=("Please look up when the task {id} is due.", "Tell me what {id} is and when it is due."),
    ask=Ask(
        "id",
        "task_id",
        phrasings=(
            "When is my task due?",
            "Is that task done?",
            "Tell me about my task.",
            "Show me a task.",
            "Until when do I have to do the task?",
        ),
        unseen=("Please look up when the task is due.",),
    ),
)
def look_up(draw: Draw) -> Plan:
    task_id = draw.one(list(draw.world("tasks").tasks))
    yield {"id": task_id}
    yield call("get_task", task_id=task_id)


@scenario(
    phrasings=(
        "What does {person} have to do?",
        "List the tasks of {person}.",
        "Which tasks does {person} have?",
        "What is {person} working on?",
        "Give me {person}'s tasks.",
        "Look up all tasks of {person}.",
        "Tasks of {person}, please.",
        "Is {person} busy? List the tasks.",
    ),
    unseen=("Please show what {person} has to do.", "Show the tasks that {person} has."),
)
def of_person(draw: Draw) -> Plan:
    person = draw.one(_people(draw))
    yield {"person": person}
    yield call("get_tasks_by_person", person=person)


@scenario(
    phrasings=(
        "Which open tasks does {person} have?",
        "List only the open tasks of {person}.",
        "What has {person} not done yet?",
        "Give me the tasks of {person} that are still open.",
        "Look up {person}'s tasks, only the open ones.",
        "Open tasks of {person}, please.",
    ),
    unseen=("What does {person} still have to do? Only open tasks, please.",),
)
def open_of_person(draw: Draw) -> Plan:
    person = draw.one(_people(draw))
    yield {"person": person}
    yield call("get_tasks_by_person", person=person, open_only=True)


@scenario(
    phrasings=(
        "Give task {id} to {person}.",
        "Assign {id} to {person}.",
        "{person} will do {id}. Assign the task.",
        "Let {person} take over {id}.",
        "{person} should do task {id}.",
        "Hand {id} over to {person}.",
        "Make {person} responsible for {id}.",
        "Could you assign the task {id} to {person}?",
    ),
    unseen=("Please let {person} do the task {id}.", "Task {id} goes to {person}."),
    ask=Ask(
        "person",
        "person",
        phrasings=(
            "Assign {id}.",
            "Give task {id} to somebody else.",
            "Hand {id} over to a colleague.",
            "Somebody else should do task {id}.",
            "Could you assign the task {id}?",
        ),
        unseen=("Please let somebody else do the task {id}.",),
    ),
)
def assign(draw: Draw) -> Plan:
    task_id, person = draw.one(list(draw.world("tasks").tasks)), draw.one(FIRST_NAMES)
    yield {"id": task_id, "person": person}
    yield call("assign_task", task_id=task_id, person=person)


@scenario(
    phrasings=(
        "Task {id} is done.",
        "Mark {id} as done.",
        "I have finished {id}. Complete the task.",
        "Close task {id}.",
        "{id} is finished, note that.",
        "Check off {id}.",
        "I am through with task {id}. Mark it.",
        "Could you complete {id}?",
    ),
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
        "Create a task for {person}: {title}.",
        "Put {title} on the list and let {person} do it.",
        "New task {title}; hand it over to {person}.",
        "Let {person} {title}. You have to create the task first.",
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
        "{person} has finished the first open task. Look it up and complete it.",
        "Find the open tasks of {person} and close the first.",
        "Mark the first of {person}'s open tasks as done.",
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
