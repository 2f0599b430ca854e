"""Whether a stored answer may stand in, and why a chunk runs when none does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.engine.clock import to_iso
from orchestrator.plan.amounts import UNIT_S
from orchestrator.plan.workload import Chunk
from orchestrator.store import ChunkRecord, PastRun

NAMED = 3
"""Changed chunks that a reason names before it only counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseRules:
    """What the call asked for: `fresh` reuses nothing, `redo` names chunks and groups that are asked again."""

    fresh: bool = False
    redo: frozenset[str] = frozenset()

    def refusal(self, chunk: Chunk) -> str:
        """Why no stored answer may be used for this chunk, whatever its age; "" when one may."""
        if self.fresh:
            return "asked to reuse nothing"
        if chunk.id in self.redo or chunk.group in self.redo:
            return "asked to run again"
        return "its plan says never to reuse" if chunk.reuse == "never" else ""


def oldest_allowed(chunk: Chunk, *, now_s: float) -> str:
    """The earliest time (UTC, ISO 8601) of an answer that may be reused; "" for any."""
    if chunk.reuse in ("always", "never"):
        return ""
    return to_iso(now_s - int(chunk.reuse[:-1]) * UNIT_S[chunk.reuse[-1]])


def other_runner(earlier: PastRun, *, runner: str) -> str:
    """The kind of runner that the earlier run had, if it was another than `runner`; else ""."""
    return "" if earlier.runner == runner else earlier.runner


def reason_to_run(
    chunk: Chunk, *, fingerprint: str, earlier: ChunkRecord | None, other_runner: str, changed_upstream: Sequence[str]
) -> str:
    """Why a chunk has to run, in words, from what the latest earlier run of the plan knew of it.

    `other_runner` is the kind of runner of that run when it was another one. `changed_upstream` are the upstream chunks
    that got a new answer in this run, in order.
    """
    if earlier is None:
        return "new"
    if earlier.recipe != chunk.recipe:
        return "prompt, model or effort changed"
    if other_runner and earlier.status == "succeeded":
        return f"answered only by the {other_runner} runner so far"
    if earlier.fingerprint and earlier.fingerprint != fingerprint:
        return _changed(changed_upstream) if changed_upstream else "an input or the context changed"
    if earlier.status == "failed":
        return f"failed before: {earlier.error_type}"
    if earlier.status == "succeeded":
        return f"its answer is older than {chunk.reuse}" if chunk.reuse not in ("always", "never") else "new"
    return "not finished before"


def _changed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"upstream changed: {', '.join(names[:NAMED])}{more}"
