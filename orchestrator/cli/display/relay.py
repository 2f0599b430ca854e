"""A display for several runs one after the other: planning, then what was planned."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from orchestrator.cli.display.view import RunView
from orchestrator.cli.display.writer import Writer
from orchestrator.events import Event, RunResumed, RunStarted
from orchestrator.plan.loading import Loading


class Relay:
    """Hands events to a writer that `make` makes, a new one for each run. A context manager, like a writer."""

    def __init__(self, make: Callable[[], Writer]) -> None:
        self._make = make
        self._writer = make()
        self._open = False
        self._spent = False
        self._begun = False

    @property
    def view(self) -> RunView:
        """What was shown of the latest run."""
        return self._writer.view

    def on_event(self, event: Event) -> None:
        """Hand an event over. The first of another run ends the display of the one before, in bounded time."""
        if isinstance(event, RunStarted | RunResumed):
            if self._begun:
                self.rest()
            self._begun = True
        self._wake()
        self._writer.on_event(event)

    def loading(self, loading: Loading) -> None:
        """Have it shown how far splitting or counting has come, before or between runs."""
        self._wake()
        self._writer.loading(loading)

    def stopping(self, level: int) -> None:
        """Have the answer to a Ctrl-C shown."""
        self._wake()
        self._writer.stopping(level)

    def paused(self) -> AbstractContextManager[None]:
        """A context in which the terminal belongs to the caller."""
        self._wake()
        return self._writer.paused()

    def rest(self) -> None:
        """End the display until something is to be shown again; the terminal is free meanwhile."""
        if self._open:
            self._open, self._spent = False, True
            self._writer.__exit__(None, None, None)

    def _wake(self) -> None:
        if not self._open:
            if self._spent:
                self._writer = self._make()
            self._writer.__enter__()
            self._open = True

    def __enter__(self) -> Relay:
        self._wake()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()
