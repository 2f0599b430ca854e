"""Every question to the store, as functions of an open connection; none leaves a read open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from orchestrator.store.records import (
    AnswerOrigin,
    AnswerRecord,
    AttemptRecord,
    BeginningRecord,
    CallRecord,
    ChunkRecord,
    PastRun,
    RunRecord,
)
from orchestrator.store.schema import format_of

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


def previous_run(connection: sqlite3.Connection, *, name: str, before: str, runner: str) -> PastRun:
    """The latest run of the plan called `name` other than `before`; an empty one when there is none.

    One with this kind of `runner` is preferred to any of another kind.
    """
    row = connection.execute(
        "SELECT run_id FROM runs WHERE name = ? AND run_id <> ? ORDER BY "
        "instr(json_extract(options, '$.runner') || ':', ? || ':') = 1 DESC, created_at DESC, rowid DESC LIMIT 1",
        (name, before, runner),
    ).fetchone()
    return past_run(connection, row[0]) if row else PastRun()


def past_run(connection: sqlite3.Connection, run_id: str) -> PastRun:
    """The run of this id as it is stored; an empty one when there is none."""
    record = run(connection, run_id)
    if record is None:
        return PastRun()
    found = {chunk.chunk_id: chunk for chunk in chunks(connection, run_id)}
    return PastRun(runner=_kind(record.options), chunks=found)


def running_runs(connection: sqlite3.Connection, *, name: str, runner: str) -> list[str]:
    """The runs of the plan `name` with this kind of runner that have not ended, as far as is stored."""
    rows = connection.execute(
        "SELECT run_id, options FROM runs WHERE name = ? AND state = 'running' ORDER BY created_at, rowid", (name,)
    ).fetchall()
    return [run_id for run_id, options in rows if _kind(json.loads(options)) == runner]


def _kind(options: Mapping[str, Any]) -> str:
    """The kind of runner in a run's options, without its settings."""
    return str(options["runner"]).partition(":")[0]


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


def latest_events(connection: sqlite3.Connection, *, runs: int) -> list[dict[str, Any]]:
    """The last stored event of each of the runs that were begun last, at most so many, the latest first."""
    rows = connection.execute(
        "SELECT event FROM (SELECT run_id, created_at, rowid AS place FROM runs ORDER BY created_at DESC, rowid DESC "
        "LIMIT ?) JOIN events USING (run_id) WHERE seq = (SELECT max(seq) FROM events AS own "
        "WHERE own.run_id = events.run_id) ORDER BY created_at DESC, place DESC",
        (runs,),
    ).fetchall()
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


def answer_origins(connection: sqlite3.Connection, answer_ids: Collection[int]) -> list[AnswerOrigin]:
    """Which calls gave these answers; the attempt is the one that brought the answer, the last of its chunk."""
    rows = connection.execute(
        "SELECT answers.answer_id, answers.run_id, answers.chunk_id, coalesce(chunks.attempts, 0), "
        "session_id, answers.model, answers.cost_usd, answers.fingerprint FROM answers LEFT JOIN chunks "
        "ON chunks.run_id = answers.run_id AND chunks.chunk_id = answers.chunk_id "
        "WHERE answers.answer_id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(answer_ids)),),
    ).fetchall()
    names = [field.name for field in fields(AnswerOrigin)]
    return [AnswerOrigin(**dict(zip(names, row, strict=True))) for row in rows]


def find_answer(connection: sqlite3.Connection, fingerprint: str, *, not_before: str = "") -> AnswerRecord | None:
    """The latest answer to this fingerprint, given at `not_before` (UTC, ISO 8601) or later; or None."""
    return _answer(
        connection.execute(
            f"SELECT {_ANSWER_COLUMNS} FROM answers WHERE fingerprint = ? AND created_at >= ? "
            "ORDER BY answer_id DESC LIMIT 1",
            (fingerprint, not_before),
        ).fetchone()
    )


def find_beginning(connection: sqlite3.Connection, fingerprint: str, *, not_before: str = "") -> BeginningRecord | None:
    """What there is of an answer that was cut, if it was written at `not_before` (UTC, ISO 8601) or later; or None."""
    if format_of(connection) < 3:
        return None
    names = [field.name for field in fields(BeginningRecord)]
    row = connection.execute(
        f"SELECT {', '.join(names)} FROM beginnings WHERE fingerprint = ? AND created_at >= ?",
        (fingerprint, not_before),
    ).fetchone()
    return BeginningRecord(**dict(zip(names, row, strict=True))) if row else None


def output_writers(connection: sqlite3.Connection, path: str) -> dict[str, str]:
    """The SHA-256 of everything that runs wrote to this file, or were about to, and the kind of runner of each.

    "" as a hash stands for a growing file.
    """
    rows = connection.execute(
        "SELECT outputs.sha256, runs.options FROM outputs JOIN runs USING (run_id) WHERE outputs.path = ?", (path,)
    ).fetchall()
    return {sha256: _kind(json.loads(options)) for sha256, options in rows}


def output_runs(connection: sqlite3.Connection, path: str) -> frozenset[str]:
    """The runs that last wrote each known content to this file, or were about to."""
    rows = connection.execute("SELECT DISTINCT run_id FROM outputs WHERE path = ?", (path,)).fetchall()
    return frozenset(row[0] for row in rows)


def recent_calls(connection: sqlite3.Connection, *, runner: str, limit: int) -> list[CallRecord]:
    """The latest calls of this kind of runner, at most `limit` for each model."""
    if format_of(connection) < 2:
        return []
    columns = ", ".join(field.name for field in fields(CallRecord))
    models = connection.execute("SELECT DISTINCT model FROM calls WHERE runner = ?", (runner,)).fetchall()
    rows: list[tuple[Any, ...]] = []
    for (model,) in models:
        rows += connection.execute(
            f"SELECT {columns} FROM calls WHERE runner = ? AND model = ? ORDER BY rowid DESC LIMIT ?",
            (runner, model, limit),
        ).fetchall()
    names = [field.name for field in fields(CallRecord)]
    return [CallRecord(**dict(zip(names, row, strict=True))) for row in rows]


def answers_by_recipe(
    connection: sqlite3.Connection, recipes: Collection[str], *, runner: str, limit: int
) -> dict[str, list[tuple[int, int, float, float]]]:
    """Of each recipe that was answered before: input tokens, output tokens, US dollars and seconds of each answer.

    Latest first, at most `limit` for each recipe, each answer once however often it was reused.
    """
    rows = connection.execute(
        "SELECT DISTINCT chunks.recipe, answers.answer_id, answers.input_tokens, answers.output_tokens, "
        "answers.cost_usd, answers.elapsed_s FROM chunks JOIN answers USING (answer_id) "
        "WHERE chunks.recipe IN (SELECT value FROM json_each(?)) AND answers.runner = ? "
        "ORDER BY answers.answer_id DESC",
        (json.dumps(sorted(recipes)), runner),
    ).fetchall()
    found: dict[str, list[tuple[int, int, float, float]]] = {}
    for recipe, _, *took in rows:
        each = found.setdefault(recipe, [])
        if len(each) < limit:
            each.append((took[0], took[1], took[2], took[3]))
    return found


def _answer(row: tuple[Any, ...] | None) -> AnswerRecord | None:
    return AnswerRecord(**dict(zip(_ANSWER_FIELDS, row, strict=True))) if row else None
