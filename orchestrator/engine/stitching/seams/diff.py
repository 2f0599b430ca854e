"""Showing what seam work did, as a unified diff whose hunks name the rule."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.engine.stitching.seams.edits import Joined

CONTEXT_LINES = 3


@dataclass(slots=True)
class _Change:
    """Lines `old[0]:old[1]` became `new[0]:new[1]`, for these reasons."""

    old: tuple[int, int]
    new: tuple[int, int]
    reasons: dict[str, None] = field(default_factory=dict[str, None])


def unified_diff(joined: Joined, *, before: str, after: str) -> Iterator[str]:
    """Lines without their ends; `before` and `after` name the two texts. Nothing when nothing changed."""
    old, new = _Lines(joined.plain), _Lines(joined.text)
    changes = [_trimmed(each, old, new) for each in _changes(joined, old, new)]
    changes = [each for each in changes if each.old[0] < each.old[1] or each.new[0] < each.new[1]]
    if changes:
        yield from (f"--- {before}", f"+++ {after}")
    for hunk in _hunks(changes):
        yield from _shown(hunk, old, new)


class _Lines:
    """A text by lines; only LF ends one, so that a CR is seen as the change that it may be."""

    def __init__(self, text: str) -> None:
        *lines, rest = text.split("\n")
        self.texts = [f"{line}\n" for line in lines] + ([rest] if rest else [])
        self._length = len(text)
        self._starts: list[int] = []
        at = 0
        for line in self.texts:
            self._starts.append(at)
            at += len(line)

    def number_at(self, at: int) -> int:
        """The line that holds this character, or would."""
        if at == self._length and (not self.texts or self.texts[-1].endswith("\n")):
            return len(self.texts)
        return max(0, bisect_right(self._starts, at) - 1)


def _changes(joined: Joined, old: _Lines, new: _Lines) -> list[_Change]:
    """Every edit in whole lines; those that share a line are one."""
    found: list[_Change] = []
    at = 0
    for span in joined.spans():
        if span.rule:
            first, last = old.number_at(at), old.number_at(at + len(span.removed))
            first_new, last_new = new.number_at(span.out_start), new.number_at(span.out_end)
            reason = f"{joined.owner(span.part)}: {span.rule}"
            if found and (first < found[-1].old[1] or first_new < found[-1].new[1]):
                found[-1].old = (found[-1].old[0], last + 1)
                found[-1].new = (found[-1].new[0], last_new + 1)
                found[-1].reasons[reason] = None
            else:
                found.append(_Change((first, last + 1), (first_new, last_new + 1), {reason: None}))
        at += span.end - span.start
    return found


def _trimmed(change: _Change, old: _Lines, new: _Lines) -> _Change:
    """Without equal lines at its beginning and end."""
    first, last = change.old
    first_new, last_new = change.new
    last, last_new = min(last, len(old.texts)), min(last_new, len(new.texts))
    while first < last and first_new < last_new and old.texts[first] == new.texts[first_new]:
        first, first_new = first + 1, first_new + 1
    while first < last and first_new < last_new and old.texts[last - 1] == new.texts[last_new - 1]:
        last, last_new = last - 1, last_new - 1
    return _Change((first, last), (first_new, last_new), change.reasons)


def _hunks(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    hunk: list[_Change] = []
    for change in changes:
        if hunk and change.old[0] - hunk[-1].old[1] > 2 * CONTEXT_LINES:
            yield hunk
            hunk = []
        hunk.append(change)
    if hunk:
        yield hunk


def _shown(hunk: Sequence[_Change], old: _Lines, new: _Lines) -> Iterator[str]:
    start = max(0, hunk[0].old[0] - CONTEXT_LINES)
    end = min(len(old.texts), hunk[-1].old[1] + CONTEXT_LINES)
    start_new = hunk[0].new[0] - (hunk[0].old[0] - start)
    end_new = hunk[-1].new[1] + (end - hunk[-1].old[1])
    reasons = ", ".join(dict.fromkeys(reason for change in hunk for reason in change.reasons))
    yield f"@@ -{_range(start, end)} +{_range(start_new, end_new)} @@ {reasons}"
    at = start
    for change in hunk:
        yield from _marked(" ", old.texts[at : change.old[0]])
        yield from _marked("-", old.texts[slice(*change.old)])
        yield from _marked("+", new.texts[slice(*change.new)])
        at = change.old[1]
    yield from _marked(" ", old.texts[at:end])


def _range(start: int, end: int) -> str:
    return f"{start + 1 if start < end else start},{end - start}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield mark + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"
