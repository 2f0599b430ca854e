"""The blocks of a Markdown document: which stretches are one thing, and how strong the boundary before each is.

One pass over the lines with the block rules of CommonMark and the tables of GitHub: lists and quotes are containers,
fences, tables, HTML and front matter are single blocks. Headings count outside lists and quotes only.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from orchestrator.plan.split.pieces import (
    BLOCK,
    GLUED,
    RULE,
    WEAKEST_BLOCK,
    Block,
    Line,
    OnShare,
    heading_strength,
    lines_of,
    telling,
)

_MAX_FRONT_MATTER_LINES = 500
_MAX_DEPTH = 32
"""Lists and quotes around one another; what is deeper is text. Bounds the time that one line takes."""
_MAX_TITLE_CHARS = 300
_FENCE = re.compile(r" {0,3}(?:(`{3,})[^`]*|(~{3,}).*)$")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_TABLE_RULE = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CELL_END = re.compile(r"(?<!\\)\|")
_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r"( {0,3}(?:[-*+]|(\d{1,9})[.)]))( +|$)")
_HTML = re.compile(r" {0,3}</?[A-Za-z][\w-]*(?:\s[^<>]*)?/?>[ \t]*$")
_HTML_BLOCK = re.compile(
    r" {0,3}</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|"
    r"dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|"
    r"link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|"
    r"title|tr|track|ul)(?:[ \t]|/?>|$)",
    re.I,
)
_RAW = (
    (
        re.compile(r" {0,3}<(?:script|pre|style|textarea)(?:[\s>]|$)", re.I),
        re.compile(r"</(?:script|pre|style|textarea)>", re.I),
    ),
    (re.compile(r" {0,3}<!--"), re.compile(r"-->")),
    (re.compile(r" {0,3}<\?"), re.compile(r"\?>")),
    (re.compile(r" {0,3}<!\[CDATA\["), re.compile(r"\]\]>")),
    (re.compile(r" {0,3}<![A-Za-z]"), re.compile(r">")),
)
_TELLING = frozenset(" \t>-*+_`~#|<=:0123456789")
"""First characters of lines that can be more than the text of a paragraph."""


def blocks_of(text: str, *, on_share: OnShare | None = None) -> list[Block]:
    """The blocks of `text`, which cover it; blank lines belong to the block before them."""
    scan = _Scan()
    lines = list(lines_of(text))
    for line in telling(lines[scan.front_matter(lines) :], on_share):
        scan.take(line)
    return _with_ends(scan.blocks, text)


def _with_ends(blocks: list[Block], text: str) -> list[Block]:
    if not blocks:
        return [Block(0, "paragraph", BLOCK, end=len(text))] if text else []
    blocks[0].start = 0
    for block, following in itertools.pairwise(blocks):
        block.end = following.start
    blocks[-1].end = len(text)
    for block in blocks:
        if block.level and not block.title:
            block.title = plain_title(text[block.start : block.end])
    return blocks


def plain_title(source: str) -> str:
    """A heading's text without its marks: `## [Use](x) of `it`` and an underlined one give plain words."""
    lines = [line.text.strip() for line in lines_of(source) if line.text.strip()]
    if len(lines) > 1 and _UNDERLINE.match(lines[-1]):
        lines.pop()
    title = " ".join(lines)
    if found := _HEADING.match(title):
        title = title[found.end() :].strip()
        bare = title.rstrip("#")
        title = bare if not bare or bare[-1] in " \t" else title
    title = title[:_MAX_TITLE_CHARS]
    title = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", title)
    title = re.sub(r"(\*{1,3}|(?<!\w)_{1,3}|~~|`+)(\S(?:.*?\S)?)\1(?!\w)", r"\2", title)
    title = re.sub(r"<[^>]+>|[ \t]*\{#[^}]*\}$", "", title)
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", title).strip()


@dataclass(frozen=True, slots=True)
class _Container:
    """A quote (`width` 0) or a list item whose text is indented by `width`."""

    width: int


