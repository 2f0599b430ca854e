"""Bytes to lines: the first of three pure steps from the CLI's output to an answer."""

from __future__ import annotations

MAX_LINE_BYTES = 256 * 1024 * 1024
"""Longer lines are cut to `KEPT_OF_TOO_LONG` bytes, so that a broken process cannot fill the memory. Whole answers of
18 MB of stream were seen (2.1.328), a single line of 1 MB is common."""

KEPT_OF_TOO_LONG = 200


class LineFramer:
    """Joins pieces of bytes, cut anywhere, into lines. Only a newline (byte 10) ends a line; the cost is linear.

    U+2028, U+0085 and a carriage return can stand inside a line, and a piece can end inside a character, so lines
    stay bytes here.
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their newline, in order."""
        if b"\n" not in data:
            self._keep(data)
            return []
        first, *rest = data.split(b"\n")
        self._keep(first)
        lines = [self._take(), *rest[:-1]]
        self._keep(rest[-1])
        return lines

    def finish(self) -> bytes | None:
        """What stands after the last newline: an incomplete line, or None. The framer is empty afterwards."""
        return self._take() or None

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._size += len(piece)
        if self._size <= self._max:
            self._pieces.append(piece)
        elif len(self._pieces) != 1 or len(self._pieces[0]) > KEPT_OF_TOO_LONG:
            self._pieces = [b"".join([*self._pieces, piece])[:KEPT_OF_TOO_LONG]]

    def _take(self) -> bytes:
        line = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return line
