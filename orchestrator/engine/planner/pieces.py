"""What a planner says of pieces and merges, read and checked. Pure; nothing is raised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from orchestrator.engine.planner.form import (
    MAX_BATCH,
    MAX_MERGED_TOKENS,
    MAX_PIECE_TOKENS,
    MERGED_TOKENS,
    MIN_MERGED_TOKENS,
    MIN_PIECE_TOKENS,
    SPLITS,
    Merged,
    Pieces,
    PlannedChunk,
    Problems,
    one_line,
    plain_id,
    shown,
)

FOR_EACH_FORM = '{"input": NAME, "split": "markdown", "max_tokens": 4000} or {"chunk": ID}'
REDUCE_FORM = '{"chunk": ID}'


def read_pieces(value: object, told: str, problems: Problems) -> Pieces | None:
    """The `for_each` of a chunk, None when there is none or it makes no sense. `told` names the chunk in problems."""
    raw = _object(value, f"`for_each` of {told}", FOR_EACH_FORM, problems)
    if raw is None:
        return None
    name, chunk = one_line(raw.get("input")), _id(raw.get("chunk"))
    if bool(name) == bool(chunk):
        problems.add(f"`for_each` of {told} needs either `input` or `chunk`: {FOR_EACH_FORM}")
        return None
    split = raw.get("split") or None
    if split is not None and split not in SPLITS:
        problems.add(f"`split` of {told} must be one of {', '.join(SPLITS)}, not {shown(split)}")
        split = None
    return Pieces(
        input=name,
        chunk=chunk,
        split=split,
        level=_whole(raw.get("level"), f"`level` of {told}", problems, low=1, high=6),
        max_tokens=_whole(
            raw.get("max_tokens"), f"`max_tokens` of {told}", problems, low=MIN_PIECE_TOKENS, high=MAX_PIECE_TOKENS
        ),
        batch=_whole(raw.get("batch"), f"`batch` of {told}", problems, low=1, high=MAX_BATCH),
    )


def read_merged(value: object, told: str, problems: Problems) -> Merged | None:
    """The `reduce` of a chunk, None when there is none or it makes no sense."""
    raw = _object(value, f"`reduce` of {told}", REDUCE_FORM, problems)
    if raw is None:
        return None
    chunk = _id(raw.get("chunk"))
    if not chunk:
        problems.add(f"`reduce` of {told} needs the chunk whose answers it puts together: {REDUCE_FORM}")
        return None
    tokens = _whole(
        raw.get("max_tokens"), f"`max_tokens` of {told}", problems, low=MIN_MERGED_TOKENS, high=MAX_MERGED_TOKENS
    )
    return Merged(chunk=chunk, max_tokens=tokens or MERGED_TOKENS)


def check_groups(chunks: Sequence[PlannedChunk], problems: Problems) -> None:
    """Whether each merge has answers to put together."""
    by_id = {chunk.id: chunk for chunk in chunks}
    for chunk in chunks:
        if chunk.for_each is not None and chunk.reduce is not None:
            problems.add(f"chunk {chunk.id} has `for_each` and `reduce`: put the answers together in another chunk")
        over = by_id.get(chunk.reduce.chunk) if chunk.reduce is not None else None
        if over is not None and over is not chunk and over.for_each is None:
            problems.add(
                f"`reduce` of chunk {chunk.id}: {over.id} has one answer, so there is nothing to put together; "
                f"leave `reduce` out and name {over.id} in `depends_on`, or give {over.id} a `for_each`"
            )


def _object(value: object, told: str, form: str, problems: Problems) -> Mapping[str, Any] | None:
    """An object with something in it; None for what is left out, empty, or no object."""
    if value is None or value == {}:
        return None
    if not isinstance(value, dict):
        problems.add(f"{told} must be an object such as {form}, not {shown(value)}")
        return None
    return cast("dict[str, Any]", value)


def _id(value: object) -> str:
    name = one_line(value)
    return plain_id(name) or name


def _whole(value: object, told: str, problems: Problems, *, low: int, high: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        problems.add(f"{told} must be a whole number from {low:,} to {high:,}, not {shown(value)}")
        return None
    return round(value)
