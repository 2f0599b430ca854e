"""Damaged stores, truly damaged: whatever stands outside the damaged place is saved, and nothing is made up."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator import SimulatedRunner, resume_run, run_plan
from orchestrator.errors import StoreError, StoreVersionError
from orchestrator.store import open_store
from orchestrator.store.damage import find_damage, repair
from orchestrator.store.pages import PAGE_BYTES
from orchestrator.store.salvage import NOT_SAVED, salvage
from orchestrator.store.schema import SCHEMA_VERSION

PLAN: dict[str, Any] = {
    "name": "damaged",
    "chunks": [{"id": f"c{number}", "prompt": f"Write {number}."} for number in range(40)],
}
LONG = "A long answer, on pages of its own. " * 700
TABLES = ("runs", "chunks", "attempts", "answers", "events", "outputs", "calls")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two runs, with an answer that takes several pages."""
    path = tmp_path_factory.mktemp("whole") / "store.db"
    for prompt in ("Write {}.", "Write {} again."):
        chunks = [{"id": each["id"], "prompt": prompt.format(each["id"])} for each in PLAN["chunks"]]
        run(path, {"name": "damaged", "chunks": chunks})
    return path


def run(path: Path, plan: dict[str, Any]) -> SimulatedRunner:
    runner = SimulatedRunner(latency_s=0, answers={"c7": LONG})
    run_plan(plan, runner=runner, store=path, output=path.with_name("out.md"))
    return runner


def rows(path: Path, table: str) -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute(f"SELECT * FROM {table}"))


def copy_of(whole: Path, folder: Path, content: bytes | None = None) -> Path:
    path = folder / "store.db"
    shutil.copy(whole, path)
    if content is not None:
        path.write_bytes(content)
    return path


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def zero(content: bytes, page: int) -> bytes:
    return content[: page * PAGE_BYTES] + bytes(PAGE_BYTES) + content[(page + 1) * PAGE_BYTES :]


def test_every_row_of_a_whole_store_is_read(whole: Path) -> None:
    """Page by page the same rows come out as SQLite gives, and nothing is called lost."""
    found = salvage(whole.read_bytes())
    for table in TABLES:
        assert {tuple(row.values()) for row in found.rows[table]} == rows(whole, table), table
    assert (found.answers_lost, found.runs_lost, found.runs, found.unread) == (0, (), (), 0)
    assert find_damage(whole) is None


def texts_of(content: bytes) -> dict[int, str]:
    return {row["answer_id"]: row["text"] for row in salvage(content).rows["answers"]}


