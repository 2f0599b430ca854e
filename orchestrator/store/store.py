"""The store as others see it: a file to read from, and a thread to write through while a run goes on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.errors import StoreError, UnknownRunError
from orchestrator.store import reads
from orchestrator.store.lock import RunLock, holder_of, is_held
from orchestrator.store.records import AnswerRecord, AttemptRecord, ChunkRecord, RunRecord
from orchestrator.store.schema import connect, empty_store, remedy
from orchestrator.store.thread import StoreThread

T = TypeVar("T")

OWN_FOLDER = ".orchestrate"
"""The name of the folder that a store is in unless another is named."""


class Store:
    """One store file. Reading methods open the file, fetch, and close it again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._locks = path.with_name(path.name + ".locks")

    def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with closing(connect(self.path, create=False)) as connection:
            try:
                return question(connection)
            except sqlite3.Error as error:
                what = remedy(error, otherwise="name another with --store")
                raise StoreError(f"cannot read the store {self.path}: {error}; {what}") from error

    def resolve(self, run_id: str) -> str:
        """The id itself, or that of the latest run for "last". Raises `UnknownRunError`."""
        if run_id == "last":
            latest = self._read(reads.latest_run_id)
            if latest is None:
                raise UnknownRunError(run_id, store=self.path)
            return latest
        self.run(run_id)
        return run_id

    def latest_run_id(self) -> str | None:
        """The run that was begun last, or None."""
        return self._read(reads.latest_run_id)

    def run(self, run_id: str) -> RunRecord:
        """The run of this id. Raises `UnknownRunError`."""
        record = self._read(lambda connection: reads.run(connection, run_id))
        if record is None:
            raise UnknownRunError(run_id, store=self.path)
        return record

    def chunks(self, run_id: str) -> list[ChunkRecord]:
        """The chunks of a run, in plan order."""
        return self._read(lambda connection: reads.chunks(connection, run_id))

    def attempts(self, run_id: str) -> list[AttemptRecord]:
        """The attempts of a run that ended without an answer."""
        return self._read(lambda connection: reads.attempts(connection, run_id))

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """The stored events of a run, in order."""
        return self._read(lambda connection: reads.events(connection, run_id))

    def answer(self, answer_id: int) -> AnswerRecord | None:
        """The answer of this id, or None."""
        return self._read(lambda connection: reads.answer(connection, answer_id))

    def output_writers(self, path: Path) -> dict[str, str]:
        """The SHA-256 of everything that runs wrote to this file ("" for a growing one), and the kind of runner."""
        return self._read(lambda connection: reads.output_writers(connection, str(path)))

    def next_seq(self, run_id: str) -> int:
        """The number after the last stored event's."""
        return self._read(lambda connection: reads.next_seq(connection, run_id))

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to several questions asked over one connection."""
        return self._read(question)

    def is_held(self, run_id: str) -> bool:
        """Whether a live process is working on the run."""
        return is_held(self._locks, run_id)

    def going_on(self, *, name: str, runner: str) -> dict[str, str]:
        """The runs of the plan `name` with this kind of runner that live processes work on: run ids, and by whom."""
        runs = self._read(lambda connection: reads.running_runs(connection, name=name, runner=runner))
        held = {run_id: holder_of(self._locks, run_id) for run_id in runs}
        return {run_id: holder for run_id, holder in held.items() if holder}

    def lock(self, run_id: str) -> RunLock:
        """A lock on the run, not yet taken."""
        return RunLock(self._locks, run_id)

    def start_thread(self) -> StoreThread:
        """The one writer of this process. The caller closes it."""
        return StoreThread(self.path)


def look_into(path: Path, question: Callable[[sqlite3.Connection], T]) -> T:
    """The answer of the store at `path`, or of an empty one when there is none. Makes and changes nothing.

    Raises `StoreError` when the file cannot be used.
    """
    if path.exists() and path.stat().st_size:
        return Store(path.absolute()).ask(question)
    with closing(empty_store()) as connection:
        return question(connection)


def open_store(path: Path, *, create: bool = False) -> Store:
    """The store at `path`, checked. With `create`, folder and file are made (0700, 0600) when they are not there.

    Raises `StoreError` when there is none, or when it cannot be used.
    """
    path = path.absolute()
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder; name a file in it, such as --store {path / 'store.db'}")
    if create:
        try:
            _make_folder(path)
            # Made here so that the file never exists with wider permissions, whatever the umask.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(
                f"cannot open the store {path}: {error.strerror}; make it writable, or name another file with --store"
            ) from error
    connect(path, create=create).close()
    return Store(path)


def _make_folder(path: Path) -> None:
    """The folder of the store that is to be at `path`; one that we make ignores itself in git."""
    folder = path.parent
    is_new = not folder.is_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # another run may make it at this moment
    ignore = folder / ".gitignore"
    # A process may have been killed between the two: the folder that only we make is seen to until it has a store.
    if is_new or (folder.name == OWN_FOLDER and not path.exists()):
        descriptor = os.open(ignore, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("*\n")