@dataclass(slots=True)
class _Open:
    """A block that goes on: a fence until its mark, raw HTML until its end, a table and others until a blank line."""

    kind: str
    depth: int
    closing: re.Pattern[str] | None = None


class _Scan:
    """The state between two lines: the containers around, and the block that may go on."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._around: list[_Container] = []
        self._open: _Open | None = None
        self._header: tuple[int, str] = (0, "")
        self._after_blank = True

    def front_matter(self, lines: list[Line]) -> int:
        """How many lines at the beginning are front matter; they become a block."""
        mark = lines[0].text.rstrip() if lines else ""
        if mark not in ("---", "+++") or len(lines) < 2 or not lines[1].text.strip():
            return 0
        for number, line in enumerate(lines[1:_MAX_FRONT_MATTER_LINES], 2):
            if line.text.rstrip() == mark or (mark == "---" and line.text.rstrip() == "..."):
                self.blocks.append(Block(0, "front matter", BLOCK))
                return number
        return 0

    def take(self, line: Line) -> None:
        """The next line: it goes on with the open block, or begins a new one."""
        text = line.text
        if not self._around and text and text[0] not in _TELLING:
            if self._open is None:
                return self._begin(line, "paragraph", text)
            if self._open.kind == "paragraph":
                self._header = (line.start, text)
                return None
        if "\t" in text:
            text = text.expandtabs(4)
        matched, rest = self._match(text)
        if self._goes_on(matched, rest):
            return None
        self._new_line(line, matched, rest)
        return None

    def _match(self, text: str) -> tuple[int, str]:
        """How many of the containers around hold this line too, and what stands inside them."""
        for number, container in enumerate(self._around):
            if container.width:
                if text.strip() and text[: container.width].strip():
                    return number, text
                text = text[container.width :]
            else:
                found = _QUOTE.match(text)
                if not found:
                    return number, text
                text = text[found.end() :]
        return len(self._around), text

    def _goes_on(self, matched: int, rest: str) -> bool:
        """Whether the line belongs to an open fence or raw HTML, which blank lines do not end."""
        state = self._open
        if state is None or state.closing is None:
            return False
        if matched < state.depth:
            self._open = None
            return False
        if state.closing.search(rest):
            self._open = None
            self._after_blank = False
        return True

    def _new_line(self, line: Line, matched: int, rest: str) -> None:
        in_paragraph = self._open is not None and self._open.kind == "paragraph"
        if self._open and self._open.kind == "HTML block" and matched == len(self._around) and rest.strip():
            return
        opened, rest = _containers(
            rest, in_paragraph=in_paragraph and matched == len(self._around), room=_MAX_DEPTH - matched
        )
        if not rest.strip() and not opened:
            self._blank(matched)
            return
        indented = rest.startswith("    ")
        if in_paragraph and not opened and matched < len(self._around) and self._is_text(rest):
            self._header = (0, "")
            return
        if matched < len(self._around) or opened:
            del self._around[matched:]
            self._open = None
            in_paragraph = False
        depth = matched
        self._around += opened
        is_item = bool(opened and opened[0].width)
        if in_paragraph and self._ends_paragraph(line, rest):
            return
        if self._open and self._open.kind == "indented code" and (indented or not rest.strip()):
            return
        if self._open and self._open.kind in ("table", "paragraph") and self._is_text(rest):
            self._header = (line.start, rest)
            return
        self._begin(line, self._kind(rest), rest, depth=depth, is_item=is_item)

    def _blank(self, matched: int) -> None:
        quote = next((at for at, each in enumerate(self._around) if at >= matched and not each.width), None)
        if quote is not None:
            del self._around[quote:]
        if self._open and self._open.kind != "indented code":
            self._open = None
        self._after_blank = True

    def _ends_paragraph(self, line: Line, rest: str) -> bool:
        """Whether the line makes a heading, or its last line the head of a table."""
        if found := _UNDERLINE.match(rest):
            block = self.blocks[-1]
            self._open, self._after_blank = None, False
            block.kind = "heading"
            if not block.depth and not self._around:
                block.level = 1 if found[1][0] == "=" else 2
                block.strength = self._strength(block.level, before=self.blocks[-2:-1])
            return True
        start, head = self._header
        if head and "|" in head + rest and _TABLE_RULE.match(rest) and _cells(head) == _cells(rest):
            if self.blocks[-1].start == start:
                self.blocks[-1].kind = "table"
            else:
                self.blocks.append(Block(start, "table", WEAKEST_BLOCK + 1, depth=len(self._around)))
            self._open = _Open("table", len(self._around))
            return True
        return False

    def _is_text(self, rest: str) -> bool:
        return self._kind(rest, in_paragraph=True) == "paragraph"

    def _kind(self, rest: str, *, in_paragraph: bool = False) -> str:
        """What a line begins; in a paragraph some beginnings are just text."""
        if rest.startswith("    "):
            return "paragraph" if in_paragraph else "indented code"
        if _FENCE.match(rest):
            return "code fence"
        if _HEADING.match(rest):
            return "heading"
        if _RULE.match(rest):
            return "rule"
        if not rest.lstrip(" ").startswith("<"):
            return "paragraph"
        if any(start.match(rest) for start, _ in _RAW) or _HTML_BLOCK.match(rest):
            return "HTML block"
        if not in_paragraph and _HTML.match(rest):
            return "HTML block"
        return "paragraph"

    def _begin(self, line: Line, kind: str, rest: str, *, depth: int = 0, is_item: bool = False) -> None:
        inside = len(self._around)
        block = Block(line.start, kind, BLOCK, depth=inside)
        self._open = None
        if kind == "heading" and not inside:
            found = _HEADING.match(rest)
            block.level = len(found[1]) if found else 0
        elif kind == "code fence":
            self._open = _Open(kind, inside, _closing(rest))
        elif kind == "HTML block":
            self._open = _raw_html(rest, inside)
        elif kind in ("paragraph", "indented code") and rest.strip():
            self._open = _Open(kind, inside)
        self._header = (line.start, rest)
        if block.level or (self.blocks and self.blocks[-1].level):
            block.strength = self._strength(block.level, before=self.blocks[-1:])
        elif kind == "rule" and not inside:
            block.strength = RULE
        else:
            lower = 3 if not self._after_blank and not is_item else 1 if is_item else 0
            block.strength = max(WEAKEST_BLOCK, BLOCK - 2 * depth - lower)
        self.blocks.append(block)
        self._after_blank = False

    @staticmethod
    def _strength(level: int, *, before: list[Block]) -> int:
        return GLUED if before and before[0].level else heading_strength(level)


def _containers(rest: str, *, in_paragraph: bool, room: int) -> tuple[list[_Container], str]:
    """The quotes and list items that a line opens, and what stands inside them."""
    opened: list[_Container] = []
    while rest and len(opened) < room and not rest.startswith("    ") and not _RULE.match(rest):
        if found := _QUOTE.match(rest):
            opened.append(_Container(0))
            rest = rest[found.end() :]
            continue
        found = _ITEM.match(rest)
        if not found or (in_paragraph and (not rest[found.end() :].strip() or (found[2] or "1") != "1")):
            break
        gap = len(found[3])
        width = len(found[1]) + (gap if 1 <= gap <= 4 and found.end() < len(rest) else 1)
        opened.append(_Container(width))
        rest = rest[width:]
    return opened, rest


def _closing(rest: str) -> re.Pattern[str]:
    found = _FENCE.match(rest)
    mark = (found[1] or found[2]) if found else "```"
    return re.compile(rf"\A {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*\Z")


def _raw_html(rest: str, depth: int) -> _Open | None:
    for start, end in _RAW:
        if start.match(rest):
            return None if end.search(rest) else _Open("HTML block", depth, end)
    return _Open("HTML block", depth)


def _cells(row: str) -> int:
    return len(_CELL_END.split(re.sub(r"^\||(?<!\\)\|$", "", row.strip())))
