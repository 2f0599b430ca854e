"""The headings of a Markdown text."""

from __future__ import annotations

from orchestrator.plan.split.markdown import blocks_of


def headings_of(text: str) -> tuple[tuple[int, str], ...]:
    """Level (1 to 6) and title, as plain text, of each heading outside lists and quotes. Takes linear time."""
    return tuple((block.level, block.title) for block in blocks_of(text) if block.level)
