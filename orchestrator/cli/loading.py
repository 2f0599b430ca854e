"""Progress on stderr for commands that show no run: `check`, `--dry-run`, and what `plan` does besides planning."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Mapping

from orchestrator.cli.display.choose import choose_mode
from orchestrator.cli.display.loading import LINE_EVERY_S, Patience, loading_line
from orchestrator.cli.display.sink import Sink
from orchestrator.cli.printing import STDERR
from orchestrator.plan.loading import Loading, OnLoading, tell_nobody

REDRAW_EVERY_S = 0.125

_CLEAR_LINE = "\r\x1b[2K"


@contextlib.contextmanager
def loading_on_stderr(wanted: str, *, environment: Mapping[str, str]) -> Generator[OnLoading]:
    """Within: an `OnLoading` for a command that shows no run, where `wanted` is the mode of progress.

    On a terminal one line is rewritten, and gone at the end; elsewhere there is a line now and then.
    """
    sink = Sink(STDERR)
    mode = choose_mode(wanted, is_terminal=sink.isatty(), environment=environment)
    if mode == "quiet":
        yield tell_nobody
        return
    live = mode == "tty"
    patience = Patience(REDRAW_EVERY_S if live else LINE_EVERY_S)

    def show(loading: Loading) -> None:
        if patience.is_over(time.monotonic()):
            line = loading_line(loading)
            sink.write(f"{_CLEAR_LINE}{line}" if live else f"{line}\n")
            sink.flush()

    try:
        yield show
    finally:
        if live and sink.written:
            sink.write(_CLEAR_LINE)
            sink.flush()
