"""The live view of a terminal, drawn by rich: a frame at the bottom, finished chunks scrolling away above it."""

from __future__ import annotations

import time
from typing import IO, cast

from rich.console import Console
from rich.live import Live
from rich.text import Text

from orchestrator.cli.display.frame import Row, frame
from orchestrator.cli.display.lines import stopping_line
from orchestrator.cli.display.loading import Patience, loading_line
from orchestrator.cli.display.screens import Closing, run_lines
from orchestrator.cli.display.sink import Sink
from orchestrator.cli.display.view import RunView
from orchestrator.events import ChunkFailed, ChunkRetryScheduled, ChunkReused, ChunkSkipped, Event, RunFinished
from orchestrator.plan.loading import Loading

FRAME_S = 0.125
"""Eight frames a second at most: a frame costs milliseconds, and an eye does not read faster."""

_STYLES: dict[type[object], str] = {
    ChunkFailed: "red",
    ChunkSkipped: "yellow",
    ChunkRetryScheduled: "yellow",
    ChunkReused: "dim",
}


class _Rows:
    """The frame as rich renders it: whatever its rows are at that moment, so that one drawing shows lines and frame."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __rich__(self) -> Text:
        texts = [Text.assemble(*row.parts, no_wrap=True, overflow="ellipsis") for row in self.rows]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(texts)


class LiveScreen:
    """Redraws a few rows in place. Lines that have come since the last frame are printed above it, all at once."""

    def __init__(self, sink: Sink, *, closing: Closing, colour: bool) -> None:
        self.view = RunView()
        self._closing = closing
        self._console = Console(
            file=cast(IO[str], sink),
            force_terminal=True,
            no_color=not colour,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
        )
        self._live: Live | None = None
        self._frame = _Rows()
        self._above: list[Text] = []
        self._next_frame_s = 0.0
        self._patience = Patience(0.0)
        self._loading = ""

    def show(self, events: list[tuple[float, Event]]) -> None:
        """Take in; lines wait for the next frame. The last event takes the frame away and prints what closes a run."""
        if events:
            self._patience.begin_again()
            self._loading = ""
        for now_s, event in events:
            self.view.apply(event, now_s=now_s)
            style = _STYLES.get(type(event), "")
            self._above += [Text(line, style=style) for line in run_lines(event, self.view, closing=self._closing)]
            if isinstance(event, RunFinished):
                self.pause()

    def loading(self, loading: Loading, *, now_s: float) -> None:
        """A row of the frame, after a second."""
        if self._patience.is_over(now_s):
            self._loading = loading_line(loading)

    def stopping(self, level: int, *, now_s: float) -> None:
        """A line above the frame."""
        self._above.append(Text(stopping_line(level, self.view, now_s=now_s), style="yellow"))

    def tick(self, now_s: float) -> float:
        """Draw a frame when one is due."""
        if self.view.finished:
            self._print_above()
            return 3600.0
        if (self.view.run_id or self._loading) and now_s >= self._next_frame_s:
            self._draw(now_s)
            # Counted from the end of the drawing, so that a slow terminal gets fewer frames, not a backlog.
            self._next_frame_s = time.monotonic() + FRAME_S
        return FRAME_S

    def pause(self) -> None:
        """Take the frame away and give the cursor back."""
        live, self._live = self._live, None
        if live:
            self._frame.rows = []
            live.stop()
        self._print_above()

    def close(self) -> None:
        """As `pause`."""
        self.pause()

    def _draw(self, now_s: float) -> None:
        self._frame.rows = frame(
            self.view, now_s=now_s, rows=max(1, self._console.size.height - 1), loading=self._loading
        )
        if self._live is None:
            self._live = Live(
                self._frame,
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        if self._above:
            self._print_above()
        else:
            self._live.refresh()

    def _print_above(self) -> None:
        if self._above:
            lines, self._above = self._above, []
            self._console.print(Text("\n").join(lines), soft_wrap=True)
