"""Bytes become lines whatever way they are cut."""

from __future__ import annotations

import random
import time

from orchestrator.runners.claude_cli.framing import KEPT_OF_TOO_LONG, LineFramer

AWKWARD = "né\u2028 and \u0085, 漢字 😀\r\n\n{}\nlast without end".encode()


def framed(pieces: list[bytes]) -> tuple[list[bytes], bytes | None]:
    framer = LineFramer()
    lines = [line for piece in pieces for line in framer.feed(piece)]
    return lines, framer.finish()


def test_every_cut_gives_the_same_lines() -> None:
    """A cut anywhere, inside a UTF-8 sequence too, changes nothing; a carriage return and U+2028 end no line."""
    expected = (["né\u2028 and \u0085, 漢字 😀\r".encode(), b"", b"{}"], b"last without end")
    for first in range(len(AWKWARD) + 1):
        for second in range(first, len(AWKWARD) + 1):
            assert framed([AWKWARD[:first], AWKWARD[first:second], AWKWARD[second:]]) == expected


def test_complete_last_line_leaves_nothing() -> None:
    """Only bytes after the last newline are an incomplete line."""
    assert framed([b"a\nb", b"\n"]) == ([b"a", b"b"], None)
    assert framed([]) == ([], None)


def test_line_of_100_mb_is_whole_and_linear() -> None:
    """A line far over 64 MB comes through in pieces of a pipe's size, in about the time that copying it takes."""
    piece = b"x" * 65536
    framer = LineFramer()
    began = time.perf_counter()
    for _ in range(1600):
        assert framer.feed(piece) == []
    assert framer.feed(b"\n") == [piece * 1600]
    assert time.perf_counter() - began < 5


def test_endless_line_cannot_fill_the_memory() -> None:
    """Beyond the bound a line is cut to its beginning, and the lines after it are whole again."""
    framer = LineFramer(max_line_bytes=1000)
    for _ in range(100):
        assert framer.feed(b"y" * 100) == []
    assert framer.feed(b"\nnext\n") == [b"y" * KEPT_OF_TOO_LONG, b"next"]


def test_random_pieces_join_to_what_was_cut() -> None:
    """Lines and the rest, joined again, are the bytes that went in."""
    rng = random.Random(7)
    for _ in range(200):
        data = bytes(rng.choice(b"ab\n\xc3\xa9") for _ in range(rng.randrange(200)))
        pieces, position = list[bytes](), 0
        while position < len(data):
            step = rng.randrange(1, 20)
            pieces.append(data[position : position + step])
            position += step
        lines, rest = framed(pieces)
        assert b"".join(line + b"\n" for line in lines) + (rest or b"") == data
