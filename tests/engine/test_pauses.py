"""Pauses: until when they last, which account they stop, and the one call that goes first afterwards."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orchestrator.engine.clock import to_iso
from orchestrator.engine.pauses import (
    FIRST_PROBE_S,
    JUST_PAST_WAIT_S,
    LONGEST_PROBE_S,
    LONGEST_WINDOW_S,
    PROBE_JITTER,
    Limit,
    Paused,
    PauseLeft,
    Pauses,
    pause_end,
    pauses_left_by,
    probe_wait_s,
)

NOW = 1_000_000.0
HOUR = 3600.0


def make(*, wait: bool = True, max_wait_s: float | None = None) -> Pauses:
    return Pauses(wait=wait, max_wait_s=max_wait_s, chance=random.Random(1))


def at(resets_at: float | None, reason: str = "limit reached") -> Limit:
    return Limit(resets_at=resets_at, reason=reason)


def meet(pauses: Pauses, chunk_id: str, limit: Limit, *, now_s: float, account: str = "") -> Paused | None:
    """A call of the chunk starts and meets the limit."""
    pauses.started(account, chunk_id)
    pause = pauses.limit_met(account, chunk_id, limit, now_s=now_s)
    pauses.ended(account, chunk_id, proves=False)
    return pause


def answer(pauses: Pauses, chunk_id: str, *, account: str = "") -> None:
    """A call of the chunk starts and is answered."""
    pauses.started(account, chunk_id)
    pauses.ended(account, chunk_id, proves=True)


def test_probes_grow_from_five_minutes_to_an_hour() -> None:
    """Each bound is twice the last one up to an hour; the wait lies up to a fifth below it, and varies."""
    for nth, bound in enumerate([300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0], 1):
        waits = [probe_wait_s(nth, random.Random(seed)) for seed in range(200)]
        assert bound * (1 - PROBE_JITTER) <= min(waits) < bound * 0.85
        assert bound * 0.95 < max(waits) <= bound
    assert probe_wait_s(10_000, random.Random(1)) <= LONGEST_PROBE_S


@pytest.mark.parametrize("resets_at", [None, NOW - 61.0, 0.0, NOW + LONGEST_WINDOW_S + 1])
def test_a_reset_that_is_missing_past_or_absurd_is_probed(resets_at: float | None) -> None:
    """The first time after at most five minutes, then later and later."""
    ends = [pause_end(resets_at, nth=nth, now_s=NOW, chance=random.Random(1)) for nth in (1, 2, 3)]
    assert [known for _, known in ends] == [False] * 3
    waits = [end - NOW for end, _ in ends]
    assert waits == sorted(waits)
    assert waits[0] <= FIRST_PROBE_S < waits[2]


def test_a_reset_is_believed_once() -> None:
    """To the second; one that has just come is asked again soon. The next time it has to be a probe later at least."""
    chance = random.Random(1)
    assert pause_end(NOW + 90, nth=1, now_s=NOW, chance=chance) == (NOW + 90, True)
    assert pause_end(NOW - 5, nth=1, now_s=NOW, chance=chance) == (NOW + JUST_PAST_WAIT_S, False)
    again, _ = pause_end(NOW + 2, nth=2, now_s=NOW, chance=chance)
    assert FIRST_PROBE_S * (1 - PROBE_JITTER) <= again - NOW <= FIRST_PROBE_S
    assert pause_end(NOW + 3 * 86_400, nth=2, now_s=NOW, chance=chance) == (NOW + 3 * 86_400, True)


def test_after_the_reset_one_call_goes_first() -> None:
    """Nothing else starts while it is under way; its answer opens the account, another failure lets the next try."""
    pauses = make()
    assert pauses.open_account(()) == ""
    assert meet(pauses, "a", at(NOW + 60), now_s=NOW) is not None
    assert pauses.open_account(()) is None
    assert not pauses.over("", now_s=NOW + 59)
    assert pauses.over("", now_s=NOW + 60)
    pauses.started("", "a")
    assert pauses.open_account(()) is None
    pauses.ended("", "a", proves=False)
    pauses.started("", "b")
    assert pauses.open_account(()) is None, "a broken connection shows nothing of the limit"
    pauses.ended("", "b", proves=True)
    assert pauses.open_account(()) == ""


def test_a_limit_met_by_many_calls_at_once_is_met_once() -> None:
    """Those that were under way with the first say nothing new, whether they end in the pause or after it."""
    pauses = make()
    for name in "abc":
        pauses.started("", name)
    first = pauses.limit_met("", "a", at(NOW + 60), now_s=NOW)
    assert first is not None
    assert pauses.limit_met("", "b", at(NOW + 60), now_s=NOW + 1) is None
    assert pauses.over("", now_s=NOW + 60)
    pauses.started("", "a")
    assert pauses.limit_met("", "c", at(NOW + 60), now_s=NOW + 61) is None
    assert pauses.limit_met("", "c", at(None), now_s=NOW + 61) is None
    pauses.ended("", "a", proves=True)
    assert pauses.open_account(()) == ""


def test_a_later_reset_makes_the_pause_longer() -> None:
    """As when the limit of the week is told after that of five hours."""
    pauses = make()
    pauses.started("", "b")
    meet(pauses, "a", at(NOW + 60), now_s=NOW)
    longer = pauses.limit_met("", "b", at(NOW + 86_400, "weekly"), now_s=NOW + 1)
    assert longer is not None
    assert (longer.until_s, longer.reason, longer.met) == (NOW + 86_400, "weekly", 1)
    assert not pauses.over("", now_s=NOW + 60)


def test_a_limit_without_a_reset_is_asked_about_less_and_less_often() -> None:
    """In a day not even forty calls are made; an answer lets the next limit begin anew."""
    pauses, now_s, waits = make(), NOW, list[float]()
    while now_s < NOW + 24 * HOUR:
        pause = meet(pauses, "a", at(None), now_s=now_s)
        assert pause is not None
        waits.append(pause.until_s - now_s)
        now_s = pause.until_s
        assert pauses.over("", now_s=now_s)
    assert waits[0] <= 300 < waits[1] <= 600 < waits[2] + 300
    assert all(0.8 * HOUR <= wait <= HOUR for wait in waits[4:])
    assert len(waits) < 40
    answer(pauses, "a")
    again = meet(pauses, "b", at(None), now_s=now_s)
    assert again is not None
    assert again.met == 1


def test_a_pause_stops_only_its_own_account() -> None:
    """A lane goes to the next account that it names, and back once the first is proven again."""
    pauses = make()
    meet(pauses, "a", at(NOW + 60), now_s=NOW, account="work")
    assert [pauses.open_account(lane) for lane in (("work",), ("spare",), ("work", "spare"))] == [
        None,
        "spare",
        "spare",
    ]
    pauses.over("work", now_s=NOW + 60)
    assert pauses.open_account(("work", "spare")) == "work"
    pauses.started("work", "a")
    assert pauses.open_account(("work", "spare")) == "spare", "while one call looks how it stands"
    pauses.ended("work", "a", proves=True)
    assert pauses.open_account(("work", "spare")) == "work"


def test_what_is_not_waited_for_says_until_when() -> None:
    """Stuck is only what no account can answer; each that is given up is named."""
    pauses = make(wait=False)
    meet(pauses, "a", at(NOW + HOUR, "no more"), now_s=NOW, account="work")
    assert pauses.why_stuck([("work", "spare")]) == ""
    assert pauses.why_stuck([("work",)]) == (
        "the usage limit of account work lasts until 1970-01-12 14:46 UTC: no more"
    )
    assert pauses.why_stuck([]) == ""
    assert not pauses.over("work", now_s=NOW + 2 * HOUR), "nobody waits for it"


def test_max_wait_bounds_all_the_waiting_between_two_answers() -> None:
    """A pause within it is waited for; probes in a row count together."""
    pauses = make(max_wait_s=HOUR)
    pause = meet(pauses, "a", at(NOW + HOUR), now_s=NOW)
    assert pause is not None
    assert not pause.gave_up
    pauses.over("", now_s=NOW + HOUR)
    again = meet(pauses, "a", at(NOW + HOUR + 10), now_s=NOW + HOUR)
    assert again is not None
    assert "longer than max_wait" in again.gave_up
    pauses = make(max_wait_s=HOUR)
    pause = meet(pauses, "a", at(NOW + 86_400), now_s=NOW)
    assert pause is not None
    assert "lasts until 1970-01-13 13:46 UTC, longer than max_wait" in pause.gave_up


def events(*told: dict[str, Any]) -> list[dict[str, Any]]:
    """Stored events, as far as pauses look at them."""
    return [{"at": to_iso(NOW), **each} for each in told]


def paused(until_s: float, **more: Any) -> dict[str, Any]:
    return {"type": "run_paused", "reason": "no more", "until": to_iso(until_s), **more}


def test_a_restart_goes_on_with_the_pause_and_its_count() -> None:
    """Also where the pause itself had ended, as long as no answer came after it; an older store has no counts."""
    left = pauses_left_by(
        events(
            paused(NOW + 60),
            {"type": "run_continued"},
            paused(NOW + 900, account="work", met=3, cause="limit"),
            {"type": "chunk_started", "chunk_id": "a", "account": "work"},
            {"type": "chunk_succeeded", "chunk_id": "a"},
        )
    )
    assert left == {
        "": PauseLeft(until_s=NOW + 60, reason="no more", cause="limit", met=1),
        "work": PauseLeft(until_s=NOW + 900, reason="no more", cause="limit", met=3),
    }
    late = {"type": "chunk_succeeded", "chunk_id": "a", "at": to_iso(NOW + 901)}
    started = {"type": "chunk_started", "chunk_id": "a", "account": "work"}
    assert pauses_left_by(events(paused(NOW + 900, account="work"), started, late)) == {}

    pauses = make()
    assert pauses.restored("", left[""], now_s=NOW + 100) is None
    assert pauses.open_account(()) == "", "it is over"
    pauses.started("", "a")
    assert pauses.open_account(()) is None, "but one call shows that first"
    resumed = pauses.restored("work", left["work"], now_s=NOW + 100)
    assert resumed is not None
    assert (resumed.until_s, resumed.met) == (NOW + 900, 3)
    pauses.over("work", now_s=NOW + 900)
    fourth = meet(pauses, "a", at(None), now_s=NOW + 900, account="work")
    assert fourth is not None
    assert fourth.until_s - NOW - 900 >= 2400 * (1 - PROBE_JITTER)


def test_a_restart_that_does_not_wait_lets_one_call_look() -> None:
    """A limit may have been raised since; the rest of a window that is to be left is not touched."""
    pauses = make(wait=False)
    limit = PauseLeft(until_s=NOW + HOUR, reason="no more", cause="limit", met=1)
    assert pauses.restored("", limit, now_s=NOW) is None
    assert pauses.open_account(()) == ""
    pauses.started("", "a")
    assert pauses.open_account(()) is None
    leave = PauseLeft(until_s=NOW + HOUR, reason="enough", cause="leave_usage")
    kept = pauses.restored("work", leave, now_s=NOW)
    assert kept is not None
    assert pauses.open_account(("work",)) is None
    assert "lasts until" in kept.gave_up
