"""All access to the database while a run goes on: one thread, one connection, commits shared by what queued up.

A commit takes 2 to 4 ms on a disk (`synchronous=EXTRA`); under load many jobs share each one. Reads go through the
same thread, since a reader of its own would lock out the writer in rollback-journal mode.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import StoreError
from orchestrator.store.schema import connect, remedy

Connection = sqlite3.Connection
"""What a job of the store gets to work with; others need not know which database it is."""

Work = Callable[[Connection], Any]
Done = Callable[[Any, StoreError | None], None]

MAX_BATCH = 1000
"""Jobs that share one commit at most; bounds how long the first of them waits."""


@dataclass(slots=True)
class _Job:
    work: Work | None
    done: Done
    value: Any = None


class StoreThread:
    """Runs jobs in the order they were given. `done(value, error)` is called in this thread, after the commit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._has_committed = False
        self._connection = connect(path, create=True)
        self._thread = threading.Thread(target=self._serve, name="orchestrate-store", daemon=True)
        self._thread.start()

    def submit(self, work: Work | None, done: Done) -> None:
        """Queue a job; None as `work` only keeps its place in the order, for things that need no storing."""
        self._jobs.put(_Job(work, done))

    def close(self) -> None:
        """Finish what is queued, then end the thread and close the file."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        open_ = True
        while open_:
            batch: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if len(batch) >= MAX_BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            open_ = job is not None
            error = self._commit(batch)
            for each in batch:
                each.done(each.value, error)

    def _commit(self, batch: list[_Job]) -> StoreError | None:
        if not any(job.work for job in batch):
            return None
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for job in batch:
                    if job.work:
                        job.value = job.work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except Exception as error:
            # Whatever a job stumbles over, those who wait for it have to be told, and the thread has to live on.
            again = "then resume the run" if self._has_committed else "then try again"
            what = remedy(error, otherwise="put that right")
            return StoreError(f"cannot write to the store {self._path}: {error}; {what}, {again}")
        self._has_committed = True
        return None
