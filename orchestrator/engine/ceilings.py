"""When a prompt proves too long, or an answer is cut at the model's output limit. Pure but for the splitter.

The CLI goes on by itself up to three times after a cut (2.1.328) and then gives up with an error; what was written by
then is a whole beginning, to which the rest is joined.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.plan.pieces import formed
from orchestrator.plan.split import split_text
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import Chunk, Item

MAX_DEPTH = 3
"""How often a piece is halved: an eighth of a piece that still does not fit is not too long, but something else."""

MIN_OVERLAP_CHARS = 12
"""A repetition shorter than this may be what the text says; a longer one is a model that went back a little."""

MAX_OVERLAP_CHARS = 2000


def join_continuation(beginning: str, rest: str) -> str:
    """The two as one text; what the rest repeats of the end of the beginning stands once."""
    for length in range(min(len(beginning), len(rest), MAX_OVERLAP_CHARS), MIN_OVERLAP_CHARS - 1, -1):
        if beginning.endswith(rest[:length]):
            return beginning + rest[length:]
    return beginning + rest


def halves(chunk: Chunk) -> list[Chunk]:
    """The chunk of a piece as several of about half its text: `part[3]` → `part[3.1]`, `part[3.2]`.

    A batch of rows with a record for each is cut between two of them. [] when it is no piece of a text, was halved
    often enough, or cannot be cut, as an answer that is one JSON value cannot.
    """
    item = chunk.item
    if item is None or item.text is None or not chunk.group or chunk.id.count(".") >= MAX_DEPTH:
        return []
    if chunk.form is not None:
        items = _half_batches(item) if chunk.form.is_list else []
    else:
        half = count_tokens(item.text) // 2 + 1
        pieces = split_text(item.text, mode="markdown", max_tokens=max(1, half))
        items = [replace(item, text=piece.text, tokens=piece.tokens) for piece in pieces]
    if len(items) < 2:
        return []
    return [
        formed(
            replace(
                chunk,
                id=f"{chunk.id[:-1]}.{at}]",
                order=(*chunk.order, at),
                item=replace(each, index=at, count=len(items)),
            )
        )
        for at, each in enumerate(items, 1)
    ]


def _half_batches(item: Item) -> list[Item]:
    lines = (item.text or "").split("\n")
    middle = len(lines) // 2
    if len(lines) != len(item.rows) or not middle:
        return []
    halves = (slice(None, middle), slice(middle, None))
    return [
        replace(item, text="\n".join(lines[half]), tokens=None, rows=item.rows[half], source=", ".join(item.rows[half]))
        for half in halves
    ]
