"""Ctrl-C and its relatives, turned into requests to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator
from types import FrameType

from orchestrator.cli.leaving import leave

TERMINATE = 2
"""What SIGTERM and SIGHUP ask for: the same as a second Ctrl-C."""


@contextlib.contextmanager
def stop_on_signals(loop: asyncio.AbstractEventLoop, *, harder: Callable[[int], None]) -> Generator[None]:
    """Within: SIGINT calls `harder(1)`, SIGTERM and SIGHUP call `harder(2)`, in the loop's thread.

    The argument is the level that is asked for at least. A hang-up that was ignored when the process began (`nohup`)
    stays ignored. Afterwards the process is about to end by itself: the first signal then is ignored, so that it ends
    with the code of its run; the next ends it at once.
    """
    wanted = {signal.SIGINT: 1, signal.SIGTERM: TERMINATE}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted[signal.SIGHUP] = TERMINATE

    def ask(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(harder, wanted[signal.Signals(number)])

    # Not through `loop.add_signal_handler`: what removes such a handler leaves a moment in which a signal kills.
    for number in wanted:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in wanted:
            signal.signal(number, _spare_once)


def _spare_once(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is _spare_once:
            signal.signal(each, leave)


class InterruptedAskingError(Exception):
    """A signal came while a person was being asked."""


@contextlib.contextmanager
def signals_raise() -> Generator[None]:
    """Within: SIGINT, SIGTERM and SIGHUP raise `InterruptedAskingError`, which ends a blocking read."""

    def interrupt(number: int, frame: object) -> None:
        raise InterruptedAskingError

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
