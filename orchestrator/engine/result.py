"""What a run hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.engine.costs.allowance import WindowUse
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.policy import StopClass
from orchestrator.engine.render import Known
from orchestrator.engine.reviewing.review import Finding
from orchestrator.engine.stitching.stitch import Stitched, flat_ids
from orchestrator.errors import RunIncompleteError
from orchestrator.events import ChunkStatus, RunStatus
from orchestrator.plan.workload import ForEach, Workload
from orchestrator.store import ChunkRecord

EXIT_CODES: dict[StopClass, int] = {"interrupted": 130, "environment": 3, "stopped": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOutcome:
    """How one chunk ended. `text` is None without an answer; `reason` then says why, else why it ran or was reused.

    `reused` is set when nothing was paid in this process; tokens, cost (US dollars) and seconds cover every attempt of
    the run.
    """

    id: str
    status: ChunkStatus
    text: str | None
    reused: bool
    reason: str
    attempts: int
    elapsed_s: float
    input_tokens: int
    output_tokens: int
    cost_usd: float
    model: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunResult:
    """The end of a run.

    status: complete (every chunk has an answer), partial (some have), failed (nothing to stitch), or stopped (work is
    left, and the run can be resumed).
    text: the stitched result, with a visible gap where an answer is missing.
    data: the JSON value of a `json` or `jsonl` result, else None.
    chunks: every chunk by id, in plan order.
    output: the file that holds `text`, or None when none was written.
    files: with `stitch.files` the file that holds the result of each source, by its name; `text` has them all.
    problems: why the result is not complete although every chunk has its answer, such as a schema that it does not fit.
    reason: why a stopped run stopped, else "".
    remaining: what the review found and could not put right; a run that has any is partial.
    windows: the usage windows of the login as this process saw them last; empty for a login without any.
    """

    run_id: str
    status: RunStatus
    text: str
    data: Any
    chunks: Mapping[str, ChunkOutcome]
    cost_usd: float
    output: Path | None
    files: Mapping[str, Path]
    stop_class: StopClass
    reason: str
    problems: tuple[str, ...] = ()
    remaining: tuple[Finding, ...] = ()
    windows: tuple[WindowUse, ...] = ()

    def __repr__(self) -> str:
        """Short, however large the result: asyncio makes one of whatever `asyncio.run` returns."""
        return f"<RunResult {self.run_id} {self.status}, {len(self.chunks)} chunks, {len(self.text)} characters>"

    @property
    def exit_code(self) -> int:
        """What the command line exits with: 0, 1, 3, 4 or 130."""
        return EXIT_CODES.get(self.stop_class, 0 if self.status == "complete" else 1)

    def raise_for_failure(self) -> RunResult:
        """The same result when it is complete. Raises `RunIncompleteError` otherwise."""
        if self.status == "complete":
            return self
        reasons = {each.chunk_id or "the result": each.problem for each in self.remaining}
        reasons |= {"the result": "; ".join(self.problems)} if self.problems else {}
        reasons |= {chunk.id: chunk.reason for chunk in self.chunks.values() if chunk.text is None}
        raise RunIncompleteError(self.run_id, status=self.status, reasons=reasons)


def run_status(
    workload: Workload, known: Known, *, stop_class: StopClass, remaining: Sequence[Finding | str], reviewed: bool
) -> RunStatus:
    """How a run stands.

    Complete only when every chunk has its answer, every group its chunks, the result was `reviewed` as far as the plan
    wants it, and nothing `remaining` has to be put right.
    """
    groups = [name for name, group in workload.groups.items() if isinstance(group, ForEach)]
    opened = all(known.members(name) is not None for name in groups)
    if opened and reviewed and not remaining and all(each in known.answers for each in known.chunks):
        return "complete"
    if stop_class:
        return "stopped"
    return (
        "partial"
        if any(each in known.answers for each in flat_ids(workload.stitch_chunks, known.members))
        else "failed"
    )


def make_result(
    *,
    run_id: str,
    status: RunStatus,
    stitched: Stitched,
    written: Path | None,
    files: Mapping[str, Path],
    ledger: Ledger,
    stop: tuple[StopClass, str],
    remaining: tuple[Finding, ...],
    windows: tuple[WindowUse, ...],
) -> RunResult:
    """The result of a run from what its parts know at the end."""
    return RunResult(
        run_id=run_id,
        status=status,
        text=stitched.text,
        data=stitched.data,
        chunks={
            chunk_id: _outcome(record, text=ledger.answers.get(chunk_id), reused=chunk_id in ledger.reused_ids)
            for chunk_id, record in sorted(ledger.records.items(), key=lambda each: each[1].position)
        },
        cost_usd=round(ledger.cost_usd, 6),
        output=written,
        files=dict(files),
        stop_class=stop[0],
        reason=stop[1],
        problems=stitched.problems,
        remaining=remaining,
        windows=windows,
    )


def _outcome(record: ChunkRecord, *, text: str | None, reused: bool) -> ChunkOutcome:
    reason = record.why
    if text is None:
        because = f"{record.because} has no answer" if record.because else "not run"
        reason = record.message or because
    return ChunkOutcome(
        id=record.chunk_id,
        status=record.status,
        text=text,
        reused=reused,
        reason=reason,
        attempts=record.attempts,
        elapsed_s=record.elapsed_s,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cost_usd=record.cost_usd,
        model=record.model,
    )
