"""Rules for what goes on past the end of an answer: code fences, HTML, lists and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.engine.stitching.seams.edits import Edit
from orchestrator.engine.stitching.seams.structure import Block, Page, line_end_of, shape
from orchestrator.plan.split.pieces import lines_of

KEEP_APART = "<!-- -->"
"""An empty comment: it is not seen, and nothing goes on past it."""

_MAY_STAY_OPEN = re.compile(r"(?:^|\r) {0,3}(?:```|~~~|<(?:[!?]|script|pre|style|textarea))", re.MULTILINE | re.I)
_NEEDS_PARSING = re.compile(r"^[ \t]*<|\r(?!\n)|[^`\n]```|[^~\n]~~~", re.MULTILINE)
_FENCE_LINE = re.compile(r"^(`{3,}|~{3,})([^\n]*)", re.MULTILINE)
_RAW_HTML = (
    (
        re.compile(r" {0,3}<(script|pre|style|textarea)(?=\s|>|$)", re.I),
        re.compile(r"</(?:script|pre|style|textarea)>", re.I),
        "",
    ),
    (re.compile(r" {0,3}<!--"), re.compile("-->"), "-->"),
    (re.compile(r" {0,3}<\?"), re.compile(r"\?>"), "?>"),
    (re.compile(r" {0,3}<!\[CDATA\["), re.compile("]]>"), "]]>"),
    (re.compile(r" {0,3}<![A-Za-z]"), re.compile(">"), ">"),
)
_LISTS = ("bullet_list", "ordered_list")
_ROW = re.compile(r" {0,3}\|.*\|[ \t]*")


Changes = dict[int, list[Edit]]
"""Edits by index of page, in the characters of the page's text as it is."""


def close_what_is_open(pages: Sequence[Page]) -> Changes:
    """An answer's open fence or raw HTML gets its end, and a list or indented code does not swallow what follows."""
    changes: Changes = {}
    for at, following in _seams(pages):
        page = pages[at]
        added = ""
        if _MAY_STAY_OPEN.search(page.text) and not _is_plainly_closed(page.text) and page.structure.blocks:
            last = page.structure.blocks[-1]
            mark = _open_mark(page.text[last.start : last.end], last)
            added = _on_own_line(page.text, mark) if mark else ""
        if not added and pages[following].text.lstrip("\r\n")[:1] in (" ", "\t") and _swallows(page, pages[following]):
            added = _apart(page.text)
        if added:
            changes[at] = [Edit(len(page.text), len(page.text), added)]
    return changes


def keep_lists_apart(pages: Sequence[Page]) -> Changes:
    """Between a list and a list of the same kind that begins the next answer comes an empty comment."""
    changes: Changes = {}
    for at, following in _seams(pages):
        text, blocks, after = pages[at].text, pages[at].structure.blocks, pages[following].structure.blocks
        meet = [(block.kind, block.markup) for block in (*blocks[-1:], *after[:1]) if block.kind in _LISTS]
        if len(meet) == 2 and meet[0] == meet[1]:
            changes[at] = [Edit(len(text), len(text), _apart(text))]
    return changes


def join_tables(pages: Sequence[Page]) -> Changes:
    """A table that goes on in the next answer, under the same head or without one, becomes one table."""
    changes: Changes = {}
    for at in range(0, len(pages) - 2, 2):
        first, second = pages[at], pages[at + 2]
        if not (first.is_answer and second.is_answer and first.structure.blocks and second.structure.blocks):
            continue
        above, below = first.structure.blocks[-1], second.structure.blocks[0]
        if above.kind != "table" or (first.text[above.end :] + second.text[: below.start]).strip():
            continue
        start = _first_row(first.text[above.start : above.end], second.text, below)
        if start is not None:
            if above.end < len(first.text):
                changes.setdefault(at, []).append(Edit(above.end, len(first.text), ""))
            changes[at + 1] = [Edit(0, len(pages[at + 1].text), line_end_of(first.text))]
            if start:
                changes[at + 2] = [Edit(0, start, "")]
    return changes


def _first_row(table: str, text: str, below: Block) -> int | None:
    """Where the rows of `text` begin that go on with `table`, or None."""
    head = [_cells(line.text) for line in lines_of(table)][:2]
    rows = list(lines_of(text, below.start, below.end))
    if below.kind == "table":
        if len(rows) > 2 and [_cells(line.text) for line in rows[:2]] == head:
            return rows[2].start
        return None
    fits = below.kind == "paragraph" and all(
        _ROW.fullmatch(line.text) and len(_cells(line.text)) == len(head[0]) for line in rows
    )
    return below.start if fits else None


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", re.sub(r"^\||(?<!\\)\|$", "", row.strip()))]


def _seams(pages: Sequence[Page]) -> Iterator[tuple[int, int]]:
    """Each answer that something follows, with the index of the next page that can be seen."""
    following = None
    found: list[tuple[int, int]] = []
    for at in range(len(pages) - 1, -1, -1):
        page = pages[at]
        if page.part.kind == "separator" or page.is_blank:
            continue
        if page.is_answer and following is not None:
            found.append((at, following))
        following = at
    return reversed(found)


def _is_plainly_closed(text: str) -> bool:
    """Whether all is closed as far as can be told without parsing, which costs twenty times as much.

    A fence at the very beginning of a line stands in no list or quote. So without HTML and without a fence elsewhere
    it is enough to count.
    """
    if _NEEDS_PARSING.search(text):
        return False
    mark = ""
    for found in _FENCE_LINE.finditer(text):
        if not mark:
            mark = "" if found[1][0] == "`" in found[2] else found[1]
        elif found[1].startswith(mark) and not found[2].strip():
            mark = ""
    return not mark


def _open_mark(source: str, block: Block) -> str:
    """What closes the block, or "" when it is closed, or ends by itself."""
    if block.kind == "fence":
        lines = [line.text for line in lines_of(source)]
        mark = re.escape(block.markup[0])
        closed = len(lines) > 1 and re.fullmatch(rf" {{0,3}}{mark}{{{len(block.markup)},}}[ \t]*", lines[-1])
        return "" if closed else block.markup
    if block.kind == "html_block":
        for start, end, mark in _RAW_HTML:
            if found := start.match(source):
                return "" if end.search(source) else mark or f"</{found[1].lower()}>"
    return ""


def _swallows(page: Page, following: Page) -> bool:
    """Whether the indented beginning of what follows would become part of the last block."""
    if not following.structure.blocks:
        return False
    first = following.structure.blocks[0]
    if first.kind == "code_block" and page.structure.ends_in_note:
        return True
    if not page.structure.blocks:
        return False
    last = page.structure.blocks[-1]
    if last.kind not in (*_LISTS, "code_block"):
        return False
    above, below = page.text[last.start : last.end], following.text[first.start : first.end]
    indent = len(below) - len(below.lstrip(" "))
    if last.kind == first.kind and last.markup == first.markup and indent < 2 and last.kind in _LISTS:
        return False
    return shape(f"{above}\n\n{below}") != [*shape(above), *shape(below)]


def _on_own_line(text: str, mark: str) -> str:
    return mark if text.endswith(("\n", "\r")) else line_end_of(text) + mark


def _apart(text: str) -> str:
    end = line_end_of(text)
    return (end if text.endswith(("\n", "\r")) else 2 * end) + KEEP_APART
