"""Where a display writes: one file descriptor, past Python's own buffers.

Nothing here raises for a reader that went away, and no buffer lock is left held by a thread that a stalled reader
blocks: the interpreter can end although a write never returned.
"""

from __future__ import annotations

import os
import select
import threading

STALL_S = 2.0
"""How long the end of a run waits for a reader that takes nothing."""

_PIECE_BYTES = 4096
"""At most PIPE_BUF on Linux: small enough that progress shows while a slow reader empties a pipe."""


class Sink:
    """Writes text to a file descriptor.

    `written` counts bytes; when no more can be written, `broken` is set and `error` says why.
    """

    def __init__(self, descriptor: int, *, encoding: str = "utf-8") -> None:
        self.encoding = encoding
        self.written = 0
        self.broken = False
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._held: list[str] = []

    def write(self, text: str) -> int:
        """Hold the text until `flush`. Returns its length, as text files do."""
        self._held.append(text)
        return len(text)

    def flush(self) -> None:
        """Write what is held. Blocks as long as the reader does; drops everything once the reader is gone."""
        data = "".join(self._held).encode(self.encoding, errors="backslashreplace")
        self._held.clear()
        for start in range(0, len(data), _PIECE_BYTES):
            if self.broken:
                return
            self._write_piece(data[start : start + _PIECE_BYTES])

    def flush_within(self, stall_s: float) -> None:
        """As `flush`, but no longer than the reader takes something every `stall_s` seconds; the rest is dropped."""
        thread = threading.Thread(target=self.flush, name="last words", daemon=True)
        thread.start()
        seen = -1
        while thread.is_alive() and seen != self.written:
            seen = self.written
            thread.join(stall_s)

    def isatty(self) -> bool:
        """True when the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def _write_piece(self, piece: bytes) -> None:
        while piece:
            try:
                sent = os.write(self._descriptor, piece)
            except BlockingIOError:
                # Somebody who shares the descriptor made it non-blocking.
                select.select([], [self._descriptor], [])
                continue
            except OSError as error:
                # EPIPE after `| head`, EIO when the terminal is gone, ENOSPC for a log: the run goes on without us.
                self.broken, self.error = True, error
                return
            self.written += sent
            piece = piece[sent:]
