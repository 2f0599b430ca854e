"""Figures as a reader wants them: durations, money, counts."""

from __future__ import annotations

import math

_UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def duration(seconds: float) -> str:
    """`2.3 s`, `45 s`, `1 min 12 s`, `1 h 3 min`, `2 d 3 h`; never negative."""
    if seconds < 19.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for size, unit, small_size, small_unit in _UNITS:
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{whole} s"


def whole_duration(seconds: float) -> str:
    """Like `duration` without a fraction: for what is only known about."""
    return duration(round(seconds)).replace(".0 s", " s")


def span(low_s: float, high_s: float) -> str:
    """`1 to 3 min`, `40 s to 2 min`, or one figure when both ends read alike; whole minutes above one minute."""
    ends = [_rough(low_s), _rough(high_s)]
    (low, low_unit), (high, high_unit) = ends
    if ends[0] == ends[1]:
        return f"{low} {low_unit}"
    return f"{low} to {high} {high_unit}" if low_unit == high_unit else f"{low} {low_unit} to {high} {high_unit}"


def _rough(seconds: float) -> tuple[str, str]:
    if seconds < 60:
        return str(max(1, round(seconds))), "s"
    if seconds < 90 * 60:
        return str(round(seconds / 60)), "min"
    return f"{seconds / 3600:.1f}".removesuffix(".0"), "h"


def money(cost_usd: float) -> str:
    """`$0.19`, `$1,204.50`; two significant digits below a cent, `$0.00` for nothing."""
    if 0 < cost_usd < 0.00995:
        digits = 1 - math.floor(math.log10(cost_usd))
        return f"${cost_usd:.{min(digits, 8)}f}"
    return f"${cost_usd:,.2f}"


def money_span(low_usd: float, high_usd: float) -> str:
    """`$0.11 to $0.30`, or one figure when both ends read alike."""
    low, high = money(low_usd), money(high_usd)
    return high if low == high else f"{low} to {high}"


def about(number: int) -> str:
    """The number rounded to two significant digits, with thousands separated: `12,000`."""
    if number < 100:
        return str(number)
    size = 10 ** (len(str(number)) - 2)
    return f"{round(number / size) * size:,}"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 chunk`, `3 chunks`, `1,200 answers`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
