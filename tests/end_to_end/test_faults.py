"""What goes wrong with calls, through the command that a user types: how many start, how long it waits, how it ends."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from tests.claude_cli.attempts import runs
from tests.end_to_end.command import Command, Outcome
from tests.equipment.fake_claude import FakeClaude, Step
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiResponse, StandInApi, answer, error

OVERLOADED: list[Step] = [
    "read_prompt",
    "init",
    {"error": "API Error: 529 Overloaded"},
    {"result": {"is_error": True, "terminal_reason": "api_error", "api_error_status": 529, "result": "API Error: 529"}},
    {"exit": 1},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def faked(folder: Path, fake_claude: FakeClaude, isolated_home: Path) -> Command:
    environment = {"PATH": os.environ["PATH"], "HOME": str(isolated_home), "TMPDIR": str(folder.parent)}
    return Command(folder, environment, claude=fake_claude.path)


def write(folder: Path, *ids: str, **settings: Any) -> None:
    """A plan with a chunk for each id, whose prompt says the id."""
    lines = [f"{name}: {value}" for name, value in settings.items()]
    lines += ["chunks:", *(f"  - {{id: {each}, prompt: Write <{each}>}}" for each in ids)]
    (folder / "plan.yaml").write_text("\n".join(lines) + "\n")


def failures(outcome: Outcome) -> dict[str, str]:
    return {event["chunk_id"]: event["error_type"] for event in outcome.events if event["type"] == "chunk_failed"}


def test_a_bad_login_is_met_by_no_more_calls_than_go_at_once(
    folder: Path, claude_binary: Path, standin_api: StandInApi, isolated_home: Path
) -> None:
    """A 401: nothing starts after the first is seen, one request for each start, exit 3, all chunks pending."""
    write(folder, *(f"c{at}" for at in range(8)), limits="{max_concurrency: 3}")
    standin_api.when("Write", error(401))
    command = Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)
    outcome = command.run("plan.yaml", "--progress", "json")
    assert outcome.exit_code == 3
    assert 1 <= len(outcome.ids("chunk_started")) <= 3
    assert len(standin_api.requests) <= len(outcome.ids("chunk_started"))
    assert len(outcome.ids("chunk_cancelled")) == 8
    assert failures(outcome) == {}


def test_an_overload_that_passes_costs_as_many_starts_as_it_hit(
    folder: Path, claude_binary: Path, standin_api: StandInApi, isolated_home: Path
) -> None:
    """Three 529s and then answers: three starts more than chunks, a request for each, waits below their bounds."""
    write(folder, "a", "b", "c", "d")
    hits = itertools.count()

    def respond(_: Any) -> ApiResponse:
        return error(529) if next(hits) < 3 else answer("fine")

    standin_api.when("Write", respond)
    command = Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)
    outcome = command.run("plan.yaml", "--progress", "json")
    assert outcome.exit_code == 0
    assert len(outcome.ids("chunk_started")) == len(standin_api.requests) == 4 + 3
    retries = [event for event in outcome.events if event["type"] == "chunk_retry_scheduled"]
    assert [event["reason"] for event in retries] == ["transient"] * 3
    assert all(event["wait_s"] <= 2 ** (event["attempt"] - 1) for event in retries)


def test_an_overload_storm_stops_a_run_that_may_not_wait(folder: Path, faked: Command, fake_claude: FakeClaude) -> None:
    """Forty chunks with three attempts each: ten failures that are covered and the one that is not, exit 4."""
    write(folder, *(f"c{at}" for at in range(40)), limits="{max_concurrency: 1, max_same_failure: 40}")
    fake_claude.play(*OVERLOADED)
    outcome = faked.run("plan.yaml", "--progress", "json", "--no-wait")
    assert outcome.exit_code == 4
    assert len(outcome.ids("chunk_started")) == len(fake_claude.calls()) == 11
    assert outcome.events[-1]["reason"].startswith("the retries of the run are used up. API Error: 529")
    assert "orchestrate resume" in outcome.stderr


def test_each_chunk_meets_its_own_fault_and_no_other(folder: Path, faked: Command, fake_claude: FakeClaude) -> None:
    """Hangs in four places, a refusal and a full memory at once: exact starts and classes, the rest is answered."""
    write(
        folder, "start", "quiet", "middle", "late", "refused", "balloon", "good",
        timeout_s=3, max_attempts=2, limits="{max_concurrency: 8, max_memory_mb: 100, max_same_failure: 9}",
    )  # fmt: skip
    hang: Step = {"sleep": 3600}
    fake_claude.when("<start>", "read_prompt", hang)
    fake_claude.when("<quiet>", "read_prompt", "init", hang)
    fake_claude.when("<middle>", "read_prompt", "init", {"delta": "well"}, {"sleep": 1}, {"delta": "…"}, hang)
    fake_claude.when("<late>", "read_prompt", "init", {"text": "whole"}, "result", "ignore_sigterm", hang)
    fake_claude.when("<refused>", "read_prompt", "init", {"text": "no"}, {"result": {"stop_reason": "refusal"}})
    fake_claude.when("<balloon>", "read_prompt", "init", {"balloon": 200}, {"delta": "w"}, {"sleep": 2}, hang)
    outcome = faked.run("plan.yaml", "--progress", "json", "-o", "out.md")
    assert outcome.exit_code == 1
    assert failures(outcome) == {
        "start": "start_timeout",
        "quiet": "silence_timeout",
        "middle": "silence_timeout",
        "refused": "refusal",
        "balloon": "crash",
    }
    started = outcome.ids("chunk_started")
    assert {each: started.count(each) for each in started} == {
        "start": 2, "quiet": 2, "middle": 2, "late": 1, "refused": 1, "balloon": 2, "good": 1,
    }  # fmt: skip
    assert sorted(outcome.ids("chunk_succeeded")) == ["good", "late"]
    limits = {
        event["chunk_id"]: event["timeout_s"]
        for event in outcome.events
        if event["type"] == "chunk_started" and event["attempt"] == 2
    }
    assert limits == {"start": 6.0, "quiet": 6.0, "middle": 6.0, "balloon": 3.0}, "a timeout doubles the next limit"
    assert not any(runs(pid) for pid in fake_claude.pids())
    assert "[missing: balloon, crash]" in (folder / "out.incomplete.md").read_text()


def test_every_bound_stops_cleanly_and_a_raised_one_goes_on(
    folder: Path, faked: Command, fake_claude: FakeClaude
) -> None:
    """Tokens, then money, then time: each ends with exit 4 and its command; nothing is asked twice."""
    write(folder, *(f"c{at}" for at in range(8)), limits="{max_concurrency: 1}")
    slow: list[Step] = ["read_prompt", "init", {"text": "fine"}, {"sleep": 0.3}, "result"]
    fake_claude.play(*slow)

    def stopped(*arguments: str) -> Outcome:
        outcome = faked.run(*arguments, "--progress", "json")
        assert outcome.exit_code == 4, outcome
        return outcome

    tokens = stopped("plan.yaml", "--max-tokens", "10")
    assert tokens.ids("chunk_succeeded") == ["c0", "c1"], "five tokens each"
    assert "--max-tokens" in tokens.stderr
    money = stopped("resume", "last", "--max-tokens", "100000", "--max-cost", "0.04")
    assert money.ids("chunk_succeeded") == ["c2", "c3"], "a cent each, those of the first process included"
    time = stopped("resume", "last", "--max-cost", "10", "--max-wall", "0.1")
    assert time.ids("chunk_succeeded") == ["c4"]
    assert "the time limit of 0.1 s is reached" in time.events[-1]["reason"]
    rest = faked.run("resume", "last", "--max-wall", "60", "--progress", "json")
    assert (rest.exit_code, len(rest.ids("chunk_reused"))) == (0, 5)
    assert len(fake_claude.calls()) == 8
