"""The quickest way out. Imports next to nothing."""

from __future__ import annotations

import contextlib
import os
from types import FrameType

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""


def leave(number: int, frame: FrameType | None) -> None:
    """A signal handler: end the process at once, with one line."""
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
