"""Requests for `tools/calendar.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import DATES, FIRST_NAMES
from tools.calendar import KINDS, STARTS

TITLES = [f"{kind} with {name}" for kind in KINDS for name in FIRST_NAMES]


@scenario(
    phrasings=(
        "Add {title} to my calendar on {date} at {start}.",
        "Create an event {title} on {date} at {start}.",
        "I have {title} on {date} at {start}. Put it into my calendar.",
        "Schedule {title} for {date}, {start}.",
        "On {date} at {start} I have {title}. Please add it.",
        "Plan {title} for me on {date} at {start}.",
        "I need {title} in my calendar, {date}, {start}.",
        "Make an appointment: {title}, {date} at {start}.",
        "Enter {title} on {date}, it starts at {start}.",
        "Book {title} for {date} at {start}.",
        "Please note {title}, it is on {date} at {start}.",
        "Could you add {title} at {start} on {date}?",
        "{title} is on {date} at {start}. Add it, please.",
        "Set up {title} on {date}, {start}.",
        "At {start} on {date} there is {title}, save it in the calendar.",
    ),
    unseen=("Please put {title} into the calendar for {date} at {start}.", "New event on {date}, {start}: {title}."),
    ask=Ask(
        "start",
        "start",
        phrasings=(
            "Add {title} to my calendar on {date}.",
            "Create an event {title} on {date}.",
            "Schedule {title} for {date}.",
            "I need {title} in my calendar on {date}.",
            "Book {title} for {date}.",
            "Please note {title} on {date}.",
            "{title} is on {date}. Add it, please.",
            "On {date} I have {title}. Put it into my calendar.",
            "Plan {title} for me on {date}.",
            "Set up {title} on {date}.",
        ),
        unseen=("Please put {title} into the calendar for {date}.",),
    ),
)
def create(draw: Draw) -> Plan:
    title, date, start = draw.one(TITLES), draw.one(DATES), draw.one(STARTS)
    yield {"title": title, "date": date, "start": start}
    yield call("create_event", title=title, date=date, start=start)


@scenario(
    phrasings=(
        "Add {title} on {date} at {start} for {minutes} minutes.",
        "Create an event {title} on {date} at {start} that takes {minutes} minutes.",
        "Schedule {minutes} minutes of {title} on {date}, {start}.",
        "Book {title} on {date} at {start}, it lasts {minutes} minutes.",
        "Plan {title} for {date}, {start}. It takes {minutes} minutes.",
        "I have {title} on {date} at {start} and need {minutes} minutes for it. Add it.",
        "On {date} at {start}, add {title} with a length of {minutes} minutes.",
        "Enter {title}: {date}, {start}, {minutes} minutes long.",
        "Make an appointment of {minutes} minutes for {title} on {date} at {start}.",
        "Set up {title} on {date} from {start} on, for {minutes} minutes.",
    ),
    unseen=("Put {title} into my calendar: {date} at {start}, {minutes} minutes.",),
)
def create_with_length(draw: Draw) -> Plan:
    title, date, start = draw.one(TITLES), draw.one(DATES), draw.one(STARTS)
    minutes = draw.any((15, 20, 30, 45, 75, 90, 120, 150))
    yield {"title": title, "date": date, "start": start, "minutes": minutes}
    yield call("create_event", title=title, date=date, start=start, minutes=minutes)


@scenario(
    phrasings=(
        "Add {title} on {date} at {start} and remind me {minutes} minutes before.",
        "Create an event {title} on {date}, {start}, with a reminder {minutes} minutes before.",
        "Book {title} for {date} at {start} and set a reminder {minutes} minutes before it.",
        "I have {title} on {date} at {start}. Add it and remind me {minutes} minutes early.",
        "Put {title} on {date}, {start}, into my calendar; remind me {minutes} minutes ahead.",
        "Plan {title} on {date} at {start}, then add a reminder of {minutes} minutes.",
        "Enter {title} at {start} on {date}. Also I want to be reminded {minutes} minutes before.",
    ),
    unseen=("Schedule {title} for {date} at {start}. I want a reminder {minutes} minutes before it.",),
)
def create_and_remind(draw: Draw) -> Plan:
    title, date, start = draw.one(TITLES), draw.one(DATES), draw.one(STARTS)
    minutes = draw.any((5, 10, 15, 20, 30, 45))
    yield {"title": title, "date": date, "start": start, "minutes": minutes}
    event = yield call("create_event", title=title, date=date, start=start)
    yield call("create_event_reminder", event_id=event["event_id"], minutes_before=minutes)


@scenario(
    phrasings=(
        "Remind me of event {id} {minutes} minutes before it starts.",
        "Set a reminder for {id}, {minutes} minutes before.",
        "I want a reminder {minutes} minutes before event {id}.",
        "Could you remind me of {id}, {minutes} minutes ahead?",
        "Add a reminder to event {id}: {minutes} minutes before.",
        "I do not want to miss {id}. Remind me {minutes} minutes before.",
        "Let me know {minutes} minutes before event {id}.",
        "Event {id} needs a reminder {minutes} minutes before its start.",
        "Ring me {minutes} minutes before {id} begins.",
        "For {id} I need a reminder, {minutes} minutes early.",
    ),
    unseen=("Please add a reminder {minutes} minutes before {id}.", "{minutes} minutes before {id}, remind me of it."),
    ask=Ask(
        "minutes",
        "minutes_before",
        phrasings=(
            "Remind me of event {id}.",
            "Set a reminder for {id}.",
            "I want a reminder for event {id}.",
            "Could you remind me of {id}?",
            "I do not want to miss {id}. Remind me.",
            "Event {id} needs a reminder.",
            "Let me know before {id} starts.",
            "Ring me before {id} begins.",
        ),
        unseen=("Please add a reminder for {id}.",),
    ),
)
def remind(draw: Draw) -> Plan:
    event_id = draw.one(list(draw.world("calendar").events))
    minutes = draw.any((5, 10, 15, 20, 30, 45, 60))
    yield {"id": event_id, "minutes": minutes}
    yield call("create_event_reminder", event_id=event_id, minutes_before=minutes)


@scenario(
    phrasings=(
        "What is in my calendar on {date}?",
        "Which events do I have on {date}?",
        "List my events of {date}.",
        "Am I free on {date}?",
        "Show me my calendar for {date}.",
        "Do I have anything on {date}?",
        "What are my plans for {date}?",
        "Give me all events of {date}.",
        "Is there something in my calendar on {date}?",
        "Look up {date} in my calendar.",
        "How busy am I on {date}?",
        "What is going on on {date}?",
        "My calendar of {date}, please.",
    ),
    unseen=("What do I have on {date}? Look at my calendar.", "Please list the events on {date}."),
    ask=Ask(
        "date",
        "date",
        phrasings=(
            "What is in my calendar on that day?",
            "List my events of the day.",
            "Am I free that day?",
            "Do I have anything that day?",
            "Show me my calendar for a day.",
            "Which events do I have then?",
            "How busy am I on that day?",
            "Look up a day in my calendar.",
            "What are my plans?",
        ),
        unseen=("Please list the events of that day.",),
    ),
)
def day(draw: Draw) -> Plan:
    taken = [event["date"] for event in draw.world("calendar").events.values()]
    date = draw.one(draw.any((taken, taken, DATES)))
    yield {"date": date}
    yield call("list_events", date=date)


@scenario(
    phrasings=(
        "When is my {title}?",
        "Find the event {title} in my calendar.",
        "On which day is {title}?",
        "Search my calendar for {title}.",
        "Where in my calendar is {title}?",
        "Look up when {title} takes place.",
        "I forgot the date of my {title}. Find it.",
        "Is there a {title} in my calendar?",
        "Which event is called {title}?",
        "Do I have {title} coming up? Search for it.",
        "Tell me the date of {title}.",
        "Find my {title}.",
    ),
    unseen=("Look for {title} in my calendar.", "Which day is my {title} on?"),
)
def find(draw: Draw) -> Plan:
    title = draw.one(_titles(draw))
    yield {"title": title}
    yield call("find_events", text=title)


@scenario(
    phrasings=(
        "Move event {id} to {date}.",
        "Shift {id} to {date}.",
        "Event {id} has to be on {date}. Please move it.",
        "I cannot make event {id}. Move it to {date}.",
        "Put event {id} on {date} instead.",
        "Change the date of {id} to {date}.",
        "Postpone event {id} to {date}.",
        "{id} takes place on {date} now. Update it.",
        "Reschedule {id} to {date}.",
        "Could you move {id} to {date}?",
        "The new day of event {id} is {date}.",
    ),
    unseen=("Please move the event {id}, the new date is {date}.",),
    ask=Ask(
        "date",
        "date",
        phrasings=(
            "Move event {id} to another day.",
            "Shift {id} to a later day.",
            "I cannot make event {id}. Move it.",
            "Postpone event {id}.",
            "Reschedule {id} for me.",
            "Could you move {id} to another date?",
            "Event {id} has to be on another day.",
            "Change the date of {id}.",
        ),
        unseen=("Please move the event {id}.",),
    ),
)
def move(draw: Draw) -> Plan:
    event_id, date = draw.one(list(draw.world("calendar").events)), draw.one(DATES)
    yield {"id": event_id, "date": date}
    yield call("move_event", event_id=event_id, date=date)


@scenario(
    phrasings=(
        "Move event {id} to {date} at {start}.",
        "Shift {id} to {start} on {date}.",
        "Put event {id} on {date}, {start}.",
        "Reschedule {id} to {date} at {start}.",
        "Postpone event {id} to {date}, it then starts at {start}.",
        "Event {id} has to be on {date} at {start}. Move it.",
        "{id} is now at {start} on {date}, please change it.",
        "Could you move {id} to {date}, {start}?",
        "Change date and time of {id}: {date} at {start}.",
    ),
    unseen=("Please move {id}: the new time is {date}, {start}.",),
)
def move_with_time(draw: Draw) -> Plan:
    event_id, date, start = draw.one(list(draw.world("calendar").events)), draw.one(DATES), draw.one(STARTS)
    yield {"id": event_id, "date": date, "start": start}
    yield call("move_event", event_id=event_id, date=date, start=start)


@scenario(
    phrasings=(
        "Delete event {id}.",
        "Remove {id} from my calendar.",
        "Event {id} is off. Please delete it.",
        "Take {id} out of my calendar.",
        "Cancel the event {id}.",
        "Erase event {id}.",
        "Please drop {id} from the calendar.",
        "I will not go to {id}. Delete it.",
        "Get rid of event {id}.",
        "Could you delete {id}?",
        "{id} will not take place. Remove it.",
        "Strike event {id} from my calendar.",
    ),
    unseen=("Please remove the event {id}.", "I do not need {id} any more, delete the event."),
)
def delete(draw: Draw) -> Plan:
    event_id = draw.one(list(draw.world("calendar").events))
    yield {"id": event_id}
    yield call("delete_event", event_id=event_id)


@scenario(
    phrasings=(
        "Find {title} in my calendar and move it to {date}.",
        "Move my {title} to {date}. You have to search for it.",
        "My {title} has to be on {date}. Find and move it.",
        "Look up {title} and reschedule it to {date}.",
        "When is {title}? Whatever the day, move it to {date}.",
        "Postpone {title} to {date}; you will find it in my calendar.",
        "Search my calendar for {title} and put it on {date}.",
        "I cannot make {title}. Find it and shift it to {date}.",
    ),
    unseen=("Look for {title} in the calendar, then move it to {date}.",),
)
def find_and_move(draw: Draw) -> Plan:
    title, date = draw.one(_titles(draw)), draw.one(DATES)
    yield {"title": title, "date": date}
    found = yield call("find_events", text=title)
    yield call("move_event", event_id=found[0]["event_id"], date=date)


@scenario(
    phrasings=(
        "Find {title} and remind me {minutes} minutes before.",
        "Search for {title} and set a reminder {minutes} minutes before it.",
        "Search my calendar for {title} and remind me of it {minutes} minutes before.",
        "I do not want to miss {title}. Find it, then set a reminder {minutes} minutes early.",
        "When is {title}? Remind me {minutes} minutes before it.",
        "Look up {title} and add a reminder, {minutes} minutes ahead.",
        "Find my {title}. I want to be reminded {minutes} minutes before.",
    ),
    unseen=("Look for {title} in my calendar and add a reminder {minutes} minutes before.",),
)
def find_and_remind(draw: Draw) -> Plan:
    title, minutes = draw.one(_titles(draw)), draw.any((5, 10, 15, 20, 30, 45))
    yield {"title": title, "minutes": minutes}
    found = yield call("find_events", text=title)
    yield call("create_event_reminder", event_id=found[0]["event_id"], minutes_before=minutes)


@scenario(
    phrasings=(
        "Delete my event on {date}.",
        "I am ill on {date}. Remove the event of that day from my calendar.",
        "List my events of {date} and delete the first one.",
        "What do I have on {date}? Delete it.",
        "Find my event of {date} and delete it.",
        "I am away on {date}. Take the event out of my calendar.",
        "Look up {date} and cancel the event on that day.",
        "Keep {date} free: remove what is in my calendar.",
    ),
    unseen=("Look at my calendar on {date} and remove the event.",),
)
def clear_day(draw: Draw) -> Plan:
    date = draw.one([event["date"] for event in draw.world("calendar").events.values()])
    yield {"date": date}
    events = yield call("list_events", date=date)
    if not events:
        return None
    yield call("delete_event", event_id=events[0]["event_id"])


def _titles(draw: Draw) -> list[str]:
    return [event["title"] for event in draw.world("calendar").events.values()]
