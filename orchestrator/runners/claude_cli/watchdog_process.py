"""The watchdog itself: a small process that outlives us only to end what we started.

Run as `python -I -S watchdog_process.py FOLDER` in a session of its own. Its stdin is a pipe whose other end only the
parent holds: a line `+PID` records the process group PID, `-PID` forgets it. When the pipe ends, the parent is gone,
however it died: every recorded group is ended and FOLDER removed, all within 2 seconds. Stdlib only; imports nothing
of this package.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

GRACE_S = 0.7
"""From SIGTERM to SIGKILL. The CLI ends within 0.1 s of a SIGTERM (2.1.328)."""

AFTER_KILL_S = 0.5
"""How long we wait for killed groups to vanish, so that nothing writes into the folder any more."""

POLL_S = 0.01


def watch(folder: str) -> None:
    """Record groups until the pipe ends, then clean up."""
    groups: set[int] = set()
    with open(0, "rb", buffering=0) as pipe:
        rest = b""
        while data := pipe.read(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                note(line, groups)
    end(groups)
    shutil.rmtree(folder, ignore_errors=True)


def note(line: bytes, groups: set[int]) -> None:
    """Take in one line; what cannot be read is no reason to stop watching."""
    with suppress(ValueError):
        group = int(line[1:])
        if group > 1 and line[:1] == b"+":
            groups.add(group)
        elif line[:1] == b"-":
            groups.discard(group)


def end(groups: set[int]) -> None:
    """SIGTERM to every group, SIGKILL to those that are left after the grace."""
    alive = signal_all(groups, signal.SIGTERM)
    alive = wait_for_end(alive, GRACE_S)
    alive = signal_all(alive, signal.SIGKILL)
    wait_for_end(alive, AFTER_KILL_S)


def wait_for_end(groups: set[int], seconds: float) -> set[int]:
    """The groups that still have members after at most so many seconds."""
    deadline = time.monotonic() + seconds
    while groups and time.monotonic() < deadline:
        time.sleep(POLL_S)
        groups = signal_all(groups, 0)
    return groups


def signal_all(groups: set[int], number: int) -> set[int]:
    """Send a signal to each group; those that were there to receive it."""
    there: set[int] = set()
    for group in groups:
        with suppress(OSError):
            os.killpg(group, number)
            there.add(group)
    return there


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watch(sys.argv[1])
