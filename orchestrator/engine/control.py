"""How a run is asked to stop from outside: in three steps, each harder than the one before."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum


class StopLevel(IntEnum):
    """How hard a run stops."""

    NONE = 0
    DRAIN = 1
    """Nothing new starts; what is under way finishes, since it is paid for."""
    TERMINATE = 2
    """What is under way is ended, politely first, within 10 s."""
    KILL = 3
    """What is under way is ended at once."""


class RunControl:
    """Handed to a run, and kept by whoever may stop it. All calls belong to the run's event loop thread."""

    def __init__(self) -> None:
        self._level = StopLevel.NONE
        self._listeners: list[Callable[[StopLevel], None]] = []

    @property
    def level(self) -> StopLevel:
        """How hard the run was asked to stop so far."""
        return self._level

    def request_stop(self, *, at_least: StopLevel = StopLevel.DRAIN) -> StopLevel:
        """Ask for the next harder level, or for `at_least` when that is harder; returns the level now in force."""
        self._level = StopLevel(min(StopLevel.KILL, max(self._level + 1, at_least)))
        for listener in list(self._listeners):
            listener(self._level)
        return self._level

    def subscribe(self, listener: Callable[[StopLevel], None]) -> None:
        """Call `listener` with the level in force, if a stop was asked for, and with each new one from now on."""
        self._listeners.append(listener)
        if self._level:
            listener(self._level)
