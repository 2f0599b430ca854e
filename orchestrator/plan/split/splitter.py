"""Splitting a text into pieces: lossless, within the limit, at the best places, and stable under edits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.plan.split.cutting import cut
from orchestrator.plan.split.markdown import blocks_of
from orchestrator.plan.split.overlap import head_after, tail_before
from orchestrator.plan.split.patterns import starts_of
from orchestrator.plan.split.pieces import BLOCK, Block, OnShare, Piece, SplitError, SplitMode, Unit, lines_of
from orchestrator.plan.split.prose import line_units, sentence_units
from orchestrator.plan.split.source_code import code_blocks, inner_blocks
from orchestrator.plan.tokens import count_tokens

Sized = tuple[Unit, int]
Span = tuple[int, int]
_Cut = tuple[int, int, str, int | None]
"""A piece: start, end, what has to be said about the cut at its beginning, and its count where that is known."""

RULES_VERSION = 1
"""Of all that decides where cuts are made, and of what a piece tells: to be raised with every change to either, since
splits are kept by it."""

_OUTLINE, _UNITS = 0.3, 0.8
"""Shares of the time at which the blocks of a Markdown text are known, and (of the rest) what they count; measured."""

_MAX_HEADING_LEVEL = 6
_MAX_CODE_DEPTH = 12
_PROSE = frozenset({"paragraph", "heading", "rule"})


def split_text(
    text: str,
    *,
    mode: SplitMode,
    max_tokens: int | None,
    overlap_tokens: int = 0,
    level: int | None = None,
    pattern: str | None = None,
    language: str | None = None,
    on_share: OnShare | None = None,
) -> tuple[Piece, ...]:
    """The pieces of `text`: joined, they are `text` to the character; the empty text has none.

    `markdown` cuts at headings, then between blocks; `text` between paragraphs, then sentences; `code` between
    top-level definitions (`language` says how strings of several lines are quoted); these three need `max_tokens`.
    `lines` cuts at line ends alone, at each one without `max_tokens`. `headings` makes a piece of each heading of
    `level` (1 to 6; else the highest that occurs twice, else the highest), `regex` one from each match of `pattern`
    on; both split further what exceeds `max_tokens`.

    No piece is counted above `max_tokens` of `cl100k_base`, but for a single character that alone is. No cut is made
    inside a word, nor, in Markdown, inside a fence, a table, HTML or front matter, unless that alone exceeds the
    limit; then a note says so. Cuts depend on the text near them. Takes linear time: run it off the event loop.
    `on_share` is told how far it has come, dozens of times a second. Raises `SplitError` when the arguments make no
    sense.
    """
    _check(mode, max_tokens=max_tokens, overlap_tokens=overlap_tokens, level=level, pattern=pattern)
    if not text:
        return ()
    tell = on_share or _tell_nobody
    begun = _OUTLINE if mode in ("markdown", "headings") else 0.0
    outline = _Outline(blocks_of(text, on_share=lambda share: tell(share * begun))) if begun else _Outline([])
    if mode == "headings":
        parts = _sections(text, outline, level)
    elif mode == "regex" and pattern is not None:
        parts = _from_each(starts_of(pattern, text), text)
    elif mode == "lines" and max_tokens is None:
        parts = _from_each([line.start for line in lines_of(text) if line.text.strip()], text)
    else:
        parts = [(0, len(text))]
    if max_tokens is None:
        cuts = [(start, end, "", None) for start, end in parts]
    else:

        def on_place(place: float) -> None:
            tell(begun + (1 - begun) * place / len(text))

        cuts = [each for part in parts for each in _within(text, part, mode, max_tokens, outline, language, on_place)]
    return tuple(_pieces(text, cuts, outline, overlap_tokens))


def _check(
    mode: SplitMode, *, max_tokens: int | None, overlap_tokens: int, level: int | None, pattern: str | None
) -> None:
    if max_tokens is None and mode in ("markdown", "text", "code"):
        raise SplitError(f"split: {mode} needs max_tokens", hint="such as max_tokens: 3000")
    if max_tokens is not None and max_tokens < 1:
        raise SplitError(f"max_tokens is {max_tokens}", hint="it counts tokens, from 1")
    if overlap_tokens < 0:
        raise SplitError(f"overlap_tokens is {overlap_tokens}", hint="it counts tokens, from 0")
    if level is not None and (mode != "headings" or not 1 <= level <= _MAX_HEADING_LEVEL):
        raise SplitError(f"level: {level} makes no sense here", hint="`split: headings` takes a level from 1 to 6")
    if (mode == "regex") != (pattern is not None):
        raise SplitError("`split: regex` and `pattern` go together", hint="such as pattern: '^Chapter'")


def _tell_nobody(share: float) -> None:
    pass


@dataclass(slots=True)
class _Outline:
    """The blocks of a Markdown text and its headings; answers which headings stand above a place."""

    blocks: list[Block]

    def headings(self) -> list[Block]:
        return [block for block in self.blocks if block.level]

    def within(self, start: int, end: int) -> list[Block]:
        """The blocks between two places where blocks start."""
        low = bisect_left(self.blocks, start, key=lambda block: block.start)
        return self.blocks[low : bisect_left(self.blocks, end, key=lambda block: block.start)]


def _sections(text: str, outline: _Outline, level: int | None) -> list[Span]:
    """One part for each heading of the level. What stands before is one too, unless it is blank or headings alone.

    A higher heading ends the part before it, in the same way.
    """
    headings = outline.headings()
    level = level or chosen_level(headings)
    starts: list[int] = []
    for at, heading in enumerate(headings):
        if heading.level <= level and not (starts and starts[-1] == heading.start):
            lead = at and headings[at - 1].level < level and headings[at - 1].end == heading.start
            if not lead:
                starts.append(heading.start)
    return _from_each(starts, text)


def chosen_level(headings: Sequence[Block]) -> int:
    """The highest level that occurs at least twice, else the highest that occurs, else 1."""
    levels = sorted(heading.level for heading in headings)
    return next((each for each in levels if levels.count(each) > 1), min(levels, default=1))


def _from_each(starts: Iterable[int], text: str) -> list[Span]:
    """One part from each start to the next; what stands before the first is one too unless it is blank."""
    begins = sorted(set(starts))
    if not begins or begins[0] > 0:
        blank = bool(begins) and not text[: begins[0]].strip()
        begins = [0, *(begins[1:] if blank else begins)]
    return list(zip(begins, [*begins[1:], len(text)], strict=True))


def _within(
    text: str,
    part: Span,
    mode: SplitMode,
    max_tokens: int,
    outline: _Outline,
    language: str | None,
    on_place: Callable[[float], None],
) -> Iterator[_Cut]:
    """The pieces of a part. `on_place` is told how far through the text, in characters, the work has come."""
    start, end = part
    if mode in ("headings", "regex"):
        size = count_tokens(text[start:end])
        if size <= max_tokens:
            on_place(end)
            yield start, end, "", size
            return
    units, sizes = list[Unit](), list[int]()
    for unit, size in _units(text, part, mode, max_tokens, outline, language):
        units.append(unit)
        sizes.append(size)
        on_place(start + (unit.end - start) * _UNITS)
    for first, last, size in cut(text, units, max_tokens=max_tokens, count=count_tokens, sizes=sizes):
        place = units[last - 1].end
        on_place(start + (end - start) * _UNITS + (place - start) * (1 - _UNITS))
        yield units[first].start, place, units[first].note, size


def _units(
    text: str, part: Span, mode: SplitMode, max_tokens: int, outline: _Outline, language: str | None
) -> Iterator[Sized]:
    start, end = part
    if mode == "code":
        yield from _code_units(text, code_blocks(text, language=language), max_tokens)
    elif mode == "lines":
        yield from line_units(text, start, end, what="", max_tokens=max_tokens, count=count_tokens)
    else:
        blocks = outline.within(start, end) if outline.blocks else list(_paragraphs(text, start, end))
        for block in blocks:
            yield from _block_units(text, block, max_tokens)


def _block_units(text: str, block: Block, max_tokens: int) -> Iterator[Sized]:
    """The block itself when it fits, else its lines or sentences; the first of them begins like the block."""
    size = count_tokens(text[block.start : block.end])
    if size <= max_tokens:
        yield Unit(block.start, block.end, block.strength), size
    elif block.kind in _PROSE:
        parts = sentence_units(text, block.start, block.end, max_tokens=max_tokens, count=count_tokens)
        yield from _beginning_with(block.strength, "", parts)
    else:
        article = "an" if block.kind[0] in "aeioH" else "a"
        what = f"{article} {block.kind} of {size:,} tokens"
        parts = line_units(text, block.start, block.end, what=what, max_tokens=max_tokens, count=count_tokens)
        yield from _beginning_with(block.strength, "", parts)


def _beginning_with(strength: int, note: str, parts: Iterable[Sized]) -> Iterator[Sized]:
    for number, (unit, size) in enumerate(parts):
        yield (unit if number else unit._replace(strength=strength, note=note or unit.note)), size


def _code_units(text: str, blocks: Sequence[Block], max_tokens: int, note: str = "") -> Iterator[Sized]:
    for number, block in enumerate(blocks):
        size = count_tokens(text[block.start : block.end])
        own_note = note if number else ""
        if size <= max_tokens:
            yield Unit(block.start, block.end, block.strength, own_note), size
            continue
        what = f"an indented block of {size:,} tokens"
        inner = inner_blocks(text, block) if block.depth < _MAX_CODE_DEPTH else []
        if len(inner) > 1:
            parts = _code_units(text, inner, max_tokens, f"cut inside {what}, at a line end")
        else:
            parts = line_units(text, block.start, block.end, what=what, max_tokens=max_tokens, count=count_tokens)
        yield from _beginning_with(block.strength, own_note, parts)


def _paragraphs(text: str, start: int, end: int) -> Iterator[Block]:
    """Paragraphs of plain text, each with the blank lines after it; more blank lines make a stronger boundary."""
    block: Block | None = None
    blank = 0
    for line in lines_of(text, start, end):
        if line.text.strip():
            if block is None or blank:
                if block:
                    yield block
                block = Block(line.start if block else start, "paragraph", BLOCK + min(blank, 3) - 1)
            blank = 0
        else:
            blank += 1
        if block:
            block.end = line.end
    yield block or Block(start, "paragraph", BLOCK, end=end)


def _pieces(text: str, cuts: Sequence[_Cut], outline: _Outline, overlap_tokens: int) -> Iterator[Piece]:
    paths = _paths(text, cuts, outline.headings())
    for number, (start, end, note, tokens) in enumerate(cuts):
        after = cuts[number + 1][2] if number + 1 < len(cuts) else ""
        yield Piece(
            text=text[start:end],
            start=start,
            end=end,
            tokens=tokens,
            heading_path=next(paths),
            previous_tail=tail_before(text, start, max_tokens=overlap_tokens),
            next_head=head_after(text, end, max_tokens=overlap_tokens),
            notes=tuple(dict.fromkeys(each for each in (note, after) if each)),
        )


def _paths(text: str, cuts: Iterable[_Cut], headings: Sequence[Block]) -> Iterator[tuple[str, ...]]:
    """For each piece, in order, the headings above its first heading or text."""
    above: list[Block] = []
    coming = 0
    for start, end, *_ in cuts:
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        while coming < len(headings) and headings[coming].end <= first:
            _enter(above, headings[coming])
            coming += 1
        own = headings[coming] if coming < len(headings) and headings[coming].start <= first else None
        if own and own.start < start:
            yield tuple(each.title for each in above)
            continue
        higher = [each for each in above if own is None or each.level < own.level]
        yield tuple(each.title for each in higher)


def _enter(above: list[Block], heading: Block) -> None:
    while above and above[-1].level >= heading.level:
        above.pop()
    above.append(heading)
