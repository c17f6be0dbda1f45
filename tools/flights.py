"""Flights: search, seats and bookings."""

from __future__ import annotations

from typing import TypedDict

from tools._service import Service
from tools._vocabulary import CITIES, DATES


class Passenger(TypedDict):
    """One traveller."""

    name: str
    age: int


class Toolkit(Service):
    """Twelve flights between four cities and two bookings, drawn anew for every seed."""

    example = ("search_flights", {"origin": "Naples", "destination": "Budapest"})

    host = "api.flights.example"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        cities = self.random.sample(CITIES, 4)
        numbers = self.random.sample(range(100, 999), 14)
        self.flights = {f"F{number}": self._new_flight(cities) for number in numbers[:12]}
        self.bookings = {f"B{number}": self._new_booking() for number in numbers[12:]}
        self._next_booking = 1000 + numbers[0]

    def _new_flight(self, cities: list[str]) -> dict:
        origin, destination = self.random.sample(cities, 2)
        return {
            "origin": origin,
            "destination": destination,
            "date": self.random.choice(DATES),
            "departure": f"{self.random.randint(5, 22):02d}:{self.random.choice((0, 10, 25, 40, 55)):02d}",
            "price": self.random.randint(40, 600),
            "seats": self.random.randint(0, 30),
        }

    def _new_booking(self) -> dict:
        flight_id = self.random.choice(list(self.flights))
        return {"flight_id": flight_id, "passengers": self.random.randint(1, 4)}

    def search_flights(self, origin: str, destination: str, max_price: int | None = None) -> list[dict]:
        """Flights from one city to another.

        Args:
            origin: City of departure.
            destination: City of arrival.
            max_price: Highest price.
        """
        self._request("/search")
        return [
            {"flight_id": flight_id, "date": flight["date"], "price": flight["price"]}
            for flight_id, flight in self.flights.items()
            if (flight["origin"], flight["destination"]) == (origin, destination)
            and (max_price is None or flight["price"] <= max_price)
        ][:3]

    def get_flight(self, flight_id: str) -> dict:
        """Cities, date and time of a flight.

        Args:
            flight_id: Id such as F123.
        """
        flight = self._flight(flight_id)
        return {key: flight[key] for key in ("origin", "destination", "date", "departure")}

    def get_flight_seats(self, flight_id: str) -> dict:
        """Free seats on a flight.

        Args:
            flight_id: Id such as F123.
        """
        return {"free_seats": self._flight(flight_id)["seats"]}

    def book_flight(self, flight_id: str, passengers: list[Passenger]) -> dict:
        """Book a flight.

        Args:
            flight_id: Id such as F123.
            passengers: Who travels.
        """
        flight = self._flight(flight_id)
        children = sum(passenger["age"] < 12 and bool(passenger["name"]) for passenger in passengers)
        if len(passengers) > flight["seats"]:
            return {"error": f"only {flight['seats']} seats are free"}
        flight["seats"] -= len(passengers)
        booking_id = f"B{self._next_booking}"
        self._next_booking += 1
        self.bookings[booking_id] = {"flight_id": flight_id, "passengers": len(passengers)}
        return {"booking_id": booking_id, "total": flight["price"] * (2 * len(passengers) - children) / 2}

    def get_booking(self, booking_id: str) -> dict:
        """Flight and number of passengers of a booking.

        Args:
            booking_id: Id such as B123.
        """
        self._request(f"/bookings/{booking_id}")
        return self.bookings.get(booking_id) or {"error": f"booking {booking_id} not found"}

    def cancel_booking(self, booking_id: str) -> dict:
        """Cancel a booking.

        Args:
            booking_id: Id such as B123.
        """
        self._request(f"/bookings/{booking_id}/cancel")
        booking = self.bookings.pop(booking_id)
        self.flights[booking["flight_id"]]["seats"] += booking["passengers"]
        return {"flight_id": booking["flight_id"]}

    def _flight(self, flight_id: str) -> dict:
        self._request(f"/flights/{flight_id}")
        return self.flights[flight_id]
