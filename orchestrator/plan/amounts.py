"""Amounts as people write and read them: spans of time, shares, usage windows. A leaf of this package."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

WINDOW_WORDS = {
    "five_hour": "5-hour window",
    "seven_day": "7-day window",
    "seven_day_opus": "7-day window for Opus",
    "seven_day_sonnet": "7-day window for Sonnet",
}
"""What the types of 2.1.331 are called; any other is shown by its own name."""
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,4})?) ?%")


def read_span(value: Any) -> Any:
    """Seconds of a text such as `90s`, `30m`, `6h` or `7d`; anything else as it is."""
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    return float(int(found[1]) * UNIT_S[found[2]]) if found else value


def read_share(value: Any) -> Any:
    """The share of a text such as `30%`, 1 being all; anything else as it is."""
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    return round(float(found[1]) / 100, 6) if found else value


Span = Annotated[float, BeforeValidator(read_span, json_schema_input_type=float | str), Field(gt=0)]
Share = Annotated[float, BeforeValidator(read_share, json_schema_input_type=float | str), Field(gt=0, lt=1)]


def percent(share: float) -> str:
    """`41 %`, `41.5 %`."""
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def window_words(name: str) -> str:
    """What a window of this type is called."""
    return WINDOW_WORDS.get(name) or name.replace("_", " ")
