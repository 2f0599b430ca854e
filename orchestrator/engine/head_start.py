"""One call goes first when many begin with the same long text: what it leaves in the API's cache the others read. Pure.

The API keeps the beginning of a request once its answer has begun, for five minutes after the last call that used it.
Calls that start together all pay for writing it (1.25 of the price of sending it); after a head start all but one read
it back (at a tenth). Source: "Prompt caching", documentation of the Claude API, 2026.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.plan.workload import Chunk

LARGE_CONTEXT_CHARS = 16_000
"""About 4,000 tokens. Beginnings below this are not cached by every model, and save less than a head start delays."""

CACHE_LIFE_S = 270.0
"""The cache keeps a beginning for 300 s; a call takes its time to get there."""

LONGEST_HEAD_START_S = 20.0
"""Nobody waits longer for the first answer to begin."""


@dataclass(slots=True)
class _Beginning:
    """What is known of one beginning: the call that goes first, since when, and until when it is cached."""

    first: str = ""
    since_s: float = 0.0
    cached_until_s: float = float("-inf")


class HeadStart:
    """Asked before each start, by the `beginning` that a chunk's request has in common with others.

    `context_chars` is the length of the text that all share. Times are seconds of one clock that never goes back.
    """

    def __init__(self, *, context_chars: int) -> None:
        self._is_worth_it = context_chars >= LARGE_CONTEXT_CHARS
        self._beginnings: dict[str, _Beginning] = {}
        self._of: dict[str, str] = {}

    def admits(self, beginning: str, *, now_s: float) -> bool:
        """Whether a call that begins so may start: it is cached, nobody has gone first yet, or that takes too long."""
        known = self._beginnings.get(beginning)
        if not self._is_worth_it or known is None or not known.first:
            return True
        return now_s < known.cached_until_s or now_s - known.since_s >= LONGEST_HEAD_START_S

    def started(self, chunk_id: str, beginning: str, *, now_s: float) -> bool:
        """A call starts. Whether others now have to wait for it, at most `LONGEST_HEAD_START_S`."""
        if not self._is_worth_it:
            return False
        known = self._beginnings.setdefault(beginning, _Beginning())
        self._of[chunk_id] = beginning
        if now_s < known.cached_until_s:
            known.cached_until_s = now_s + CACHE_LIFE_S
            return False
        if known.first:
            return False
        known.first, known.since_s = chunk_id, now_s
        return True

    def answering(self, chunk_id: str, *, now_s: float) -> bool:
        """The answer of a call has begun. Whether that lets others start."""
        beginning = self._of.pop(chunk_id, None)
        if beginning is None:
            return False
        known = self._beginnings[beginning]
        waited = bool(known.first)
        known.first, known.cached_until_s = "", now_s + CACHE_LIFE_S
        return waited

    def ended(self, chunk_id: str, *, answered: bool, now_s: float) -> None:
        """The call is over; without an answer another one goes first."""
        if answered:
            self.answering(chunk_id, now_s=now_s)
            return
        beginning = self._of.pop(chunk_id, None)
        if beginning is not None and self._beginnings[beginning].first == chunk_id:
            self._beginnings[beginning].first = ""


def beginning_of(chunk: Chunk) -> str:
    """Who pays, since each account has a cache of its own, and what stands before the context of all in a request."""
    tools = list(chunk.tooling.tools) if chunk.tooling is not None else []
    schema = json.dumps(chunk.output_schema, sort_keys=True) if chunk.output_schema is not None else ""
    return json.dumps([chunk.accounts, chunk.model, chunk.effort, tools, schema, chunk.memory])
