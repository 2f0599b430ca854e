"""The rule that goes on counting where an answer begins again with 1."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.engine.stitching.seams.closing import Changes
from orchestrator.engine.stitching.seams.edits import Edit
from orchestrator.engine.stitching.seams.headings import headings_of
from orchestrator.engine.stitching.seams.structure import Block, Page
from orchestrator.plan.split.pieces import lines_of

_HEADING = re.compile(r" {0,3}(?:#{1,6}[ \t]+)?(\d{1,4})((?:\.\d+)*)([.)]?)(?=[ \t])")
_ITEM = re.compile(r" {0,3}(\d{1,9})[.)]")


def continue_numbering(pages: Sequence[Page]) -> Changes:
    """Numbered headings and lists go on counting. A text that speaks of "section 2" is not changed.

    Headings count when those of the highest numbered level of an answer are 1, 2, 3, … without a break; numbers such
    as `1.2` below follow. A list counts when it begins an answer and the one before ends with a list of its kind.
    """
    changes: Changes = {}
    for found in (_headings(pages), _lists(pages)):
        for at, edits in found.items():
            changes[at] = sorted([*changes.get(at, ()), *edits], key=lambda edit: (edit.start, edit.end))
    return changes


def _headings(pages: Sequence[Page]) -> Changes:
    changes: Changes = {}
    last: dict[int, int] = {}
    for at, page in enumerate(pages):
        found = [(block, match) for block in headings_of(page) if (match := _HEADING.match(page.text, block.start))]
        tops = [(block.level, int(match[1])) for block, match in found if match[3] and not match[2]]
        if not tops:
            continue
        level = min(level for level, _ in tops)
        numbers = [number for each, number in tops if each == level]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            continue
        shift = last.get(level, 0) if numbers[0] == 1 else 0
        last[level] = numbers[-1] + shift
        if shift:
            known = set(numbers)
            changes[at] = [
                Edit(match.start(1), match.end(1), str(int(match[1]) + shift))
                for block, match in found
                if int(match[1]) in known and (block.level == level if not match[2] else block.level > level)
            ]
    return changes


def _lists(pages: Sequence[Page]) -> Changes:
    changes: Changes = {}
    shift = 0
    for at in range(0, len(pages) - 2, 2):
        first, second = pages[at], pages[at + 2]
        above = first.structure.blocks[-1] if first.is_answer and first.structure.blocks else None
        below = second.structure.blocks[0] if second.is_answer and second.structure.blocks else None
        is_whole = len(first.structure.blocks) == 1
        shift = _last_number(first, above) + (shift if is_whole else 0) if above else 0
        if shift and above and below and below.markup == above.markup and _begins_with_one(second, below):
            changes[at + 2] = list(_renumbered(second.text, below, shift))
        else:
            shift = 0
    return changes


def _last_number(page: Page, block: Block) -> int:
    """The number that the last item of the list is shown with; 0 for what is no numbered list."""
    if block.kind != "ordered_list" or page.text[block.end :].strip():
        return 0
    first = _ITEM.match(page.text, block.start)
    return int(first[1]) + len(block.items) - 1 if first else 0


def _begins_with_one(page: Page, block: Block) -> bool:
    first = _ITEM.match(page.text, block.start) if block.kind == "ordered_list" else None
    return first is not None and first[1] == "1"


def _renumbered(text: str, block: Block, shift: int) -> Iterator[Edit]:
    for number, (start, end) in enumerate(block.items, shift + 1):
        found = _ITEM.match(text, start, end)
        if not found:
            continue
        yield Edit(*found.span(1), str(number))
        wider = " " * (len(str(number)) - len(found[1]))
        _, *lines = lines_of(text, start, end)
        # What stands below the item's first line must stay inside it.
        for line in lines if wider else ():
            if line.text.strip() and line.text[0] in " \t":
                yield Edit(line.start, line.start, wider)
