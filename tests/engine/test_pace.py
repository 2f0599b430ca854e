"""How many calls go on at once, told by what the calls met."""

from __future__ import annotations

from orchestrator.engine.pace import Pace


def start(pace: Pace, chunk_id: str) -> str:
    pace.started(chunk_id)
    return chunk_id


def test_one_overload_halves_once_though_many_calls_meet_it() -> None:
    """Eight calls under way meet the same overload: four at once afterwards, not none."""
    pace = Pace(8)
    calls = [start(pace, f"c{at}") for at in range(8)]
    for call in calls:
        pace.overloaded(call)
    assert pace.now == 4
    pace.overloaded(start(pace, "late"))
    assert pace.now == 2


def test_it_never_falls_below_one_and_recovers_to_the_most() -> None:
    """One more at once after as many answers as go on at once."""
    pace = Pace(3)
    for _ in range(5):
        pace.overloaded(start(pace, "late"))
    assert pace.now == 1
    pace.answered()
    assert pace.now == 2
    pace.answered()
    assert pace.now == 2
    pace.answered()
    assert pace.now == 3
    for _ in range(10):
        pace.answered()
    assert pace.now == 3
