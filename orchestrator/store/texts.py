"""What was found out about texts, by hash: splits and counts that a later run need not make again. Never an answer."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from orchestrator.errors import StoreError
from orchestrator.store.schema import format_of
from orchestrator.store.store import look_into
from orchestrator.store.thread import Work

MAX_KEPT_BYTES = 16_000_000
"""Of keys and values together: 150 splits of 10 MB each, or 130,000 counts. What was not used longest goes first."""

_MAX_VALUE_BYTES = MAX_KEPT_BYTES // 4
_KEY_BYTES = 100
"""What a row takes beside its value, about."""


class StoredTexts:
    """A cache of the store at `path`, which need not be there. Reads at once, and writes only when a run asks it to:
    looking at a plan changes no store. Nothing here raises; may be used from several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._new: dict[str, str] = {}
        self._used: set[str] = set()

    def find(self, keys: Collection[str]) -> Mapping[str, str]:
        """The values that are known, by key."""
        with self._mutex:
            found = {key: self._new[key] for key in keys if key in self._new}
        left = [key for key in dict.fromkeys(keys) if key not in found]
        if left:
            # A store that is damaged, locked or of another program is no reason not to split a text.
            with contextlib.suppress(StoreError, sqlite3.Error, OSError):
                stored = look_into(self._path, lambda connection: _read(connection, left))
                with self._mutex:
                    self._used |= stored.keys()
                found |= stored
        return found

    def keep(self, values: Mapping[str, str]) -> None:
        """Remember values, for good once the job of `writing` was done."""
        with self._mutex:
            self._new |= {key: value for key, value in values.items() if len(value) <= _MAX_VALUE_BYTES}

    def writing(self) -> Work | None:
        """A job for the store's thread that keeps what is new and notes what was used; None when there is neither.

        The job never fails: with a store that takes nothing, the run itself has enough to say.
        """
        with self._mutex:
            new, used = self._new, self._used
            self._new, self._used = {}, set()
        if not new and not used:
            return None

        def work(connection: sqlite3.Connection) -> None:
            with contextlib.suppress(sqlite3.Error):
                _write(connection, new, used)

        return work


def _read(connection: sqlite3.Connection, keys: Collection[str]) -> dict[str, str]:
    if format_of(connection) < 3:
        return {}
    rows = connection.execute(
        "SELECT key, value FROM texts WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(list(keys)),)
    ).fetchall()
    return {key: value for key, value in rows if isinstance(value, str)}


def _write(connection: sqlite3.Connection, new: Mapping[str, str], used: Collection[str]) -> None:
    (now,) = connection.execute("SELECT julianday('now')").fetchone()
    rows = [(key, value, len(value) + _KEY_BYTES, now) for key, value in new.items()]
    connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)", rows)
    connection.execute(
        "UPDATE texts SET used_at = ? WHERE key IN (SELECT value FROM json_each(?))", (now, json.dumps(sorted(used)))
    )
    if not new:
        return
    connection.execute(
        "DELETE FROM texts WHERE rowid IN (SELECT rowid FROM ("
        "SELECT rowid, sum(size) OVER (ORDER BY used_at DESC, rowid DESC) AS total FROM texts) WHERE total > ?)",
        (MAX_KEPT_BYTES,),
    )
