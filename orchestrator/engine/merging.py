"""Packing answers into merges that fit: every part exactly once, in order. Pure but for counting tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.plan.workload import Part

SHRINKS = 0.75
"""Each level has at most this share of the merges of the level before. Answers of at most half of `max_tokens` halve
them; where answers stay as long as what they merge, no number of levels would help, and each would be paid for."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A part and the tokens that it takes in a prompt, marks included."""

    part: Part
    tokens: int


def pack(parts: Sequence[Sized], *, max_tokens: int) -> list[list[Part]]:
    """The parts in batches of at most `max_tokens`, in order, each as full as the next part allows.

    No part may exceed half of `max_tokens` (see `cut_to_fit`), so that every batch but the last holds two or more.
    """
    batches: list[list[Part]] = []
    room = 0
    for sized in parts:
        if not batches or sized.tokens > room:
            batches.append([])
            room = max_tokens
        batches[-1].append(sized.part)
        room -= sized.tokens
    return batches


def cut_to_fit(
    chunk_id: str,
    text: str,
    *,
    max_tokens: int,
    size: Callable[[str], int],
    cut: Callable[[str, int], Sequence[str]],
) -> list[Sized]:
    """An answer as one part, or as several when it takes more than half of `max_tokens`.

    `size` counts the tokens of a text with its marks, `cut` cuts a text into pieces of at most so many tokens that
    join to the text again.
    """
    half = max_tokens // 2
    if size(text) <= half:
        return [Sized(Part(chunk_id=chunk_id), size(text))]
    overhead = size("")
    sized: list[Sized] = []
    start = 0
    for piece in cut(text, max(1, half - overhead)):
        part = Part(chunk_id=chunk_id, start=start, end=start + len(piece))
        sized.append(Sized(part, size(piece)))
        start += len(piece)
    return sized
