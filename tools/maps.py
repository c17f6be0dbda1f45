"""Maps: places, distances and routes."""

from __future__ import annotations

import math
import random
from typing import Literal

from tools._service import Service
from tools._vocabulary import CITIES, LAST_NAMES

KINDS = ("cafe", "hotel", "museum", "pharmacy", "station")
SPEEDS = {"walk": 5, "bike": 16, "car": 70}  # kilometres an hour
MAX_STOPS = 6


class Toolkit(Service):
    """Ten places, drawn anew for every seed, and cities on a made-up map."""

    example = ("plan_route", {"stops": ["Oslo", "Berlin", "Rome"], "vehicle": "bike"})

    host = "api.maps.example"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.seed = seed
        self.places = {f"x{number}": self._new_place() for number in self.random.sample(range(100, 999), 10)}

    def _new_place(self) -> dict:
        kind = self.random.choice(KINDS)
        return {
            "name": f"{self.random.choice(LAST_NAMES)} {kind}",
            "kind": kind,
            "city": self.random.choice(CITIES),
            "opening": f"{self.random.randint(6, 11):02d}:00",
        }

    def find_places(self, kind: Literal["cafe", "hotel", "museum", "pharmacy", "station"], city: str) -> list[dict]:
        """Places of a kind in a city.

        Args:
            kind: What to look for.
            city: Name of the city.
        """
        self._request("/places")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        found = [(key, place) for key, place in self.places.items() if (place["kind"], place["city"]) == (kind, city)]
        return [{"place_id": key, "name": place["name"]} for key, place in found[:3]]

    def describe_place(self, place_id: str) -> dict:
        """Name, city and opening time of a place.

        Args:
            place_id: Id such as x123.
        """
        self._request(f"/places/{place_id}")
        place = self.places[place_id]
        return {key: place[key] for key in ("name", "city", "opening")}

    def measure_distance(self, origin: str, destination: str, unit: Literal["km", "miles"] = "km") -> dict:
        """Distance between two cities.

        Args:
            origin: A city.
            destination: Another city.
            unit: Unit of the distance.
        """
        self._request("/distance")
        for city in (origin, destination):
            if city not in CITIES:
                return {"error": f"city {city} not found"}
        return {
            "distance": round(self._kilometres(origin, destination) * {"km": 1, "miles": 0.6214}[unit]),
            "unit": unit,
        }

    def plan_route(self, stops: list[str], vehicle: Literal["walk", "bike", "car"] = "car") -> dict:
        """Length and duration of a tour of cities.

        Args:
            stops: Cities in order.
            vehicle: How to travel.
        """
        self._request("/route")
        if not 2 <= len(stops) <= MAX_STOPS:
            raise ValueError(f"a route has 2 to {MAX_STOPS} stops, not {len(stops)}")
        length = sum(self._kilometres(one, other) for one, other in zip(stops, stops[1:], strict=False))
        return {"km": round(length), "hours": round(length / SPEEDS[vehicle], 1)}

    def _kilometres(self, origin: str, destination: str) -> float:
        return math.dist(self._position(origin), self._position(destination))

    def _position(self, city: str) -> tuple[float, float]:
        numbers = random.Random(f"{self.seed} {city}")
        return numbers.uniform(0, 1500), numbers.uniform(0, 1500)
