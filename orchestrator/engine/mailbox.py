"""Where everything that happens to a run arrives, to be handled one thing at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Action = Callable[[], None]


class Mailbox:
    """Actions in the order they were posted. Belongs to one event loop thread."""

    def __init__(self) -> None:
        self._actions: asyncio.Queue[Action] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()

    def post(self, action: Action) -> None:
        """Have it done when its turn comes."""
        self._actions.put_nowait(action)

    def post_after(self, wait_s: float, action: Action) -> None:
        """Post it when `wait_s` seconds are over."""

        def due() -> None:
            self._timers.discard(timer)
            self.post(action)

        timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), due)
        self._timers.add(timer)

    async def handle_next(self) -> None:
        """Wait for the next action and do it."""
        (await self._actions.get())()

    def handle_posted(self) -> None:
        """Do all that is there, without waiting."""
        while not self._actions.empty():
            self._actions.get_nowait()()

    def cancel_timers(self) -> None:
        """Forget what was to be posted later."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
