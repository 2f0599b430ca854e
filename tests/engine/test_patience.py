"""How long a call is waited for, learned from what earlier calls took."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.engine.patience import ENOUGH_CALLS, Patience, learned
from orchestrator.runners.simulated import SimulatedRunner
from tests.engine.runs import play


def limits(class_s: float, took_s: list[float]) -> tuple[float, float]:
    found = learned(class_s, took_s=took_s, usual="complexity medium")
    return found.timeout_s, found.silence_s


@pytest.mark.parametrize(
    ("class_s", "took_s", "timeout_s", "silence_s"),
    [
        (300, [], 300, 300),
        (300, [5.0] * (ENOUGH_CALLS - 1), 300, 300),
        (300, [5.0] * ENOUGH_CALLS, 300, 100),
        (300, [5.0] * 30 + [40.0], 300, 160),
        (300, [5.0] * 30 + [90.0], 300, 300),
        (120, [5.0] * 30, 120, 60),
        (600, [5.0] * 30, 600, 200),
        (120, [100.0] * 30, 150, 150),
        (120, [500.0] * 30, 240, 240),
        (20, [1.0] * 30, 20, 20),
    ],
)
def test_limits_follow_what_calls_took(class_s: float, took_s: list[float], timeout_s: float, silence_s: float) -> None:
    """From 20 calls on: silence down to a third, never below a minute; the time for an answer up to twice the class."""
    assert limits(class_s, took_s) == (timeout_s, silence_s)


@given(
    class_s=some.sampled_from([120.0, 300.0, 600.0]),
    took_s=some.lists(some.floats(0.1, 2000.0), max_size=60),
)
def test_no_call_like_those_before_is_ended_for_what_was_learned(class_s: float, took_s: list[float]) -> None:
    """A call that the size class alone would let live, lives; silence is never shorter than the longest call was."""
    timeout_s, silence_s = limits(class_s, took_s)
    assert timeout_s >= class_s
    assert silence_s >= min(class_s, max(took_s, default=0.0))
    assert silence_s >= class_s / 3


def test_where_a_limit_is_from_is_said() -> None:
    """With how many calls taught it."""
    told = "learned from 20 calls of this model, the longest of which took 9 s"
    found = learned(300.0, took_s=[9.0] * 20, usual="complexity medium")
    assert found == Patience(timeout_s=300.0, silence_s=100.0, timeout_from="complexity medium", silence_from=told)


def test_a_run_learns_from_the_runs_before_it_unless_the_plan_says_the_time(tmp_path: Path) -> None:
    """After 30 quick calls silence is suspicious sooner; `timeout_s` in the plan is kept to the second."""
    chance = random.Random(1)
    plan = {
        "name": "p",
        "inputs": {"names": {"items": [f"name {chance.random()}" for _ in range(30)]}},
        "chunks": [{"id": "part", "for_each": {"input": "names"}, "prompt": "About {{ item.text }}"}],
    }
    one = {"name": "q", "chunks": [{"id": "a", "prompt": "One"}, {"id": "b", "prompt": "Two", "timeout_s": 77}]}

    async def scene() -> None:
        runner = SimulatedRunner(latency_s=0)
        await play(plan, tmp_path, runner=runner)
        before = {request.silence_s for request in runner.requests}
        await play(one, tmp_path, runner=runner)
        a, b = runner.requests[-2:]
        assert before == {300.0}
        assert (a.timeout_s, a.silence_s, a.timeout_from) == (300.0, 100.0, "complexity medium")
        assert a.silence_from.startswith("learned from 30 calls of this model")
        assert (b.timeout_s, b.silence_s, b.silence_from) == (77.0, 77.0, "timeout_s of the plan")

    asyncio.run(scene())
