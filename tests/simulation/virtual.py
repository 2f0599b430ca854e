"""Time that passes only when nobody has anything to do: an event loop, a clock and a store on it, all seeded.

Nothing of the engine is replaced. The loop runs its tasks and timers as asyncio does, and where it would sleep it sets
its clock to the next timer. The store is a real SQLite database in memory, written in the transactions of the real
`StoreThread`; only the thread is gone, and each commit takes seeded time.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engine.clock import Clock
from orchestrator.errors import StoreError
from orchestrator.store import Store
from orchestrator.store.schema import empty_store
from orchestrator.store.thread import MAX_BATCH, Done, StoreThread, Work, _Job  # pyright: ignore[reportPrivateUsage]

EPOCH_S = 1_770_000_000.0
"""The wall clock when a world begins."""

MAX_VIRTUAL_S = 400 * 86_400.0
"""No process takes longer, whatever happens in it: the longest pauses that are simulated last days."""

MAX_STEPS = 200_000
"""Turns of the loop that no process needs."""


class KilledError(BaseException):
    """The process died at this turn of the loop, as after `kill -9`."""


class StuckError(Exception):
    """The run would never end: nothing is left that could wake it, or it goes on for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time is virtual. `on_quiet` is called each time before time passes."""

    def __init__(self, chance: random.Random, *, start_s: float, die_at: int | None) -> None:
        super().__init__()
        self._selector = self
        self._now_s = start_s
        self._deadline_s = start_s + MAX_VIRTUAL_S
        self._chance = chance
        self.steps = 0
        self.die_at = die_at
        self.on_quiet: Callable[[], None] = lambda: None

    def live_on(self) -> None:
        """For what is left after the end: nothing kills it any more, nobody looks, and it has its time."""
        self.die_at, self.on_quiet = None, lambda: None
        self.steps, self._deadline_s = 0, float("inf")

    def time(self) -> float:
        return self._now_s

    def select(self, timeout: float | None) -> list[Any]:
        """What a selector does: wait for the next timer. Here that takes no time."""
        self.steps += 1
        if self.steps == self.die_at:
            raise KilledError
        if timeout is None:
            raise StuckError("nothing is left that could go on")
        if timeout > 0:
            self.on_quiet()
            self._now_s += timeout
        if self._now_s > self._deadline_s or self.steps > MAX_STEPS:
            raise StuckError(f"still going after {self.steps} turns, at {self._now_s:.0f} s")
        return []

    def _process_events(self, events: list[Any]) -> None:
        """There is no outside."""

    def _write_to_self(self) -> None:
        """There is no other thread."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Work in a thread: done at once, and its end told a little later."""
        future: asyncio.Future[Any] = self.create_future()

        def tell() -> None:
            if future.cancelled():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        try:
            result: Any = func(*args)
        except Exception as error:
            result = error
        self.call_later(self._chance.random() * 0.01, tell)
        return future


class VirtualClock(Clock):
    """The clocks of a process on a virtual loop."""

    loop: VirtualLoop

    def epoch_s(self) -> float:
        return EPOCH_S + self.loop.time()

    def monotonic_s(self) -> float:
        return self.loop.time()


class VirtualStoreThread(StoreThread):
    """The one writer of a process: the transactions of the real one, each after a seeded time.

    From the commit numbered `fails_at` on the database is read-only, as on a disk that went bad.
    """

    def __init__(
        self, connection: sqlite3.Connection, loop: VirtualLoop, chance: random.Random, *, fails_at: int | None
    ) -> None:
        self._path = Path("memory")
        self._connection = connection
        self._has_committed = False
        self._loop = loop
        self._chance = chance
        self._fails_at = fails_at
        self._commits = 0
        self._waiting: list[_Job] = []
        self._busy = False
        self.dead = False

    @property
    def idle(self) -> bool:
        """Whether all it was given is stored and told."""
        return not self._busy

    def submit(self, work: Work | None, done: Done) -> None:
        if self.dead:
            done(None, StoreError("the process is dead"))
            return
        self._waiting.append(_Job(work, done))
        if not self._busy:
            self._busy = True
            self._loop.call_later(self._chance.random() * 0.004, self._commit_waiting)

    def close(self) -> None:
        while self._waiting and not self.dead:
            self._commit_waiting()

    def _commit_waiting(self) -> None:
        if self.dead:
            return
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._commits += 1
        if self._commits == self._fails_at:
            self._connection.execute("PRAGMA query_only = ON")
        error = self._commit(batch)
        # Between the commit and its announcement a process can die.
        self._loop.call_soon(self._tell, batch, error)

    def _tell(self, batch: list[_Job], error: StoreError | None) -> None:
        if self.dead:
            return
        for job in batch:
            job.done(job.value, error)
        self._busy = bool(self._waiting)
        if self._busy:
            self._loop.call_later(self._chance.random() * 0.004, self._commit_waiting)


class MemoryLock:
    """A lock of a store in memory; `held` has the names of those that a living process holds."""

    def __init__(self, held: set[str], name: str) -> None:
        self._held = held
        self._name = name

    def acquire(self) -> None:
        """Take it; whoever comes next has to find it free."""
        assert self.try_acquire(), f"{self._name} is locked"

    def try_acquire(self) -> bool:
        """Take it, unless it is held."""
        if self._name in self._held:
            return False
        self._held.add(self._name)
        return True

    def release(self) -> None:
        """Let go."""
        self._held.discard(self._name)


_TABLES = ("runs", "chunks", "attempts", "answers", "events", "outputs", "calls", "beginnings", "texts")


class MemoryStore(Store):
    """A store in memory that outlives its processes. One at a time: making the next empties the one before."""

    _connection: sqlite3.Connection | None = None

    def __init__(self) -> None:
        super().__init__(Path("memory"))
        cls = MemoryStore
        if cls._connection is None:
            cls._connection = empty_store()
        self.connection = cls._connection
        self.connection.execute("PRAGMA query_only = OFF")
        for table in _TABLES:
            self.connection.execute(f"DELETE FROM {table}")
        self.writer: VirtualStoreThread | None = None
        self.held: set[str] = set()
        self.make_writer: Callable[[], VirtualStoreThread]

    def _read(self, question: Callable[[sqlite3.Connection], Any]) -> Any:
        return question(self.connection)

    def has_run(self, run_id: str) -> bool:
        """Whether a process lived long enough to store that it began this run."""
        return self.connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone() is not None

    def lock(self, run_id: str) -> Any:
        return MemoryLock(self.held, run_id)

    def start_thread(self) -> StoreThread:
        self.connection.execute("PRAGMA query_only = OFF")
        self.writer = self.make_writer()
        return self.writer


class NothingKept:
    """Takes the place of the store's cache of splits and counts."""

    def find(self, keys: Any) -> Mapping[str, str]:
        return {}

    def keep(self, values: Mapping[str, str]) -> None: ...

    def writing(self) -> Work | None:
        return None
