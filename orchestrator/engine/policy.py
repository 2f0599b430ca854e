"""What to do about a failed attempt: pure, by the failure's class alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from orchestrator.runners.base import Failure, FailureClass, Reply

BACK_OFF_BASE_S = 1.0
"""Largest first wait; each later one may be twice as long. The API asks for at least a second between tries."""

BACK_OFF_CAP_S = 60.0
"""No wait is longer: past a minute an overload is worth another look."""

FREE_THROTTLED_WAITS = 20
"""Waits for a throttled call that use no attempt: being one of many is not the chunk's fault."""

_BACKS_OFF = frozenset(
    {
        FailureClass.TRANSIENT,
        FailureClass.START_TIMEOUT,
        FailureClass.SILENCE_TIMEOUT,
        FailureClass.WALL_TIMEOUT,
    }
)
_GOES_AGAIN = frozenset(
    {FailureClass.EMPTY, FailureClass.MALFORMED, FailureClass.REJECTED, FailureClass.CRASH, FailureClass.PROTOCOL}
)
_STOPS_THE_RUN = frozenset(
    {FailureClass.AUTH, FailureClass.BILLING, FailureClass.UNKNOWN_MODEL, FailureClass.ENVIRONMENT}
)
TIMEOUTS = frozenset({FailureClass.START_TIMEOUT, FailureClass.SILENCE_TIMEOUT, FailureClass.WALL_TIMEOUT})
"""After these the next attempt gets twice the time."""

_MAY_COST_UNTOLD = frozenset({FailureClass.CRASH, FailureClass.PROTOCOL, FailureClass.CANCELLED, *TIMEOUTS})
"""Attempts that may have cost something without telling."""

PROVES_OPEN = frozenset(
    {
        FailureClass.REFUSAL,
        FailureClass.EMPTY,
        FailureClass.MALFORMED,
        FailureClass.REJECTED,
        FailureClass.OUTPUT_CEILING,
    }
)
"""A model was at work: the login is not at its limit."""

OVERLOADS = frozenset({FailureClass.TRANSIENT, FailureClass.THROTTLED})
"""After these fewer calls go on at once."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Go again after `wait_s` seconds. `free`: the failed attempt does not count."""

    wait_s: float
    free: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The chunk has failed."""


@dataclass(frozen=True, slots=True)
class StopRun:
    """Nothing would work: no process starts any more, chunks stay pending."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The login's allowance is used up until this epoch second, if that was told; the attempt does not count."""

    resets_at: float | None


@dataclass(frozen=True, slots=True)
class Leave:
    """Trying on would do harm: the run stops as it is, to be resumed; chunks stay pending."""

    reason: str


Reaction = Retry | GiveUp | StopRun | Pause


def react(
    failure: Failure,
    *,
    attempts_used: int,
    max_attempts: int,
    throttled_waits: int,
    chance: random.Random,
) -> Reaction:
    """The reaction to a failure.

    `attempts_used` includes this one, `throttled_waits` counts earlier free waits of the chunk.
    """
    kind = failure.error_type
    if kind in _STOPS_THE_RUN:
        return StopRun()
    if kind is FailureClass.USAGE_LIMIT:
        return Pause(failure.resets_at)
    if kind is FailureClass.THROTTLED and throttled_waits < FREE_THROTTLED_WAITS:
        return Retry(_wait_s(failure, throttled_waits + 1, chance), free=True)
    if attempts_used >= max_attempts:
        return GiveUp()
    if kind in _BACKS_OFF or kind is FailureClass.THROTTLED:
        return Retry(_wait_s(failure, attempts_used, chance))
    if kind in _GOES_AGAIN:
        return Retry(0.0)
    return GiveUp()


def cost_told(outcome: Reply | Failure) -> float | None:
    """What an attempt cost, in US dollars; None for one that may have cost something and did not tell."""
    return outcome.cost_usd if outcome.cost_usd > 0 or _tells(outcome) else None


def tokens_told(outcome: Reply | Failure) -> int | None:
    """What an attempt took, in tokens sent and received; None for one that may have taken some and did not tell."""
    tokens = outcome.usage.total_input_tokens + outcome.usage.output_tokens
    return tokens if tokens or _tells(outcome) else None


def _tells(outcome: Reply | Failure) -> bool:
    return isinstance(outcome, Reply) or outcome.error_type not in _MAY_COST_UNTOLD


def _wait_s(failure: Failure, nth: int, chance: random.Random) -> float:
    """Full jitter: a random share of an exponentially growing bound, so that failed calls do not come back together.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    bound = min(BACK_OFF_CAP_S, BACK_OFF_BASE_S * 2 ** (nth - 1))
    return max(chance.uniform(0, bound), failure.retry_after_s or 0.0)


StopClass = Literal["", "interrupted", "environment", "stopped"]
"""Why a process ended before its work was done: asked to, could not go on, or reached a bound."""
