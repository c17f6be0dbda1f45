"""Requests for `tools/flights.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import FIRST_NAMES, LAST_NAMES

PEOPLE = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]


@scenario(
    phrasings=(
        "Find flights from {origin} to {destination}.",
        "Is there a flight from {origin} to {destination}?",
        "I want to fly from {origin} to {destination}.",
        "Which flights go from {origin} to {destination}?",
        "Show me flights between {origin} and {destination}, starting in {origin}.",
        "I am in {origin} and have to get to {destination} by plane.",
        "Look for a flight to {destination}. I start in {origin}.",
        "Flights from {origin} to {destination}, please.",
        "From {origin}, what flights go to {destination}?",
    ),
    unseen=(
        "Please search for flights from {origin} to {destination}.",
        "How can I fly to {destination} from {origin}?",
    ),
    ask=Ask(
        "origin",
        "origin",
        phrasings=(
            "Find a flight to {destination}.",
            "I want to fly to {destination}.",
            "Look for a flight to {destination}.",
            "I have to get to {destination} by plane.",
            "Which flights go to {destination}?",
        ),
        unseen=("Please search for flights to {destination}.",),
    ),
)
def search(draw: Draw) -> Plan:
    origin, destination = draw.one(_connections(draw))
    yield {"origin": origin, "destination": destination}
    yield call("search_flights", origin=origin, destination=destination)


@scenario(
    phrasings=(
        "Find flights from {origin} to {destination} for at most {price} euros.",
        "I want to fly from {origin} to {destination} and pay no more than {price}.",
        "Is there a flight from {origin} to {destination} under {price}?",
        "My budget is {price}. Find a flight to {destination}, I start in {origin}.",
        "Flights from {origin} to {destination}, please, {price} euros at most.",
        "From {origin} to {destination} by plane, not over {price} euros.",
    ),
    unseen=("Search for flights from {origin} to {destination} that cost at most {price}.",),
)
def search_cheap(draw: Draw) -> Plan:
    origin, destination = draw.one(_connections(draw))
    price = draw.any(range(100, 600, 50))
    yield {"origin": origin, "destination": destination, "price": price}
    yield call("search_flights", origin=origin, destination=destination, max_price=price)


@scenario(
    phrasings=(
        "When does flight {id} leave?",
        "Where does {id} go, and when?",
        "Tell me date and time of flight {id}.",
        "Look up flight {id}.",
        "What is the destination and the time of {id}?",
        "Give me the details of flight {id}.",
        "On which day is flight {id}, and at what time?",
        "Show me flight {id}.",
    ),
    unseen=("At what time does the flight {id} depart?", "Please look up when {id} leaves."),
    ask=Ask(
        "id",
        "flight_id",
        phrasings=(
            "When does my flight leave?",
            "Look up my flight.",
            "Where does my flight go?",
            "Give me the details of the flight.",
            "Tell me date and time of my flight.",
        ),
        unseen=("At what time does my flight depart?",),
    ),
)
def departure(draw: Draw) -> Plan:
    flight_id = draw.one(list(draw.world("flights").flights))
    yield {"id": flight_id}
    yield call("get_flight", flight_id=flight_id)


@scenario(
    phrasings=(
        "How many seats are free on {id}?",
        "Are there seats left on flight {id}?",
        "Check the free seats of {id}.",
        "Is there still room on {id}?",
        "Can I still get a seat on flight {id}?",
        "How full is flight {id}?",
        "Free seats of {id}, please.",
        "I want to know if {id} has seats.",
    ),
    unseen=("Is flight {id} full, or are there seats?", "Tell me how many seats are left on {id}."),
)
def seats(draw: Draw) -> Plan:
    flight_id = draw.one(list(draw.world("flights").flights))
    yield {"id": flight_id}
    yield call("get_flight_seats", flight_id=flight_id)


@scenario(
    phrasings=(
        "Book flight {id} for {name}, who is {age}.",
        "Please book {id}. The passenger is {name}, {age} years old.",
        "{name}, aged {age}, wants to travel on flight {id}. Book it.",
        "Reserve a seat on {id} for {name}, {age}.",
        "{name} is {age} and flies with {id}. Make the booking.",
        "Get {name} ({age} years old) on flight {id}.",
        "I need a ticket on {id} for {name}, age {age}.",
    ),
    unseen=("Make a booking of flight {id} for {name}, {age} years old.",),
    ask=Ask(
        "id",
        "flight_id",
        phrasings=(
            "Book a flight for {name}, who is {age}.",
            "{name}, aged {age}, wants to travel. Book a flight.",
            "Reserve a seat for {name}, {age}.",
            "I need a ticket for {name}, age {age}.",
            "{name} is {age} and wants to fly. Make the booking.",
        ),
        unseen=("Make a booking for {name}, {age} years old.",),
    ),
)
def book(draw: Draw) -> Plan:
    flight_id, name, age = draw.one(_free(draw)), draw.one(PEOPLE), draw.any(range(5, 80))
    yield {"id": flight_id, "name": name, "age": age}
    yield call("book_flight", flight_id=flight_id, passengers=[{"name": name, "age": age}])


@scenario(
    phrasings=(
        "Book flight {id} for {one} ({age}) and {two} ({other}).",
        "{one}, {age}, and {two}, {other}, fly on {id}. Book it.",
        "Two tickets on {id}: {one} is {age} years old and {two} is {other}.",
        "Reserve seats on {id} for {one}, aged {age}, and {two}, aged {other}.",
        "Book {id} for two people, {one} ({age}) and {two} ({other}).",
    ),
    unseen=("Please make a booking of {id}: {one} is {age}, {two} is {other}.",),
)
def book_for_two(draw: Draw) -> Plan:
    flight_id = draw.one(_free(draw))
    one, two = draw.some(PEOPLE, 2)
    age, other = draw.any(range(20, 80)), draw.any(range(3, 80))
    yield {"id": flight_id, "one": one, "two": two, "age": age, "other": other}
    passengers = [{"name": one, "age": age}, {"name": two, "age": other}]
    yield call("book_flight", flight_id=flight_id, passengers=passengers)


@scenario(
    phrasings=(
        "Which flight is booking {id} for?",
        "Look up my booking {id}.",
        "What did I book with {id}?",
        "Show me what is behind booking {id}.",
        "My booking has the number {id}. Which flight is it?",
        "Give me the details of booking {id}.",
        "For how many people is {id} booked?",
    ),
    unseen=("Please check the booking {id}.",),
    ask=Ask(
        "id",
        "booking_id",
        phrasings=(
            "Look up my booking.",
            "Which flight is my booking for?",
            "Show me my booking.",
            "What did I book?",
            "Give me the details of my booking.",
        ),
        unseen=("Please check my booking.",),
    ),
)
def booking(draw: Draw) -> Plan:
    booking_id = draw.one(list(draw.world("flights").bookings))
    yield {"id": booking_id}
    yield call("get_booking", booking_id=booking_id)


@scenario(
    phrasings=(
        "Cancel booking {id}.",
        "Please cancel my booking {id}.",
        "I do not need the booking {id} any more. Cancel it.",
        "Annul the booking {id}.",
        "My trip is off. Cancel booking {id}.",
        "Call off {id}, please.",
        "Take back my booking {id}.",
    ),
    unseen=("I cannot travel, cancel {id} for me.",),
)
def cancel(draw: Draw) -> Plan:
    booking_id = draw.one(list(draw.world("flights").bookings))
    yield {"id": booking_id}
    yield call("cancel_booking", booking_id=booking_id)


@scenario(
    phrasings=(
        "When does the flight of booking {id} leave?",
        "Look up booking {id} and tell me the time of its flight.",
        "My booking is {id}. When do I fly?",
        "Which flight did I book with {id}, and when does it leave?",
        "Show me booking {id}, then look up the departure of the flight.",
    ),
    unseen=("Check the booking {id}: at what time does its flight depart?",),
)
def booked_departure(draw: Draw) -> Plan:
    booking_id = draw.one(list(draw.world("flights").bookings))
    yield {"id": booking_id}
    found = yield call("get_booking", booking_id=booking_id)
    yield call("get_flight", flight_id=found["flight_id"])


@scenario(
    phrasings=(
        "Find a flight from {origin} to {destination} and check its free seats.",
        "Search for flights from {origin} to {destination}. Are there seats on the first one?",
        "Are there free seats from {origin} to {destination}? Search the flights first.",
        "Look for a flight from {origin} to {destination} and see if it has seats.",
        "I want to go from {origin} to {destination}. Find a flight and count its free seats.",
    ),
    unseen=("How many seats are left on the first flight from {origin} to {destination}?",),
)
def search_and_seats(draw: Draw) -> Plan:
    origin, destination = draw.one(_connections(draw))
    yield {"origin": origin, "destination": destination}
    found = yield call("search_flights", origin=origin, destination=destination)
    yield call("get_flight_seats", flight_id=found[0]["flight_id"])


def _connections(draw: Draw) -> list[tuple[str, str]]:
    return [(flight["origin"], flight["destination"]) for flight in draw.world("flights").flights.values()]


def _free(draw: Draw) -> list[str]:
    return [key for key, flight in draw.world("flights").flights.items() if flight["seats"] >= 2]
