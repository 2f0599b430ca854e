"""The store on real files, with real processes beside it."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StoreError, StoreLockedError, StoreVersionError, UnknownRunError
from orchestrator.store import AnswerRecord, ChunkRecord, Connection, RunRecord, Store, Writes, open_store
from orchestrator.store.reads import find_answer
from orchestrator.store.thread import Work


def run_record(run_id: str = "r1", **changes: Any) -> RunRecord:
    """A run as it is stored."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "name": "guide",
        "plan_path": "/plans/guide.yaml",
        "base_dir": "/plans",
        "source": "chunks: []",
        "inputs": {"a": {"given": "set", "sha256": "00", "text": "ü"}},
        "files": {"/plans/a.md": "11"},
        "options": {"runner": "simulated", "only": ["x"]},
        "state": "running",
        "reason": "",
        "created_at": f"2026-01-01T00:00:00.00{run_id[-1]}Z",
        "updated_at": "2026-01-01T00:00:00.000Z",
        "elapsed_s": 0.0,
        "result_path": None,
    }
    return RunRecord(**(values | changes))


def answer_record(fingerprint: str, text: str, **changes: Any) -> AnswerRecord:
    """An answer before it is stored."""
    values: dict[str, Any] = {
        "runner": "simulated",
        "model": "m",
        "input_tokens": 3,
        "output_tokens": 2,
        "cost_usd": 0.5,
        "elapsed_s": 1.5,
        "session_id": "s",
        "run_id": "r1",
        "chunk_id": "a",
        "created_at": "2026-01-01T00:00:00.000Z",
    }
    return AnswerRecord(fingerprint=fingerprint, text=text, **(values | changes))


def do(store: Store, *works: Work) -> list[Any]:
    """Run jobs through the store's thread; returns their values, raises their error."""
    thread = store.start_thread()
    outcomes: list[tuple[Any, StoreError | None]] = []
    try:
        for work in works:
            thread.submit(work, lambda value, error: outcomes.append((value, error)))
    finally:
        thread.close()
    for _, error in outcomes:
        if error:
            raise error
    return [value for value, _ in outcomes]


def test_a_run_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    """Records survive the round trip, chunks in plan order."""
    store = open_store(tmp_path / "s" / "store.db", create=True)
    chunks = [ChunkRecord(chunk_id=name, position=index, status="pending") for index, name in enumerate("ba")]
    do(store, Writes.create_run(run_record(), chunks))
    assert store.run("r1") == run_record()
    assert store.chunks("r1") == chunks
    assert store.latest_run_id() == store.resolve("last") == "r1"
    with pytest.raises(UnknownRunError):
        store.run("r2")


def test_the_latest_allowed_answer_to_a_fingerprint_is_found(tmp_path: Path) -> None:
    """A later answer replaces an earlier one; an age limit leaves out what is too old."""
    store = open_store(tmp_path / "store.db", create=True)
    chunk = ChunkRecord(chunk_id="a", position=0, status="succeeded")
    first = answer_record("f", "old")
    second = answer_record("f", "new", created_at="2026-02-01T00:00:00.000Z")
    ids = do(store, *(Writes.put_answered_chunk("r1", chunk, each) for each in (first, second)))
    found = store.ask(lambda connection: find_answer(connection, "f"))
    assert found is not None
    assert (found.text, found.answer_id) == ("new", ids[1])
    assert store.chunks("r1")[0].answer_id == ids[1]
    assert store.ask(lambda connection: find_answer(connection, "f", not_before="2026-03")) is None
    assert store.ask(lambda connection: find_answer(connection, "g")) is None


def test_folder_and_file_are_for_the_owner_alone(tmp_path: Path) -> None:
    """0700 and 0600 whatever the umask; a folder that we make ignores itself in git, one that was there is left."""
    before = os.umask(0)
    try:
        open_store(tmp_path / "new" / "store.db", create=True)
        open_store(tmp_path / "store.db", create=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "store.db").stat().st_mode) == 0o600
    assert (tmp_path / "new" / ".gitignore").read_text() == "*\n"
    assert not (tmp_path / ".gitignore").exists()


def test_files_that_come_later_are_for_the_owner_alone(tmp_path: Path) -> None:
    """The journal of a write under way and the lock of a run too, whatever the umask."""
    before = os.umask(0)
    try:
        store = open_store(tmp_path / "new" / "store.db", create=True)
        with store.lock("r1"), closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("PRAGMA user_version = 1")
            paths = {path.relative_to(tmp_path / "new").as_posix(): path for path in (tmp_path / "new").rglob("*")}
            modes = {name: stat.S_IMODE(path.stat().st_mode) for name, path in paths.items()}
            connection.execute("ROLLBACK")
    finally:
        os.umask(before)
    assert modes == {
        ".gitignore": 0o600, "store.db": 0o600, "store.db-journal": 0o600, "store.db.locks": 0o700,
        "store.db.locks/r1.lock": 0o600,
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"not a database, just text that is long enough to be one" * 100, b"SQLite"])
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """One clear error, and not a byte of the file changed."""
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"store\.db"):
        open_store(path, create=True)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """No table of ours is put among those of others."""
    path = tmp_path / "store.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="another program"):
        open_store(path, create=True)


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """With both versions in the error."""
    path = tmp_path / "store.db"
    open_store(path, create=True)
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreVersionError, match="99"):
        open_store(path, create=True)


