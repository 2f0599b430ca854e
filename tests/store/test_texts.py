"""What was found out about texts is kept for the next run, within bounds, and hurts nobody when it is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import StoreError
from orchestrator.store import StoredTexts, open_store
from orchestrator.store.schema import APPLICATION_ID, SCHEMA_VERSION, SINCE_VERSION, TABLES
from orchestrator.store.texts import MAX_KEPT_BYTES


def write(path: Path, texts: StoredTexts) -> list[StoreError | None]:
    """Have it written as a run does. Returns what the jobs ended with."""
    thread = open_store(path, create=True).start_thread()
    errors: list[StoreError | None] = []
    job = texts.writing()
    if job is not None:
        thread.submit(job, lambda _, error: errors.append(error))
    thread.close()
    return errors


@pytest.fixture
def second_format(tmp_path: Path) -> Path:
    """A store as the version before this table made it."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES + SINCE_VERSION[2])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 2")
    return path


def test_kept_for_the_next_process(tmp_path: Path) -> None:
    """Known at once to the one that found it out, and to others once it was written; written once."""
    path = tmp_path / "store.db"
    texts = StoredTexts(path)
    texts.keep({"a": "1", "b": "2"})
    assert texts.find(["a", "c"]) == {"a": "1"}
    assert list(tmp_path.iterdir()) == []
    assert write(path, texts) == [None]
    assert texts.writing() is None
    assert StoredTexts(path).find(["a", "b", "c"]) == {"a": "1", "b": "2"}


def test_looking_writes_nothing(second_format: Path) -> None:
    """A store of an earlier format is asked in vain, and not one byte of it changes; nor is one made."""
    before = second_format.read_bytes()
    texts = StoredTexts(second_format)
    assert texts.find(["a"]) == {}
    texts.keep({"a": "1"})
    assert second_format.read_bytes() == before
    missing = second_format.with_name("none.db")
    assert StoredTexts(missing).find(["a"]) == {}
    assert not missing.exists()


def test_a_run_brings_a_store_of_format_2_up(second_format: Path) -> None:
    """What a run found out is kept in it from then on, and a copy lies beside it."""
    texts = StoredTexts(second_format)
    texts.keep({"a": "1"})
    assert write(second_format, texts) == [None]
    assert StoredTexts(second_format).find(["a"]) == {"a": "1"}
    with closing(sqlite3.connect(second_format)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert second_format.with_name("store.db.format-2").exists()


def test_bounded_by_what_was_used_last(tmp_path: Path) -> None:
    """What was not used longest goes first; a value out of all proportion is not kept at all."""
    path, value = tmp_path / "store.db", "x" * (MAX_KEPT_BYTES // 10)
    for number in range(9):
        texts = StoredTexts(path)
        texts.keep({f"k{number}": value, "huge": value * 9})
        write(path, texts)
    used = StoredTexts(path)
    assert used.find(["k0"])
    used.keep({"k9": value, "k10": value})
    write(path, used)
    left = StoredTexts(path).find([f"k{number}" for number in range(11)] + ["huge"])
    assert sorted(left) == ["k0", "k10", *(f"k{number}" for number in range(3, 10))]


@pytest.mark.parametrize("damage", ["DROP TABLE texts", "ALTER TABLE texts DROP COLUMN size", "text"])
def test_a_damaged_cache_hurts_nobody(damage: str, tmp_path: Path) -> None:
    """Nothing is found, and writing to it fails no job of the run."""
    path = tmp_path / "store.db"
    texts = StoredTexts(path)
    texts.keep({"a": "1"})
    write(path, texts)
    with closing(sqlite3.connect(path)) as connection:
        if damage == "text":
            connection.execute("UPDATE texts SET value = x'00ff'")
        else:
            connection.execute("DROP INDEX texts_by_use")
            connection.execute(damage)
        connection.commit()
    again = StoredTexts(path)
    assert again.find(["a"]) == ({"a": "1"} if "COLUMN" in damage else {})
    again.keep({"b": "2"})
    assert write(path, again) == [None]


def test_no_store_at_all(tmp_path: Path) -> None:
    """A file of something else, and a folder, are no caches, and no errors."""
    path = tmp_path / "store.db"
    path.write_text("This is no database. " * 99)
    assert StoredTexts(path).find(["a"]) == {}
    assert StoredTexts(tmp_path).find(["a"]) == {}
