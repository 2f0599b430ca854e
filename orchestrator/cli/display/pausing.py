"""Pauses in words: whose, until when, for how long and why. Pure."""

from __future__ import annotations

from datetime import datetime

from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.view import Pause, RunView
from orchestrator.cli.display.words import whole_duration
from orchestrator.events import RunContinued


def pause_line(pause: Pause, *, now_s: float) -> str:
    """`account spare paused until 2026-01-02 13:00 (2 h 3 min): …`, in the reader's own time.

    The usual login has no name.
    """
    event = pause.event
    left_s = pause.left_s(now_s)
    left = f" ({whole_duration(left_s)})" if left_s is not None and left_s >= 1 else ""
    until = f" until {local_minute(event.until)}{left}" if event.until else ""
    return f"{_of(event.account)}paused{until}: {one_line(event.reason)}"


def pause_lines(view: RunView, *, now_s: float) -> list[str]:
    """A line for each pause that is not over."""
    return [pause_line(pause, now_s=now_s) for pause in view.pauses.values()]


def new_pause_line(pause: Pause) -> str:
    """The line for a pause that begins. Of one with an end it says how not to wait for it."""
    line = pause_line(pause, now_s=pause.since_s)
    if not pause.event.until:
        return line
    return f"{line} (Ctrl-C stops here, `resume` goes on later)"


def continued_line(event: RunContinued) -> str:
    """That a pause ended, and which."""
    cause = "overload " if event.cause == "overload" else ""
    account = f"account {one_line(event.account)}: " if event.account else ""
    return f"{account}the {cause}pause is over, one call goes first"


def local_minute(moment: str) -> str:
    """A moment (ISO 8601) in the reader's own time, to the minute; as it came when it is none."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return one_line(moment)


def _of(account: str) -> str:
    return f"account {one_line(account)} " if account else ""
