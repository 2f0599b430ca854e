"""Finding out whether a store is damaged, and putting what can be saved of it in its place."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

from orchestrator.errors import StoreError, StoreVersionError
from orchestrator.store.lock import is_held
from orchestrator.store.pages import PAGE_BYTES
from orchestrator.store.records import AnswerRecord, digest_of
from orchestrator.store.salvage import Salvage, fill, is_store, salvage
from orchestrator.store.schema import (
    APPLICATION_ID,
    BUSY_TIMEOUT_S,
    SCHEMA_VERSION,
    connect,
    empty_store,
    format_of,
    is_damage,
    remedy,
)

_NO_VERSION = 1000
"""A number of a format that no version will have: it is damage, and not a store from the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What is wrong with a store, in `said`, and what can be saved of it."""

    path: Path
    said: str
    salvage: Salvage


def find_damage(path: Path) -> Damage | None:
    """What is wrong with the store at `path`, None when it is whole.

    All of it is read. Raises `StoreError` when it cannot be looked at now, is of a newer version, or never was a store.
    """
    said = _said_of(path)
    if not said:
        return None
    try:
        found = salvage(_content(path))
    except OSError as error:
        raise StoreError(f"cannot read the store {path}: {error.strerror}") from error
    if not is_store(found):
        raise StoreError(f"{path} is not a store of orchestrate ({said}); name another file with --store")
    return Damage(path=path, said=said, salvage=found)


def repair(damage: Damage, *, at: str) -> Path:
    """Put what is saved in the place of the damaged file, and return where that lies now, with `at` in its name.

    The store is the damaged one or the new one at any moment, whatever happens. Raises `StoreError` when a process
    works with it, or when the new one cannot be written.
    """
    path = damage.path
    locks = path.with_name(f"{path.name}.locks")
    for lock in locks.glob("*.lock"):
        if is_held(locks, lock.stem):
            raise StoreError(f"a process is working on the run {lock.stem} in {path}; end it first")
    new = path.with_name(f"{path.name}.saved.part")
    try:
        _write(new, damage.salvage)
        aside = _move_aside(path, at=at)
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(f"cannot write a new store beside {path}: {why}; free space there and try again") from error
    finally:
        for left in (new, new.with_name(f"{new.name}-journal")):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
    return aside


def _said_of(path: Path) -> str:
    """What is wrong, in words; "" when nothing is. Raises `StoreError` when that cannot be told."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            version = format_of(connection)
            if SCHEMA_VERSION < version < _NO_VERSION:
                raise StoreVersionError(path, found=version, supported=SCHEMA_VERSION)
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                return " ".join(said.split())
            return _said_of_content(connection, version)
    except sqlite3.Error as error:
        if is_damage(error) or isinstance(error, sqlite3.IntegrityError):
            return str(error)
        what = remedy(error, otherwise="put that right")
        raise StoreError(f"cannot look at the store {path}: {error}; {what}") from error


def _said_of_content(connection: sqlite3.Connection, version: int) -> str:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = _tables(connection)
    if not tables and version == 0:
        return ""
    if application != APPLICATION_ID or not 0 < version < _NO_VERSION:
        return "its header is not that of a store"
    if version < SCHEMA_VERSION:
        return ""
    with closing(empty_store()) as whole:
        if _tables(whole) != tables:
            return "its tables are not those of a store"
    names = [field.name for field in fields(AnswerRecord)]
    for *values, known in connection.execute(f"SELECT {', '.join(names)}, digest FROM answers WHERE digest <> ''"):
        if digest_of(AnswerRecord(**dict(zip(names, values, strict=True)))) != known:
            return f"the answer {values[0]} is not as it was stored"
    return ""


def _tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_master WHERE sql <> '' ORDER BY name").fetchall()


def _content(path: Path) -> bytes:
    """The file, with zeros where the disk does not give it back."""
    try:
        return path.read_bytes()
    except OSError:
        parts: list[bytes] = []
        with path.open("rb", buffering=0) as file:
            for at in range(0, path.stat().st_size, PAGE_BYTES):
                try:
                    file.seek(at)
                    parts.append(file.read(PAGE_BYTES))
                except OSError:
                    parts.append(bytes(PAGE_BYTES))
        return b"".join(parts)


def _write(new: Path, saved: Salvage) -> None:
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(connect(new, create=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        fill(connection, saved.rows)
        connection.execute("COMMIT")


def _move_aside(path: Path, *, at: str) -> Path:
    """Give the damaged file another name as well, and take its journal away: it belongs to that file alone."""
    aside = path.with_name(f"{path.stem}.damaged-{at}{path.suffix}")
    try:
        os.link(path, aside)
    except FileExistsError:
        raise
    except OSError:
        # Not every file system knows a second name for a file.
        shutil.copy2(path, aside)
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        journal.rename(aside.with_name(f"{aside.name}-journal"))
    return aside
