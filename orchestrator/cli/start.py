"""Where the command begins. Imports next to nothing, so that a Ctrl-C finds it prepared from the start."""

from __future__ import annotations

import os
import signal
import sys

from orchestrator.cli.leaving import leave


def main() -> None:
    """The console script. Ends the process with the exit code of the command."""
    _open_standard_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Not an exception: what is being imported might swallow it.
        signal.signal(signal.SIGINT, leave)
    try:
        from orchestrator.cli import app

        app.main()
    finally:
        # The interpreter puts back what it found when it ends: a signal that comes then must not change the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _open_standard_streams() -> None:
    """Open a closed standard stream again, so that no file that is opened later gets its number.

    A stderr takes everything then. A stdout takes nothing: what is lost there is an error, as on a full disk. A stdin
    that was closed stays None in `sys`.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
