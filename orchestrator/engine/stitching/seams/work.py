"""Seam work as a whole: the rules that are on, one after the other, over parts that are kept as they came."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from orchestrator.engine.stitching.seams.characters import line_feeds, normal_unicode
from orchestrator.engine.stitching.seams.closing import Changes, close_what_is_open, join_tables, keep_lists_apart
from orchestrator.engine.stitching.seams.edits import Edit, Joined, Part, apply, compose
from orchestrator.engine.stitching.seams.headings import (
    add_contents,
    drop_open_headings,
    fit_levels,
    say_repeated_heading_once,
)
from orchestrator.engine.stitching.seams.labels import tell_labels_apart
from orchestrator.engine.stitching.seams.numbering import continue_numbering
from orchestrator.engine.stitching.seams.structure import Page
from orchestrator.engine.stitching.seams.words import cut_chatter, cut_overlap

RULES: Mapping[str, Callable[[Sequence[Page]], Changes]] = {
    "newlines": line_feeds,
    "unicode": normal_unicode,
    "chatter": cut_chatter,
    "overlap": cut_overlap,
    "repeated_heading": say_repeated_heading_once,
    "duplicate_headings": drop_open_headings,
    "headings": fit_levels,
    "numbering": continue_numbering,
    "tables": join_tables,
    "labels": tell_labels_apart,
    "lists": keep_lists_apart,
    "closing": close_what_is_open,
    "toc": add_contents,
}
"""What each rule of a plan does, in the order in which they are applied. Each is a pure function of all parts, and
sees what the rules before it made of them."""


def work_seams(parts: Sequence[Part], rules: Collection[str], *, markdown: bool = True) -> Joined:
    """The parts with the edits of the rules. `parts` are answers and gaps with a separator between any two."""
    pages = [Page(part, part.text, markdown=markdown) for part in parts]
    edits: list[tuple[Edit, ...]] = [() for _ in parts]
    for name, rule in RULES.items():
        if name not in rules:
            continue
        for at, changes in rule(pages).items():
            named = [replace(each, rule=name) for each in changes]
            edits[at] = compose(edits[at], named, between=pages[at].text)
            pages[at] = replace(pages[at], text=apply(named, pages[at].text))
    return Joined(tuple(parts), tuple(edits))
