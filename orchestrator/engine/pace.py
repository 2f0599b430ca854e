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

    def started(self) -> int:
        """A call starts; returns its number, for `overloaded`."""
        self._started += 1
        return self._started

    def answered(self) -> None:
        """A call brought an answer: one more at once after as many of them as go on at once."""
        self._good += 1
        if self._good >= self.now and self.now < self._most:
            self.now += 1
            self._good = 0

    def overloaded(self, number: int) -> None:
        """The call of this number met an overload: half as many at once.

        Calls that had started before the last cut say nothing new, and do not cut again.
        """
        if number > self._deaf_until:
            self.now = max(1, self.now // 2)
            self._deaf_until = self._started
            self._good = 0
