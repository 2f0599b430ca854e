"""Screens turn events into output. They run in the writer's thread alone, and none knows of threads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.cli.display.lines import (
    event_lines,
    final_line,
    heartbeat_line,
    is_success,
    problem_lines,
    stopping_line,
)
from orchestrator.cli.display.loading import LINE_EVERY_S, Patience, loading_line
from orchestrator.cli.display.sink import Sink
from orchestrator.cli.display.view import RunView
from orchestrator.events import TRANSIENT, Event, RunFinished, event_to_dict, event_to_json
from orchestrator.plan.loading import Loading

HEARTBEAT_S = 20.0
"""Silence after which plain progress explains itself; the promise is 30 s at the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What the last lines need to know. `next_command` makes the command that goes on from a run id."""

    next_command: Callable[[str], str]
    here: str = ""


class Screen(Protocol):
    """Shows a run. All times are seconds on the clock of `time.monotonic`."""

    view: RunView

    def show(self, events: list[tuple[float, Event]]) -> None:
        """Take in events, each with when it came, and write what they are worth."""
        ...

    def loading(self, loading: Loading, *, now_s: float) -> None:
        """Take in how far splitting or counting has come, between events."""
        ...

    def stopping(self, level: int, *, now_s: float) -> None:
        """Tell that a stop was asked for; 1 is the gentlest."""
        ...

    def tick(self, now_s: float) -> float:
        """Write what time alone makes due. Returns the seconds until the next call is wanted."""
        ...

    def pause(self) -> None:
        """Leave the terminal to somebody else until the next call of another method."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found. Called once, last."""
        ...


class PlainScreen:
    """Lines for people and logs."""

    def __init__(self, sink: Sink, *, closing: Closing) -> None:
        self.view = RunView()
        self._sink = sink
        self._closing = closing
        self._last_line_s: float | None = None
        self._patience = Patience(LINE_EVERY_S)

    def show(self, events: list[tuple[float, Event]]) -> None:
        """One line for each event worth a line."""
        if events:
            self._patience.begin_again()
        for now_s, event in events:
            self.view.apply(event, now_s=now_s)
            self._say(run_lines(event, self.view, closing=self._closing), now_s=now_s)
        self._sink.flush()

    def loading(self, loading: Loading, *, now_s: float) -> None:
        """A line after a second, then one every few."""
        if self._patience.is_over(now_s):
            self._say([loading_line(loading)], now_s=now_s)
            self._sink.flush()

    def stopping(self, level: int, *, now_s: float) -> None:
        """A line."""
        self._say([stopping_line(level, self.view, now_s=now_s)], now_s=now_s)
        self._sink.flush()

    def tick(self, now_s: float) -> float:
        """A heartbeat line after a silence."""
        if self._last_line_s is None or self.view.finished:
            self._last_line_s = now_s
        if now_s - self._last_line_s >= HEARTBEAT_S:
            self._say([heartbeat_line(self.view, now_s=now_s)], now_s=now_s)
            self._sink.flush()
        return HEARTBEAT_S - (now_s - self._last_line_s)

    def pause(self) -> None:
        """Nothing to leave."""

    def close(self) -> None:
        """Nothing to restore."""

    def _say(self, lines: list[str], *, now_s: float) -> None:
        if lines:
            self._sink.write("\n".join(lines) + "\n")
            self._last_line_s = now_s


class JsonScreen:
    """Each event as one JSON object on one line, flushed at once; for programs.

    On a terminal everything beyond ASCII is escaped, so that no text in an event can steer it.
    """

    def __init__(self, sink: Sink) -> None:
        self.view = RunView()
        self._sink = sink
        self._escape = sink.isatty()

    def show(self, events: list[tuple[float, Event]]) -> None:
        """The lines, in the order of the events."""
        for now_s, event in events:
            self.view.apply(event, now_s=now_s)
            self._sink.write(self._line(event) + "\n")
        self._sink.flush()

    def loading(self, loading: Loading, *, now_s: float) -> None:
        """Nothing: no event tells it."""

    def stopping(self, level: int, *, now_s: float) -> None:
        """Nothing: the events tell."""

    def tick(self, now_s: float) -> float:
        """Nothing is due: heartbeats are events."""
        return 3600.0

    def pause(self) -> None:
        """Nothing to leave."""

    def close(self) -> None:
        """Nothing to restore."""

    def _line(self, event: Event) -> str:
        line = event_to_json(event)
        # A lone surrogate (from a file name, say) is no UTF-8; escaped it is valid JSON.
        if self._escape or not _is_utf8(line):
            return json.dumps(event_to_dict(event), ensure_ascii=True, separators=(",", ":"))
        return line


class QuietScreen:
    """Shows nothing; keeps the view, so that the command can tell what went wrong."""

    def __init__(self) -> None:
        self.view = RunView()

    def show(self, events: list[tuple[float, Event]]) -> None:
        """Take in."""
        for now_s, event in events:
            if event.type not in TRANSIENT:
                self.view.apply(event, now_s=now_s)

    def loading(self, loading: Loading, *, now_s: float) -> None:
        """Nothing."""

    def stopping(self, level: int, *, now_s: float) -> None:
        """Nothing."""

    def tick(self, now_s: float) -> float:
        """Nothing is due."""
        return 3600.0

    def pause(self) -> None:
        """Nothing to leave."""

    def close(self) -> None:
        """Nothing to restore."""


def run_lines(event: Event, view: RunView, *, closing: Closing) -> list[str]:
    """The lines of an event, those at the end of a run included."""
    if isinstance(event, RunFinished):
        last = final_line(view, event, here=closing.here)
        if is_success(event):
            return [last]
        return [last, *problem_lines(view, next_command=closing.next_command(view.run_id))]
    return event_lines(event, view)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
