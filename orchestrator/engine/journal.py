"""The run's events, in order: numbered here, stored, and only then told."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.clock import Clock
from orchestrator.errors import StoreError
from orchestrator.events import TRANSIENT, Event, EventBase, event_to_json
from orchestrator.store import Writes
from orchestrator.store.thread import StoreThread, Work

Observer = Callable[[Event], None]
Then = Callable[[Any], None]

USD_DIGITS = 9
"""Sums of floats are told without their noise: a billionth of a dollar is far below what any token costs."""

_MONEY = frozenset({"cost_usd", "cost_usd_low", "cost_usd_high"})
_log = logging.getLogger("orchestrator")


@dataclass(frozen=True, slots=True)
class _Arrival:
    event: Event | None
    then: Then | None
    answered: asyncio.Future[Any] | None
    value: Any
    error: StoreError | None


class Journal:
    """Hands work to the store's thread and what comes back to the observers, on the event loop, in the given order.

    An observer that raises is dropped and logged; the run goes on. When the store fails, nothing is told any more and
    `on_store_error` is called once.
    """

    def __init__(
        self,
        thread: StoreThread,
        *,
        run_id: str,
        first_seq: int,
        observers: Sequence[Observer],
        clock: Clock,
        on_store_error: Callable[[StoreError], None],
    ) -> None:
        self.run_id = run_id
        self._thread = thread
        self._next_seq = first_seq
        self._observers = list(observers)
        self._clock = clock
        self._on_store_error = on_store_error
        self._failed: StoreError | None = None
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._arrived: list[_Arrival] = []

    def observe(self, observer: Observer) -> None:
        """Add an observer; it gets the events from now on."""
        self._observers.append(observer)

    def append(self, kind: type[EventBase], *writes: Work, then: Then | None = None, **values: Any) -> None:
        """Number and store an event of this kind, together with `writes`; tell it afterwards, then call `then`.

        `then` gets the list of what the writes returned.
        """
        told = {name: round(each, USD_DIGITS) if name in _MONEY else each for name, each in values.items()}
        event: Any = kind(run_id=self.run_id, seq=self._next_seq, at=self._clock.iso(), **told)
        self._next_seq += 1
        if event.type in TRANSIENT:
            self._submit(None, event, None)
        else:
            record = Writes.add_event(self.run_id, event.seq, event_to_json(event))
            self._submit(_together((*writes, record)), event, then)

    def do(self, work: Work, then: Then | None = None) -> None:
        """Run a job of the store in its place among the events; `then` gets what it returned."""
        self._submit(work, None, then)

    async def ask(self, work: Work) -> Any:
        """What a job of the store returns. Raises `StoreError`."""
        answered: asyncio.Future[Any] = self._loop.create_future()
        self._submit(work, None, None, answered)
        return await answered

    async def flush(self) -> None:
        """Wait until everything so far is stored and told. Raises `StoreError`."""
        await self.ask(lambda _: None)

    def _submit(
        self, work: Work | None, event: Event | None, then: Then | None, answered: asyncio.Future[Any] | None = None
    ) -> None:
        def done(value: Any, error: StoreError | None) -> None:
            with self._lock:
                wake = not self._arrived
                self._arrived.append(_Arrival(event, then, answered, value, error))
            if wake:
                self._loop.call_soon_threadsafe(self._deliver)

        self._thread.submit(work, done)

    def _deliver(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for each in arrived:
            if each.error and not self._failed:
                self._failed = each.error
                self._on_store_error(each.error)
            if each.answered is not None and not each.answered.done():
                if self._failed:
                    each.answered.set_exception(self._failed)
                else:
                    each.answered.set_result(each.value)
            if self._failed:
                continue
            if each.event is not None:
                self._tell(each.event)
            if each.then is not None:
                each.then(each.value)

    def _tell(self, event: Event) -> None:
        for observer in list(self._observers):
            try:
                observer(event)
            except (Exception, asyncio.CancelledError, SystemExit, GeneratorExit):
                # Out of here they would take with them what else arrived. Ctrl-C alone is not the observer's own.
                self._observers.remove(observer)
                _log.exception("an observer of run %s raised and gets no more events", self.run_id)


def _together(works: Sequence[Work]) -> Work:
    if len(works) == 1:
        return works[0]
    return lambda connection: [work(connection) for work in works]
