"""Rules that cut words: what stands around an answer, and what it repeats."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.engine.stitching.seams.closing import Changes
from orchestrator.engine.stitching.seams.edits import Edit
from orchestrator.engine.stitching.seams.structure import Page
from orchestrator.plan.split.pieces import lines_of

MIN_OVERLAP_CHARS = 60
"""A shorter repetition may be meant."""
_MAX_PARAGRAPHS = 200
_MAX_CHATTER_CHARS = 300

_FIRST_LINE = re.compile(r"\s*(\S[^\r\n]*?)[ \t]*(?:\r\n|\r|\n)(?:[ \t]*(?:\r\n|\r|\n))+(?=[^\r\n])")
_RULE = re.compile(r"(?:-{3,}|\*{3,})[ \t]*(?:\r\n|\r|\n)(?:[ \t]*(?:\r\n|\r|\n))+")
_OPENING = re.compile(
    r"(?:sure|certainly|of course|absolutely)\b.*\b(?:here\s+is|here['’]s|here\s+are|below\s+is|below\s+are)\b.*:"
    r"|(?:here\s+is|here['’]s|here\s+are|below\s+is)\b.*\b(?:you asked for|you requested|as requested)\b.*:",
    re.I,
)
_CLOSING = re.compile(
    r"I hope this helps[.!]?"
    r"|(?:please )?(?:let me know if|feel free to (?:ask|let me know)|would you like me to|is there anything else)\b"
    r".*\b(?:changes?|adjust\w*|revis\w*|expand|tweak\w*|anything else|further|questions?)\b.*[.!?]",
    re.I,
)
_WRAPPER = re.compile(r"(`{3,}|~{3,})(?:markdown|md)[ \t]*\Z", re.I)


def cut_chatter(pages: Sequence[Page]) -> Changes:
    """What a model says to the person who asked goes: one line before the answer, one after it, a fence around it.

    Only English words are known, and only whole lines that speak of the answer as such.
    """
    changes: Changes = {}
    for at, page in enumerate(pages):
        if not page.is_answer:
            continue
        start, end = _opening_end(page.text), _closing_start(page.text)
        if start >= end:
            continue
        inner = _unwrapped(page, start, end)
        edits = [Edit(0, inner[0], ""), Edit(inner[1], len(page.text), "")]
        if found := [edit for edit in edits if edit.start < edit.end]:
            changes[at] = found
    return changes


def cut_overlap(pages: Sequence[Page]) -> Changes:
    """Paragraphs at the start of an answer that are, word for word, those at the end of the one before go."""
    changes: Changes = {}
    for at in range(0, len(pages) - 2, 2):
        first, second = pages[at], pages[at + 2]
        if not (first.is_answer and second.is_answer):
            continue
        tail = [text for _, text in _paragraphs(first.text)[-_MAX_PARAGRAPHS:]]
        head = _paragraphs(second.text)[: _MAX_PARAGRAPHS + 1]
        words = [text for _, text in head]
        for length in range(min(len(tail), len(head) - 1), 0, -1):
            if tail[-length:] == words[:length]:
                end = head[length][0]
                if sum(map(len, words[:length])) >= MIN_OVERLAP_CHARS and _is_boundary(second, end):
                    changes[at + 2] = [Edit(0, end, "")]
                break
    return changes


def _opening_end(text: str) -> int:
    found = _FIRST_LINE.match(text)
    if not found or len(found[1]) > _MAX_CHATTER_CHARS or not _OPENING.fullmatch(found[1]):
        return 0
    rule = _RULE.match(text, found.end())
    return rule.end() if rule else found.end()


def _closing_start(text: str) -> int:
    """Where the closing words begin, blank lines before them included; the length of the text when there are none."""
    body = text.rstrip()
    line_start = max(body.rfind("\n"), body.rfind("\r")) + 1
    before = body[:line_start].rstrip()
    is_alone = len(list(lines_of(body[len(before) : line_start]))) > 1
    line = body[line_start:]
    if not is_alone or not before or len(line) > _MAX_CHATTER_CHARS or not _CLOSING.fullmatch(line):
        return len(text)
    return len(before)


def _unwrapped(page: Page, start: int, end: int) -> tuple[int, int]:
    """Without a fence marked as Markdown that holds all of it."""
    text = page.text[start:end]
    if not page.markdown or not _WRAPPER.match(text.lstrip().partition("\n")[0].rstrip("\r")):
        return start, end
    blocks = Page(page.part, text).structure.blocks
    is_all = len(blocks) == 1 and text[blocks[0].start : blocks[0].end] == text.strip()
    lines = list(lines_of(text, blocks[0].start, blocks[0].end)) if is_all else []
    if len(lines) < 3 or not re.fullmatch(r" {0,3}[`~]{3,}[ \t]*", lines[-1].text):
        return start, end
    last = lines[-2]
    return start + lines[1].start, start + last.start + len(last.text)


def _paragraphs(text: str) -> list[tuple[int, str]]:
    """Start and words of each run of lines that are not blank; trailing spaces and line ends do not matter."""
    found: list[tuple[int, str]] = []
    is_open = False
    for line in lines_of(text):
        words = line.text.rstrip()
        if words and is_open:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{words}")
        elif words:
            found.append((line.start, words))
        is_open = bool(words)
    return found


def _is_boundary(page: Page, at: int) -> bool:
    return not page.markdown or any(block.start == at for block in page.structure.blocks)
