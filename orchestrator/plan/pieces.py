"""From a `for_each` and what it goes over to its chunks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.plan.workload import Chunk, ForEach, Item


def piece_chunks(group: ForEach, items: Sequence[Item]) -> list[Chunk]:
    """One chunk for each item, called `part[1]`, `part[2]`, …"""
    prototype = group.prototype
    return [
        replace(prototype, id=f"{group.id}[{at}]", group=group.id, order=(*prototype.order, at), item=item)
        for at, item in enumerate(items, 1)
    ]


def pair_chunks(group: ForEach, over: Sequence[Chunk]) -> list[Chunk]:
    """One chunk for each chunk of the group that it goes over: `critique[3]` works on the answer of `draft[3]`.

    All else that an item says (its source, its place) it has from that chunk's own item.
    """
    chunks: list[Chunk] = []
    for at, chunk in enumerate(over, 1):
        item = replace(chunk.item or Item(index=at, count=len(over), text=None), text=None, answer_of=chunk.id)
        paired = piece_chunks(group, [item])[0]
        chunks.append(
            replace(
                paired,
                id=f"{group.id}{chunk.id.removeprefix(chunk.group)}",
                order=(*group.prototype.order, at),
                upstream=(*paired.upstream, chunk.id),
                on_missing={**paired.on_missing, chunk.id: "skip"},
            )
        )
    return chunks


def answer_items(chunk_id: str, text: str) -> list[Item]:
    """The elements, sections or list items of an answer, as `for_each: {chunk: …}` goes over them."""
    from orchestrator.plan.split import pieces_of_answer

    pieces = pieces_of_answer(text)
    return [
        Item(
            index=at,
            count=len(pieces),
            text=piece.text,
            from_answer=chunk_id,
            heading_path=" > ".join(piece.heading_path),
        )
        for at, piece in enumerate(pieces, 1)
    ]
