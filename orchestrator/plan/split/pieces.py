"""What splitting gives, and what it works on. A leaf of this package."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

SplitMode = Literal["markdown", "headings", "text", "code", "lines", "regex"]

OnShare = Callable[[float], None]
"""Told again and again which share of a task is done, from 0 to 1; what it raises ends the task."""

RULE, BLOCK, WEAKEST_BLOCK = 14, 12, 7
SENTENCE_AND_LINE, SENTENCE, LINE, GLUED, WORD, CHARACTER = 6, 5, 4, 3, 2, 1
"""Strengths of boundaries: a stronger one is cut first. `GLUED` is the one between a heading and what it heads."""


def heading_strength(level: int) -> int:
    """The strength of the boundary before a heading, `level` from 1."""
    return 30 - level


class SplitError(Exception):
    """A text, a file or a table cannot be split as asked. `line` counts from 1, 0 for none; `hint` says what to do.

    `all` holds this one and those that were found beside it, in order.
    """

    def __init__(self, message: str, *, line: int = 0, hint: str = "") -> None:
        self.message = message
        self.line = line
        self.hint = hint
        self.all: tuple[SplitError, ...] = (self,)
        super().__init__(f"{message}; {hint}" if hint else message)


def raise_all(errors: Sequence[SplitError]) -> None:
    """Raises the first, which then holds all of them; returns when there is none."""
    if errors:
        errors[0].all = tuple(errors)
        raise errors[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A slice of a text: `text` is exactly the characters from `start` to `end` of it.

    `heading_path` holds the headings above the first heading or text of the piece, outermost first, as plain text.
    `previous_tail` and `next_head` are what stands before and after it, never part of `text`. `notes` tell every cut
    that had to be made in a bad place. `tokens` is the count of `text` in `cl100k_base`, where splitting needed it.
    """

    text: str
    start: int
    end: int
    tokens: int | None = None
    heading_path: tuple[str, ...] = ()
    previous_tail: str = ""
    next_head: str = ""
    notes: tuple[str, ...] = ()


class Unit(NamedTuple):
    """A stretch of text that is not cut, with the strength of the boundary before it.

    `note` is what has to be said when a cut is made at that boundary.
    """

    start: int
    end: int
    strength: int
    note: str = ""


@dataclass(slots=True)
class Block:
    """A part of a document: a paragraph, a fence, a heading of `level`. `end` is where the next block starts.

    `kind` is the word for it in notes; `title` is a heading's, as plain text. `depth` counts the lists and quotes
    around it.
    """

    start: int
    kind: str
    strength: int
    end: int = 0
    level: int = 0
    title: str = ""
    depth: int = 0


class Line(NamedTuple):
    """A line of a text: where it starts, where the next one does, and its characters without the line end."""

    start: int
    end: int
    text: str


_LINES_TOLD = 500
"""Lines, a few milliseconds' work, after which progress is told."""


def telling(lines: Sequence[Line], on_share: OnShare | None) -> Iterator[Line]:
    """The lines again, telling how far through their text they have come."""
    for number, line in enumerate(lines):
        yield line
        if on_share is not None and not number % _LINES_TOLD:
            on_share(line.end / lines[-1].end)


_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n)|([^\r\n]+)")


def lines_of(text: str, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """The lines of a part of a text; CRLF, LF and a lone CR end one."""
    for found in _LINE.finditer(text, start, len(text) if end is None else end):
        yield Line(found.start(), found.end(), found[1] if found[2] is None else found[2])
