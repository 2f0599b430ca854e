"""How long a call is waited for, learned from what earlier calls took."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.engine.patience import ENOUGH_CALLS, Patience, learned
from orchestrator.runners.simulated import SimulatedRunner
from tests.engine.runs import play


def limits(class_s: float, took_s: list[float], alike_s: list[float]) -> tuple[float, float]:
    found = learned(class_s, took_s=took_s, alike_s=alike_s, usual="complexity medium")
    return found.timeout_s, found.silence_s


@pytest.mark.parametrize(
    ("class_s", "took_s", "alike_s", "timeout_s", "silence_s"),
    [
        (300, [], [], 300, 300),
        (300, [], [5.0] * (ENOUGH_CALLS - 1), 300, 300),
        (300, [], [5.0] * ENOUGH_CALLS, 300, 150),
        (300, [5.0] * 30, [5.0] * 30 + [40.0], 300, 160),
        (300, [], [5.0] * 30 + [90.0], 300, 300),
        (600, [], [5.0] * 30, 600, 300),
        (120, [], [5.0] * 30, 120, 120),
        (120, [100.0] * 30, [], 150, 150),
        (120, [500.0] * 30, [5.0] * 30, 240, 120),
        (20, [1.0] * 30, [1.0] * 30, 20, 20),
    ],
)
def test_limits_follow_what_calls_took(
    class_s: float, took_s: list[float], alike_s: list[float], timeout_s: float, silence_s: float
) -> None:
    """From 20 on: silence down to half by answers to the same prompt; the time up to twice by calls of the model."""
    assert limits(class_s, took_s, alike_s) == (timeout_s, silence_s)


some_times = some.lists(some.floats(0.1, 2000.0), max_size=60)


@given(class_s=some.sampled_from([120.0, 300.0, 600.0]), took_s=some_times, alike_s=some_times)
def test_no_call_like_those_before_is_ended_for_what_was_learned(
    class_s: float, took_s: list[float], alike_s: list[float]
) -> None:
    """A call that the size class alone would let live, lives; silence is never shorter than the longest call was."""
    timeout_s, silence_s = limits(class_s, took_s, alike_s)
    assert timeout_s >= class_s
    assert silence_s >= min(class_s, max(alike_s, default=0.0))
    assert silence_s >= class_s / 2
    assert limits(class_s, took_s, []) == (timeout_s, timeout_s)


def test_where_a_limit_is_from_is_said() -> None:
    """With how many answers taught it."""
    told = "learned from 20 answers to this prompt, the longest of which took 9 s"
    found = learned(300.0, took_s=[9.0] * 20, alike_s=[9.0] * 20, usual="complexity medium")
    assert found == Patience(timeout_s=300.0, silence_s=150.0, timeout_from="complexity medium", silence_from=told)


def test_a_run_learns_from_the_runs_before_it_unless_the_plan_says_the_time(tmp_path: Path) -> None:
    """After 30 quick answers silence is suspicious sooner for that prompt and no other, nor for another effort;
    `timeout_s` in the plan is kept to the second.
    """
    part = {"id": "part", "for_each": {"input": "names"}, "prompt": "About {{ item.text }}"}

    def plan(count: int, *chunks: dict[str, Any]) -> dict[str, Any]:
        return {"name": "p", "inputs": {"names": {"items": [f"name {at}" for at in range(count)]}}, "chunks": [*chunks]}

    hard, timed = {**part, "id": "hard", "effort": "high"}, {**part, "id": "timed", "timeout_s": 77}
    other = {"id": "other", "prompt": "Two"}

    async def scene() -> None:
        runner = SimulatedRunner(latency_s=0)
        await play(plan(30, part), tmp_path, runner=runner)
        assert {request.silence_s for request in runner.requests} == {300.0}
        await play(plan(31, part, hard, other), tmp_path, runner=runner)
        await play(plan(32, timed), tmp_path, runner=runner)
        last = {request.chunk_id: request for request in runner.requests}
        known = last["part[31]"]
        assert (known.timeout_s, known.silence_s, known.timeout_from) == (300.0, 150.0, "complexity medium")
        assert known.silence_from.startswith("learned from 30 answers to this prompt")
        assert (last["hard[31]"].silence_s, last["other"].silence_s) == (300.0, 300.0)
        given = last["timed[32]"]
        assert (given.timeout_s, given.silence_s, given.silence_from) == (77.0, 77.0, "timeout_s of the plan")

    asyncio.run(scene())


def test_a_run_waits_longer_for_a_model_that_was_slow(tmp_path: Path) -> None:
    """Whatever was asked: one and a half times what those calls took, and the limit says so."""

    async def scene() -> None:
        runner = SimulatedRunner(latency_s=0)
        many = {"id": "part", "for_each": {"items": [f"name {at}" for at in range(30)]}, "prompt": "{{ item.text }}"}
        await play({"name": "p", "chunks": [many]}, tmp_path, runner=runner)
        with closing(sqlite3.connect(tmp_path / "store.db")) as store, store:
            store.execute("UPDATE calls SET elapsed_s = 250")
        await play({"name": "q", "chunks": [{"id": "other", "prompt": "Two"}]}, tmp_path, runner=runner)
        other = runner.requests[-1]
        assert other.timeout_s == 375.0
        assert other.timeout_from.startswith("learned from 30 calls of this model")

    asyncio.run(scene())
