"""What `status` says about a run, as lines and as JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.cli.display.lines import DOT
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.pausing import local_minute
from orchestrator.cli.display.words import count, duration, money
from orchestrator.store.records import ChunkRecord, RunRecord

if TYPE_CHECKING:
    from orchestrator.api import PauseRecord, Writer

_IN_ORDER = ("succeeded", "reused", "running", "failed", "skipped", "cancelled", "pending")


def shown_status(chunk: ChunkRecord, *, live: bool) -> str:
    """The chunk's status as a person sees it: `reused` is told apart, and nothing runs in a run without a process."""
    if chunk.status == "succeeded" and chunk.reused_from:
        return "reused"
    return "pending" if chunk.status == "running" and not live else chunk.status


def run_state(run: RunRecord, *, live: bool) -> str:
    """The run's state; `interrupted` for one whose process is gone."""
    return "interrupted" if run.state == "running" and not live else run.state


def status_record(
    run: RunRecord,
    chunks: Sequence[ChunkRecord],
    *,
    live: bool,
    next_command: str,
    unclosed_s: float = 0.0,
    pauses: Sequence[PauseRecord] = (),
    now: datetime | None = None,
) -> dict[str, Any]:
    """Everything `status --json` prints. `next_command` is empty when there is nothing to go on with.

    `unclosed_s` is how long a process has run that has not stored it itself; `lost_calls` counts what was under way
    when it was killed. `pauses` are those that no answer has ended; `over` are such as ended before `now`.
    """
    state = run_state(run, live=live)
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": state,
        "reason": run.reason,
        "live": live,
        "plan_path": run.plan_path,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "elapsed_s": round(run.elapsed_s + unclosed_s, 3),
        "cost_usd": round(sum(chunk.cost_usd for chunk in chunks if not chunk.reused_from), 6),
        "lost_calls": sum(chunk.status == "running" for chunk in chunks) if state == "interrupted" else 0,
        "pauses": _pauses(pauses, state=state, live=live, now=now or datetime.now(UTC)),
        "total": len(chunks),
        "counts": dict(Counter(shown_status(chunk, live=live) for chunk in chunks)),
        "result_path": run.result_path,
        "planned_by": run.options.get("planned_by"),
        "options": dict(run.options),
        "next_command": next_command,
        "chunks": [asdict(chunk) | {"shown_status": shown_status(chunk, live=live)} for chunk in chunks],
    }


def _pauses(pauses: Sequence[PauseRecord], *, state: str, live: bool, now: datetime) -> list[dict[str, Any]]:
    """Of a run that is not over. In a live one a pause that has ended is no news."""
    if state not in ("running", "stopped", "interrupted"):
        return []
    told = [asdict(each) | {"over": datetime.fromisoformat(each.until) <= now} for each in pauses]
    return [each for each in told if not (live and each["over"])]


def _pause_line(pause: dict[str, Any], *, live: bool) -> str:
    of = f"account {one_line(pause['account'])} " if pause["account"] else ""
    if pause["over"]:
        now = ", and no answer has come since; to go on asks once, to see whether it is over"
        return f"{of}was paused until {local_minute(pause['until'])} ({one_line(pause['reason'])}){now}"
    then = "" if live else "; to go on waits for that"
    return f"{of}paused until {local_minute(pause['until'])} ({one_line(pause['reason'])}){then}"


def status_lines(record: dict[str, Any]) -> list[str]:
    """What `status` prints of a `status_record`."""
    state = record["state"] + (f" ({one_line(record['reason'])})" if record["reason"] else "")
    head = [f"{one_line(record['name'])}: run {record['run_id']}", state]
    head += [local_minute(record["created_at"]), duration(record["elapsed_s"]), money(record["cost_usd"])]
    counts = [f"{record['counts'][status]} {status}" for status in _IN_ORDER if record["counts"].get(status)]
    lines = [DOT.join(head), f"{count(record['total'], 'chunk')}: {', '.join(counts)}"]
    if record["lost_calls"] and not record["options"]["runner"].startswith("simulated"):
        were = "calls were" if record["lost_calls"] > 1 else "call was"
        lines.append(f"{record['lost_calls']} {were} under way when its process ended, and may have been paid")
    if record["live"]:
        lines.append("a live process holds this run")
    lines += [_pause_line(each, live=record["live"]) for each in record["pauses"]]
    lines += _chunk_lines(record["chunks"])
    if planner := record["planned_by"]:
        lines.append(f"planned by: run {planner['run_id']}{DOT}{money(planner['cost_usd'])}")
    if record["result_path"]:
        lines.append(f"result: {one_line(record['result_path'], limit=4096)}")
    if record["next_command"]:
        lines.append(f"to go on: {record['next_command']}")
    return lines


def _chunk_lines(chunks: Sequence[dict[str, Any]]) -> list[str]:
    names = [one_line(chunk["chunk_id"], limit=64) for chunk in chunks]
    width = max((len(name) for name in names), default=0)
    return [
        f"  {name:<{width}}  {chunk['shown_status']:<9}  {_story(chunk)}".rstrip()
        for name, chunk in zip(names, chunks, strict=True)
    ]


def _story(chunk: dict[str, Any]) -> str:
    """Why it ran or was reused, what it took, or what went wrong."""
    facts: list[str] = []
    if chunk["attempts"] and chunk["shown_status"] != "reused":
        facts.append(count(chunk["attempts"], "attempt"))
        facts += [duration(chunk["elapsed_s"]), money(chunk["cost_usd"])]
    if chunk["why"]:
        facts.append(one_line(chunk["why"]))
    if chunk["shown_status"] == "skipped":
        facts.append(f"{one_line(chunk['because'])} has no answer")
    if chunk["error_type"] and chunk["shown_status"] != "reused":
        facts.append(f"{chunk['error_type']}: {one_line(chunk['message'], limit=600)}")
    return DOT.join(facts)


def writer_line(writer: Writer) -> str:
    """Who wrote a part of a line."""
    if writer.kind == "separator":
        return f"put in by the rule {writer.rule}" if writer.rule else "between two answers"
    if writer.kind == "gap":
        return f"{one_line(writer.chunk_id)}{DOT}has no answer"
    lines = f"line {writer.first_line:,}" if writer.first_line == writer.last_line else ""
    lines = lines or f"lines {writer.first_line:,} to {writer.last_line:,}"
    facts = [one_line(writer.chunk_id), f"{lines} of its answer"]
    if writer.rule:
        facts.append(f"changed by the rule {writer.rule}")
    if (origin := writer.origin) is not None:
        by = "" if origin.answered_by == writer.chunk_id else f" of {origin.answered_by}"
        facts += [
            f"attempt {origin.attempt}{by}",
            f"run {origin.run_id}",
            one_line(origin.model),
            money(origin.cost_usd),
        ]
        facts += [f"session {one_line(origin.session_id)}"] if origin.session_id else []
    return DOT.join(facts)
