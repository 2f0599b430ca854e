"""A store of the first format, and a kill, a failing disk or a full one at any step while it is brought up."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.store.schema import SCHEMA_VERSION
from tests.cli.forked import Forge
from tests.end_to_end.crashed import STORE, Place, digest_of_files, forge, opened, watched
from tests.store.test_formats import FORMAT_1

PLAN = "chunks: [{id: only, prompt: Once.}]\nstitch: {output: out.md}\n"
BACKUP = STORE.with_name("store.db.format-1")


@pytest.fixture(scope="module")
def forging() -> Iterator[Forge]:
    made = forge()
    yield made
    made.close()


@pytest.fixture
def place(forging: Forge, tmp_path: Path) -> Place:
    """A folder with a plan and an old store."""
    made = Place(forging, tmp_path / "work", PLAN)
    (made.folder / STORE).parent.mkdir(mode=0o700)
    (made.folder / STORE).write_bytes(gzip.decompress(FORMAT_1.read_bytes()))
    return made


def content(folder: Path, name: Path) -> tuple[int, list[tuple[object, ...]]]:
    """The format of a store and the answers of the old one."""
    with closing(sqlite3.connect(folder / name)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        columns = "answer_id, fingerprint, text, run_id, chunk_id"
        return version, connection.execute(f"SELECT {columns} FROM answers WHERE answer_id <= 3").fetchall()


def test_a_kill_at_any_step_of_it(place: Place, tmp_path: Path) -> None:
    """The store is of the one format or the other, with all it held; the next run brings it up, with the backup."""
    old = content(place.folder, STORE)
    assert old[0] == 1
    assert len(old[1]) == 3
    states: dict[object, Path] = {}
    for copy in watched(place, tmp_path / "copies"):
        with opened(copy) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        assert content(copy, STORE) == (version, old[1])
        if version == SCHEMA_VERSION:
            # What is brought up has its backup, whole.
            assert content(copy, BACKUP) == old
        else:
            assert version == 1
            states[digest_of_files(copy), (copy / BACKUP).exists(), (copy / f"{BACKUP}.part").exists()] = copy
    assert len(states) >= 3
    for copy in states.values():
        place.put_back(copy)
        assert place.begin().code == 0
        assert content(place.folder, STORE) == (SCHEMA_VERSION, old[1])
        assert content(place.folder, BACKUP) == old
        assert not (place.folder / f"{BACKUP}.part").exists()


@pytest.mark.parametrize(
    "trouble", ["ENOSPC:make store.db.format", "EIO:write sqlite", "ENOSPC:write sqlite", "EIO:rename store.db.format"]
)
def test_no_room_for_the_copy(place: Place, trouble: str) -> None:
    """Exit code 3, with what to do; the store is as it was, and is brought up once there is room."""
    old = content(place.folder, STORE)
    ended = place.begin(trouble=trouble)
    assert ended.code == 3, ended.stdout
    assert "no copy of it can be made" in ended.stderr
    assert "free space" in ended.stderr
    assert content(place.folder, STORE) == old
    assert ended.calls == []
    assert not (place.folder / f"{BACKUP}.part").exists()
    assert place.begin().code == 0
    assert content(place.folder, STORE) == (SCHEMA_VERSION, old[1])
