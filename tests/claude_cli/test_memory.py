"""What an attempt may hold in memory, on real processes that really hold it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.runners.base import Failure, FailureClass, Reply
from orchestrator.runners.claude_cli.memory import MB, Held, resident_bytes
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.turnstile import Turnstile
from tests.claude_cli.attempts import attempt, runs
from tests.equipment.fake_claude import FakeClaude, Step

LOOKS_OFTEN = Timing(start_s=20.0, exit_s=0.3, grace_s=0.5, probe_s=20.0, memory_s=0.05)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}


def test_the_memory_of_a_group_is_that_of_all_its_processes() -> None:
    """Two processes of one group that hold 60 MB each hold 120 MB and what Python itself takes."""
    hold = "x = b'x' * 60_000_000; print(1, flush=True); input()"
    command = [sys.executable, "-I", "-S", "-c", hold]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    try:
        second = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=first.pid)
        for each in (first, second):
            assert each.stdout is not None
            each.stdout.readline()
        held = resident_bytes({first.pid, os.getpgrp()})
        assert 120 * MB < held[first.pid] < 170 * MB
        second.communicate(b"\n")
        assert 60 * MB < resident_bytes({first.pid})[first.pid] < 85 * MB
    finally:
        first.communicate(b"\n")
    assert resident_bytes({first.pid}) == {}


def test_the_most_that_was_held_counts_and_is_told_once() -> None:
    """Without a limit nothing is ever too much."""
    told: list[int] = []
    held = Held(group=1, limit=100, on_over=lambda: told.append(held.bytes))
    for size in (50, 101, 300, 20):
        held.seen(size)
    assert (held.bytes, held.is_over, told) == (300, True, [101])
    free = Held(group=1, limit=0, on_over=lambda: told.append(-1))
    free.seen(10**12)
    assert not free.is_over


@pytest.mark.parametrize("stubborn", [[], ["ignore_sigterm"]])
def test_a_process_that_fills_the_memory_is_ended(
    fake_claude: FakeClaude, environment: dict[str, str], stubborn: list[Step]
) -> None:
    """300 MB where 150 are allowed: the group is ended within the grace, a crash with the figures, nothing left."""
    fake_claude.play("read_prompt", *stubborn, "init", {"delta": "well"}, {"balloon": 300}, {"sleep": 3600})
    failure = attempt(fake_claude.path, environment, timing=LOOKS_OFTEN, max_memory_mb=150)
    assert isinstance(failure, Failure)
    assert failure.error_type is FailureClass.CRASH
    assert failure.evidence["limit_mb"] == 150
    assert int(str(failure.evidence["held_mb"])) > 150
    assert "limits: {max_memory_mb: …} allows more than 150" in failure.message
    assert not any(runs(pid) for pid in fake_claude.pids())


def test_an_answer_that_came_before_the_memory_was_full_counts(
    fake_claude: FakeClaude, environment: dict[str, str]
) -> None:
    """It is paid for; the process is ended all the same."""
    fake_claude.play("read_prompt", "init", {"text": "fine"}, "result", {"balloon": 300}, {"sleep": 3600})
    timing = Timing(exit_s=2.0, grace_s=0.5, memory_s=0.05)
    reply = attempt(fake_claude.path, environment, timing=timing, max_memory_mb=150)
    assert isinstance(reply, Reply)
    assert reply.text == "fine"
    assert not any(runs(pid) for pid in fake_claude.pids())


def test_a_timeout_says_where_its_limit_is_from(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """So that who reads it knows what to change."""
    fake_claude.play("read_prompt", "init", {"sleep": 3600})
    failure = attempt(
        fake_claude.path, environment, timing=LOOKS_OFTEN, silence_s=0.5, silence_from="learned from 30 calls"
    )
    assert isinstance(failure, Failure)
    assert failure.error_type is FailureClass.SILENCE_TIMEOUT
    assert "nothing came from the CLI for 0 s (learned from 30 calls). Raise timeout_s" in failure.message


def test_the_cli_gets_no_retries_of_its_own(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Ours are all there are, whatever the user's environment says."""
    attempt(fake_claude.path, environment | {"CLAUDE_CODE_MAX_RETRIES": "7"})
    (call,) = fake_claude.calls()
    assert call["env"]["CLAUDE_CODE_MAX_RETRIES"] == "0"


def test_one_call_goes_first_again_after_a_while() -> None:
    """A token does not live for ever: ten minutes after the last call that went alone the next one goes alone."""
    now = [0.0]
    turnstile = Turnstile(open=False, again_after_s=600.0, now_s=lambda: now[0])

    async def scene() -> None:
        (await turnstile.enter()).answered()
        for now[0] in (1.0, 599.0):
            (await turnstile.enter()).answered()
        now[0] = 600.0
        first = await turnstile.enter()
        others = [asyncio.create_task(turnstile.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in others)
        first.answered()
        await asyncio.wait_for(asyncio.gather(*others), 5)
        now[0] = 1199.0
        await asyncio.wait_for(asyncio.gather(*(turnstile.enter() for _ in range(3))), 5)

    asyncio.run(scene())


def test_a_login_without_a_token_to_refresh_never_waits() -> None:
    """An API key cannot expire under us."""

    async def scene() -> None:
        turnstile = Turnstile(open=True, again_after_s=0.0)
        passages = await asyncio.wait_for(asyncio.gather(*(turnstile.enter() for _ in range(5))), 5)
        assert len(passages) == 5

    asyncio.run(scene())
