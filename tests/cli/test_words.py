"""Figures read as a person would say them."""

from __future__ import annotations

import pytest

from orchestrator.cli.display.words import about, count, duration, money, money_span, span, whole_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0, "0.0 s"),
        (2.31, "2.3 s"),
        (19.96, "20 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (72, "1 min 12 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (3780, "1 h 3 min"),
        (86_400 * 2 + 3600 * 3 + 59, "2 d 3 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Two units at most, and no figure that is rounded up to a full unit of its own kind."""
    assert duration(seconds) == text


def test_whole_duration() -> None:
    """What is only known about has no fraction."""
    assert [whole_duration(seconds) for seconds in (0.4, 2.6, 45.2, 72)] == ["0 s", "3 s", "45 s", "1 min 12 s"]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (61, 175, "1 to 3 min"),
        (40, 119, "40 s to 2 min"),
        (0, 0.2, "1 s"),
        (5, 20, "5 to 20 s"),
        (3600 * 2, 3600 * 4.5, "2 to 4.5 h"),
    ],
)
def test_span(low: float, high: float, text: str) -> None:
    """A range says its unit once when it can."""
    assert span(low, high) == text


@pytest.mark.parametrize(
    ("cost_usd", "text"),
    [(0, "$0.00"), (0.00042, "$0.00042"), (0.0042, "$0.0042"), (0.0099, "$0.0099"), (0.00996, "$0.01"),
     (0.19, "$0.19"), (1204.5, "$1,204.50")],
)  # fmt: skip
def test_money(cost_usd: float, text: str) -> None:
    """Cents, and two significant digits below a cent: nothing that was paid reads as nothing."""
    assert money(cost_usd) == text


def test_money_span() -> None:
    """A range of equal ends is one figure."""
    assert money_span(0.11, 0.3) == "$0.11 to $0.30"
    assert money_span(0.111, 0.112) == "$0.11"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (99, "99"), (123, "120"), (12_345, "12,000"), (9_960, "10,000")]
)
def test_about(number: int, text: str) -> None:
    """An estimate shows no more digits than it knows."""
    assert about(number) == text


def test_count() -> None:
    """One is singular, all else plural."""
    assert [count(number, "chunk") for number in (0, 1, 1200)] == ["0 chunks", "1 chunk", "1,200 chunks"]
