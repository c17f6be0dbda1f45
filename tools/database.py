"""A small SQL database of a company."""

from __future__ import annotations

import random
import sqlite3

from tools._vocabulary import CITIES, FIRST_NAMES, words

TEAMS = words("design finance legal research sales support")
ROOMS = words("aurora birch cobalt delta ebony flint garnet hazel iris jade koala lotus maple nova onyx")
MAX_STEPS = 100  # of a thousand instructions each, after which a query is interrupted
MAX_VALUE = 100_000  # bytes of one value
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


class Toolkit:
    """Three tables, filled anew for every seed."""

    example = ("run_query", {"sql": "SELECT name, salary FROM staff WHERE salary > 60000"})

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"database {seed}")
        cities = self._random.sample(CITIES, 4)
        names = self._random.sample(FIRST_NAMES, 10)
        self.rows: dict[str, list[tuple]] = {
            "staff": [(name, self._random.choice(TEAMS), self._random.randint(30, 90) * 1000) for name in names],
            "rooms": [(room, self._random.randint(2, 40)) for room in self._random.sample(ROOMS, 6)],
            "offices": [(city, self._random.randint(5, 300)) for city in cities],
        }
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        self._connection.execute("CREATE TABLE staff (name TEXT, team TEXT, salary INTEGER)")
        self._connection.execute("CREATE TABLE rooms (name TEXT UNIQUE, seats INTEGER NOT NULL)")
        self._connection.execute("CREATE TABLE offices (city TEXT UNIQUE, people INTEGER NOT NULL)")
        for table, rows in self.rows.items():
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    def list_tables(self) -> list[str]:
        """Names of the tables."""
        return [name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def list_table_columns(self, table: str) -> list[str]:
        """Names of the columns of a table.

        Args:
            table: Name of the table.
        """
        self._check(table)
        return [column[1] for column in self._connection.execute(f"PRAGMA table_info({table})")]

    def count_rows(self, table: str) -> int:
        """Number of rows of a table.

        Args:
            table: Name of the table.
        """
        self._check(table)
        return self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def run_query(self, sql: str, limit: int = 5) -> list[list]:
        """Rows that an SQL query selects.

        Args:
            sql: A SELECT statement.
            limit: Most rows.
        """
        steps = iter(range(MAX_STEPS))
        self._connection.set_authorizer(lambda action, *_: action not in _READING)
        self._connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
        try:
            return [list(row) for row in self._connection.execute(sql).fetchmany(limit)]
        finally:
            self._connection.set_progress_handler(None, 0)
            self._connection.set_authorizer(None)

    def insert_row(self, table: str, values: dict[str, str | int]) -> dict:
        """Add a row to a table.

        Args:
            table: Name of the table.
            values: Columns and their values.
        """
        unknown = values.keys() - set(self.list_table_columns(table))
        if unknown:
            raise sqlite3.OperationalError(f"table {table} has no column named {min(unknown)}")
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values()))
        return {"table": table, "rows": self.count_rows(table)}

    def _check(self, table: str) -> None:
        """SQL knows no placeholder for a name, so only known names get into a statement."""
        if table not in self.rows:
            raise sqlite3.OperationalError(f"no such table: {table}")
