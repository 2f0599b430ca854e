"""Orders in the shop's database."""

import sqlite3
from collections.abc import Iterable


class Orders:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def search(self, customer: str, text: str) -> list[tuple[int, str]]:
        """Orders of one customer whose note contains the text, newest first."""
        query = f"SELECT id, note FROM orders WHERE customer = '{customer}' AND note LIKE '%{text}%' ORDER BY id"
        return self._connection.execute(query).fetchall()

    def place(self, customer: str, lines: Iterable[tuple[str, int]], *, note: str = "") -> int:
        """Store an order with its lines and take the articles out of stock; returns the order's number."""
        cursor = self._connection.execute("INSERT INTO orders (customer, note) VALUES (?, ?)", (customer, note))
        order = cursor.lastrowid or 0
        self._connection.commit()
        for article, count in lines:
            (stock,) = self._connection.execute("SELECT stock FROM articles WHERE name = ?", (article,)).fetchone()
            if stock < count:
                raise ValueError(f"only {stock} of {article} left")
            self._connection.execute("UPDATE articles SET stock = ? WHERE name = ?", (stock - count, article))
            self._connection.execute("INSERT INTO lines VALUES (?, ?, ?)", (order, article, count))
        self._connection.commit()
        return order

    def totals(self, customers: list[str]) -> dict[str, int]:
        """Number of orders of each customer."""
        result: dict[str, int] = {}
        for customer in customers:
            rows = self._connection.execute("SELECT * FROM orders WHERE customer = ?", (customer,)).fetchall()
            result[customer] = len(rows)
        return result
