"""The Markdown structure of one text, as far as seam work needs it. The only module that knows markdown-it-py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from orchestrator.engine.stitching.seams.edits import Part
from orchestrator.plan.split.pieces import Line, lines_of

_MAX_FRONT_MATTER_LINES = 500
_TABLES = "table"

_RENDERER = MarkdownIt("commonmark").enable(_TABLES)
_PARSER = MarkdownIt("commonmark").enable(_TABLES)
# Only blocks are wanted: what stands inside a paragraph is searched in the source, where it has a place.
_PARSER.core.ruler.disable(["inline", "text_join"])


@dataclass(frozen=True, slots=True)
class Block:
    """A block that stands in no other, from the start of its first line to the end of its last one that has text.

    `kind` is markdown-it's name for it (`heading`, `fence`, `bullet_list`, …), or `front_matter`; `markup` its mark;
    `level` a heading's, and `title` a heading's source without marks. `items` are the places of a list's items, each
    from the start of its first line to the end of its last one that has text.
    """

    kind: str
    start: int
    end: int
    markup: str
    level: int = 0
    title: str = ""
    items: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A link's definition `[label]: target` that counts, and where its line starts. `means` is target and title."""

    label: str
    start: int
    means: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Structure:
    """Blocks, stretches of running text (code and HTML left out), and definitions of links, each in order.

    `code` are the stretches of code and HTML. `ends_in_note`: what is indented behind it would belong to a footnote.
    """

    blocks: tuple[Block, ...] = ()
    prose: tuple[tuple[int, int], ...] = ()
    code: tuple[tuple[int, int], ...] = ()
    definitions: tuple[Definition, ...] = ()
    ends_in_note: bool = False


@dataclass(frozen=True)
class Page:
    """A part in the middle of seam work: `text` is what the rules before made of it, and Markdown or not."""

    part: Part
    text: str = field(repr=False)
    markdown: bool = True

    @cached_property
    def structure(self) -> Structure:
        """Of `text`."""
        return read_structure(self.text)

    @property
    def is_answer(self) -> bool:
        """Rules change answers alone."""
        return self.part.kind == "answer"

    @property
    def is_blank(self) -> bool:
        """Whether nothing would be seen of it."""
        return not self.text.strip()


def read_structure(text: str) -> Structure:
    """The structure of `text`; a text without any has none."""
    lines = list(lines_of(text))
    env: dict[str, Any] = {}
    tokens = _PARSER.parse(text, env)
    front = _front_matter_lines(lines)
    places = _Places(lines, len(text))
    blocks = [Block("front_matter", *places.of(0, front), "---")] if front else []
    prose, code = dict[tuple[int, int], None](), list[tuple[int, int]]()
    in_note, end = False, 0
    for at, token in enumerate(tokens):
        # What begins in the front matter and goes on behind it is open to a reader that knows no front matter.
        if token.map is None or token.map[1] <= front:
            continue
        place = places.of(*token.map)
        if token.type == "inline":
            prose[place] = None
        if token.level == 0 and token.nesting >= 0:
            # A note of one word is a link's definition to the parser, and no block.
            if token.type == "code_block":
                in_note = in_note or bool(NOTE.search(text, end, place[0]))
            else:
                in_note = token.type == "paragraph_open" and bool(NOTE.search(text, *place))
            end = place[1]
            blocks.append(_block(token, place, tokens, at, places))
        if token.type in ("fence", "html_block", "code_block"):
            # An indented paragraph below a footnote belongs to the note; the parser knows no footnotes.
            if in_note and token.type == "code_block" and token.level == 0:
                prose[place] = None
            else:
                code.append(place)
    references: dict[str, Any] = env.get("references", {})
    found = (
        Definition(label, places.of(*each["map"])[0], (str(each["href"]), str(each["title"])))
        for label, each in references.items()
    )
    in_note = in_note or bool(NOTE.search(text, end))
    definitions = tuple(sorted(found, key=lambda each: each.start))
    return Structure(tuple(blocks), tuple(prose), tuple(code), definitions, ends_in_note=in_note)


NOTE = re.compile(r"^ {0,3}\[(\^[^\]\s]+)\]:", re.MULTILINE)
"""The beginning of a footnote's text."""


def _block(token: Token, place: tuple[int, int], tokens: list[Token], at: int, places: _Places) -> Block:
    kind = token.type.removesuffix("_open")
    if kind == "heading":
        return Block(kind, *place, token.markup, level=int(token.tag[1:]), title=tokens[at + 1].content)
    if kind in ("bullet_list", "ordered_list"):
        return Block(kind, *place, token.markup, items=tuple(_items(tokens, at, places)))
    return Block(kind, *place, token.markup)


def _items(tokens: list[Token], at: int, places: _Places) -> Iterator[tuple[int, int]]:
    for token in tokens[at + 1 :]:
        if token.level == 0:
            return
        if token.level == 1 and token.type == "list_item_open" and token.map:
            yield places.of(*token.map)


class _Places:
    """From line numbers to characters; blank lines at the end of a stretch are left out."""

    def __init__(self, lines: list[Line], length: int) -> None:
        self._lines = lines
        self._length = length

    def of(self, first: int, end: int) -> tuple[int, int]:
        end = max(first + 1, min(end, len(self._lines)))
        while end > first + 1 and not self._lines[end - 1].text.strip():
            end -= 1
        last = self._lines[end - 1]
        return self._lines[first].start, last.start + len(last.text)


def _front_matter_lines(lines: list[Line]) -> int:
    if len(lines) < 2 or lines[0].text.rstrip() != "---" or not lines[1].text.strip():
        return 0
    for number, line in enumerate(lines[1:_MAX_FRONT_MATTER_LINES], 2):
        if line.text.rstrip() in ("---", "..."):
            return number
    return 0


def shape(text: str) -> list[tuple[str, int, str, str]]:
    """The blocks of `text` with what they hold, nested ones too, to compare two texts by."""
    return [(token.type, token.level, token.tag, token.content) for token in _PARSER.parse(text)]


def rendered(text: str) -> str:
    """What a reader sees of `text`, as HTML, footnotes left as they are written."""
    return _RENDERER.render(text)


def line_end_of(text: str) -> str:
    """The line end that `text` uses, LF when it has none."""
    at = text.find("\n")
    if at < 0:
        return "\r" if "\r" in text else "\n"
    return "\r\n" if at and text[at - 1] == "\r" else "\n"
