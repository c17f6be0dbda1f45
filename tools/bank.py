"""A bank: accounts, transfers and exchange rates."""

from __future__ import annotations

from typing import Literal

from tools._service import Service
from tools._vocabulary import FIRST_NAMES, LAST_NAMES, words

CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF")
MEMOS = words(
    "books cinema deposit dinner flowers fuel gift groceries heating hotel insurance rent repair salary tickets"
)


class Toolkit(Service):
    """Eight accounts, drawn anew for every seed; transfers change their balances."""

    example = ("get_exchange_rate", {"base": "EUR", "target": "USD"})

    host = "api.bank.example"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.accounts = {f"a{number}": self._new_account() for number in self.random.sample(range(1000, 9999), 8)}
        self._rates = {currency: self.random.randint(50, 200) / 100 for currency in CURRENCIES}

    def _new_account(self) -> dict:
        return {
            "owner": f"{self.random.choice(FIRST_NAMES)} {self.random.choice(LAST_NAMES)}",
            "balance": self.random.randint(10_000, 900_000) / 100,
            "bookings": [
                {"memo": self.random.choice(MEMOS), "amount": self.random.randint(-9000, 9000) / 100} for _ in range(4)
            ],
        }

    def get_account(self, account_id: str) -> dict:
        """Owner of an account.

        Args:
            account_id: Id such as a1234.
        """
        return {"owner": self._account(account_id)["owner"]}

    def get_account_balance(self, account_id: str) -> dict:
        """How much money is on an account.

        Args:
            account_id: Id such as a1234.
        """
        return {"balance": self._account(account_id)["balance"]}

    def get_account_bookings(self, account_id: str, limit: int = 2) -> list[dict]:
        """Latest bookings of an account.

        Args:
            account_id: Id such as a1234.
            limit: Most results.
        """
        return self._account(account_id)["bookings"][-limit:]

    def transfer_money(self, source: str, target: str, amount: float, memo: str = "") -> dict:
        """Send money from one account to another.

        Args:
            source: Account that pays.
            target: Account that receives.
            amount: How much.
            memo: What it is for.
        """
        payer = self._account(source)
        receiver = self._account(target)
        if amount <= 0:
            raise ValueError("amount must be positive")
        if amount > payer["balance"]:
            return {"error": f"balance of {source} is too low"}
        payer["balance"] = round(payer["balance"] - amount, 2)
        receiver["balance"] = round(receiver["balance"] + amount, 2)
        payer["bookings"].append({"memo": memo, "amount": -amount})
        return {"new_balance": payer["balance"]}

    def get_exchange_rate(
        self, base: Literal["EUR", "USD", "GBP", "JPY", "CHF"], target: Literal["EUR", "USD", "GBP", "JPY", "CHF"]
    ) -> dict:
        """What one unit of a currency is worth in another.

        Args:
            base: Currency to pay with.
            target: Currency to get.
        """
        self._request("/rates")
        return {"rate": round(self._rates[base] / self._rates[target], 4)}

    def _account(self, account_id: str) -> dict:
        self._request(f"/accounts/{account_id}")
        if account_id not in self.accounts:
            raise LookupError(f"no account {account_id}")
        return self.accounts[account_id]
