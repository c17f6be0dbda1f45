"""The inventory of a shop in SQLite: a new database for every episode."""

import sqlite3

ITEMS = [("lamp", 12, 30), ("chair", 4, 75), ("table", 2, 180), ("vase", 9, 15), ("mirror", 5, 60), ("rug", 0, 90)]


class Inventory:
    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.execute("CREATE TABLE items (name TEXT PRIMARY KEY, stock INTEGER, price INTEGER)")
        self.db.executemany("INSERT INTO items VALUES (?, ?, ?)", ITEMS)

    def get_item(self, name: str) -> dict:
        """How many there are of an item, and its price.

        Args:
            name: Item such as lamp.
        """
        row = self.db.execute("SELECT stock, price FROM items WHERE name = ?", [name]).fetchone()
        if row is None:
            raise LookupError(f"there is no item {name!r}")
        return {"stock": row[0], "price": row[1]}

    def sell_item(self, name: str, count: int = 1) -> dict:
        """Take sold pieces of an item out of stock.

        Args:
            name: Item such as lamp.
            count: Number of pieces.
        """
        stock = self.get_item(name)["stock"]
        if count > stock:
            return {"error": f"only {stock} in stock"}
        self.db.execute("UPDATE items SET stock = stock - ? WHERE name = ?", [count, name])
        return self.get_item(name)

    def set_item_price(self, name: str, price: int) -> dict:
        """Change the price of an item.

        Args:
            name: Item such as lamp.
            price: New price.
        """
        self.get_item(name)
        self.db.execute("UPDATE items SET price = ? WHERE name = ?", [price, name])
        return self.get_item(name)


def four_chairs_are_sold(session: Inventory, answer: str) -> bool:
    """A check: the state after the episode decides, whatever the answer says."""
    return session.get_item("chair")["stock"] == 0
