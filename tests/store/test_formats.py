"""A store of the first format goes on to be used; what calls took is kept and read back."""

from __future__ import annotations

import gzip
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import StoreError, StoreVersionError
from orchestrator.store import CallRecord, Writes, look_into, open_store
from orchestrator.store.reads import answers_by_recipe, chunks, find_answer, latest_run_id, recent_calls
from orchestrator.store.schema import SCHEMA_VERSION

FORMAT_1 = Path(__file__).with_name("format-1.db.gz")
"""Written by the first version: a run of three chunks, answered by the simulated runner."""


@pytest.fixture
def first_format(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    path.write_bytes(gzip.decompress(FORMAT_1.read_bytes()))
    path.chmod(0o600)
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_store_of_the_first_format_is_read_as_it_is(first_format: Path) -> None:
    """Looking at it changes not one byte, and finds its runs and answers; of calls nothing is known."""
    before = first_format.read_bytes()
    store = open_store(first_format)
    run_id = store.resolve("last")
    assert [chunk.chunk_id for chunk in store.chunks(run_id)] == ["first", "second", "summary"]
    assert store.ask(lambda connection: recent_calls(connection, runner="simulated", limit=9)) == []
    assert first_format.read_bytes() == before
    assert version(first_format) == 1


def test_a_run_brings_it_up_and_leaves_a_copy(first_format: Path) -> None:
    """Opened to be written, it has the new format, all that it held, and a copy beside it, for its owner only."""
    before = dump(first_format)
    old = open_store(first_format)
    run_id = old.resolve("last")
    kept = old.chunks(run_id)
    store = open_store(first_format, create=True)
    assert version(first_format) == SCHEMA_VERSION
    assert store.chunks(run_id) == kept
    assert store.ask(lambda connection: find_answer(connection, kept[0].fingerprint)) is not None
    copy = first_format.with_name("store.db.format-1")
    assert dump(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert open_store(copy).chunks(run_id) == kept
    assert sorted(path.name for path in first_format.parent.iterdir()) == ["store.db", "store.db.format-1"]


def test_no_copy_no_change(first_format: Path) -> None:
    """A store that cannot be copied is not touched, and the message says what stands in the way."""
    first_format.with_name("store.db.format-1.part").mkdir()
    with pytest.raises(StoreError, match="no copy of it can be made"):
        open_store(first_format, create=True)
    assert version(first_format) == 1


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    """A store of a version to come is neither read nor changed, whoever asks."""
    path = tmp_path / "store.db"
    open_store(path, create=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    for create in (False, True):
        with pytest.raises(StoreVersionError, match=f"format {SCHEMA_VERSION + 1}"):
            open_store(path, create=create)


def test_calls_are_kept_by_runner_and_model(tmp_path: Path) -> None:
    """Of each model the latest calls come back; those of another runner do not; a call that is not known adds none."""
    path = tmp_path / "store.db"
    store = open_store(path, create=True)
    thread = store.start_thread()
    records = [
        CallRecord(
            runner=runner,
            model=model,
            counted_tokens=at,
            input_tokens=2 * at,
            output_tokens=3,
            cost_usd=0.5,
            elapsed_s=1.0,
        )
        for at in range(5)
        for runner, model in (("claude", "opus"), ("claude", "haiku"), ("simulated", "opus"))
    ]
    errors: list[StoreError | None] = []
    for record in records:
        thread.submit(Writes.add_call(lambda record=record: record), lambda _, error: errors.append(error))
    thread.submit(Writes.add_call(lambda: None), lambda _, error: errors.append(error))
    thread.close()
    assert errors == [None] * 16
    found = store.ask(lambda connection: recent_calls(connection, runner="claude", limit=2))
    assert sorted((call.model, call.counted_tokens) for call in found) == [
        ("haiku", 3),
        ("haiku", 4),
        ("opus", 3),
        ("opus", 4),
    ]


def test_answers_are_found_by_what_they_were_made_of(first_format: Path) -> None:
    """What the answers to a recipe took, in a store of either format; nothing for recipes that nobody asked."""
    for create in (False, True):
        store = open_store(first_format, create=create)
        recipe = store.chunks(store.resolve("last"))[0].recipe
        found = store.ask(
            lambda connection, recipe=recipe: answers_by_recipe(
                connection, [recipe, "never"], runner="simulated", limit=5
            )
        )
        assert list(found) == [recipe]
        (took,) = found[recipe]
        assert took[0] > 0
        assert took[1] > 0


def test_looking_makes_no_store(tmp_path: Path) -> None:
    """Where there is no store, the answer is that of an empty one, and there still is none."""
    path = tmp_path / "folder" / "store.db"
    assert look_into(path, latest_run_id) is None
    assert look_into(path, lambda connection: chunks(connection, "r1")) == []
    assert list(tmp_path.iterdir()) == []
