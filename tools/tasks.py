"""A list of things to do, shared by a team."""

from __future__ import annotations

import datetime
import random
from typing import Literal

from tools._vocabulary import DATES, FIRST_NAMES, words

DUTIES = words("archive check clean collect compare count file fix order paint prepare print replace sort test update")
OBJECTS = words(
    "banners batteries bills boxes brochures cables chairs doors figures filters keys labels lists locks maps"
)
PRIORITIES = ("low", "normal", "high")


class Toolkit:
    """Eight tasks, drawn anew for every seed."""

    example = ("add_task", {"title": "water the plants", "priority": "high"})

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"tasks {seed}")
        numbers = self._random.sample(range(10, 99), 8)
        self.tasks = {f"w{number}": self._new_task() for number in numbers}
        self._next_task = 100 + numbers[0]

    def _new_task(self) -> dict:
        return {
            "title": f"{self._random.choice(DUTIES)} the {self._random.choice(OBJECTS)}",
            "person": self._random.choice(FIRST_NAMES),
            "priority": self._random.choice(PRIORITIES),
            "due": self._random.choice(DATES),
            "done": self._random.random() < 0.3,
        }

    def add_task(
        self, title: str, priority: Literal["low", "normal", "high"] = "normal", due: str | None = None
    ) -> dict:
        """Write down something to do.

        Args:
            title: What to do.
            priority: How urgent it is.
            due: Date as YYYY-MM-DD.
        """
        if priority not in PRIORITIES:
            raise ValueError(f"priority must be one of {', '.join(PRIORITIES)}, not {priority!r}")
        day = datetime.date.fromisoformat(due).isoformat() if due is not None else None
        task_id = f"w{self._next_task}"
        self._next_task += 1
        self.tasks[task_id] = {"title": title, "person": None, "priority": priority, "due": day, "done": False}
        return {"task_id": task_id}

    def get_task(self, task_id: str) -> dict:
        """What a task is and when it is due.

        Args:
            task_id: Id such as w12.
        """
        task = self.tasks[task_id]
        return {"title": task["title"], "due": task["due"], "status": "done" if task["done"] else "open"}

    def get_tasks_by_person(self, person: str, open_only: bool = False) -> list[dict]:
        """Tasks of a person.

        Args:
            person: First name.
            open_only: Leave out what is done.
        """
        return [
            {"task_id": task_id, "title": task["title"]}
            for task_id, task in self.tasks.items()
            if task["person"] == person and not (open_only and task["done"])
        ]

    def assign_task(self, task_id: str, person: str) -> dict:
        """Give a task to a person.

        Args:
            task_id: Id such as w12.
            person: First name.
        """
        if task_id not in self.tasks:
            return {"error": f"task {task_id} not found"}
        task = self.tasks[task_id]
        before, task["person"] = task["person"], person
        return {"title": task["title"], "previous_person": before}

    def complete_task(self, task_id: str) -> dict:
        """Mark a task as done.

        Args:
            task_id: Id such as w12.
        """
        task = self.tasks[task_id]
        if task["done"]:
            return {"error": f"task {task_id} is done already"}
        task["done"] = True
        return {"open_tasks": sum(not task["done"] for task in self.tasks.values())}
