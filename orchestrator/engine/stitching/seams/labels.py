"""The rule that tells equal labels of footnotes and links apart."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from orchestrator.engine.stitching.seams.closing import Changes
from orchestrator.engine.stitching.seams.edits import Edit, apply
from orchestrator.engine.stitching.seams.structure import NOTE, Page, rendered

_NOTE_TEXT = re.compile(
    r"[^\n]*(?:\n(?!\s*\n| {0,3}\[\^)[^\n]+|\n(?:[ \t\r]*\n)*(?: {4}|\t)[ \t]*[^\s][^\n]*)*",
)
_BRACKETS = re.compile(r"\\.|\[((?:[^\[\]\\]|\\.)*)\]", re.DOTALL)
_BRACKET = re.compile(r"\\.|[\[\]]|\n[ \t\r]*\n", re.DOTALL)
_BACKTICKS = re.compile(r"`+")


def tell_labels_apart(pages: Sequence[Page]) -> Changes:
    """A label that an earlier answer defines otherwise gets a number, where it is defined and wherever it is used.

    What is seen stays: a link `[text]` becomes `[text][text-2]`, and where that cannot be, the links of that answer are
    left alone. So is a label that only one answer defines, since notes may stand in an answer of their own.
    """
    defined = {at: _definitions(page) for at, page in enumerate(pages) if page.is_answer and "]:" in page.text}
    meanings: dict[str, dict[tuple[str, str], int]] = {}
    clashes: dict[int, dict[str, int]] = {}
    for at, labels in defined.items():
        for label, means in labels.items():
            known = meanings.setdefault(label, {})
            number = known.setdefault(means, len(known) + 1)
            if number > 1:
                clashes.setdefault(at, {})[label] = number
    if not clashes:
        return {}
    names = _new_names(pages, meanings)
    changes: Changes = {}
    for at, labels in clashes.items():
        edits = list(_renamings(pages[at], {label: names[label, number] for label, number in labels.items()}))
        if edits := _certain(pages[at].text, edits):
            changes[at] = edits
    return changes


def _certain(text: str, edits: list[Edit]) -> list[Edit]:
    """All of them, or those of footnotes alone when a reader would see other words or another link."""
    notes = [edit for edit in edits if text[edit.start : edit.start + 1] == "^" and edit.end > edit.start]
    known = set(notes)
    links = [edit for edit in edits if edit not in known]
    return edits if not links or rendered(apply(links, text)) == rendered(text) else notes


def _definitions(page: Page) -> dict[str, tuple[str, str]]:
    """What each label of the page means; the first definition counts, as it does for a reader of Markdown."""
    found: dict[str, tuple[str, str]] = {}
    hidden = _Hidden(page)
    for note in NOTE.finditer(page.text):
        if not hidden.covers(note.start(1)):
            text = _NOTE_TEXT.match(page.text, note.end(), hidden.next_after(note.end(), len(page.text)))
            found.setdefault(_normal(note[1]), ("note", text[0].strip() if text else ""))
    for each in page.structure.definitions:
        if not each.label.startswith("^"):
            found.setdefault(_normal(each.label), each.means)
    return found


def _normal(label: str) -> str:
    return " ".join(label.split()).casefold()


def _new_names(pages: Sequence[Page], meanings: Mapping[str, dict[tuple[str, str], int]]) -> dict[tuple[str, int], str]:
    """A name of its own for each label and number from 2, that stands in no part."""
    taken = {_normal(found[1]) for page in pages for found in _BRACKETS.finditer(page.text) if found[1]}
    names: dict[tuple[str, int], str] = {}
    for label, known in meanings.items():
        numbers = count(2)
        for number in range(2, len(known) + 1):
            names[label, number] = next(name for at in numbers if (name := f"{label}-{at}") not in taken)
            taken.add(names[label, number])
    return names


def _renamings(page: Page, names: Mapping[str, str]) -> Iterator[Edit]:
    """Edits of every place of the page where one of the labels is defined or used."""
    text, hidden = page.text, _Hidden(page)
    lines = {each.start for each in page.structure.definitions}
    closing = _closing_brackets(text, hidden)
    behind_reference = -1
    for found in _BRACKETS.finditer(text):
        name = names.get(_normal(found[1])) if found[1] else None
        if name is None or hidden.covers(found.start()):
            continue
        start, end = found.span()
        after = text[end : end + 2]
        defines = after[:1] == ":" and _line_start(text, start) in lines
        is_label = start - 1 in closing and start != behind_reference
        if is_label or after == "[]":
            behind_reference = end if is_label else end + 2
        if found[1].startswith("^") or defines or is_label:
            yield Edit(start + 1, end - 1, name)
        elif after == "[]":
            yield Edit(end + 1, end + 1, name)
        elif after[:1] not in ("(", "["):
            yield Edit(end, end, f"[{name}]")


def _closing_brackets(text: str, hidden: _Hidden) -> set[int]:
    """Where a bracket closes another one; a full reference `[text][label]` needs both."""
    found: set[int] = set()
    is_open = 0
    for each in _BRACKET.finditer(text):
        if each[0] in ("[", "]") and not hidden.covers(each.start()):
            if each[0] == "]" and is_open:
                found.add(each.start())
            is_open = max(0, is_open + (1 if each[0] == "[" else -1))
        elif each[0][0] == "\n":
            is_open = 0
    return found


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1


class _Hidden:
    """The stretches of a page where brackets mean nothing: code, HTML, and code spans in running text."""

    def __init__(self, page: Page) -> None:
        structure = page.structure
        spans = (span for start, end in structure.prose for span in code_spans(page.text, start, end))
        self._places = sorted((*structure.code, *spans))
        self._starts = [start for start, _ in self._places]
        self._blocks = [start for start, _ in structure.code]

    def next_after(self, at: int, end: int) -> int:
        """Where the next block of code or HTML begins, else `end`."""
        found = bisect_right(self._blocks, at)
        return self._blocks[found] if found < len(self._blocks) else end

    def covers(self, at: int) -> bool:
        found = bisect_right(self._starts, at) - 1
        return found >= 0 and at < self._places[found][1]


def code_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The code spans in a stretch of running text: a run of backticks to the next run of the same length."""
    runs = [(found.start(), found.end()) for found in _BACKTICKS.finditer(text, start, end)]
    later: dict[int, list[int]] = {}
    for number in range(len(runs) - 1, -1, -1):
        later.setdefault(runs[number][1] - runs[number][0], []).append(number)
    number = 0
    while number < len(runs):
        begins, ends = runs[number]
        escaped = _backslashes(text, start, begins) % 2
        closing = later.get(ends - begins - escaped, [])
        while closing and closing[-1] <= number:
            closing.pop()
        if closing:
            number = closing.pop()
            yield begins + escaped, runs[number][1]
        number += 1


def _backslashes(text: str, start: int, end: int) -> int:
    """How many stand right before `end`."""
    at = end
    while at > start and text[at - 1] == "\\":
        at -= 1
    return end - at
