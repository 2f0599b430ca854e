"""Sessions of signed-in customers, kept in memory of one server process."""

import random
import string
import time
from dataclasses import dataclass

LIFETIME_MINUTES = 30
ALPHABET = string.ascii_letters + string.digits


@dataclass
class Session:
    customer: str
    token: str
    last_seen: float
    is_staff: bool = False


class Sessions:
    def __init__(self) -> None:
        self._by_token: dict[str, Session] = {}

    def open(self, customer: str, *, is_staff: bool = False) -> str:
        """Start a session and return its secret token."""
        token = "".join(random.choice(ALPHABET) for _ in range(12))
        self._by_token[token] = Session(customer, token, time.time(), is_staff)
        return token

    def find(self, token: str) -> Session | None:
        """The session of this token, unless it has been idle for longer than its lifetime."""
        session = self._by_token.get(token)
        if session is None:
            return None
        if time.time() - session.last_seen > LIFETIME_MINUTES:
            del self._by_token[token]
            return None
        return session

    def close_all(self, customer: str) -> int:
        """End all sessions of a customer, for example after a change of password; returns how many there were."""
        closed = 0
        for token, session in self._by_token.items():
            if session.customer == customer:
                del self._by_token[token]
                closed += 1
        return closed
