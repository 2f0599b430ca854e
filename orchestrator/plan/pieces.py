"""From a `for_each` and what it goes over to its chunks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.plan.continuity import keeper_id
from orchestrator.plan.workload import Carry, Chunk, ForEach, Item


def piece_chunks(group: ForEach, items: Sequence[Item]) -> list[Chunk]:
    """One chunk for each item, called `part[1]`, `part[2]`, …"""
    prototype = group.prototype
    chunks = [
        formed(replace(prototype, id=f"{group.id}[{at}]", group=group.id, order=(*prototype.order, at), item=item))
        for at, item in enumerate(items, 1)
    ]
    return chained(group, chunks)


def pair_chunks(group: ForEach, over: Sequence[Chunk]) -> list[Chunk]:
    """One chunk for each chunk of the group that it goes over: `critique[3]` works on the answer of `draft[3]`.

    All else that an item says (its source, its place, the text it began with) it has from that chunk's own item.
    """
    prototype = group.prototype
    chunks = [
        formed(
            replace(
                prototype,
                id=f"{group.id}{chunk.id.removeprefix(chunk.group)}",
                group=group.id,
                order=(*prototype.order, at),
                item=_paired_item(chunk),
                upstream=(*prototype.upstream, chunk.id),
                on_missing={**prototype.on_missing, chunk.id: group.on_missing},
            )
        )
        for at, chunk in enumerate(over, 1)
    ]
    return chained(group, chunks)


def formed(chunk: Chunk) -> Chunk:
    """The chunk with the form of its answer, which has a record for each row where the piece is a batch."""
    if chunk.form is None:
        return chunk
    form, item = chunk.form, chunk.item
    if item is not None:
        form = form.for_batch(item.rows) if item.rows else form.for_row(item.source)
    return replace(chunk, form=form, output_schema=form.sent)


def _paired_item(chunk: Chunk) -> Item:
    item = chunk.item
    assert item is not None, "every chunk of a group has its item"
    return replace(
        item,
        text=None,
        answer_of=chunk.id,
        original=item.original if item.text is None else item.text,
        chunks={**item.chunks, chunk.group: chunk.id},
    )


def chained(group: ForEach, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Each after the one before, where the group runs in order, and told of it, where the group carries."""
    linked: list[Chunk] = []
    for chunk in chunks:
        before = linked[-1].id if linked else ""
        after = (before,) if before and group.in_order else group.prototype.after
        linked.append(replace(chunk, after=after, carry=_carry_from(before, group.prototype.carry)))
    return linked


def _carry_from(before: str, carry: Carry | None) -> Carry | None:
    """What the piece after `before` is told; the first one is told what the group is."""
    if carry is None or not before:
        return carry
    kept = carry.kept
    return replace(
        carry,
        previous=before if carry.tail_tokens else "",
        kept=replace(kept, keeper=keeper_id(before, kept.kind)) if kept is not None else None,
    )


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
