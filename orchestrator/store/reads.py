"""Every question to the store, as functions of an open connection; none leaves a read open."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from typing import Any

from orchestrator.store.records import AnswerRecord, AttemptRecord, ChunkRecord, RunRecord

_CHUNK_COLUMNS = ", ".join(field.name for field in fields(ChunkRecord))
_ANSWER_FIELDS = [field.name for field in fields(AnswerRecord)]
_ANSWER_COLUMNS = ", ".join(_ANSWER_FIELDS)


def latest_run_id(connection: sqlite3.Connection) -> str | None:
    """The run that was begun last, or None in an empty store."""
    row = connection.execute("SELECT run_id FROM runs ORDER BY created_at DESC, rowid DESC LIMIT 1").fetchone()
    return row[0] if row else None


def run(connection: sqlite3.Connection, run_id: str) -> RunRecord | None:
    """The run of this id, or None."""
    row = connection.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        return None
    values: dict[str, Any] = dict(zip([field.name for field in fields(RunRecord)], row, strict=True))
    for name in ("inputs", "files", "options"):
        values[name] = json.loads(values[name])
    return RunRecord(**values)


def previous_run_id(connection: sqlite3.Connection, *, name: str, before: str) -> str | None:
    """The latest run of the plan called `name` other than `before`, or None."""
    row = connection.execute(
        "SELECT run_id FROM runs WHERE name = ? AND run_id <> ? ORDER BY created_at DESC, rowid DESC LIMIT 1",
        (name, before),
    ).fetchone()
    return row[0] if row else None


def chunks(connection: sqlite3.Connection, run_id: str) -> list[ChunkRecord]:
    """The chunks of a run, in plan order."""
    rows = connection.execute(f"SELECT {_CHUNK_COLUMNS} FROM chunks WHERE run_id = ? ORDER BY position", (run_id,))
    names = [field.name for field in fields(ChunkRecord)]
    return [ChunkRecord(**dict(zip(names, row, strict=True))) for row in rows.fetchall()]


def attempts(connection: sqlite3.Connection, run_id: str) -> list[AttemptRecord]:
    """The attempts of a run that ended without an answer, in order."""
    rows = connection.execute(
        "SELECT chunk_id, attempt, at, error_type, message, elapsed_s, cost_usd, evidence FROM attempts "
        "WHERE run_id = ? ORDER BY rowid",
        (run_id,),
    ).fetchall()
    names = [field.name for field in fields(AttemptRecord)]
    return [AttemptRecord(**dict(zip(names, (*row[:-1], json.loads(row[-1])), strict=True))) for row in rows]


def events(connection: sqlite3.Connection, run_id: str) -> list[dict[str, Any]]:
    """The stored events of a run, in order."""
    rows = connection.execute("SELECT event FROM events WHERE run_id = ? ORDER BY seq", (run_id,)).fetchall()
    return [json.loads(row[0]) for row in rows]


def next_seq(connection: sqlite3.Connection, run_id: str) -> int:
    """The number after the last stored event's; 0 when there is none."""
    row = connection.execute("SELECT max(seq) FROM events WHERE run_id = ?", (run_id,)).fetchone()
    return 0 if row[0] is None else row[0] + 1


def answer(connection: sqlite3.Connection, answer_id: int) -> AnswerRecord | None:
    """The answer of this id, or None."""
    return _answer(
        connection.execute(f"SELECT {_ANSWER_COLUMNS} FROM answers WHERE answer_id = ?", (answer_id,)).fetchone()
    )


def find_answer(connection: sqlite3.Connection, fingerprint: str, *, not_before: str = "") -> AnswerRecord | None:
    """The latest answer to this fingerprint, given at `not_before` (UTC, ISO 8601) or later; or None."""
    return _answer(
        connection.execute(
            f"SELECT {_ANSWER_COLUMNS} FROM answers WHERE fingerprint = ? AND created_at >= ? "
            "ORDER BY answer_id DESC LIMIT 1",
            (fingerprint, not_before),
        ).fetchone()
    )


def output_hashes(connection: sqlite3.Connection, path: str) -> frozenset[str]:
    """The SHA-256 of everything that runs wrote to this file, or were about to; "" stands for a growing file."""
    rows = connection.execute("SELECT sha256 FROM outputs WHERE path = ?", (path,)).fetchall()
    return frozenset(row[0] for row in rows)


def _answer(row: tuple[Any, ...] | None) -> AnswerRecord | None:
    return AnswerRecord(**dict(zip(_ANSWER_FIELDS, row, strict=True))) if row else None
