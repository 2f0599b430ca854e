"""What models cost and take, from one data file; for models it does not know, the dearest that it does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """One model. Prices in US dollars per million tokens; `window` and `max_output` in tokens.

    `token_factor` is how many tokens the model counts for one of `cl100k_base`, on the high side.
    """

    model: str
    input: float
    output: float
    cache_read: float
    cache_write: float
    window: int
    max_output: int
    token_factor: float


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All known models by full name, their aliases, and where the figures are from. `date` is ISO 8601."""

    date: str
    source: str
    default: str
    aliases: Mapping[str, str]
    models: Mapping[str, Price]

    def find(self, model: str | None) -> Price | None:
        """The price of a model by alias or full name, also with a date, a provider or `[1m]` around the name.

        None for a model that is not known; the CLI's default model when no model is named.
        """
        asked = (model or self.default).lower()
        base = asked.partition("[")[0]
        name = self.aliases.get(base, base)
        known = [each for each in self.models if re.search(rf"(?<![a-z0-9-]){each}(?=$|-\d{{8}}|-v\d|[@:])", name)]
        if not known:
            return None
        price = self.models[max(known, key=len)]
        return replace(price, window=MILLION) if asked.endswith("[1m]") else price

    def dearest(self) -> Price:
        """The price that no known model exceeds: for models that are not known."""
        return max(self.models.values(), key=lambda price: (price.output, price.input))


@cache
def price_of(model: str | None) -> Price | None:
    """What the table that is part of this package says of a model; see `PriceTable.find`."""
    return price_table().find(model)


@cache
def price_table() -> PriceTable:
    """The table that is part of this package."""
    record = json.loads(resources.files("orchestrator.plan").joinpath("prices.json").read_text(encoding="utf-8"))
    models = {name: Price(model=name, **facts) for name, facts in record["models"].items()}
    return PriceTable(record["date"], record["source"], record["default"], record["aliases"], models)
