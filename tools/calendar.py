"""A personal calendar: events and reminders."""

from __future__ import annotations

import datetime
import random

from tools._vocabulary import DATES, FIRST_NAMES, words

KINDS = words(
    """
    anniversary appraisal assembly audition baptism barbecue bowling breakfast briefing brunch budget call carpool
    ceremony championship checkup chess choir class climbing coaching coffee concert conference counseling cruise
    cycling dancing deadline debate debrief delivery demo dentist dinner drill errand exam excursion exhibition
    farewell festival fitting football fundraiser gardening graduation haircut handover hearing hike housewarming
    inspection interview jogging kickoff lecture lesson lunch massage matinee meeting opera orientation painting
    party photoshoot physio picnic pilates planning pottery practice presentation quiz regatta rehearsal
    retrospective reunion review rowing sailing sculpting seminar session shopping showcase singing skating skiing
    standup surgery swimming symposium tasting tennis theater tour tournament training trial tutoring vaccination
    volleyball walk webinar wedding workshop yoga
    """
)
STARTS = tuple(f"{hour:02d}:{minute:02d}" for hour in range(7, 21) for minute in (0, 15, 30, 45))


class Toolkit:
    """Eight events on different days, drawn anew for every seed."""

    example = ("create_event", {"title": "lunch with Ada", "date": "2026-05-01", "start": "12:30"})

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"calendar {seed}")
        numbers = self._random.sample(range(100, 900), 9)
        dates = self._random.sample(DATES, 8)
        self.events = {f"e{n}": self._new_event(date) for n, date in zip(numbers, dates, strict=False)}
        self._next_event = numbers[8] + 1000

    def _new_event(self, date: str) -> dict:
        title = f"{self._random.choice(KINDS)} with {self._random.choice(FIRST_NAMES)}"
        return {"title": title, "date": date, "start": self._random.choice(STARTS), "minutes": 60, "reminders": []}

    def create_event(self, title: str, date: str, start: str, minutes: int = 60) -> dict:
        """Add an event.

        Args:
            title: What it is.
            date: Date as YYYY-MM-DD.
            start: Time as HH:MM.
            minutes: How long it takes.
        """
        begin = datetime.datetime.fromisoformat(f"{date}T{start}")
        end = begin + datetime.timedelta(minutes=minutes)
        event_id = f"e{self._next_event}"
        self._next_event += 1
        self.events[event_id] = {"title": title, "date": date, "start": start, "minutes": minutes, "reminders": []}
        return {"event_id": event_id, "end": f"{end:%H:%M}"}

    def create_event_reminder(self, event_id: str, minutes_before: int) -> dict:
        """Be reminded of an event.

        Args:
            event_id: Id such as e123.
            minutes_before: How long before the start.
        """
        event = self.events[event_id]
        begin = datetime.datetime.fromisoformat(f"{event['date']}T{event['start']}")
        reminder = begin - datetime.timedelta(minutes=minutes_before)
        event["reminders"].append(minutes_before)
        return {"reminder": f"{reminder:%H:%M}"}

    def list_events(self, date: str) -> list[dict]:
        """Events of a day.

        Args:
            date: Date as YYYY-MM-DD.
        """
        day = datetime.date.fromisoformat(date).isoformat()
        return [
            {"event_id": event_id, "title": event["title"], "start": event["start"]}
            for event_id, event in self.events.items()
            if event["date"] == day
        ]

    def find_events(self, text: str) -> list[dict]:
        """Events by words of their title.

        Args:
            text: Words of the title.
        """
        return [
            {"event_id": event_id, "date": event["date"], "start": event["start"]}
            for event_id, event in self.events.items()
            if text.lower() in event["title"].lower()
        ]

    def move_event(self, event_id: str, date: str, start: str | None = None) -> dict:
        """Move an event to another day.

        Args:
            event_id: Id such as e123.
            date: New date as YYYY-MM-DD.
            start: New time as HH:MM.
        """
        if event_id not in self.events:
            return {"error": f"event {event_id} not found"}
        event = self.events[event_id]
        event["date"] = datetime.date.fromisoformat(date).isoformat()
        event["start"] = start or event["start"]
        return {"event_id": event_id, "date": event["date"], "start": event["start"]}

    def delete_event(self, event_id: str) -> dict:
        """Remove an event.

        Args:
            event_id: Id such as e123.
        """
        if event_id not in self.events:
            return {"error": f"event {event_id} not found"}
        return {"deleted": self.events.pop(event_id)["title"]}
