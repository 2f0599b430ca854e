"""What can be saved of a damaged store: which rows are whole, what is lost, and a new store with what is left.

Decided purely from the content of the file; `damage.py` gets it there and back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from orchestrator.store.pages import PageFile, Row, Value
from orchestrator.store.records import AnswerRecord, ChunkState, RunState, digest_of
from orchestrator.store.schema import empty_store

NOT_SAVED = ("texts", "beginnings")
"""Nothing tells whether a row of these was altered, and what they hold is found out, or asked, anew."""

Fields = dict[str, Any]
"""A row by the names of its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRun:
    """A run that has lost something. `chunks` are those without the answer they had."""

    run_id: str
    name: str
    chunks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What is left, by table, and what is not.

    `answers_lost` counts the answers that are known to have been there. `runs_lost` are runs of which only other rows
    tell; what these rows say is kept.
    """

    rows: Mapping[str, Sequence[Fields]]
    answers_lost: int = 0
    runs_lost: tuple[str, ...] = ()
    runs: tuple[DamagedRun, ...] = ()
    unread: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each table are saved."""
        return {table: len(rows) for table, rows in self.rows.items()}


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    kind: str
    nullable: bool
    default: Any


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: tuple[_Column, ...]
    key: tuple[str, ...]
    has_rowid: bool
    rows: dict[Any, Fields] = field(default_factory=dict[Any, Fields])


def salvage(content: bytes) -> Salvage:
    """What is left in the content of a file that was a store. Never raises: of any other file nothing is left."""
    file = PageFile(content)
    tables = [table for table in _tables() if table.name not in NOT_SAVED]
    bad = 0
    for row in file.rows():
        for table in tables:
            fields = _fields(table, row)
            if fields is None:
                continue
            if _CHECKS.get(table.name, _as_it_is)(fields):
                _keep(table, row, fields)
            elif table.name != "outputs":
                # The rows of an index look like those of `outputs`, but for what they hold.
                bad += 1
            break
    return _sort_out({table.name: list(table.rows.values()) for table in tables}, unread=file.unread + bad)


def _tables() -> list[_Table]:
    """The tables of a store as this version makes it."""
    with closing(empty_store()) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        return [_table(connection, name, sql) for name, sql in found]


def _table(connection: sqlite3.Connection, name: str, sql: str) -> _Table:
    info = connection.execute(f"PRAGMA table_info({name})").fetchall()
    columns = [_Column(column, kind, not required, default) for _, column, kind, required, default, _ in info]
    key = [column for _, column, _, _, _, place in sorted(info, key=lambda each: each[5]) if place]
    return _Table(name, tuple(columns), tuple(key), "WITHOUT ROWID" not in sql)


def _fields(table: _Table, row: Row) -> Fields | None:
    """The row by name when it has the form of one of this table. One that is older than a column has its default."""
    if (row.rowid is not None) != table.has_rowid or len(row.values) > len(table.columns):
        return None
    fields: Fields = {}
    for place, column in enumerate(table.columns):
        if place >= len(row.values):
            if column.default is None:
                return None
            fields[column.name] = column.default.strip("'")
            continue
        value = row.values[place]
        if table.has_rowid and table.key == (column.name,) and column.kind == "INTEGER":
            # An INTEGER PRIMARY KEY is the rowid, and NULL stands in its place.
            value = row.rowid if value is None else "no"
        if not _has_kind(value, column):
            return None
        fields[column.name] = float(value) if column.kind == "REAL" and isinstance(value, int) else value
    return fields


def _has_kind(value: Value, column: _Column) -> bool:
    if value is None:
        return column.nullable
    kinds = {"TEXT": str, "INTEGER": int, "REAL": (int, float)}
    return isinstance(value, kinds[column.kind])


def _keep(table: _Table, row: Row, fields: Fields) -> None:
    """Of two rows with one key, as a page that was let go of may hold, the one with an answer is the later one."""
    key = tuple(fields[name] for name in table.key) if table.key else row.rowid
    known = table.rows.get(key)
    if known is None or (known.get("answer_id") is None and fields.get("answer_id") is not None):
        table.rows[key] = fields


def _as_it_is(_: Fields) -> bool:
    return True


