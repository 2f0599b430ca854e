"""Ctrl-C and its relatives, turned into requests to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Generator
from functools import partial
from types import FrameType

from orchestrator.cli.leaving import leave

TERMINATE = 2
"""What SIGTERM and SIGHUP ask for: the same as a second Ctrl-C."""

KILL = 3
"""What the third Ctrl-C asks for."""

AT_ONCE_S = 3.0
"""How long the third Ctrl-C waits for a run that something holds up, such as a disk that does not answer."""


@contextlib.contextmanager
def stop_on_signals(
    loop: asyncio.AbstractEventLoop, *, harder: Callable[[int], None], restore: bytes = b""
) -> Generator[None]:
    """Within: SIGINT calls `harder(1)`, SIGTERM and SIGHUP call `harder(2)`, in the loop's thread.

    The argument is the level that is asked for at least. A hang-up that was ignored when the process began (`nohup`)
    stays ignored. When the third Ctrl-C has not ended the run after `AT_ONCE_S`, the process leaves, and the watchdog
    ends its children. Afterwards the process is about to end by itself: the first signal then is ignored, so that it
    ends with the code of its run; the next ends it at once. `restore` is what a terminal gets from who leaves.
    """
    wanted = {signal.SIGINT: 1, signal.SIGTERM: TERMINATE}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted[signal.SIGHUP] = TERMINATE
    out = partial(leave, restore=restore)
    presses = _Presses()

    def ask(number: int, frame: FrameType | None) -> None:
        if presses.is_over():
            out(number, frame)
        loop.call_soon_threadsafe(harder, wanted[signal.Signals(number)])
        if presses.add(wanted[signal.Signals(number)]):
            loop.call_soon_threadsafe(loop.call_later, AT_ONCE_S, out, number, None)

    def spare_once(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(each) is spare_once:
                signal.signal(each, out)

    # Not through `loop.add_signal_handler`: what removes such a handler leaves a moment in which a signal kills, and
    # none of its calls comes while something holds up the loop.
    for number in wanted:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in wanted:
            signal.signal(number, spare_once)


class _Presses:
    """How hard it was asked so far, and since when as hard as can be."""

    def __init__(self) -> None:
        self._level = 0
        self._over_s = float("inf")

    def add(self, at_least: int) -> bool:
        """One more signal; whether it is the one that asks for the hardest."""
        before = self._level
        self._level = min(KILL, before + 1) if at_least == 1 else max(before, at_least)
        if before < KILL <= self._level:
            self._over_s = time.monotonic() + AT_ONCE_S
            return True
        return False

    def is_over(self) -> bool:
        """Whether the run has had its time to end at once."""
        return time.monotonic() >= self._over_s


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
