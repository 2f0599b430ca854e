"""Time and chance, injected so that a run can be replayed."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(slots=True)
class Clock:
    """The machine's clocks and a source of chance. Subclass it, or seed `chance`, to replay a run."""

    chance: random.Random = field(default_factory=random.Random)

    def epoch_s(self) -> float:
        """Seconds since 1970, by the wall clock, which may jump."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def iso(self) -> str:
        """The wall clock as UTC in ISO 8601 with milliseconds."""
        return to_iso(self.epoch_s())


def to_iso(epoch_s: float) -> str:
    """Epoch seconds as UTC in ISO 8601 with milliseconds, such as 2026-03-01T09:30:00.125Z."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(moment: str) -> float:
    """Epoch seconds of what `to_iso` made."""
    return datetime.fromisoformat(moment).timestamp()
