"""The thread that prints. The run only hands events over: a slow, stalled or vanished reader costs it nothing."""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from types import TracebackType

from orchestrator.cli.display.screens import Screen
from orchestrator.cli.display.sink import STALL_S, Sink
from orchestrator.cli.display.view import RunView
from orchestrator.events import TRANSIENT, Event
from orchestrator.plan.loading import Loading

JSON_STALL_S = 10.0
"""The same for a program that reads JSON lines: it may be busy with the lines it has, and is owed all of them."""

_BACKLOG = 2_000
"""Unwritten events beyond which passing ones (`TRANSIENT`) are left out, where that is allowed."""

_BATCH = 500
"""Events handed to a screen at once."""


class _Stopping:
    """A stop of this level was asked for."""

    def __init__(self, level: int) -> None:
        self.level = level


class _Pause:
    """Somebody else needs the terminal; `ready` is set when it is free, `over` when it is given back."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.over = threading.Event()

    def __enter__(self) -> None:
        self.ready.wait(STALL_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()


_Item = tuple[float, Event] | Loading | _Stopping | _Pause | None
"""What the queue carries; None ends the thread."""


class Writer:
    """Owns the thread and a screen. A context manager: entering starts the thread, leaving drains it in bounded time.

    `keep_all` hands every event to the screen even when it lags behind; else passing ones are left out then.
    """

    def __init__(self, screen: Screen, sink: Sink, *, keep_all: bool = False, stall_s: float = STALL_S) -> None:
        self._screen = screen
        self._sink = sink
        self._keep_all = keep_all
        self._stall_s = stall_s
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="display", daemon=True)
        self._error = ""

    @property
    def view(self) -> RunView:
        """What was shown; complete after the end of the `with` block, unless the reader stalled."""
        return self._screen.view

    def on_event(self, event: Event) -> None:
        """Hand an event over. Never blocks, never raises."""
        if self._error or (not self._keep_all and event.type in TRANSIENT and self._queue.qsize() > _BACKLOG):
            return
        self._queue.put((time.monotonic(), event))

    def loading(self, loading: Loading) -> None:
        """Hand over how far splitting or counting has come. Never blocks."""
        if self._queue.qsize() <= _BACKLOG:
            self._queue.put(loading)

    def stopping(self, level: int) -> None:
        """Have the answer to a Ctrl-C shown. Never blocks."""
        self._queue.put(_Stopping(level))

    def paused(self) -> _Pause:
        """A context in which the terminal belongs to the caller; waits for it no longer than `STALL_S`."""
        pause = _Pause()
        self._queue.put(pause)
        return pause

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        seen = -1
        while self._thread.is_alive() and seen != self._sink.written:
            seen = self._sink.written
            self._thread.join(self._stall_s)
        if self._error:
            sys.stderr.write(f"The display failed; the run did not.\n{self._error}")

    def _work(self) -> None:
        try:
            self._loop()
        except Exception:  # Whatever is wrong with a display must reach a person, and must not reach the run.
            self._error = traceback.format_exc()
        finally:
            self._screen.close()

    def _loop(self) -> None:
        while True:
            wait_s = self._screen.tick(time.monotonic())
            batch = self._take(wait_s)
            events: list[tuple[float, Event]] = []
            for item in batch:
                if isinstance(item, tuple):
                    events.append(item)
                    continue
                self._screen.show(events)
                events = []
                if item is None:
                    self._screen.tick(time.monotonic())
                    return
                self._obey(item)
            self._screen.show(events)

    def _obey(self, item: Loading | _Stopping | _Pause) -> None:
        if isinstance(item, _Stopping):
            self._screen.stopping(item.level, now_s=time.monotonic())
            return
        if isinstance(item, Loading):
            self._screen.loading(item, now_s=time.monotonic())
            return
        self._screen.pause()
        item.ready.set()
        item.over.wait()

    def _take(self, wait_s: float) -> list[_Item]:
        batch: list[_Item] = []
        try:
            batch.append(self._queue.get(timeout=max(0.0, wait_s)))
            while len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return batch
