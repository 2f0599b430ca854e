"""Splitting texts once: what came of it is kept by the text's own content and by all that shaped the cuts.

Kept are places and counts, never the text. A value that does not fit its text, or was damaged, counts as not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.plan.loading import LEAST_CHARS, Texts
from orchestrator.plan.model import ForEachSpec
from orchestrator.plan.split import RULES_VERSION, OnShare, Piece, split_text

_DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class SplitTask:
    """One text, and how it is to be split. The parameters are those of `split_text`."""

    text: str
    parameters: dict[str, Any]

    def key(self) -> str:
        """The hash of text, parameters and the version of the rules; empty for a text that is not worth keeping."""
        if len(self.text) < LEAST_CHARS:
            return ""
        shaped = json.dumps(["split", RULES_VERSION, self.parameters], sort_keys=True)
        return hashlib.sha256(f"{shaped}\0{self.text}".encode("utf-8", "surrogatepass")).hexdigest()

    def run(self, on_share: OnShare) -> tuple[Piece, ...]:
        """Split. Raises `SplitError`."""
        return split_text(self.text, **self.parameters, on_share=on_share)


def split_task(spec: ForEachSpec, text: str, *, language: str | None) -> SplitTask:
    """How a `for_each` splits a text."""
    assert spec.split is not None, "a text without `split` is a problem"
    parameters = {
        "mode": spec.split,
        "max_tokens": spec.max_tokens,
        "overlap_tokens": spec.overlap_tokens or 0,
        "level": spec.level,
        "pattern": spec.pattern,
        "language": language,
    }
    return SplitTask(text, parameters)


def split_all(tasks: Sequence[SplitTask], *, what: str, texts: Texts) -> list[tuple[Piece, ...]]:
    """The pieces of each text, those known from before without splitting. Raises `SplitError`."""
    keys = [task.key() for task in tasks]
    known = texts.cache.find([key for key in keys if key])
    found = [decode(known.get(key, ""), task.text) for key, task in zip(keys, tasks, strict=True)]
    missing = [task.text for task, pieces in zip(tasks, found, strict=True) if pieces is None]
    meter, fresh = texts.meter(f"splitting {what}", missing), dict[str, str]()
    for number, (key, task) in enumerate(zip(keys, tasks, strict=True)):
        if found[number] is None:
            pieces = found[number] = task.run(meter.share_of(task.text))
            if key and (value := encode(pieces, task.text)):
                fresh[key] = value
    texts.cache.keep(fresh)
    return [pieces or () for pieces in found]


def encode(pieces: Sequence[Piece], text: str) -> str:
    """Pieces of a text as what is kept of them; empty when they could not be made again from it."""
    paths: dict[tuple[str, ...], int] = {}
    rows: list[list[Any]] = []
    for piece in pieces:
        path = paths.setdefault(piece.heading_path, len(paths))
        around = [len(piece.previous_tail), len(piece.next_head)]
        rows.append([piece.end, piece.tokens, path, *around, *piece.notes])
    body = json.dumps([list(paths), rows], separators=(",", ":"))
    value = _digest(body) + body
    return value if decode(value, text) == tuple(pieces) else ""


def decode(value: str, text: str) -> tuple[Piece, ...] | None:
    """The pieces of a text again, or None when the value tells nothing of use about it."""
    digest, body = value[:_DIGEST_CHARS], value[_DIGEST_CHARS:]
    if not body or digest != _digest(body):
        return None
    paths, rows = json.loads(body)
    pieces: list[Piece] = []
    start = 0
    for end, tokens, path, before, after, *notes in rows:
        piece = Piece(
            text=text[start:end],
            start=start,
            end=end,
            tokens=tokens,
            heading_path=tuple(paths[path]),
            previous_tail=text[start - before : start],
            next_head=text[end : end + after],
            notes=tuple(notes),
        )
        pieces.append(piece)
        start = end
    return tuple(pieces) if start == len(text) else None


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
