"""A mailbox: read, search, send and file mails."""

from __future__ import annotations

import random
from typing import Literal

from tools._vocabulary import FIRST_NAMES, words

SUBJECTS = words(
    """
    agenda anniversary application badge banquet contract delivery feedback invoice keys licence minutes newsletter
    offer parking password payroll photos proposal refund rehearsal renewal report reservation schedule slides survey
    tickets
    """
)
FOLDERS = ("inbox", "archive", "spam")
PAGE = 3


class Toolkit:
    """Ten mails, drawn anew for every seed."""

    example = ("list_mails", {"folder": "inbox"})

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"mail {seed}")
        numbers = self._random.sample(range(100, 900), 10)
        self.mails = {f"m{number}": self._new_mail() for number in numbers}
        self._next_mail = 1000 + numbers[0]

    def _new_mail(self) -> dict:
        sender, subject = self._random.choice(FIRST_NAMES), self._random.choice(SUBJECTS)
        return {
            "sender": f"{sender.lower()}@mail.example",
            "subject": f"{subject} {self._random.randint(10, 99)}",
            "body": f"The {subject} is ready.",
            "folder": self._random.choice(FOLDERS),
            "unread": self._random.random() < 0.5,
        }

    def list_mails(self, folder: Literal["inbox", "archive", "spam"] = "inbox", cursor: int = 0) -> dict:
        """Mails of a folder, three a page.

        Args:
            folder: The folder.
            cursor: next_cursor of the page before.
        """
        if folder not in FOLDERS:
            raise ValueError(f"unknown folder {folder!r}")
        found = [mail_id for mail_id, mail in self.mails.items() if mail["folder"] == folder]
        end = cursor + PAGE
        return {"mails": found[cursor:end], "next_cursor": end if end < len(found) else None}

    def search_mails(self, text: str, unread_only: bool = False) -> list[dict]:
        """Mails with a text in their subject.

        Args:
            text: Part of the subject.
            unread_only: Leave out mails that were read.
        """
        return [
            {"mail_id": mail_id, "sender": mail["sender"]}
            for mail_id, mail in self.mails.items()
            if text.lower() in mail["subject"] and (mail["unread"] or not unread_only)
        ][:PAGE]

    def read_mail(self, mail_id: str) -> dict:
        """Sender, subject and body of a mail.

        Args:
            mail_id: Id such as m123.
        """
        mail = self.mails[mail_id]
        mail["unread"] = False
        return {key: mail[key] for key in ("sender", "subject", "body")}

    def send_mail(self, to: list[str], subject: str, body: str = "") -> dict:
        """Send a mail.

        Args:
            to: Addresses.
            subject: The subject.
            body: The text.
        """
        for address in to:
            if "@" not in address:
                raise ValueError(f"not an address: {address!r}")
        return {"mail_id": self._keep("me@mail.example", subject, body), "recipients": len(to)}

    def send_mail_reply(self, mail_id: str, body: str) -> dict:
        """Answer a mail.

        Args:
            mail_id: Id such as m123.
            body: The text.
        """
        if mail_id not in self.mails:
            return {"error": f"mail {mail_id} not found"}
        mail = self.mails[mail_id]
        return {"mail_id": self._keep("me@mail.example", f"re: {mail['subject']}", body), "receiver": mail["sender"]}

    def move_mail(self, mail_id: str, folder: Literal["inbox", "archive", "spam"]) -> dict:
        """Put a mail into another folder.

        Args:
            mail_id: Id such as m123.
            folder: The folder.
        """
        if folder not in FOLDERS:
            raise ValueError(f"unknown folder {folder!r}")
        if mail_id not in self.mails:
            return {"error": f"mail {mail_id} not found"}
        self.mails[mail_id]["folder"] = folder
        return {"mail_id": mail_id, "folder": folder}

    def _keep(self, sender: str, subject: str, body: str) -> str:
        mail_id = f"m{self._next_mail}"
        self._next_mail += 1
        self.mails[mail_id] = {"sender": sender, "subject": subject, "body": body, "folder": "archive", "unread": False}
        return mail_id
