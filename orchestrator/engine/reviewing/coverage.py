"""Whether each point of an outline is answered by a section of the result. Pure.

A point counts as answered when one section holds at least `ENOUGH` of its telling words; words are compared by their
beginnings, so that endings do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.plan.split import pieces_of_answer
from orchestrator.plan.split.markdown import blocks_of

ENOUGH = 0.5
"""Share of a point's words. Below it a section speaks of something else; a higher share asks for the point's own
wording, which nobody promised."""
SHORTEST_WORD = 4
STEM_CHARS = 5
POINT_CHARS = 400

_WORD = re.compile(r"[^\W\d_]+")


def points_of(outline: str) -> list[str]:
    """The points of an outline, each as its own first words."""
    return [each.text.strip()[:POINT_CHARS] for each in pieces_of_answer(outline)]


def uncovered(points: Sequence[str], parts: Mapping[str, str]) -> list[tuple[str, str]]:
    """The points that no part (texts by chunk id) answers, each with the part that comes nearest; "" when none does."""
    sections = [(name, _stems(text)) for name, whole in parts.items() for text in _sections(whole)]
    missing: list[tuple[str, str]] = []
    for point in points:
        wanted = _stems(point)
        if not wanted:
            continue
        shares = [(len(wanted & stems) / len(wanted), name) for name, stems in sections]
        best, nearest = max(shares, key=lambda each: each[0], default=(0.0, ""))
        if best < ENOUGH:
            missing.append((point, nearest if best else ""))
    return missing


def _sections(text: str) -> Iterator[str]:
    starts = [block.start for block in blocks_of(text) if block.level]
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        if text[start:end].strip():
            yield text[start:end]


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:STEM_CHARS].casefold() for word in _WORD.findall(text) if len(word) >= SHORTEST_WORD)
