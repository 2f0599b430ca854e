"""The tables, and the check that a file is a store this version can use."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from orchestrator.errors import StoreError, StoreVersionError

SCHEMA_VERSION = 4
"""Kept in `PRAGMA user_version`; a store of a higher version is refused.

A store of a lower one is brought up to this the first time that a run writes to it, once a copy of the file lies
beside it. Until then it is read as it is, so that looking at a store never changes it.
"""

APPLICATION_ID = 0x6F726368
""""orch" in ASCII, in `PRAGMA application_id`: tells a store from any other SQLite file."""

BUSY_TIMEOUT_S = 10.0
"""How long a second process waits for the first one's commit before it gives up."""

TABLES = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, name TEXT NOT NULL, plan_path TEXT, base_dir TEXT, source TEXT NOT NULL,
    inputs TEXT NOT NULL, files TEXT NOT NULL, options TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, elapsed_s REAL NOT NULL, result_path TEXT
);
CREATE INDEX runs_by_name ON runs (name);
CREATE TABLE chunks (
    run_id TEXT NOT NULL, chunk_id TEXT NOT NULL, position INTEGER NOT NULL, status TEXT NOT NULL,
    attempts INTEGER NOT NULL, why TEXT NOT NULL, recipe TEXT NOT NULL, fingerprint TEXT NOT NULL,
    answer_id INTEGER, reused_from TEXT NOT NULL, error_type TEXT NOT NULL, message TEXT NOT NULL,
    because TEXT NOT NULL, elapsed_s REAL NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL, model TEXT NOT NULL,
    PRIMARY KEY (run_id, chunk_id)
) WITHOUT ROWID;
CREATE TABLE attempts (
    run_id TEXT NOT NULL, chunk_id TEXT NOT NULL, attempt INTEGER NOT NULL, at TEXT NOT NULL,
    error_type TEXT NOT NULL, message TEXT NOT NULL, elapsed_s REAL NOT NULL, cost_usd REAL NOT NULL,
    evidence TEXT NOT NULL
);
CREATE INDEX attempts_by_chunk ON attempts (run_id, chunk_id);
CREATE TABLE answers (
    answer_id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, runner TEXT NOT NULL, text TEXT NOT NULL,
    model TEXT NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL,
    elapsed_s REAL NOT NULL, session_id TEXT NOT NULL, run_id TEXT NOT NULL, chunk_id TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX answers_by_fingerprint ON answers (fingerprint);
CREATE TABLE events (
    run_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
CREATE TABLE outputs (
    path TEXT NOT NULL, sha256 TEXT NOT NULL, run_id TEXT NOT NULL, PRIMARY KEY (path, sha256)
) WITHOUT ROWID;
"""

SINCE_VERSION = {
    2: """
CREATE TABLE calls (
    runner TEXT NOT NULL, model TEXT NOT NULL, counted_tokens INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL, elapsed_s REAL NOT NULL
);
CREATE INDEX calls_by_model ON calls (runner, model);
CREATE INDEX chunks_by_recipe ON chunks (recipe);
""",
    3: """
CREATE TABLE beginnings (
    fingerprint TEXT PRIMARY KEY, text TEXT NOT NULL, cuts INTEGER NOT NULL, run_id TEXT NOT NULL,
    created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE texts (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, size INTEGER NOT NULL, used_at REAL NOT NULL
);
CREATE INDEX texts_by_use ON texts (used_at);
""",
    4: """
ALTER TABLE answers ADD COLUMN digest TEXT NOT NULL DEFAULT '';
""",
}
"""What each version added to `TABLES`, which are those of version 1."""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """A connection to the store at `path`.

    With `create` the tables of a new file are made, and those of an earlier version are brought up.

    Raises `StoreError` when there is no store, when the file is something else, or when it cannot be used.
    """
    if not create and not path.exists():
        raise StoreError(f"there is no store at {path}; run a plan first, or name another file with --store")
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open the store {path}: {error}; name another file with --store") from error
    try:
        # EXTRA and not FULL: FULL does not sync the folder after the rollback journal is unlinked, so that a power
        # cut could bring the journal back and undo a commit that was already announced.
        connection.execute("PRAGMA synchronous = EXTRA")
        _ensure_tables(connection, path, create=create)
    except sqlite3.Error as error:
        connection.close()
        what = remedy(error, otherwise="move the file away")
        raise StoreError(f"cannot use the store {path}: {error}; {what} or name another one with --store") from error
    except StoreError:
        connection.close()
        raise
    return connection


def remedy(error: Exception, *, otherwise: str) -> str:
    """What to do about a store that cannot be used, by what SQLite says of it."""
    said = str(error)
    if "readonly" in said:
        return "make the file and its folder writable"
    if "locked" in said:
        return "wait until no other process writes to it"
    if "unable to open" in said:
        return "see that its folder is there, can be written to and has space"
    if is_damage(error):
        return "`orchestrate doctor --repair` saves what can be read of it"
    return "free space there" if "full" in said or "I/O" in said else otherwise


def is_damage(error: Exception) -> bool:
    """Whether what SQLite says tells of a file with wrong content, and not of a disk or another process."""
    return any(each in str(error) for each in ("malformed", "not a database", "corrupt", "decode to UTF-8"))


def _ensure_tables(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        raise StoreVersionError(path, found=version, supported=SCHEMA_VERSION)
    if version == 0 and not create and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"the store {path} is empty; run a plan first, or name another file with --store")
    if version == 0 and create:
        _in_transaction(connection, lambda: _make_tables(connection, path))
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is not a store of orchestrate; name another file with --store")
    if create and 0 < version < SCHEMA_VERSION:
        _in_transaction(connection, lambda: _bring_up(connection, path))


def _in_transaction(connection: sqlite3.Connection, change: Callable[[], None]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        change()
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself takes a transaction back when the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    # A second process may have made the tables while this one waited for the lock.
    if _pragma(connection, "user_version") != 0:
        return
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{path} is a database of another program; name another file with --store")
    for script in (TABLES, *SINCE_VERSION.values()):
        _execute_all(connection, script)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _bring_up(connection: sqlite3.Connection, path: Path) -> None:
    # The same holds here: the lock is what tells that nobody did it meanwhile.
    version = _pragma(connection, "user_version")
    if version == SCHEMA_VERSION:
        return
    _copy(path, backup_path(path, version=version))
    for script in (script for since, script in SINCE_VERSION.items() if since > version):
        _execute_all(connection, script)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def backup_path(path: Path, *, version: int) -> Path:
    """Where the copy of a store lies that was of this version before it was brought up."""
    return path.with_name(f"{path.name}.format-{version}")


def _copy(path: Path, copy: Path) -> None:
    """Copy a store that nobody writes to meanwhile; the copy is whole, or not there under its name."""
    unfinished = copy.with_name(f"{copy.name}.part")
    try:
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
                source.backup(target)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.replace(copy)
    except (OSError, sqlite3.Error) as error:
        # Half a copy would take up what space is left.
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(
            f"the store {path} is of an earlier format, and no copy of it can be made at {copy}: {why}; "
            "free space there, or name another file with --store"
        ) from error


def _execute_all(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def format_of(connection: sqlite3.Connection) -> int:
    """The version of an open store: one that is only read may be an earlier one, without the tables added since."""
    return _pragma(connection, "user_version")


def empty_store() -> sqlite3.Connection:
    """A store in memory that holds nothing, for questions that are asked before there is any file."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for script in (TABLES, *SINCE_VERSION.values()):
        _execute_all(connection, script)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return connection
