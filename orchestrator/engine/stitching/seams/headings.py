"""Rules for headings: said once, of a fitting level, listed in a table of contents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from orchestrator.engine.stitching.seams.closing import Changes
from orchestrator.engine.stitching.seams.edits import Edit
from orchestrator.engine.stitching.seams.structure import Block, Page, line_end_of
from orchestrator.plan.split.markdown import plain_title
from orchestrator.plan.split.pieces import lines_of

MAX_TOC_LEVEL = 3
_DEEPEST = 6
_HEADING_LINE = re.compile(r" {0,3}(?:#{1,6}(?:[ \t]|$)|=+[ \t]*$|-+[ \t]*$)")
_HASHES = re.compile(r" {0,3}(#{1,6})")
_NO_SLUG = re.compile(r"[^\w\- ]")
_MARKS = re.compile(r"([\\`*_\[\]<>])")


def say_repeated_heading_once(pages: Sequence[Page]) -> Changes:
    """A heading with nothing below it goes when the next answer begins with the same one."""
    changes: Changes = {}
    for at in range(0, len(pages) - 2, 2):
        first, second = pages[at], pages[at + 2]
        if not (first.is_answer and second.is_answer and _HEADING_LINE.match(_last_line(first.text))):
            continue
        above, below = first.structure.blocks, second.structure.blocks
        if len(above) < 2 or not below or not _same(above[-1], below[0]):
            continue
        if (first.text[above[-1].end :] + second.text[: below[0].start]).strip():
            continue
        changes[at] = [Edit(len(first.text[: above[-1].start].rstrip()), len(first.text), "")]
    return changes


def drop_open_headings(pages: Sequence[Page]) -> Changes:
    """Headings at the start of an answer go where their section is open already, title and level being equal."""
    changes: Changes = {}
    path: list[Block] = []
    for at, page in enumerate(pages):
        if not page.is_answer:
            continue
        end = _end_of_open(page, path)
        if end:
            changes[at] = [Edit(0, end, "")]
        for block in headings_of(page):
            path = [*(each for each in path if each.level < block.level), block]
    return changes


def _end_of_open(page: Page, path: Sequence[Block]) -> int:
    """The end of the first headings that repeat the open ones, 0 when there are none.

    What follows must stand in the same section without them.
    """
    depth = end = done = 0
    for block, following in pairwise(page.structure.blocks):
        found = next((at for at, each in enumerate(path) if at >= depth and _same(block, each)), None)
        # A definition of a link is no block.
        is_next = not (page.text[done : block.start] + page.text[block.end : following.start]).strip()
        if found is None or not is_next:
            break
        done = block.end
        depth = found + 1
        deeper = path[depth:]
        if not deeper or (following.kind == "heading" and following.level <= deeper[0].level):
            end = following.start
    return end


def fit_levels(pages: Sequence[Page]) -> Changes:
    """The highest heading of each answer gets the same level: below the title when the first answer has one.

    Else it is the highest level of all answers. What stands below keeps its distance, down to level 6.
    """
    found = {at: list(headings_of(page)) for at, page in enumerate(pages) if page.is_answer}
    found = {at: headings for at, headings in found.items() if headings}
    if len(found) < 2:
        return {}
    first = next(iter(found))
    titled = has_title(pages[first], found[first])
    target = 2 if titled else min(each.level for headings in found.values() for each in headings)
    changes: Changes = {}
    for at, headings in found.items():
        shift = target - min(each.level for each in headings)
        if shift and not (titled and at == first):
            changes[at] = [edit for each in headings for edit in _at_level(pages[at].text, each, each.level + shift)]
    return {at: edits for at, edits in changes.items() if edits}


def add_contents(pages: Sequence[Page]) -> Changes:
    """A list of the headings down to level 3, below the title, else at the beginning; links as GitHub makes them."""
    first = next((at for at, page in enumerate(pages) if page.is_answer and not page.is_blank), None)
    found = [(at, block, pages[at].text) for at, page in enumerate(pages) for block in headings_of(page)]
    if first is None or not found:
        return {}
    own = list(headings_of(pages[first]))
    titled = has_title(pages[first], [block for _, block, _ in found])
    entries = list(_entries([(block, text[block.start : block.end]) for _, block, text in found], skip_first=titled))
    if not entries:
        return {}
    text = pages[first].text
    end = line_end_of(text)
    contents = end.join(("<!-- toc -->", "", *entries, "", "<!-- tocstop -->"))
    front = [block.end for block in pages[first].structure.blocks[:1] if block.kind == "front_matter"]
    at = own[0].end if titled else front[0] if front else 0
    if at:
        rest = next(lines_of(text, _after_line(text, at)), None)
        tail = end if rest is not None and rest.text.strip() else ""
        return {first: [Edit(at, at, 2 * end + contents + tail)]}
    return {first: [Edit(0, 0, contents + 2 * end)]}


def headings_of(page: Page) -> Iterator[Block]:
    """The headings of an answer that stand in no list or quote."""
    if page.is_answer:
        yield from (block for block in page.structure.blocks if block.kind == "heading")


def has_title(page: Page, headings: Sequence[Block]) -> bool:
    """Whether the page begins with a title: a heading of level 1, and the only one of `headings`."""
    blocks = [block for block in page.structure.blocks if block.kind != "front_matter"]
    return bool(blocks) and blocks[0].level == 1 and sum(each.level == 1 for each in headings) == 1


def _same(one: Block, other: Block) -> bool:
    return one.kind == other.kind == "heading" and (one.level, one.title) == (other.level, other.title)


def _last_line(text: str) -> str:
    return text.rstrip().replace("\r", "\n").rpartition("\n")[2]


def _after_line(text: str, at: int) -> int:
    """The start of the line after the one that holds the character before `at`."""
    line = next(lines_of(text, at), None)
    return line.end if line else len(text)


def _at_level(text: str, block: Block, level: int) -> Iterator[Edit]:
    level = min(level, _DEEPEST)
    source = text[block.start : block.end]
    if found := _HASHES.match(source):
        if len(found[1]) != level:
            yield Edit(block.start + found.start(1), block.start + found.end(1), "#" * level)
        return
    *words, underline = lines_of(text, block.start, block.end)
    if level <= 2:
        line = underline.text.strip()
        begin = underline.start + underline.text.index(line[:1])
        yield Edit(begin, begin + len(line), "=-"[level - 1] * max(len(line), 3))
    elif len(words) == 1:
        indent = len(words[0].text) - len(words[0].text.lstrip(" "))
        yield Edit(block.start + indent, block.start + indent, "#" * level + " ")
        yield Edit(words[0].start + len(words[0].text), block.end, "")


def _entries(headings: Sequence[tuple[Block, str]], *, skip_first: bool) -> Iterator[str]:
    seen: dict[str, int] = {}
    highest = min((block.level for block, _ in headings[skip_first:]), default=1)
    for number, (block, source) in enumerate(headings):
        title = plain_title(source)
        slug = _NO_SLUG.sub("", title.lower()).replace(" ", "-")
        times = seen.get(slug, 0)
        seen[slug] = times + 1
        if block.level <= MAX_TOC_LEVEL and not (skip_first and number == 0):
            anchor = f"{slug}-{times}" if times else slug
            words = _MARKS.sub(r"\\\1", title)
            yield f"{'  ' * (block.level - highest)}- [{words}](#{anchor})"
