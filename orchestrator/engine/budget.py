"""Money: reserved before each start, settled after. Pure."""

from __future__ import annotations

from collections.abc import Mapping


class Budget:
    """Keeps a run's cost below `max_cost_usd` (None: no bound), by at most what is in flight.

    `expected_usd` maps chunk ids to the estimated cost of one attempt; `spent_usd` is what earlier processes of the
    run paid.
    """

    def __init__(
        self, *, max_cost_usd: float | None, expected_usd: Mapping[str, float], spent_usd: float = 0.0
    ) -> None:
        self.max_cost_usd = max_cost_usd
        self.spent_usd = spent_usd
        self._expected = expected_usd
        self._reserved: dict[str, float] = {}

    def may_start(self, chunk_id: str) -> bool:
        """Whether the chunk's expected cost still fits.

        With nothing in flight and money left one chunk may always start: an estimate too high must not end a run.
        """
        if self.max_cost_usd is None:
            return True
        if not self._reserved:
            return self.spent_usd < self.max_cost_usd
        committed = self.spent_usd + sum(self._reserved.values())
        return committed + self._expected_of(chunk_id) <= self.max_cost_usd

    def _expected_of(self, chunk_id: str) -> float:
        """A repair is taken for what it repairs, a chunk that became known only now for the first of its group."""
        of = chunk_id.partition(".repair")[0]
        entry, _, rest = of.partition("[")
        keeper = rest.partition("]")[2]
        names = (chunk_id, of, f"{entry}[1]{keeper}", f"{entry}[1]", f"{entry}[1.1]", entry)
        alike = (self._expected.get(name) for name in names)
        return next((each for each in alike if each is not None), 0.0)

    def reserve(self, chunk_id: str) -> None:
        """An attempt of the chunk starts."""
        self._reserved[chunk_id] = self._expected_of(chunk_id)

    def settle(self, chunk_id: str, *, cost_usd: float | None) -> float:
        """The attempt is over; None charges its reservation, for an attempt that told no cost. Returns the charge."""
        reserved = self._reserved.pop(chunk_id, 0.0)
        charge = reserved if cost_usd is None else cost_usd
        self.spent_usd += charge
        return charge
