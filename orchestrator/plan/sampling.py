"""A few spread pieces of each `for_each`, to learn from before the whole is paid. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from orchestrator.errors import UsageError
from orchestrator.plan.selection import entry_ids, entry_needs, entry_of, select
from orchestrator.plan.workload import Chunk, ForEach, Group, Workload

_SHAPING = ("stitch_chunks", "stitch_template", "stitch_schema", "expect", "review", "rubric", "transitions")
"""What of a workload, besides its chunks, says what its result is like."""


def spread(sizes: Sequence[int], count: int) -> list[int]:
    """The places, ascending, of `count` pieces that show the range: first, longest, middle, last, then evenly."""
    total = len(sizes)
    if total <= count:
        return list(range(total))
    longest = max(range(total), key=lambda at: sizes[at])
    chosen = list(dict.fromkeys((0, longest, total // 2, total - 1)))[:count]
    while len(chosen) < count:
        # Halfway into the widest gap that is left.
        places = sorted({-1, *chosen, total})
        gaps = [(after - before, -before, before) for before, after in pairwise(places)]
        width, _, before = max(gaps)
        chosen.append(before + width // 2)
    return sorted(chosen)


def part_of(
    workload: Workload, *, only: Sequence[str] = (), until: Sequence[str] = (), count: int | None = None
) -> Workload:
    """What `only` and `until` select, and of that a sample of `count` pieces, if any. Raises `UsageError`."""
    part = select(workload, only=only, until=until)
    return part if count is None else sample(part, count)


def is_whole(part: Workload, *, of: Workload) -> bool:
    """Whether nothing was left out that the result of the plan holds."""
    return (set(part.chunks), set(part.groups)) == (set(of.chunks), set(of.groups)) and all(
        getattr(part, name) == getattr(of, name) for name in _SHAPING
    )


def can_sample(workload: Workload) -> bool:
    """Whether a `for_each` of the workload can run on a few of its pieces."""
    return bool(_sampled_groups(workload))


def sample(workload: Workload, count: int) -> Workload:
    """The part of a workload that runs `count` pieces of each `for_each`, what they need and what is paired with them.

    What needs all the pieces of a group (a `reduce`, a chunk that refers to the group) is left out. Pieces that carry
    on from one another are the first ones. Pieces known only at run time are chosen then. Raises `UsageError` when no
    `for_each` is left.
    """
    groups = _sampled_groups(workload)
    if not groups:
        raise UsageError("there is nothing to sample: no `for_each` runs before all pieces of another are there")
    chosen: dict[str, list[str]] = {}
    for group in groups.values():
        if group.members is None:
            chosen[group.id] = [group.id]
        elif group.paired:
            ends = {name.removeprefix(group.over) for name in chosen[group.over]}
            chosen[group.id] = [name for name in group.members if name.removeprefix(group.id) in ends]
        else:
            chosen[group.id] = _pieces(group, workload.chunks, count)
    passed_on = {group.over for group in groups.values() if group.paired}
    only = [name for group_id, names in chosen.items() if group_id not in passed_on for name in names]
    part = select(workload, only=only)
    opened = {
        name: replace(group, sample=count) if isinstance(group, ForEach) and group.members is None else group
        for name, group in part.groups.items()
    }
    return replace(part, groups=opened)


def _pieces(group: ForEach, chunks: Mapping[str, Chunk], count: int) -> list[str]:
    return [chunk.id for chunk in sampled([chunks[name] for name in group.members or ()], count)]


def sampled(pieces: Sequence[Chunk], count: int) -> list[Chunk]:
    """`count` of the pieces of one group, spread; the first ones where they carry on from one another."""
    if any(piece.carry is not None for piece in pieces):
        return list(pieces[:count])
    return [pieces[at] for at in spread([item_size(piece) for piece in pieces], count)]


def item_size(chunk: Chunk) -> int:
    """How long a piece is, in characters."""
    item = chunk.item
    if item is None:
        return 0
    return len(item.text or item.original) + sum(len(str(cell)) for cell in item.row.values() if not item.text)


def _told_of_groups(group: Group | None, workload: Workload) -> set[str]:
    """The groups before this one that its first piece is told of, and would have to wait for."""
    found: set[str] = set()
    waiting = list(group.prototype.told_of) if isinstance(group, ForEach) else []
    while waiting:
        name = waiting.pop()
        if entry_of(name) in workload.groups:
            found.add(entry_of(name))
        elif name in workload.chunks:
            waiting += workload.chunks[name].told_of
    return found


def _sampled_groups(workload: Workload) -> dict[str, ForEach]:
    """The groups that can run on a few pieces, each after the one that it is paired with."""
    groups: Mapping[str, Group] = workload.groups
    needs = entry_needs(workload.chunks, groups)
    whole: set[str] = set()
    waiting = True
    while waiting:
        waiting = False
        for name in needs:
            group = groups.get(name)
            pair = group.over if isinstance(group, ForEach) and group.paired else ""
            needed = {each for each in needs[name] if each != pair}
            needed |= _told_of_groups(group, workload)
            if name not in whole and (pair in whole or any(each in groups or each in whole for each in needed)):
                whole.add(name)
                waiting = True
    found: dict[str, ForEach] = {}
    left = [groups[name] for name in entry_ids(workload.chunks, groups) if name in groups and name not in whole]
    while left:
        group = left.pop(0)
        if isinstance(group, ForEach):
            if group.paired and entry_of(group.over) not in found:
                left.append(group)
            else:
                found[group.id] = group
    return found