def test_a_page_that_is_gone_takes_only_what_stood_in_it(whole: Path) -> None:
    """Each page of the file in turn is zeros: answers elsewhere are all saved, and each is what it was."""
    content = whole.read_bytes()
    before = texts_of(content)
    marks = {number: text[-60:].encode() for number, text in before.items()}
    heads = {number: text[:60].encode() for number, text in before.items()}
    saved_in_all = 0
    for page in range(len(content) // PAGE_BYTES):
        damaged = zero(content, page)
        after = texts_of(damaged)
        assert after.items() <= before.items()
        gone = content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
        # An answer that is lost had something of itself in that page, its head, its end or a part between them.
        for number in before.keys() - after.keys():
            assert marks[number] in gone or heads[number] in gone or LONG[700:760].encode() in gone, (page, number)
        saved_in_all += len(after)
    assert saved_in_all > (len(before) - 4) * (len(content) // PAGE_BYTES)


def test_a_cut_file_gives_what_stood_before_the_cut(whole: Path) -> None:
    """Cut at many lengths, also within a page: only answers that were there, and no fewer the longer it is."""
    content = whole.read_bytes()
    before = texts_of(content)
    counts = [0]
    for length in range(0, len(content), 3001):
        after = texts_of(content[:length])
        assert after.items() <= before.items()
        counts.append(len(after))
    assert counts[-1] >= len(before) - 8
    assert counts == sorted(counts)


def test_no_altered_answer_is_taken_for_an_answer(whole: Path) -> None:
    """One bit changed at 100 places, and noise over 30: whatever is saved is to the letter what was stored."""
    content = whole.read_bytes()
    before = texts_of(content)
    chance = random.Random(6)
    for _ in range(100):
        after = texts_of(flip(content, chance.randrange(len(content))))
        assert after.items() <= before.items()
        assert len(after) >= len(before) - 30
    for _ in range(30):
        place = chance.randrange(len(content))
        noise = chance.randbytes(chance.randrange(1, 5000))
        assert texts_of(content[:place] + noise + content[place + len(noise) :]).items() <= before.items()


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: zero(content, 0),
        lambda content: zero(content, len(content) // PAGE_BYTES // 2),
        lambda content: content[: len(content) * 2 // 3],
        lambda content: content.replace(b"The service keeps", b"The service keeqs", 1),
        lambda content: flip(content, 70),
        lambda content: flip(content, 61),
    ],
    ids=["header", "page", "cut", "letter", "application", "version"],
)
def test_a_repaired_store_is_whole_and_pays_only_for_what_was_lost(
    whole: Path, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    """The damaged file is kept; the new one is sound; the same plan again asks just for the answers that are gone."""
    content = harm(whole.read_bytes())
    path = copy_of(whole, tmp_path, content)
    damage = find_damage(path)
    assert damage is not None
    aside = repair(damage, at="20260101-000000")
    assert aside.name == "store.damaged-20260101-000000.db"
    assert aside.read_bytes() == content
    assert sorted(each.name for each in tmp_path.iterdir()) == [aside.name, path.name]
    assert find_damage(path) is None
    assert rows(path, "answers") <= rows(whole, "answers")
    again = [{"id": each["id"], "prompt": f"Write {each['id']}."} for each in PLAN["chunks"]]
    first = {chunk_id for number, *_, chunk_id, _, _ in sorted(rows(whole, "answers")) if number <= 40}
    saved = {chunk_id for number, *_, chunk_id, _, _ in rows(path, "answers") if number <= 40}
    assert {request.chunk_id for request in run(path, {"name": "damaged", "chunks": again}).requests} == first - saved


def test_a_run_that_lost_an_answer_can_be_resumed(whole: Path, tmp_path: Path) -> None:
    """It is stopped, with what it lost pending; going on asks for that alone and is complete."""
    content = whole.read_bytes()
    at = content.index(LONG[:60].encode())
    path = copy_of(whole, tmp_path, flip(content, at))
    damage = find_damage(path)
    assert damage is not None
    assert damage.salvage.answers_lost == 1
    run_id = damage.salvage.runs[0].run_id
    assert [each.chunks for each in damage.salvage.runs] == [("c7",)]
    repair(damage, at="1")
    store = open_store(path)
    assert store.run(run_id).state == "stopped"
    assert [chunk.chunk_id for chunk in store.chunks(run_id) if chunk.status != "succeeded"] == ["c7"]
    runner = SimulatedRunner(latency_s=0, answers={"c7": LONG})
    result = resume_run(run_id, runner=runner, store=path, output="-")
    assert (result.status, [request.chunk_id for request in runner.requests]) == ("complete", ["c7"])


def test_no_repair_under_a_run(whole: Path, tmp_path: Path) -> None:
    """A store that a process works with is left as it is."""
    path = copy_of(whole, tmp_path)
    content = zero(path.read_bytes(), 5)
    store = open_store(path)
    with store.lock("r1"):
        path.write_bytes(content)
        damage = find_damage(path)
        assert damage is not None
        with pytest.raises(StoreError, match="working on the run r1"):
            repair(damage, at="1")
    assert path.read_bytes() == content


def test_what_never_was_a_store_is_left_alone(tmp_path: Path) -> None:
    """Neither a text nor the database of another program is repaired; nor is a store of a version to come."""
    path = tmp_path / "store.db"
    path.write_bytes(b"just a text, and long enough to be a database " * 500)
    with pytest.raises(StoreError, match="not a store"):
        find_damage(path)
    path.unlink()
    open_store(path, create=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreVersionError):
        find_damage(path)


def test_a_run_that_meets_a_damaged_store_names_the_remedy(whole: Path, tmp_path: Path) -> None:
    """Whoever opens or reads it is told of `doctor`."""
    content = whole.read_bytes()
    for page in range(1, len(content) // PAGE_BYTES):
        path = copy_of(whole, tmp_path, content[: page * PAGE_BYTES])
        with pytest.raises(StoreError, match="doctor --repair"):
            run(path, PLAN)
        if page > 3:
            break


def test_tables_that_are_not_saved_are_there_and_empty(whole: Path, tmp_path: Path) -> None:
    """What is found out anew is not taken from a damaged file."""
    path = copy_of(whole, tmp_path, zero(whole.read_bytes(), 0))
    damage = find_damage(path)
    assert damage is not None
    repair(damage, at="1")
    assert [rows(path, table) for table in NOT_SAVED] == [set(), set()]
