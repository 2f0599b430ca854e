"""How many calls go on at once: fewer after an overload, slowly more when it goes well. Pure."""

from __future__ import annotations


class Pace:
    """Additive increase, multiplicative decrease, between 1 and `most` calls at once.

    Source: D. Chiu and R. Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer
    networks", Computer Networks and ISDN Systems 17 (1989).
    """

    def __init__(self, most: int) -> None:
        self.now = most
        self._most = most
        self._good = 0
        self._deaf_until = 0
        self._started = 0
        self._numbers: dict[str, int] = {}

    def started(self, chunk_id: str) -> None:
        """A call for this chunk starts."""
        self._started += 1
        self._numbers[chunk_id] = self._started

    def answered(self) -> None:
        """A call brought an answer: one more at once after as many of them as go on at once."""
        self._good += 1
        if self._good >= self.now and self.now < self._most:
            self.now += 1
            self._good = 0

    def overloaded(self, chunk_id: str) -> None:
        """The latest call for this chunk met an overload: half as many at once.

        Calls that had started before the last cut say nothing new, and do not cut again.
        """
        if self._numbers[chunk_id] > self._deaf_until:
            self.now = max(1, self.now // 2)
            self._deaf_until = self._started
            self._good = 0
