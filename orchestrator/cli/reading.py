"""The commands that read the store: `status`, `show`, `events`. They start nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.cli.given import existing_store
from orchestrator.cli.going_on import command_to_go_on, past_of
from orchestrator.cli.printing import print_exactly, print_json, print_lines
from orchestrator.cli.status_lines import run_state, status_lines, status_record, writer_line
from orchestrator.cli.words_first import meant
from orchestrator.errors import PlanChangedError, PlanError, UsageError
from orchestrator.store import AttemptRecord, ChunkRecord, RunRecord, Store, open_store

_Recalled = TypeVar("_Recalled")


def print_status(run: str, *, store: Path | None, as_json: bool) -> None:
    """How a run stands."""
    from orchestrator.api import recall_pauses

    opened = _open(store, run)
    run_id = opened.resolve(run)
    live = opened.is_held(run_id)
    past = past_of(opened, run_id)
    command = "" if live else command_to_go_on(past, store=store, here=Path.cwd())
    shown = status_record(
        past.run,
        past.chunks,
        live=live,
        next_command=command,
        unclosed_s=past.unclosed_s,
        pauses=recall_pauses(run_id, store=opened.path),
        now=datetime.now(UTC),
    )
    if as_json:
        print_json(shown)
    else:
        print_lines(status_lines(shown))


def print_result(run: str, *, store: Path | None, as_json: bool) -> None:
    """The stitched result of a run, with a visible gap for what has no answer.

    Raises `UsageError` when there is none, and when the plan or an input changed since, so that it cannot be stitched.
    """
    from orchestrator.api import recall_result

    opened = _open(store, run)
    record = opened.run(opened.resolve(run))
    text = _recalled(opened, record, recall_result)
    if as_json:
        state = run_state(record, live=opened.is_held(record.run_id))
        print_json({"run_id": record.run_id, "state": state, "result_path": record.result_path, "text": text})
    else:
        print_exactly(text)


def print_seams(run: str, *, store: Path | None, as_json: bool) -> None:
    """What changed where answers meet: a unified diff against the answers end to end, or every edit.

    Raises `UsageError` as `print_result` does, and for a result that has no seams.
    """
    from orchestrator.api import recall_seams

    opened = _open(store, run)
    record = opened.run(opened.resolve(run))
    work = _recalled(opened, record, recall_seams)
    if as_json:
        print_json({"run_id": record.run_id, "edits": work.edits})
    else:
        print_exactly(work.diff)


def print_writers(run: str, line: int, *, store: Path | None, as_json: bool) -> None:
    """Who wrote a line of the result. Raises `UsageError` as `print_result` does, and when that is not known."""
    from orchestrator.api import recall_writers

    opened = _open(store, run)
    record = opened.run(opened.resolve(run))
    writers = _recalled(opened, record, partial(recall_writers, line=line))
    if as_json:
        print_json({"run_id": record.run_id, "line": line, "writers": [asdict(each) for each in writers]})
    else:
        print_lines([writer_line(each) for each in writers])


def _recalled(opened: Store, record: RunRecord, recall: Callable[..., _Recalled | None]) -> _Recalled:
    run_id = record.run_id
    try:
        found = recall(run_id, store=opened.path)
    except (PlanChangedError, PlanError) as error:
        changed = ", ".join(error.changed) if isinstance(error, PlanChangedError) else "the plan"
        written = f"; the run itself wrote {record.result_path}" if record.result_path else ""
        raise UsageError(
            f"run {run_id} cannot be stitched again: {changed} changed since{written}; "
            f"`orchestrate show {run_id} CHUNK` prints single answers"
        ) from None
    if found is None:
        raise UsageError(f"run {run_id} has no result yet; `orchestrate status {run_id}` says how it stands")
    return found


def print_answer(run: str, chunk_id: str, *, store: Path | None, as_json: bool) -> None:
    """The answer of a chunk, or those of a group. Raises `UsageError` when there is none of that id, or (without
    `as_json`) when the chunk has no answer.
    """
    opened = _open(store, run)
    run_id = opened.resolve(run)
    chunks = opened.chunks(run_id)
    members = [chunk for chunk in chunks if _is_piece(chunk.chunk_id, of=chunk_id)]
    if members and all(chunk.chunk_id != chunk_id for chunk in chunks):
        _print_group(opened, run_id, chunk_id, members, as_json=as_json)
        return
    chunk = _find(chunks, chunk_id, run_id=run_id)
    answer = opened.answer(chunk.answer_id) if chunk.answer_id is not None else None
    if as_json:
        print_json(_answer_record(opened, chunk, opened.attempts(run_id)))
    elif answer is None:
        why = f": {chunk.error_type}, {chunk.message}" if chunk.error_type else ""
        raise UsageError(f"chunk {chunk_id} of run {run_id} has no answer, it is {chunk.status}{why}")
    else:
        print_exactly(answer.text)


def _print_group(opened: Store, run_id: str, name: str, members: Sequence[ChunkRecord], *, as_json: bool) -> None:
    from orchestrator.api import recall_group

    if as_json:
        attempts = opened.attempts(run_id)
        print_json([_answer_record(opened, chunk, attempts) for chunk in members])
    else:
        print_exactly(recall_group(run_id, name, store=opened.path) or "")


def _is_piece(chunk_id: str, *, of: str) -> bool:
    name, bracket, rest = chunk_id.partition("[")
    return name == of and bracket == "[" and rest.removesuffix("]").isdecimal()


def _answer_record(opened: Store, chunk: ChunkRecord, attempts: Sequence[AttemptRecord]) -> dict[str, Any]:
    answer = opened.answer(chunk.answer_id) if chunk.answer_id is not None else None
    failed = [asdict(attempt) for attempt in attempts if attempt.chunk_id == chunk.chunk_id]
    return asdict(chunk) | {"answer": asdict(answer) if answer else None, "failed_attempts": failed}


def print_events(run: str, *, store: Path | None) -> None:
    """The stored events of a run, one JSON object a line."""
    opened = _open(store, run)
    for event in opened.events(opened.resolve(run)):
        print_json(event, indent=None)


def _open(store: Path | None, run: str) -> Store:
    return open_store(existing_store(store, run=run))


def _find(chunks: list[ChunkRecord], chunk_id: str, *, run_id: str) -> ChunkRecord:
    for chunk in chunks:
        if chunk.chunk_id == chunk_id:
            return chunk
    close = meant(chunk_id, among=[chunk.chunk_id for chunk in chunks])
    hint = f"; did you mean {close}?" if close else f"; `orchestrate status {run_id}` lists its chunks"
    raise UsageError(f"run {run_id} has no chunk {chunk_id!r}{hint}")
