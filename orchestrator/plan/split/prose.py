"""Cutting what is too long to be one unit: at sentences and line ends, then between words, at last inside a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.plan.split.pieces import CHARACTER, LINE, SENTENCE, SENTENCE_AND_LINE, WORD, Unit, lines_of

if TYPE_CHECKING:
    from semantic_text_splitter import TextSplitter

Count = Callable[[str], int]

_SENTENCE_END = re.compile(
    r"[.!?…‽؟।][\"'”’»)\]]*(?:[ \t]+|(?=[\r\n]))[ \t]*(\r\n|\r|\n)?"
    r"|[。！？｡．][」』”’）】]*[ \t]*(\r\n|\r|\n)?"
    r"|(\r\n|\r|\n)"
)
_WORD = re.compile(r"\s*\S+\s*|\s+")
_STRIDE_CHARS = 2_000
"""A run without spaces is searched for words in windows of so many characters, which keeps the time linear."""


def sentence_units(text: str, start: int, end: int, *, max_tokens: int, count: Count) -> Iterator[tuple[Unit, int]]:
    """Sentences and lines of a paragraph, each at most `max_tokens`, with their counts; the first has no strength."""
    strength = 0
    for first, last, after in _sentences(text, start, end):
        yield from word_units(text, Unit(first, last, strength), max_tokens=max_tokens, count=count)
        strength = after


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Start and end of each sentence or line, and the strength of the boundary after it."""
    first = start
    for found in _SENTENCE_END.finditer(text, start, end):
        mark = text[found.start()]
        at_line = found[1] or found[2] or found[3]
        bare = mark in "\r\n"
        strength = LINE if bare else SENTENCE_AND_LINE if at_line else SENTENCE
        if bare and text[first : found.start()].isspace():
            continue
        yield first, found.end(), strength
        first = found.end()
    if first < end:
        yield first, end, 0


def line_units(
    text: str, start: int, end: int, *, what: str, max_tokens: int, count: Count
) -> Iterator[tuple[Unit, int]]:
    """Lines of a block that alone exceeds the limit, with their counts; stronger after a blank line.

    A cut between them is noted as one inside `what`, unless that is empty.
    """
    strength, note, blank = 0, "", False
    for line in lines_of(text, start, end):
        is_blank = not line.text.strip()
        unit = Unit(line.start, line.end, strength, note)
        yield from word_units(text, unit, max_tokens=max_tokens, count=count)
        strength = LINE + 1 if is_blank and not blank else LINE
        note, blank = f"cut inside {what}, at a line end" if what else "", is_blank


def word_units(text: str, unit: Unit, *, max_tokens: int, count: Count) -> Iterator[tuple[Unit, int]]:
    """The unit itself when it fits, else its words; a word that alone exceeds the limit is cut, and that is noted."""
    size = count(text[unit.start : unit.end])
    if size <= max_tokens:
        yield unit, size
        return
    strength, note = unit.strength, unit.note
    for found in _WORD.finditer(text, unit.start, unit.end):
        size = count(found[0])
        word = Unit(found.start(), found.end(), strength, note)
        if size <= max_tokens:
            yield word, size
        else:
            yield from _long_run(text, word, max_tokens=max_tokens, count=count)
        strength, note = WORD, ""


def _long_run(text: str, unit: Unit, *, max_tokens: int, count: Count) -> Iterator[tuple[Unit, int]]:
    """A run without spaces that exceeds the limit: cut at the words in it, which many scripts write without spaces."""
    position, strength, note = unit.start, unit.strength, unit.note
    while position < unit.end:
        window = text[position : min(position + _STRIDE_CHARS, unit.end)]
        parts = _words_in(window, max_tokens=max_tokens)
        if len(parts) > 1 and position + len(window) < unit.end:
            parts.pop()
        for part in parts:
            if position > unit.start:
                inside = _is_inside_word(text, position)
                strength = CHARACTER if inside else WORD
                note = f"cut inside a word of more than {max_tokens:,} tokens" if inside else ""
            yield from _exact(text, Unit(position, position + len(part), strength, note), max_tokens, count)
            position += len(part)


def _words_in(window: str, *, max_tokens: int) -> list[str]:
    """Consecutive parts of at most `max_tokens` as the library counts them, cut between words where it can be done."""
    clean = window.encode("utf-8", "replace").decode("utf-8")
    parts: list[str] = []
    position = 0
    for part in _splitter(max_tokens).chunks(clean):
        parts.append(window[position : position + len(part)])
        position += len(part)
    return parts


@lru_cache(maxsize=8)
def _splitter(max_tokens: int) -> TextSplitter:
    from semantic_text_splitter import TextSplitter

    return TextSplitter.from_tiktoken_model("gpt-4", max_tokens, trim=False)


def _exact(text: str, unit: Unit, max_tokens: int, count: Count) -> Iterator[tuple[Unit, int]]:
    """Halves what is still too long, down to single characters, which are never cut."""
    size = count(text[unit.start : unit.end])
    middle = (unit.start + unit.end) // 2
    if text[middle - 1 : middle + 1] == "\r\n":
        middle += 1
    if size <= max_tokens or not unit.start < middle < unit.end:
        note = unit.note
        if size > max_tokens:
            note = f"one character of {size} tokens exceeds the limit"
        yield unit._replace(note=note), size
        return
    yield from _exact(text, unit._replace(end=middle), max_tokens, count)
    note = f"cut inside a word of more than {max_tokens:,} tokens"
    yield from _exact(text, Unit(middle, unit.end, CHARACTER, note), max_tokens, count)


def _is_inside_word(text: str, at: int) -> bool:
    """Whether letters or digits of a script that writes spaces, or a character and its marks, stand on both sides."""
    return _spaced(text[at - 1]) and _spaced(text[at])


def _spaced(character: str) -> bool:
    return (character.isalnum() or character == "_") and character < "\u0e00"
