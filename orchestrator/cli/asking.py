"""The question before an expensive run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from orchestrator.cli.display.lines import estimate_line
from orchestrator.cli.display.relay import Relay
from orchestrator.cli.display.sink import Sink
from orchestrator.cli.display.words import money
from orchestrator.cli.display.writer import Writer
from orchestrator.cli.interrupts import InterruptedAskingError, signals_raise
from orchestrator.events import RunEstimated

ASK_ABOVE_USD = 1.0
"""A run whose estimate reaches higher than this is not started on a terminal without a yes."""


def asker(
    *, writer: Writer | Relay, descriptor: int, on_interrupt: Callable[[int], None], yes: bool = False
) -> Callable[[RunEstimated], bool] | None:
    """The `confirm` of a run, or None when nobody is there to ask: stdin or the progress stream is no terminal.

    It asks before an expensive run, and always before the model plans a request. With `yes` it has its answer.
    """
    if not (sys.stdin and sys.stdin.isatty() and os.isatty(descriptor)):
        return None

    def confirm(estimate: RunEstimated) -> bool:
        if yes or not estimate.calls or (estimate.cost_usd_high <= ASK_ABOVE_USD and not estimate.planning):
            return True
        with writer.paused():
            if writer.view.runner.startswith("simulated"):
                return True
            sink = Sink(descriptor)
            try:
                with signals_raise():
                    if writer.view.estimate is None:
                        sink.write(estimate_line(estimate) + "\n")
                    if estimate.planning:
                        sink.write("This call makes the plan; what the plan then takes comes on top.\n")
                    sink.write(f"This may cost up to {money(estimate.cost_usd_high)}. Go on? [y/N] ")
                    sink.flush()
                    answer = sys.stdin.readline()
            except InterruptedAskingError:
                on_interrupt(1)
                answer = ""
            if not answer.endswith("\n"):
                sink.write("\n")
                sink.flush()
            return answer.strip().lower() in ("y", "yes")

    return confirm