def _is_answer(fields: Fields) -> bool:
    if not (fields["fingerprint"] and fields["text"] and fields["answer_id"] > 0):
        return False
    known = fields["digest"]
    return not known or known == digest_of(AnswerRecord(**{k: v for k, v in fields.items() if k != "digest"}))


def _is_run(fields: Fields) -> bool:
    objects = all(_is_object(fields[name]) for name in ("inputs", "files", "options"))
    return objects and fields["state"] in get_args(RunState) and bool(fields["run_id"])


def _is_chunk(fields: Fields) -> bool:
    return fields["status"] in get_args(ChunkState) and bool(fields["run_id"] and fields["chunk_id"])


def _is_event(fields: Fields) -> bool:
    event = _object(fields["event"])
    return event.get("run_id") == fields["run_id"] and event.get("seq") == fields["seq"] and "type" in event


def _is_output(fields: Fields) -> bool:
    digest = fields["sha256"]
    is_hash = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return bool(fields["path"] and fields["run_id"]) and (is_hash or not digest)


_CHECKS: Mapping[str, Callable[[Fields], bool]] = {
    "answers": _is_answer,
    "runs": _is_run,
    "chunks": _is_chunk,
    "events": _is_event,
    "outputs": _is_output,
    "attempts": lambda fields: _is_object(fields["evidence"]),
}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _is_object(text: str) -> bool:
    return text == "{}" or bool(_object(text))


def _sort_out(rows: dict[str, list[Fields]], *, unread: int) -> Salvage:
    """Take from chunks what they no longer have, and say what that means for their runs."""
    prints = {answer["answer_id"]: answer["fingerprint"] for answer in rows["answers"]}
    names = {run["run_id"]: run["name"] for run in rows["runs"]}
    without: dict[str, list[str]] = {}
    gone: set[int] = _gaps(prints)
    for chunk in rows["chunks"]:
        answer_id = chunk["answer_id"]
        if answer_id is not None and prints.get(answer_id) != chunk["fingerprint"]:
            if answer_id not in prints:
                gone.add(answer_id)
            chunk.update(answer_id=None, status="pending", why="its answer was lost from the store")
            without.setdefault(chunk["run_id"], []).append(chunk["chunk_id"])
    for run_id, chunk_id in _missing_chunks(rows["chunks"], rows["events"]):
        without.setdefault(run_id, []).append(chunk_id)
    for run in rows["runs"]:
        if run["run_id"] in without and run["state"] != "running":
            run.update(state="stopped", reason="the store was damaged: some of this run is lost")
    known = [*rows["chunks"], *rows["events"], *rows["answers"]]
    return Salvage(
        rows=rows,
        answers_lost=len(gone),
        runs_lost=tuple(sorted({row["run_id"] for row in known} - names.keys())),
        runs=tuple(
            DamagedRun(run_id=run_id, name=names[run_id], chunks=tuple(chunks))
            for run_id, chunks in sorted(without.items())
            if run_id in names
        ),
        unread=unread,
    )


def _gaps(known: Iterable[int]) -> set[int]:
    """The numbers that were given and are not there: they are given one after the other, and none is ever deleted."""
    ordered = sorted(known)
    gaps: set[int] = set()
    for before, after in zip([0, *ordered], ordered, strict=False):
        # A number that a damaged page makes huge is no reason to count up to it.
        if after - before < 1_000_000:
            gaps |= set(range(before + 1, after))
    return gaps


def _missing_chunks(chunks: Iterable[Fields], events: Iterable[Fields]) -> list[tuple[str, str]]:
    """The run and the id of chunks that events tell of and no row does."""
    there = {(chunk["run_id"], chunk["chunk_id"]) for chunk in chunks}
    told = {(row["run_id"], str(each)) for row in events for each in _object(row["event"]).get("chunk_ids", ())}
    return sorted(told - there)


def fill(connection: sqlite3.Connection, rows: Mapping[str, Sequence[Fields]]) -> None:
    """Put saved rows into an empty store."""
    for table, content in rows.items():
        for row in content:
            places = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", row)


def is_store(found: Salvage) -> bool:
    """Whether anything shows that the file ever was one."""
    return any(found.counts.values())
