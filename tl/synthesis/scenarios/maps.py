"""Requests for `tools/maps.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import CITIES
from tools.maps import SPEEDS


@scenario(
    phrasings=("Find a {kind} in {city}.", "Is there a {kind} in {city}?", "I need a {kind} in {city}."),
    unseen=("Please look for a {kind} in {city}.", "Which {kind} can you find in {city}?"),
    ask=Ask(
        "city",
        "city",
        phrasings=("Find a {kind}.", "I need a {kind}."),
        unseen=("Please look for a {kind}.",),
    ),
)
def places(draw: Draw) -> Plan:
    place = draw.any(list(draw.world("maps").places.values()))
    kind, city = place["kind"], draw.one([place["city"], *CITIES[:3]])
    yield {"kind": kind, "city": city}
    yield call("find_places", kind=kind, city=city)


@scenario(
    phrasings=("When does place {id} open?", "Tell me name and city of the place {id}.", "Describe the place {id}."),
    unseen=("Please describe place {id}, with its opening time.", "At what time does {id} open?"),
)
def describe(draw: Draw) -> Plan:
    place_id = draw.one(list(draw.world("maps").places))
    yield {"id": place_id}
    yield call("describe_place", place_id=place_id)


@scenario(
    phrasings=("How far is {origin} from {destination}?", "What is the distance between {origin} and {destination}?"),
    unseen=(
        "Measure how far it is from {origin} to {destination}.",
        "Distance from {origin} to {destination}, please.",
    ),
    ask=Ask(
        "destination",
        "destination",
        phrasings=("How far is it from {origin}?",),
        unseen=("Measure a distance from {origin}.",),
    ),
)
def distance(draw: Draw) -> Plan:
    origin, destination = draw.some(CITIES, 2)
    yield {"origin": origin, "destination": destination}
    yield call("measure_distance", origin=origin, destination=destination)


@scenario(
    phrasings=("How many miles is it from {origin} to {destination}?",),
    unseen=("What is the distance from {origin} to {destination} in miles?",),
)
def distance_in_miles(draw: Draw) -> Plan:
    origin, destination = draw.some(CITIES, 2)
    yield {"origin": origin, "destination": destination}
    yield call("measure_distance", origin=origin, destination=destination, unit="miles")


@scenario(
    phrasings=(
        "Plan a route from {one} to {two} and {three} by {vehicle}.",
        "How long does the tour {one}, {two}, {three} take by {vehicle}?",
    ),
    unseen=("Please plan a tour with the stops {one}, {two} and {three}. I travel by {vehicle}.",),
)
def route(draw: Draw) -> Plan:
    stops, vehicle = draw.some(CITIES, 3), draw.any([name for name in SPEEDS if name != "walk"])
    yield {"one": stops[0], "two": stops[1], "three": stops[2], "vehicle": vehicle}
    yield call("plan_route", stops=stops, vehicle=vehicle)


@scenario(
    phrasings=("Find a {kind} in {city} and tell me when it opens.", "When does the first {kind} in {city} open?"),
    unseen=("Look for a {kind} in {city}, then describe the first one.",),
)
def find_and_describe(draw: Draw) -> Plan:
    world = draw.world("maps").places.values()
    place = draw.any(list(world))
    kind = place["kind"]
    city = draw.one([place["city"] for place in world if place["kind"] == kind])
    yield {"kind": kind, "city": city}
    found = yield call("find_places", kind=kind, city=city)
    yield call("describe_place", place_id=found[0]["place_id"])
