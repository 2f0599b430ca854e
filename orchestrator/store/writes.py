"""Every change to the store, as jobs for `StoreThread`. After a job's `done` was called without error, what it wrote
survives a crash of the process and of the machine; a job that shares its commit with others is stored with all of
them or not at all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields, replace
from operator import attrgetter
from typing import Any

from orchestrator.store.records import (
    AnswerRecord,
    AttemptRecord,
    BeginningRecord,
    CallRecord,
    ChunkRecord,
    RunRecord,
    RunState,
    digest_of,
)
from orchestrator.store.thread import Work

_CHUNK_COLUMNS = [field.name for field in fields(ChunkRecord)]
_ANSWER_COLUMNS = [field.name for field in fields(AnswerRecord) if field.name != "answer_id"]
# These rows are written thousands of times a run; `astuple` would copy every value deeply.
_chunk_row: Callable[[ChunkRecord], tuple[Any, ...]] = attrgetter(*_CHUNK_COLUMNS)
_attempt_row: Callable[[AttemptRecord], tuple[Any, ...]] = attrgetter(
    *(field.name for field in fields(AttemptRecord) if field.name != "evidence")
)
_answer_row: Callable[[AnswerRecord], tuple[Any, ...]] = attrgetter(*_ANSWER_COLUMNS)
_UPSERT_CHUNK = (
    f"INSERT OR REPLACE INTO chunks (run_id, {', '.join(_CHUNK_COLUMNS)}) VALUES (?{', ?' * len(_CHUNK_COLUMNS)})"
)
_INSERT_ANSWER = f"INSERT INTO answers ({', '.join(_ANSWER_COLUMNS)}, digest) VALUES ({'?, ' * len(_ANSWER_COLUMNS)}?)"


class Writes:
    """Makes jobs. Nothing happens until a `StoreThread` runs them."""

    @staticmethod
    def create_run(record: RunRecord, chunks: Sequence[ChunkRecord]) -> Work:
        """A new run and its chunks. The job fails when the id is taken."""
        row = (
            record.run_id,
            record.name,
            record.plan_path,
            record.base_dir,
            record.source,
            _json(record.inputs),
            _json(record.files),
            _json(record.options),
            record.state,
            record.reason,
            record.created_at,
            record.updated_at,
            record.elapsed_s,
            record.result_path,
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"INSERT INTO runs VALUES (?{', ?' * (len(row) - 1)})", row)
            connection.executemany(_UPSERT_CHUNK, [(record.run_id, *_chunk_row(chunk)) for chunk in chunks])

        return work

    @staticmethod
    def put_chunks(run_id: str, chunks: Sequence[ChunkRecord]) -> Work:
        """The chunks' present state replaces what was stored of them."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_UPSERT_CHUNK, [(run_id, *_chunk_row(chunk)) for chunk in chunks])

        return work

    @staticmethod
    def put_answered_chunk(run_id: str, chunk: ChunkRecord, answer: AnswerRecord) -> Work:
        """A new answer and the chunk that got it; what there was of its beginning is part of it now.

        The job's value is the answer's id.
        """
        values = (*_answer_row(answer), digest_of(answer))

        def work(connection: sqlite3.Connection) -> int:
            answer_id = connection.execute(_INSERT_ANSWER, values).lastrowid
            connection.execute(_UPSERT_CHUNK, (run_id, *_chunk_row(replace(chunk, answer_id=answer_id))))
            connection.execute("DELETE FROM beginnings WHERE fingerprint = ?", (answer.fingerprint,))
            return answer_id or 0

        return work

    @staticmethod
    def add_attempt(run_id: str, attempt: AttemptRecord) -> Work:
        """An attempt that ended without an answer."""
        row = (run_id, *_attempt_row(attempt), _json(attempt.evidence))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

        return work

    @staticmethod
    def put_beginning(record: BeginningRecord) -> Work:
        """What there is of an answer that was cut replaces what there was of it before."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO beginnings VALUES (?, ?, ?, ?, ?)", astuple(record))

        return work

    @staticmethod
    def forget_beginning(fingerprint: str) -> Work:
        """The answer is begun anew."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM beginnings WHERE fingerprint = ?", (fingerprint,))

        return work

    @staticmethod
    def add_event(run_id: str, seq: int, event: str) -> Work:
        """An event as JSON text. The job fails when the number is taken."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO events VALUES (?, ?, ?)", (run_id, seq, event))

        return work

    @staticmethod
    def set_run_state(
        run_id: str, *, state: RunState, reason: str, at: str, elapsed_s: float, result_path: str | None
    ) -> Work:
        """How the run stands, and how long its processes have run in all."""
        row = (state, reason, at, elapsed_s, result_path, run_id)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE runs SET state = ?, reason = ?, updated_at = ?, elapsed_s = ?, result_path = ? "
                "WHERE run_id = ?",
                row,
            )

        return work

    @staticmethod
    def set_run_options(run_id: str, options: dict[str, Any]) -> Work:
        """What the run is to be continued with from now on."""
        row = (_json(options), run_id)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE runs SET options = ? WHERE run_id = ?", row)

        return work

    @staticmethod
    def forget_output(path: str) -> Work:
        """Whatever stands there from now on is not ours."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM outputs WHERE path = ?", (path,))

        return work

    @staticmethod
    def put_output(path: str, *, sha256: str, run_id: str) -> Work:
        """The run is about to write a file with this content."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)", (path, sha256, run_id))

        return work

    @staticmethod
    def add_call(make: Callable[[], CallRecord | None]) -> Work:
        """What a call took. `make` runs in the store's thread, since counting takes its time; None adds nothing."""

        def work(connection: sqlite3.Connection) -> None:
            record = make()
            if record is not None:
                connection.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(record))

        return work


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
