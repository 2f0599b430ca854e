"""Retries are covered by answers: an overload is not multiplied, and nothing fails for an outage alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import outage, policy
from orchestrator.engine.outage import CALLS_IN_VAIN, FEWEST_RETRIES, LONGEST_WAIT_S, Hold, Outage, RetryBudget
from orchestrator.events import ChunkFailed, ChunkRetryScheduled, RunContinued, RunPaused
from orchestrator.runners.base import Failure, FailureClass, Request
from orchestrator.runners.simulated import SimulatedRunner
from tests.engine.runs import Story, play, play_on

OVERLOAD = Failure(error_type=FailureClass.TRANSIENT, message="API Error: 529")


def fail(budget: RetryBudget, chunk_id: str = "c", *, seed: int = 1) -> Hold | Outage | None:
    budget.started(chunk_id)
    return budget.overloaded(chunk_id, chance=random.Random(seed))


def test_a_small_run_may_use_all_its_attempts() -> None:
    """The first retries are covered without any answer; two for each call at once, ten at least."""
    for max_concurrency in (1, 4, 5, 16):
        budget = RetryBudget(max_concurrency=max_concurrency)
        covered = max(FEWEST_RETRIES, 2 * max_concurrency)
        assert [fail(budget) for _ in range(int(covered))] == [None] * int(covered)
        assert budget.exhausted
        assert isinstance(fail(budget), Hold)


def test_two_answers_earn_one_retry() -> None:
    """And never more than the bucket holds."""
    budget = RetryBudget(max_concurrency=1)
    for _ in range(100):
        budget.answered()
    assert [fail(budget) for _ in range(11)][-2:] == [None, Hold(pytest.approx(0.567, abs=0.01), 1)]
    budget.answered()
    assert budget.exhausted
    budget.answered()
    assert not budget.exhausted
    assert fail(budget) is None


def test_lone_calls_wait_longer_and_longer_for_about_half_an_hour() -> None:
    """Waits double from a second to five minutes; after fifteen calls in vain the run is to stop."""
    budget = RetryBudget(max_concurrency=1)
    for _ in range(10):
        fail(budget)
    waits = [found.wait_s for seed in range(CALLS_IN_VAIN) if isinstance(found := fail(budget, seed=seed), Hold)]
    for at, wait_s in enumerate(waits):
        bound = min(LONGEST_WAIT_S, 2.0**at)
        assert bound / 2 <= wait_s <= bound
    assert 20 * 60 < sum(waits) < 40 * 60
    assert fail(budget) == Outage(CALLS_IN_VAIN)
    budget.answered()
    assert isinstance(fail(budget), Hold), "an answer begins the count anew"


def test_calls_that_were_under_way_make_the_wait_no_longer() -> None:
    """Of a hundred that meet one overload, one wait comes."""
    budget = RetryBudget(max_concurrency=1)
    for at in range(111):
        budget.started(f"c{at}")
    found = [budget.overloaded(f"c{at}", chance=random.Random(1)) for at in range(111)]
    assert found[:10] == [None] * 10
    assert isinstance(found[10], Hold)
    assert found[10].wait_s > 0
    assert found[11:] == [Hold(0.0, 1)] * 100


class Overloaded(SimulatedRunner):
    """Answers at once, but for the calls that `meets` names by their number from 1: those meet an overload."""

    def __init__(self, meets: Callable[[int], bool]) -> None:
        super().__init__(latency_s=0)
        self._meets = meets

    async def run(self, request: Request, *, on_progress: Any) -> Any:
        reply = await super().run(request, on_progress=on_progress)
        return OVERLOAD if self._meets(len(self.requests)) else reply


def plan_of(count: int, **limits: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "inputs": {"names": {"items": [f"name {at}" for at in range(count)]}},
        "chunks": [{"id": "part", "for_each": {"input": "names"}, "prompt": "About {{ item.text }}"}],
        "max_attempts": 11,
        "limits": limits,
    }


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a hundredth of a second at most."""
    monkeypatch.setattr(policy, "BACK_OFF_CAP_S", 0.01)
    monkeypatch.setattr(outage, "LONGEST_WAIT_S", 0.01)


@pytest.mark.usefixtures("quick_waits")
@pytest.mark.parametrize("seed", range(3))
def test_one_failure_in_five_takes_no_more_than_one_and_a_half_starts_a_chunk(tmp_path: Path, seed: int) -> None:
    """At 20 % transient failures every chunk is answered, but for the few that fail three times."""
    chance = random.Random(seed)
    runner = Overloaded(lambda _: chance.random() < 0.2)
    plan = plan_of(200, max_same_failure=200) | {"max_attempts": 3}
    story = asyncio.run(play(plan, tmp_path, runner=runner, max_concurrency=8))
    assert len(story.started) <= 1.5 * 200
    assert len(story.ids(ChunkFailed)) <= 8
    assert story.result.exit_code in (0, 1)


def go(*args: Any, **options: Any) -> Story:
    return asyncio.run(play(*args, **options))


@pytest.mark.usefixtures("quick_waits")
def test_an_outage_that_lasts_costs_few_starts_and_no_chunk(tmp_path: Path) -> None:
    """200 chunks with eleven attempts each and no answer: 30 starts, exit 4, nothing failed; a resumed run goes on."""
    story = go(plan_of(200, max_same_failure=200), tmp_path, runner=Overloaded(lambda _: True), max_concurrency=4)
    assert len(story.started) <= FEWEST_RETRIES + 4 + CALLS_IN_VAIN + 1
    assert (story.result.exit_code, story.ids(ChunkFailed)) == (4, [])
    assert story.result.reason.startswith("15 calls in a row failed, each going alone, with growing waits. API Error")
    kinds = [event.type for event in story.events]
    assert kinds.count(RunPaused.type) == kinds.count(RunContinued.type) == CALLS_IN_VAIN
    rest = asyncio.run(play_on("last", tmp_path, runner=SimulatedRunner(latency_s=0)))
    assert rest.result.status == "complete"


@pytest.mark.usefixtures("quick_waits")
def test_an_outage_that_ends_costs_no_chunk(tmp_path: Path) -> None:
    """The calls that go alone use no attempt; after the first answers the run has its width again."""
    story = go(plan_of(40), tmp_path, runner=Overloaded(lambda number: number <= 25), max_concurrency=4)
    assert story.result.status == "complete"
    assert len(story.started) == 40 + 25
    assert len(story.ids(ChunkRetryScheduled)) == 25


def test_a_run_that_may_not_wait_stops_when_its_retries_are_used_up(tmp_path: Path) -> None:
    """With `--no-wait`: exit 4 at once, chunks pending."""
    plan = plan_of(200, max_same_failure=200)
    story = go(plan, tmp_path, runner=Overloaded(lambda _: True), max_concurrency=4, wait_for_limits=False)
    assert len(story.started) <= FEWEST_RETRIES + 4
    assert (story.result.exit_code, story.ids(ChunkFailed)) == (4, [])
    assert story.result.reason == "the retries of the run are used up. API Error: 529"
