"""What follows from a failed attempt, by its class."""

from __future__ import annotations

import random

import pytest

from orchestrator.engine.policy import (
    BACK_OFF_CAP_S,
    FREE_THROTTLED_WAITS,
    GiveUp,
    Pause,
    Reaction,
    Retry,
    StopRun,
    react,
)
from orchestrator.runners.base import Failure, FailureClass


def reaction(kind: FailureClass, *, used: int = 1, waits: int = 0, **facts: float) -> Reaction:
    """The reaction with three attempts allowed."""
    return react(
        Failure(error_type=kind, message="it failed", **facts),
        attempts_used=used,
        max_attempts=3,
        throttled_waits=waits,
        chance=random.Random(1),
    )


@pytest.mark.parametrize("kind", ["auth", "billing", "unknown_model", "environment"])
def test_what_no_attempt_can_mend_stops_the_run(kind: str) -> None:
    """The next chunk would meet the same wall."""
    assert reaction(FailureClass(kind)) == StopRun()


@pytest.mark.parametrize("kind", ["refusal", "tool_denied", "invalid_request", "too_long", "output_ceiling"])
def test_what_this_prompt_will_always_meet_fails_at_once(kind: str) -> None:
    """No blind retry: it would be paid for nothing."""
    assert reaction(FailureClass(kind)) == GiveUp()


@pytest.mark.parametrize("kind", ["empty", "malformed", "crash", "protocol"])
def test_what_a_fresh_process_may_mend_goes_again_at_once(kind: str) -> None:
    """Within the chunk's attempts, without a wait."""
    assert reaction(FailureClass(kind)) == Retry(0.0)
    assert reaction(FailureClass(kind), used=3) == GiveUp()


@pytest.mark.parametrize("kind", ["transient", "start_timeout", "silence_timeout", "wall_timeout"])
def test_what_time_may_mend_backs_off_with_full_jitter(kind: str) -> None:
    """Waits are random below a bound that doubles and is capped; attempts are bounded."""
    failure = Failure(error_type=FailureClass(kind), message="")
    for used in (1, 2, 3, 30):
        waits = [
            react(
                failure,
                attempts_used=used,
                max_attempts=99,
                throttled_waits=0,
                chance=random.Random(seed),
            )
            for seed in range(200)
        ]
        bound = min(BACK_OFF_CAP_S, 2 ** (used - 1))
        seconds = [each.wait_s for each in waits if isinstance(each, Retry)]
        assert len(seconds) == 200
        assert 0 <= min(seconds) < 0.1 * bound
        assert 0.9 * bound < max(seconds) <= bound
    assert reaction(FailureClass(kind), used=3) == GiveUp()


def test_a_wait_that_the_api_asks_for_is_kept() -> None:
    """`retry_after_s` is the least."""
    assert reaction(FailureClass.TRANSIENT, retry_after_s=42.0) == Retry(42.0)


def test_throttling_uses_no_attempt_for_a_while() -> None:
    """Being one of many is not the chunk's fault; but it does not wait for ever."""
    first = reaction(FailureClass.THROTTLED, used=3)
    assert isinstance(first, Retry)
    assert first.free
    later = reaction(FailureClass.THROTTLED, used=1, waits=FREE_THROTTLED_WAITS)
    assert isinstance(later, Retry)
    assert not later.free
    assert reaction(FailureClass.THROTTLED, used=3, waits=FREE_THROTTLED_WAITS) == GiveUp()


def test_a_usage_limit_pauses_until_it_ends() -> None:
    """Whatever number of attempts was used; until when is told, or not."""
    assert reaction(FailureClass.USAGE_LIMIT, used=9, resets_at=5000.0) == Pause(5000.0)
    assert reaction(FailureClass.USAGE_LIMIT, used=9) == Pause(None)


def test_every_class_has_a_reaction() -> None:
    """No class falls through unnoticed."""
    stops = {kind for kind in FailureClass if reaction(kind) == StopRun()}
    gives_up = {kind for kind in FailureClass if reaction(kind) == GiveUp()}
    goes_on = {kind for kind in FailureClass if isinstance(reaction(kind), Retry | Pause)}
    assert stops | gives_up | goes_on == set(FailureClass)
    assert gives_up - {FailureClass.CANCELLED} == {
        FailureClass.REFUSAL,
        FailureClass.TOOL_DENIED,
        FailureClass.INVALID_REQUEST,
        FailureClass.TOO_LONG,
        FailureClass.OUTPUT_CEILING,
    }
