"""What the API's prompt cache did for a run: tokens written to it, tokens read back, and what that saved. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.plan.prices import MILLION, price_of
from orchestrator.runners.base import Usage


@dataclass(slots=True)
class CacheUse:
    """The answers of one process together. `saved_usd` is against sending all of it uncached; it may be negative.

    Writing costs more than sending, reading back far less. Models whose price is not known save nothing.
    """

    read_tokens: int = 0
    write_tokens: int = 0
    saved_usd: float = 0.0

    def told(self) -> dict[str, Any]:
        """The fields of the last event of a process."""
        return {
            "cache_read_tokens": self.read_tokens,
            "cache_write_tokens": self.write_tokens,
            "cache_saved_usd": round(self.saved_usd, 6),
        }

    def add(self, usage: Usage, *, model: str | None) -> None:
        """An answer is there; `model` gave it."""
        self.read_tokens += usage.cache_read_tokens
        self.write_tokens += usage.cache_write_tokens
        price = price_of(model)
        if price is not None:
            read = usage.cache_read_tokens * (price.input - price.cache_read)
            written = usage.cache_write_tokens * (price.cache_write - price.input)
            self.saved_usd += (read - written) / MILLION