def test_reading_needs_a_store(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    with pytest.raises(StoreError, match="run a plan first"):
        open_store(tmp_path / "store.db")
    assert list(tmp_path.iterdir()) == []


def test_jobs_that_share_a_commit_are_stored_with_all_of_it_or_not_at_all(tmp_path: Path) -> None:
    """A job that fails takes its neighbours in the same commit with it, and each is told."""
    store = open_store(tmp_path / "store.db", create=True)
    thread = store.start_thread()
    errors: list[StoreError | None] = []
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        entered.set()
        go_on.wait(10)

    def note(_: object, error: StoreError | None) -> None:
        errors.append(error)

    thread.submit(hold, note)
    assert entered.wait(10)
    for seq in (0, 1, 1):
        thread.submit(Writes.add_event("r1", seq, "{}"), note)
    go_on.set()
    thread.close()
    assert errors[0] is None
    assert [isinstance(error, StoreError) for error in errors[1:]] == [True, True, True]
    assert store.events("r1") == []


def test_a_job_that_stumbles_over_anything_is_told_and_the_thread_lives_on(tmp_path: Path) -> None:
    """Half a character can not be stored: an error for its own commit, nothing for the next."""
    store = open_store(tmp_path / "store.db", create=True)
    with pytest.raises(StoreError, match="surrogates"):
        do(store, Writes.add_event("r1", 0, "\ud800"))
    thread = store.start_thread()
    outcomes: list[StoreError | None] = []
    done = threading.Event()

    def note(_: object, error: StoreError | None) -> None:
        outcomes.append(error)
        if len(outcomes) == 2:
            done.set()

    thread.submit(Writes.add_event("r1", 0, "\ud800"), note)
    assert done.wait(0.2) is False
    thread.submit(Writes.add_event("r1", 0, "{}"), note)
    assert done.wait(10)
    thread.close()
    assert isinstance(outcomes[0], StoreError)
    assert outcomes[1] is None


def test_two_processes_make_one_store_together(tmp_path: Path) -> None:
    """Both open and write at once; nothing is lost."""
    path = tmp_path / "new" / "store.db"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_events, args=(path, f"r{number}")) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [len(open_store(path).events(f"r{number}")) for number in range(3)] == [50, 50, 50]


def _write_events(path: Path, run_id: str) -> None:
    store = open_store(path, create=True)
    for seq in range(50):
        do(store, Writes.add_event(run_id, seq, "{}"))


def test_a_run_is_held_by_one_process_until_it_dies(tmp_path: Path) -> None:
    """The second is told who holds it; after a kill -9 the lock is free at once."""
    store = open_store(tmp_path / "store.db", create=True)
    holder = _start_holder(store.path)
    assert store.is_held("r1")
    with pytest.raises(StoreLockedError, match=f"process {holder.pid} "):
        store.lock("r1").acquire()
    holder.kill()
    holder.communicate()
    assert not store.is_held("r1")
    with store.lock("r1"):
        assert store.is_held("r1")
    assert not store.is_held("r1")


def test_a_lock_file_left_behind_holds_nobody_off(tmp_path: Path) -> None:
    """Its holder died and its process id was given to another process, which is alive: the lock is free all the same.

    Whoever takes a lock clears away those of the dead, and leaves those of the living.
    """
    store = open_store(tmp_path / "store.db", create=True)
    locks = tmp_path / "store.db.locks"
    locks.mkdir()
    left = json.dumps({"pid": os.getppid(), "host": socket.gethostname()})
    for run_id in ("r1", "r2"):
        (locks / f"{run_id}.lock").write_text(left)
    assert not store.is_held("r1")
    with store.lock("r3"), store.lock("r1"):
        assert sorted(path.name for path in locks.iterdir()) == ["r1.lock", "r3.lock"]
        assert json.loads((locks / "r1.lock").read_text())["pid"] == os.getpid()
    assert list(locks.iterdir()) == []


def _start_holder(path: Path) -> subprocess.Popen[str]:
    code = (
        "import sys; from pathlib import Path\nfrom orchestrator.store import open_store\n"
        f"lock = open_store(Path({str(path)!r})).lock('r1'); lock.acquire()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def _full_disk_jobs() -> Callable[[int], Work]:
    return lambda seq: Writes.add_event("r1", seq, "x" * 100_000)


def test_a_full_store_is_an_error_and_keeps_what_was_committed(tmp_path: Path) -> None:
    """When the database may not grow any more, earlier commits stay and the job is told."""
    store = open_store(tmp_path / "store.db", create=True)
    job = _full_disk_jobs()
    do(store, job(0))
    with pytest.raises(StoreError, match="free space"):
        do(store, lambda connection: connection.execute("PRAGMA max_page_count = 1"), *map(job, range(1, 40)))
    assert len(store.ask(lambda connection: connection.execute("SELECT seq FROM events").fetchall())) >= 1


def test_who_has_stored_nothing_yet_is_not_told_to_resume(tmp_path: Path) -> None:
    """Before the first commit there may be no run that could be resumed."""

    def fill(connection: Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")
        _full_disk_jobs()(2)(connection)

    store = open_store(tmp_path / "store.db", create=True)
    with pytest.raises(StoreError, match="free space there, then try again"):
        do(store, fill)
    thread = store.start_thread()
    ended: queue.SimpleQueue[StoreError | None] = queue.SimpleQueue()
    try:
        for work in (_full_disk_jobs()(1), fill):
            thread.submit(work, lambda _, error: ended.put(error))
            error = ended.get(timeout=30)
        assert str(error).endswith("free space there, then resume the run")
    finally:
        thread.close()


def test_a_lock_that_is_only_tried_waits_for_nobody(tmp_path: Path) -> None:
    """It is taken or it is not; after a release the next may have it, and nothing is left of it."""
    store = open_store(tmp_path / "store.db", create=True)
    with store.lock("r1"):
        one, two = store.lock("f1"), store.lock("f1")
        assert one.try_acquire()
        assert not two.try_acquire()
        one.release()
        assert two.try_acquire()
        two.release()
    assert list(store.path.with_name(store.path.name + ".locks").iterdir()) == []
