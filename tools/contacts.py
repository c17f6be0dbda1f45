"""An address book."""

from __future__ import annotations

import random
from typing import TypedDict

from tools._vocabulary import CITIES, FIRST_NAMES, LAST_NAMES


class Details(TypedDict, total=False):
    """What is known of a person; everything may be left out."""

    phone: str
    city: str


class Toolkit:
    """Eight people, drawn anew for every seed."""

    example = ("add_contact", {"name": "Ada Baker", "details": {"city": "Oslo"}})

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"contacts {seed}")
        numbers = self._random.sample(range(200, 800), 8)
        self.people = {f"c{number}": self._new_person() for number in numbers}
        self._next_contact = 1000 + numbers[0]

    def _new_person(self) -> dict:
        return {
            "name": f"{self._random.choice(FIRST_NAMES)} {self._random.choice(LAST_NAMES)}",
            "phone": f"0{self._random.randint(100, 999)} {self._random.randint(10000, 99999)}",
            "city": self._random.choice(CITIES),
        }

    def find_contact(self, name: str) -> list[str]:
        """Ids of the people with a name.

        Args:
            name: Full name or a part of it.
        """
        return [contact_id for contact_id, person in self.people.items() if name.lower() in person["name"].lower()]

    def find_contacts_by_city(self, city: str, limit: int = 5) -> list[dict]:
        """People who live in a city.

        Args:
            city: Name of the city.
            limit: Most results.
        """
        found = [(key, person) for key, person in self.people.items() if person["city"] == city]
        return [{"contact_id": key, "name": person["name"]} for key, person in found[:limit]]

    def show_contact(self, contact_id: str) -> dict:
        """Name, phone and city of a person.

        Args:
            contact_id: Id such as c123.
        """
        return self.people[contact_id]

    def add_contact(self, name: str, details: Details) -> dict:
        """Add a person.

        Args:
            name: Full name.
            details: What is known.
        """
        contact_id = f"c{self._next_contact}"
        self._next_contact += 1
        self.people[contact_id] = {"name": name, "phone": details.get("phone"), "city": details.get("city")}
        return {"contact_id": contact_id}

    def delete_contact(self, contact_id: str) -> dict:
        """Remove a person.

        Args:
            contact_id: Id such as c123.
        """
        if contact_id not in self.people:
            return {"error": f"contact {contact_id} not found"}
        return {"deleted": self.people.pop(contact_id)["name"]}
