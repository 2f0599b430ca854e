"""One first: where parallel cold starts race, one call is let through alone until the API has answered it.

Under a subscription login several processes that start at once can race on refreshing the same token and log each
other out [public issues 43392, 88947]. Once one call was answered, the token is fresh for all; for how long the CLI
does not say (`auth status --json` tells no expiry in 2.1.330, and its files are not for us to read). So after a while
one goes first again: a run of hours meets an expiry with one call and not with all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

AGAIN_AFTER_S = 600.0
"""How long an answered call speaks for the others. Going first holds up no more than what starts within the seconds
until the first sign of an answer."""


class Turnstile:
    """Lets everybody pass when `open`; else one at a time, until one of them has been answered.

    Then all pass for `again_after_s` seconds of `now_s`, after which one goes first again.
    """

    def __init__(
        self,
        *,
        open: bool,  # noqa: A002 - what it says
        again_after_s: float = AGAIN_AFTER_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._always_open = open
        self._again_after_s = again_after_s
        self._now_s = now_s
        self._proven_at_s: float | None = None
        self._lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether everybody may pass now."""
        if self._always_open:
            return True
        return self._proven_at_s is not None and self._now_s() - self._proven_at_s < self._again_after_s

    async def enter(self) -> Passage:
        """Wait for the turn. The passage has to be left again."""
        if self.is_open:
            return Passage(self, holds=False)
        await self._lock.acquire()
        if self.is_open:
            self._lock.release()
            return Passage(self, holds=False)
        return Passage(self, holds=True)

    def _let_next(self, *, proven: bool) -> None:
        if proven:
            self._proven_at_s = self._now_s()
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
