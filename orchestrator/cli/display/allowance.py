"""The usage windows of a login in words: how full they are, and what a run would take of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.api import WindowOutlook
from orchestrator.cli.display.neutralise import one_line
from orchestrator.plan.amounts import percent, window_words


def windows_fact(windows: Sequence[Mapping[str, Any]]) -> str:
    """`usage: 5-hour window at 41 %, 7-day window at 12 %`, by the records of `run_finished`; empty without any."""
    told = [
        f"{_name(str(each['name']), str(each.get('account', '')))} at {percent(float(each['utilization']))}"
        for each in windows
    ]
    return f"usage: {', '.join(told)}" if told else ""


def window_line(window: WindowOutlook) -> str:
    """`usage: 5-hour window at 41 %, the whole would take 10 to 14 % more (resets 2026-03-01 14:00)`."""
    state = f"usage: {_name(window.name, window.account)} at {percent(window.utilization)}"
    resets = "" if window.resets_at is None else f" (resets {datetime.fromtimestamp(window.resets_at):%Y-%m-%d %H:%M})"
    low, high = window.share_low, window.share_high
    if low is None or high is None:
        return f"{state}{resets}; not enough was seen to tell what the whole would take of it"
    fits = ""
    if window.utilization + low > 1:
        fits = ": it would stop there until the window resets"
    elif window.utilization + high > 1:
        fits = ": it may stop there until the window resets"
    return f"{state}, the whole would take {_share(low, high)} more{resets}{fits}"


def _share(low: float, high: float) -> str:
    lowest, highest = math.floor(low * 100 + 1e-6), max(1, math.ceil(high * 100 - 1e-6))
    if lowest == 0:
        return f"under {highest} %"
    return f"about {highest} %" if lowest == highest else f"{lowest} to {highest} %"


def _name(name: str, account: str) -> str:
    return one_line(window_words(name)) + (f" of account {one_line(account)}" if account else "")
