"""The tables, and the check that a file is a store this version can use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orchestrator.errors import StoreError, StoreVersionError

SCHEMA_VERSION = 1
"""Kept in `PRAGMA user_version`; a store of a higher version is refused."""

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


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """A connection to the store at `path`, its tables made when `create` is set and the file is new.

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
        raise StoreError(
            f"cannot use the store {path}: {error}; move the file away or name another one with --store"
        ) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _ensure_tables(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        raise StoreVersionError(path, found=version, supported=SCHEMA_VERSION)
    if version == 0 and create:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # A second process may have made the tables while this one waited for the lock.
            if _pragma(connection, "user_version") == 0:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise StoreError(f"{path} is a database of another program; name another file with --store")
                for statement in TABLES.split(";\n"):
                    if statement.strip():
                        connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    if version == 0 and not create and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"the store {path} is empty; run a plan first, or name another file with --store")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is not a store of orchestrate; name another file with --store")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
