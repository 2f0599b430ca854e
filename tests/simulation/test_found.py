"""Defects that simulated worlds showed, each told as plainly as it can be."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.engine.gate import Bounds
from tests.simulation.faults import Faults, Window
from tests.simulation.seen import seconds_of
from tests.simulation.world import Fate, Setting, play

QUICK = Faults(latency_s=1.0, cost_usd=0.1)


def test_money_paid_for_pieces_known_at_run_time_counts_after_a_resume() -> None:
    """The pieces of an answer are known again only when that answer is; what they cost is known from the start."""
    plan: dict[str, Any] = {
        "name": "p",
        "chunks": [
            {"id": "listed", "prompt": "List five"},
            {"id": "piece", "for_each": {"chunk": "listed"}, "prompt": "About {{ item.text }}"},
            *({"id": f"alone{at}", "prompt": f"Write {at}"} for at in range(8)),
        ],
    }
    setting = Setting(plan=plan, faults=QUICK, fates=[Fate()] * 4, max_cost_usd=0.15, max_concurrency=1)
    told = play(setting, random.Random(1))
    assert not told.broken
    assert [result.status for result in told.results if result][-1] == "complete"
    for limit_usd, result in zip([0.15, 0.45, 1.35], told.results, strict=False):
        assert result is not None
        assert result.cost_usd < limit_usd + 0.16, "one call more than the limit at most"


def test_a_pause_lengthens_the_time_of_a_run_by_itself_and_no_more() -> None:
    """A run of 20 s that is paused for five minutes in its first second has the other 19 s afterwards."""
    plan = {"name": "p", "mode": "sequence", "chunks": [{"id": f"c{at}", "prompt": f"Write {at}"} for at in range(40)]}
    faults = Faults(latency_s=2.0, limits=[Window(1.0, 301.0)])
    bounds = Bounds(max_wall_s=20.0, max_same_failure=5, wait_for_limits=True)
    told = play(Setting(plan=plan, faults=faults, bounds=bounds), random.Random(3), tell=True)
    assert not told.broken
    first = told.results[0]
    assert first is not None
    assert first.status == "stopped"
    assert first.reason.startswith("the time limit of 20 s is reached")
    finished = next(line for line in told.story if '"run_finished"' in line)
    assert 320 <= float(finished.partition('"elapsed_s": ')[2].partition(",")[0]) < 340


def test_a_limit_reached_when_every_answer_was_there_stops_nothing() -> None:
    """The last answer may come after the time was over: nothing is left to do, and the run is complete with exit 0."""
    plan = {"name": "p", "chunks": [{"id": "part", "for_each": ["one", "two"], "prompt": "Write {{ item.text }}"}]}
    bounds = Bounds(max_wall_s=0.5, max_same_failure=5, wait_for_limits=True)
    told = play(Setting(plan=plan, faults=Faults(latency_s=30.0), bounds=bounds), random.Random(5))
    assert not told.broken
    (result,) = told.results
    assert result is not None
    assert (result.status, result.exit_code, result.reason) == ("complete", 0, "")


def test_a_limit_that_never_says_when_it_ends_is_asked_about_later_and_later() -> None:
    """Through five hours the waits double up to an hour, each ends in one call, and the run completes."""
    waits = waits_for(Window(0.0, 18_000.0, ""))
    for wait_s, bound_s in zip(waits, (300, 600, 1200, 2400, *[3600] * len(waits)), strict=False):
        assert 0.8 * bound_s <= wait_s <= bound_s
    assert len(waits) >= 8


@pytest.mark.parametrize(("told", "first_s"), [("early", 7200), ("past", 1)])
def test_a_reset_that_is_wrong_again_and_again_is_believed_once(told: str, first_s: float) -> None:
    """To the second; then five minutes, and longer from wait to wait, with one call after each."""
    waits = waits_for(Window(0.0, 14_400.0, told))
    assert abs(waits[0] - first_s) <= 2
    assert 240 <= waits[1] <= 300
    assert waits[1] < waits[2] < waits[3]
    assert all(0.8 * 1200 <= wait_s <= 3600 for wait_s in waits[2:])


def waits_for(limit: Window) -> list[float]:
    """How long each pause of a run is, in seconds, that meets the limit and completes; one call goes after each."""
    plan = {"name": "p", "chunks": [{"id": f"c{at}", "prompt": f"Write {at}"} for at in range(6)]}
    played = play(Setting(plan=plan, faults=Faults(latency_s=2.0, limits=[limit])), random.Random(7), tell=True)
    assert not played.broken
    assert [result.status for result in played.results if result] == ["complete"]
    story = [json.loads(line) for line in played.story]
    pauses = [told for told in story if told.get("type") == "run_paused"]
    assert [told["met"] for told in pauses] == [*range(1, len(pauses) + 1)]
    ends = [seconds_of(told["until"]) - 0.01 for told in pauses]
    asked = [told["at_s"] for told in story if "asked" in told]
    for end_s, next_s in pairwise(ends):
        assert sum(end_s <= at_s < next_s for at_s in asked) == 1
    first, second, *_ = sorted(at_s for at_s in asked if at_s >= ends[-1])
    answered = [told["at_s"] for told in story if told.get("outcome") == "reply"]
    assert first <= min(answered) <= second
    return [end_s - seconds_of(told["at"]) for end_s, told in zip(ends, pauses, strict=True)]
