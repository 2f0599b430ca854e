"""Answers put together for the tests of seam work, and a Markdown library's opinion of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt

from orchestrator.engine.stitching.seams.edits import Joined, Part, rebuild
from orchestrator.engine.stitching.seams.work import work_seams

SAFE = ("repeated_heading", "labels", "closing")
PARSER = MarkdownIt("commonmark").enable("table")
_CLOSERS = re.compile(r"(?:\s*\n(?:-->|\?>|\]\]>|>|</(?:script|pre|style|textarea)>))+\s*\Z")


def parts_of(answers: Sequence[str | None]) -> list[Part]:
    """Answers c1, c2, … with a blank line between; None is a gap."""
    parts: list[Part] = []
    for at, text in enumerate(answers, 1):
        if parts:
            parts.append(Part("separator", "", "\n\n"))
        gap = f"[missing: c{at}, refusal]"
        parts.append(Part("gap", f"c{at}", gap) if text is None else Part("answer", f"c{at}", text))
    return parts


def joined(answers: Sequence[str | None], *rules: str, markdown: bool = True) -> Joined:
    """The answers after these rules. What came in can always be had back from the map."""
    parts = parts_of(answers)
    done = work_seams(parts, rules, markdown=markdown)
    assert rebuild(done.text, done.spans(), parts=len(parts)) == tuple(part.text for part in parts)
    return done


def text(answers: Sequence[str | None], *rules: str, markdown: bool = True) -> str:
    """Their text."""
    return joined(answers, *rules, markdown=markdown).text


Shape = list[tuple[str, str, int, str, str, str]]


def shape(source: str) -> Shape:
    """The blocks that the library sees, with what they hold. What only closes a block is left out of its text."""
    found: Shape = []
    for token in PARSER.parse(source):
        content = token.content.rstrip()
        if token.type == "html_block":
            if content == "<!-- -->":
                continue
            content = _CLOSERS.sub("", content).rstrip()
        if token.type == "inline":
            content = PARSER.renderer.render(token.children or [], PARSER.options, {})
        found.append((token.type, token.tag, token.level, token.markup, token.info, content))
    return found


def with_lists_joined(shape: Shape) -> Shape:
    """Two lists of a kind, one after the other, as the one list that Markdown makes of them."""
    found: Shape = []
    for token in shape:
        kind, _, level, markup, *_ = token
        before = found[-1] if found else None
        opens = level == 0 and kind.endswith("_list_open")
        if opens and before and (before[0], before[2], before[3]) == (kind.replace("open", "close"), 0, markup):
            found.pop()
        else:
            found.append(token)
    return found
