"""Money, or tokens: reserved before each start, settled after; what was settled tells what the next one takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

MARGIN = 1.2
"""What is reserved for an attempt beside the mean of those of its kind: answers of one kind differ."""
SMALL_LIMIT = 0.25
"""A limit is small when the high estimate of all calls is beyond this share of what is left of it."""


def shown_usd(amount_usd: float) -> str:
    """`$5.00`, and two significant digits below a cent: a small limit is not none."""
    return f"${amount_usd:.2f}" if amount_usd >= 0.01 else f"${Decimal(f'{amount_usd:.2g}'):f}"


def above_limit(cost_usd_high: float, *, limit_usd: float | None) -> tuple[str, ...]:
    """The warning that a run may cost more than it is allowed to, or nothing."""
    if limit_usd is None or cost_usd_high <= limit_usd:
        return ()
    return (f"it may cost {shown_usd(cost_usd_high)}, more than the limit of {shown_usd(limit_usd)}",)


@dataclass(frozen=True, slots=True)
class Expected:
    """What one attempt of a chunk is estimated to take: most likely, at least, at most.

    In US dollars or in tokens, as the budget counts.

    `learned`: it is known from answers to the same prompt in earlier runs.
    """

    likely: float
    low: float
    high: float
    learned: bool = False


UNFORESEEN = Expected(0.0, 0.0, 0.0)


@dataclass(slots=True)
class _Measured:
    """What settled attempts cost in all, and what was expected of them."""

    attempts: int = 0
    paid: float = 0.0
    expected: float = 0.0

    def add(self, expected: Expected, paid: float) -> None:
        self.attempts += 1
        self.paid += paid
        self.expected += expected.likely

    def price(self, expected: Expected) -> float:
        """The mean of what was paid, for a chunk that was expected to cost more or less than these accordingly."""
        if self.expected > 0 and expected.likely > 0:
            return expected.likely * self.paid / self.expected
        return self.paid / self.attempts


@dataclass(frozen=True, slots=True)
class _Flight:
    """An attempt under way: the kind of its chunk, and the estimate."""

    kind: str
    expected: Expected


class Budget:
    """Keeps what a run takes below `limit` (None: no bound), but for what is in flight when it is reached.

    `expected` maps chunk ids to estimates of one attempt, `high` is the high estimate of all calls of this process;
    `spent` is what earlier processes of the run took. For a chunk the high estimate is reserved until the first of
    its kind was settled: then what those of its kind cost, those in flight included. Where the limit is small the first
    of a kind goes before all others of it. A kind are the chunks of one entry of the plan, or its keepers.
    """

    def __init__(
        self,
        *,
        limit: float | None,
        expected: Mapping[str, Expected],
        high: float = 0.0,
        spent: float = 0.0,
    ) -> None:
        self.limit = limit
        self.spent = spent
        self._expected = expected
        self._is_small = limit is not None and high > SMALL_LIMIT * (limit - spent)
        self._in_flight: dict[str, _Flight] = {}
        self._measured: dict[str, _Measured] = {}
        self._all = _Measured()

    @property
    def reserved(self) -> float:
        """What is set aside for the attempts under way, by all that is known now."""
        return sum(map(self._careful, self._in_flight.values()))

    def may_start(self, chunk_id: str) -> bool:
        """Whether what is reserved for the chunk still fits.

        With nothing in flight and money left one chunk may always start: an estimate too high must not end a run.
        """
        if self.limit is None:
            return True
        if not self._in_flight:
            return self.spent < self.limit
        flight = self._flight(chunk_id)
        unknown = flight.kind not in self._measured and not flight.expected.learned
        if self._is_small and unknown and any(each.kind == flight.kind for each in self._in_flight.values()):
            return False
        return self.spent + self.reserved + self._careful(flight) <= self.limit

    def _flight(self, chunk_id: str) -> _Flight:
        """A repair is taken for what it repairs, a chunk that became known only now for the first of its group."""
        of = chunk_id.partition(".repair")[0]
        entry, _, rest = of.partition("[")
        keeper = rest.partition("]")[2]
        names = (chunk_id, of, f"{entry}[1]{keeper}", f"{entry}[1]", f"{entry}[1.1]", entry)
        alike = (self._expected.get(name) for name in names)
        return _Flight(f"{entry}{keeper}", next((each for each in alike if each is not None), UNFORESEEN))

    def _careful(self, flight: _Flight) -> float:
        expected, measured = flight.expected, self._measured.get(flight.kind)
        if measured is not None:
            return max(expected.low, MARGIN * measured.price(expected))
        # Of another kind nothing is known, but that all estimates may be wrong in the same way.
        return max(expected.high, self._all.price(expected) if self._all.attempts else 0.0)

    def _likely(self, flight: _Flight) -> float:
        measured = self._measured.get(flight.kind)
        return flight.expected.likely if measured is None else measured.price(flight.expected)

    def reserve(self, chunk_id: str) -> None:
        """An attempt of the chunk starts."""
        self._in_flight[chunk_id] = self._flight(chunk_id)

    def release(self, chunk_id: str) -> None:
        """The attempt does not start after all."""
        self._in_flight.pop(chunk_id, None)

    def settle(self, chunk_id: str, *, amount: float | None, answered: bool = True) -> float:
        """The attempt is over. Returns the charge: for an attempt that told nothing (None) what it was likely to take.

        An attempt without an answer tells of others only when it was dearer than expected: most break off early.
        """
        flight = self._in_flight.pop(chunk_id, None) or self._flight(chunk_id)
        charge = self._likely(flight) if amount is None else amount
        self.spent += charge
        if amount is not None and (answered or amount > self._likely(flight)):
            self._learn(flight, amount)
        return charge

    def learn(self, chunk_id: str, *, amount: float) -> None:
        """An attempt of the chunk took so much in an earlier process of the run."""
        self._learn(self._flight(chunk_id), amount)

    def _learn(self, flight: _Flight, amount: float) -> None:
        for measured in (self._measured.setdefault(flight.kind, _Measured()), self._all):
            measured.add(flight.expected, amount)
