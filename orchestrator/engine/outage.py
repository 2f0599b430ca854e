"""Retries of a whole run: as many as answers earn, so that an overload is never multiplied by trying again. Pure.

Each chunk has its own attempts; a hundred chunks that each try three times would send a service that is down three
times the load. So retries after an overload are paid for from one bucket. Once it is empty one call goes at a time,
after waits that grow, until answers fill it again: nothing fails for the outage alone.

Sources: retry throttling of gRPC (proposal A6: a bucket of tokens, each failure takes one, each success earns a part
of one); per-client retry budgets in B. Beyer et al., "Site Reliability Engineering" (O'Reilly 2016), chapter 21,
"Handling Overload"; equal jitter in M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

FEWEST_RETRIES = 10.0
"""Retries that a run has without having earned any: a run of a few chunks may use all its attempts."""

EARNED = 0.5
"""What one answer earns: at most half as many retries as answers, so 1.5 starts for each chunk that is answered."""

LONGEST_WAIT_S = 300.0
"""No wait for a service that is down is longer."""

CALLS_IN_VAIN = 15
"""Lone calls that fail in a row before the run stops: with the waits between them about half an hour."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The chunk goes again without having used an attempt. Nothing starts for `wait_s` seconds from now.

    0: what is waited for already is enough. `calls` is how many went alone so far, and failed.
    """

    wait_s: float
    calls: int


@dataclass(frozen=True, slots=True)
class Outage:
    """Too many calls in a row failed although each went alone: the run is to stop, and can be resumed."""

    calls: int


class RetryBudget:
    """The bucket of one process of a run with `max_concurrency` calls at once.

    It holds two retries for each of those, or `FEWEST_RETRIES`: one overload meets all that are under way.
    """

    def __init__(self, *, max_concurrency: int) -> None:
        self._most = max(FEWEST_RETRIES, 2.0 * max_concurrency)
        self._left = self._most
        self._started = self._deaf_until = self._in_vain = 0
        self._numbers: dict[str, int] = {}

    @property
    def exhausted(self) -> bool:
        """Whether no retry is left: one call at a time then."""
        return self._left < 1

    def started(self, chunk_id: str) -> None:
        """A call for this chunk starts."""
        self._started += 1
        self._numbers[chunk_id] = self._started

    def answered(self) -> None:
        """A call brought an answer."""
        self._left = min(self._most, self._left + EARNED)
        self._in_vain = 0

    def overloaded(self, chunk_id: str, *, chance: random.Random) -> Hold | Outage | None:
        """The latest call for this chunk met an overload. None: its retry is covered, should it have one.

        Calls that had started before the last hold say nothing new, and make the wait no longer.
        """
        if not self.exhausted:
            self._left -= 1
            return None
        if self._numbers[chunk_id] <= self._deaf_until:
            return Hold(0.0, self._in_vain)
        if self._in_vain >= CALLS_IN_VAIN:
            return Outage(self._in_vain)
        self._deaf_until = self._started
        self._in_vain += 1
        bound = min(LONGEST_WAIT_S, 2.0 ** (self._in_vain - 1))
        return Hold(chance.uniform(bound / 2, bound), self._in_vain)
