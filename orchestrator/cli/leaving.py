"""The quickest way out. Imports next to nothing."""

from __future__ import annotations

import contextlib
import os
import select
from types import FrameType

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""

_STDOUT, _STDERR = 1, 2


def leave(number: int, frame: FrameType | None, *, restore: bytes = b"") -> None:
    """A signal handler: end the process at once, with one line. Terminals get `restore`, which undoes a live display.

    A stream that takes nothing at this moment gets nothing: whoever leaves does not wait.
    """
    for descriptor in (_STDOUT, _STDERR):
        if restore and os.isatty(descriptor):
            _write_at_once(descriptor, restore)
    _write_at_once(_STDERR, b"interrupted\n")
    os._exit(INTERRUPTED)


def _write_at_once(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, data)
