"""Events as a run would tell them, made short for tests of what is shown."""

from __future__ import annotations

from typing import Any

from orchestrator.cli.display.view import RunView
from orchestrator.events import (
    ChunkCancelled,
    ChunkFailed,
    ChunkProgressed,
    ChunkRetryScheduled,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
    Event,
    RunContinued,
    RunEstimated,
    RunFinished,
    RunPaused,
    RunProgressed,
    RunResumed,
    RunStarted,
    RunStitched,
)

HEADER: dict[str, Any] = {"run_id": "r1", "seq": 0, "at": "2026-01-02T03:04:05Z"}


def started(*chunk_ids: str, runner: str = "claude", name: str = "field-guide") -> RunStarted:
    return RunStarted(**HEADER, name=name, chunk_ids=chunk_ids, total=len(chunk_ids), runner=runner)


def resumed(*chunk_ids: str) -> RunResumed:
    return RunResumed(**HEADER, name="field-guide", chunk_ids=chunk_ids, total=len(chunk_ids), runner="claude")


def estimated(**changes: Any) -> RunEstimated:
    values: dict[str, Any] = {
        "calls": 8,
        "reusable": 3,
        "input_tokens": 12_345,
        "output_tokens": 9_012,
        "cost_usd_low": 0.112,
        "cost_usd_high": 0.304,
        "time_s_low": 61.0,
        "time_s_high": 175.0,
        "model": "sonnet",
        "login": "API key from ANTHROPIC_API_KEY",
    }
    return RunEstimated(**HEADER, **(values | changes))


def begun(chunk_id: str, *, attempt: int = 1) -> ChunkStarted:
    return ChunkStarted(
        **HEADER, chunk_id=chunk_id, attempt=attempt, timeout_s=300.0, complexity="medium", why="no answer yet"
    )


def progressed(chunk_id: str, output_chars: int) -> ChunkProgressed:
    return ChunkProgressed(**HEADER, chunk_id=chunk_id, output_chars=output_chars)


def succeeded(chunk_id: str, *, cost_usd: float = 0.02, elapsed_s: float = 12.4) -> ChunkSucceeded:
    return ChunkSucceeded(
        **HEADER,
        chunk_id=chunk_id,
        attempt=1,
        elapsed_s=elapsed_s,
        input_tokens=400,
        output_tokens=812,
        cost_usd=cost_usd,
    )


def reused(chunk_id: str) -> ChunkReused:
    return ChunkReused(**HEADER, chunk_id=chunk_id, from_run="r0")


def failed(chunk_id: str, *, message: str = "the model declined") -> ChunkFailed:
    return ChunkFailed(**HEADER, chunk_id=chunk_id, attempt=1, error_type="refusal", message=message, cost_usd=0.01)


def skipped(chunk_id: str, because: str) -> ChunkSkipped:
    return ChunkSkipped(**HEADER, chunk_id=chunk_id, because=because)


def cancelled(chunk_id: str) -> ChunkCancelled:
    return ChunkCancelled(**HEADER, chunk_id=chunk_id)


def retry(chunk_id: str, *, wait_s: float = 2.31) -> ChunkRetryScheduled:
    return ChunkRetryScheduled(**HEADER, chunk_id=chunk_id, attempt=1, wait_s=wait_s, reason="overloaded")


def added(*chunk_ids: str) -> ChunksAdded:
    return ChunksAdded(**HEADER, chunk_ids=chunk_ids)


def paused(until: str | None, **more: Any) -> RunPaused:
    return RunPaused(**HEADER, until=until, **({"reason": "usage limit"} | more))


def continued(**which: str) -> RunContinued:
    return RunContinued(**HEADER, **which)


def heartbeat(*, done: int, total: int, eta_s: float | None) -> RunProgressed:
    return RunProgressed(**HEADER, done=done, total=total, fraction=done / max(1, total), eta_s=eta_s, running={})


def stitched(path: str | None, **more: Any) -> RunStitched:
    return RunStitched(**HEADER, path=path, chars=100, gaps=(), **more)


def finished(status: Any = "complete", **changes: Any) -> RunFinished:
    values: dict[str, Any] = {
        "succeeded": 0,
        "failed": 0,
        "skipped": 0,
        "cancelled": 0,
        "reused": 0,
        "cost_usd": 0.19,
        "elapsed_s": 72.0,
        "work_s": 223.2,
        "reason": "",
    }
    return RunFinished(**HEADER, status=status, **(values | changes))


def folded(*events: Event, now_s: float = 100.0) -> RunView:
    """The view after these events, all received at `now_s`."""
    view = RunView()
    for event in events:
        view.apply(event, now_s=now_s)
    return view
