"""One first: where parallel cold starts race, one call is let through alone until the API has answered it.

Under a subscription login several processes that start at once can race on refreshing the same token and log each
other out [public issues 43392, 88947]. Once one call was answered, the token is fresh for all.
"""

from __future__ import annotations

import asyncio


class Turnstile:
    """Lets everybody pass when `open`; else one at a time, until one of them has been answered."""

    def __init__(self, *, open: bool) -> None:  # noqa: A002 - what it says
        self._proven = open
        self._lock = asyncio.Lock()

    async def enter(self) -> Passage:
        """Wait for the turn. The passage has to be left again."""
        if self._proven:
            return Passage(self, holds=False)
        await self._lock.acquire()
        if self._proven:
            self._lock.release()
            return Passage(self, holds=False)
        return Passage(self, holds=True)

    def _let_next(self, *, proven: bool) -> None:
        self._proven = self._proven or proven
        self._lock.release()


class Passage:
    """One call's way through the turnstile."""

    def __init__(self, turnstile: Turnstile, *, holds: bool) -> None:
        self._turnstile = turnstile
        self._holds = holds

    def answered(self) -> None:
        """The API answered this call: nobody has to wait any more."""
        self._leave(proven=True)

    def left(self) -> None:
        """The call is over, answered or not; the next may try."""
        self._leave(proven=False)

    def _leave(self, *, proven: bool) -> None:
        if self._holds:
            self._holds = False
            self._turnstile._let_next(proven=proven)  # pyright: ignore[reportPrivateUsage]
