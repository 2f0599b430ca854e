"""`status` tells how a run stands and why each chunk ran."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.api import PauseRecord
from orchestrator.cli.display.pausing import local_minute
from orchestrator.cli.status_lines import status_lines, status_record
from orchestrator.store import ChunkRecord, RunRecord

RUN = RunRecord(
    run_id="r1",
    name="guide",
    plan_path="/x/guide.yaml",
    base_dir="/x",
    source="",
    inputs={},
    files={},
    options={"runner": "claude"},
    state="partial",
    reason="",
    created_at="2026-01-02T03:04:05+00:00",
    updated_at="2026-01-02T03:05:17+00:00",
    elapsed_s=72.0,
    result_path="/x/guide.incomplete.md",
)
CHUNKS = [
    ChunkRecord(chunk_id="outline", position=0, status="succeeded", why="answer known", reused_from="r0", cost_usd=0.5),
    ChunkRecord(
        chunk_id="how",
        position=1,
        status="succeeded",
        attempts=2,
        why="its prompt changed",
        elapsed_s=12.4,
        cost_usd=0.02,
        output_tokens=812,
    ),
    ChunkRecord(
        chunk_id="why",
        position=2,
        status="failed",
        attempts=1,
        why="not asked before",
        error_type="refusal",
        message="declined\x1b[2J\n[9/9] forged",
        elapsed_s=2.0,
        cost_usd=0.01,
    ),
    ChunkRecord(chunk_id="summary", position=3, status="skipped", because="why"),
    ChunkRecord(chunk_id="end", position=4, status="running", attempts=1),
]


def test_lines() -> None:
    """Head, counts, one line for each chunk with its reason, the result, and the command to go on."""
    record = status_record(RUN, CHUNKS, live=False, next_command="orchestrate resume r1")
    lines = status_lines(record)
    assert lines[0].startswith("guide: run r1 · partial · 2026-01-0")
    assert lines[0].endswith(" · 1 min 12 s · $0.03")
    assert lines[1:] == [
        "5 chunks: 1 succeeded, 1 reused, 1 failed, 1 skipped, 1 pending",
        "  outline  reused     answer known",
        "  how      succeeded  2 attempts · 12.4 s · $0.02 · its prompt changed",
        "  why      failed     1 attempt · 2.0 s · $0.01 · not asked before · refusal: declined␛[2J [9/9] forged",
        "  summary  skipped    why has no answer",
        "  end      pending    1 attempt · 0.0 s · $0.00",
        "result: /x/guide.incomplete.md",
        "to go on: orchestrate resume r1",
    ]


def test_run_without_its_process_is_interrupted() -> None:
    """A run that says running is running only while its process lives."""
    run = replace(RUN, state="running")
    assert status_record(run, CHUNKS, live=True, next_command="")["state"] == "running"
    assert status_record(run, CHUNKS, live=False, next_command="")["state"] == "interrupted"
    live = status_record(run, CHUNKS, live=True, next_command="")
    assert live["chunks"][-1]["shown_status"] == "running"


def test_reason_of_a_stop_is_shown() -> None:
    """A stopped run says why."""
    record = status_record(replace(RUN, state="stopped", reason="cost limit"), [], live=False, next_command="")
    assert " · stopped (cost limit) · " in status_lines(record)[0]


def test_what_a_kill_may_have_cost_is_told() -> None:
    """Calls under way have told no cost yet: the sum is not the whole; nor is the stored time."""
    run = replace(RUN, state="running", elapsed_s=10.0)
    record = status_record(run, CHUNKS, live=False, next_command="", unclosed_s=2.5)
    assert (record["lost_calls"], record["elapsed_s"]) == (1, 12.5)
    assert status_lines(record)[2] == "1 call was under way when its process ended, and may have been paid"
    free = status_record(replace(run, options={"runner": "simulated"}), CHUNKS, live=False, next_command="")
    assert not any("may have been paid" in line for line in status_lines(free))
    assert status_record(run, CHUNKS, live=True, next_command="")["lost_calls"] == 0


PAUSES = [
    PauseRecord(account="", until="2026-01-02T05:00:00.000Z", reason="used up\x1b", cause="limit", met=2),
    PauseRecord(account="spare", until="2026-01-02T03:30:00.000Z", reason="gone", cause="leave_usage", met=1),
]


def test_pauses_that_were_left_are_told() -> None:
    """Whose, until when and why; what is over by now is told too, since no answer has shown it. Not of a run's end."""
    now = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
    stopped = replace(RUN, state="stopped", reason="interrupted")
    record = status_record(stopped, [], live=False, next_command="", pauses=PAUSES, now=now)
    assert [(each["account"], each["until"], each["cause"], each["over"]) for each in record["pauses"]] == [
        ("", "2026-01-02T05:00:00.000Z", "limit", False),
        ("spare", "2026-01-02T03:30:00.000Z", "leave_usage", True),
    ]
    usual, spare = (local_minute(each.until) for each in PAUSES)
    assert status_lines(record)[2:4] == [
        f"paused until {usual} (used up␛); to go on waits for that",
        f"account spare was paused until {spare} (gone), and no answer has come since; "
        "to go on asks once, to see whether it is over",
    ]
    assert status_record(RUN, [], live=False, next_command="", pauses=PAUSES, now=now)["pauses"] == []


def test_a_live_process_is_told() -> None:
    """Whoever looks knows that the run is held, and what it waits for."""
    now = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
    record = status_record(replace(RUN, state="running"), [], live=True, next_command="", pauses=PAUSES, now=now)
    until = local_minute(PAUSES[0].until)
    assert status_lines(record)[2:4] == ["a live process holds this run", f"paused until {until} (used up␛)"]
