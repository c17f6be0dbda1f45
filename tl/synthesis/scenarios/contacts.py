"""Requests for `tools/contacts.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import CITIES, FIRST_NAMES, LAST_NAMES

PEOPLE = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
PHONES = [f"0{area} {number}" for area in range(200, 900, 37) for number in range(12345, 99999, 3571)]


@scenario(
    phrasings=(
        "Is {name} in my contacts?",
        "Find {name} in the address book.",
        "What is the id of the contact {name}?",
    ),
    unseen=("Look for the contact {name}.", "Please find {name} in my contacts."),
    ask=Ask(
        "name",
        "name",
        phrasings=("Find somebody in my contacts.", "Find a person in the address book."),
        unseen=("Please find a contact.",),
    ),
)
def find(draw: Draw) -> Plan:
    name = draw.one(_names(draw))
    yield {"name": name}
    yield call("find_contact", name=name)


@scenario(
    phrasings=("Who of my contacts lives in {city}?", "Find contacts in {city}.", "Whom do I know in {city}?"),
    unseen=("Which people of my address book live in {city}?",),
)
def in_city(draw: Draw) -> Plan:
    city = draw.one(sorted({person["city"] for person in draw.world("contacts").people.values()}))
    yield {"city": city}
    yield call("find_contacts_by_city", city=city)


@scenario(
    phrasings=("Show me contact {id}.", "What is the phone number of {id}?", "Where does the contact {id} live?"),
    unseen=("Please show name, phone and city of {id}.", "What do you know of contact {id}?"),
)
def show(draw: Draw) -> Plan:
    contact_id = draw.one(list(draw.world("contacts").people))
    yield {"id": contact_id}
    yield call("show_contact", contact_id=contact_id)


@scenario(
    phrasings=(
        "Add {name} with the phone number {phone} to my contacts.",
        "New contact: {name}, phone {phone}.",
        "{name} has the phone number {phone}. Add a contact.",
    ),
    unseen=("Please add the contact {name}, phone number {phone}.",),
    ask=Ask(
        "phone",
        "details",
        phrasings=("Add {name} with a phone number to my contacts.",),
        unseen=("Please add the contact {name} with a phone number.",),
    ),
)
def add(draw: Draw) -> Plan:
    name, phone = draw.one(PEOPLE), draw.one(PHONES)
    yield {"name": name, "phone": phone}
    yield call("add_contact", name=name, details={"phone": phone})


@scenario(
    phrasings=(
        "Add {name}, phone {phone}, from {city} to my contacts.",
        "New contact: {name}, phone {phone}, city {city}.",
    ),
    unseen=("Please add the contact {name}. The phone number is {phone} and the city {city}.",),
)
def add_with_city(draw: Draw) -> Plan:
    name, phone, city = draw.one(PEOPLE), draw.one(PHONES), draw.one(CITIES)
    yield {"name": name, "phone": phone, "city": city}
    yield call("add_contact", name=name, details={"phone": phone, "city": city})


@scenario(
    phrasings=("Delete contact {id}.", "Remove {id} from my address book.", "Take {id} out of my contacts."),
    unseen=("Please remove the contact {id}.",),
)
def delete(draw: Draw) -> Plan:
    contact_id = draw.one(list(draw.world("contacts").people))
    yield {"id": contact_id}
    yield call("delete_contact", contact_id=contact_id)


@scenario(
    phrasings=(
        "What is the phone number of {name}? Find the contact first.",
        "Find {name} in my contacts and show the entry.",
    ),
    unseen=("Look for {name} in the address book, then show me the contact.",),
)
def find_and_show(draw: Draw) -> Plan:
    name = draw.one(_names(draw))
    yield {"name": name}
    found = yield call("find_contact", name=name)
    yield call("show_contact", contact_id=found[0])


@scenario(
    phrasings=(
        "Find {name} in my contacts and delete the entry.",
        "Remove {name} from my contacts. Find the id first.",
    ),
    unseen=("Look for {name} in the address book and remove the contact.",),
)
def find_and_delete(draw: Draw) -> Plan:
    name = draw.one(_names(draw))
    yield {"name": name}
    found = yield call("find_contact", name=name)
    yield call("delete_contact", contact_id=found[0])


def _names(draw: Draw) -> list[str]:
    return [person["name"] for person in draw.world("contacts").people.values()]
