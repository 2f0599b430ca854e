"""The entries of a plan and what they need of each other, and running a part of it. Pure.

An entry is what stands in the plan under one id: a chunk, or a group with its chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.errors import UsageError
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.workload import Chunk, ForEach, Group, Reduce, Workload


def entry_of(name: str) -> str:
    """The entry that a chunk belongs to: `part` for `part[3]`, a chunk's own id for any other."""
    return name.partition("[")[0]


def entry_ids(chunks: Mapping[str, Chunk], groups: Mapping[str, Group]) -> list[str]:
    """Every entry, in plan order."""
    order = {chunk.id: chunk.order for chunk in chunks.values() if not chunk.group}
    order |= {group.id: group.prototype.order for group in groups.values()}
    return sorted(order, key=lambda name: order[name][:1])


def entry_needs(chunks: Mapping[str, Chunk], groups: Mapping[str, Group]) -> dict[str, tuple[str, ...]]:
    """The entries that each entry refers to or depends on, in plan order. Order-only edges and `carry` do not count."""
    needs: dict[str, tuple[str, ...]] = {}
    for name in entry_ids(chunks, groups):
        group = groups.get(name)
        if isinstance(group, ForEach):
            needed = (group.over, *group.prototype.upstream) if group.over else group.prototype.upstream
        elif isinstance(group, Reduce):
            needed = (*group.prototype.upstream, *group.last.upstream)
        else:
            needed = chunks[name].upstream
        needs[name] = tuple(dict.fromkeys(map(entry_of, needed)))
    return needs


def leaves(chunks: Mapping[str, Chunk], groups: Mapping[str, Group]) -> tuple[str, ...]:
    """The entries that no other entry refers to or depends on, in plan order."""
    needs = entry_needs(chunks, groups)
    needed = {each for names in needs.values() for each in names}
    return tuple(name for name in needs if name not in needed)


def in_plan_order(
    chunks: Mapping[str, Chunk], groups: Mapping[str, Group]
) -> tuple[dict[str, Chunk], dict[str, Group]]:
    """The same, with each entry after the one before it, and each piece of a group after the one before it."""
    pieces: dict[str, list[Chunk]] = {}
    for chunk in chunks.values():
        if chunk.group:
            pieces.setdefault(chunk.group, []).append(chunk)
    ordered: dict[str, Chunk] = {}
    ordered_groups: dict[str, Group] = {}
    before: tuple[str, ...] = ()
    for name in entry_ids(chunks, groups):
        group = groups.get(name)
        after = before
        for chunk in pieces.get(name, ()) if group is not None else (chunks[name],):
            ordered[chunk.id] = replace(chunk, after=after)
            after = (chunk.id,)
        if isinstance(group, Reduce):
            ordered[name] = replace(group.last, after=before)
            ordered_groups[name] = replace(group, last=ordered[name], prototype=replace(group.prototype, after=before))
        elif group is not None:
            ordered_groups[name] = replace(group, prototype=replace(group.prototype, after=before))
        before = (name,)
    return ordered, ordered_groups


def select(workload: Workload, *, only: Sequence[str] = (), until: Sequence[str] = ()) -> Workload:
    """The part of a workload that leads to some of its chunks; the workload itself when none is named.

    A name is that of a chunk, a group or a piece. What stays is the named ones and everything upstream of them, in plan
    order; in `mode: sequence` each chunk comes after the one before it that stays. With `only` the result holds just
    what is named there. With `until` it holds those of the plan's own `stitch.chunks` that stay, or, when none does or
    the plan names none, all that no other entry that stays refers to. With both, `only` decides on the result. A
    `stitch.template` is used only without `only`, and only if all the answers that it refers to stay. Raises
    `UsageError` for an unknown id.
    """
    if not only and not until:
        return workload
    for name in (*only, *until):
        require_known(workload, name)
    kept = _with_upstream(workload, (*only, *until))
    chunks = {name: chunk for name, chunk in workload.chunks.items() if name in kept}
    groups = dict(_kept_groups(workload, chunks, kept))
    if workload.plan.mode == "sequence":
        chunks, groups = in_plan_order(chunks, groups)
    else:
        chunks = {name: replace(chunk, after=()) for name, chunk in chunks.items()}
    if only:
        rank = {name: at for at, name in enumerate((*entry_ids(chunks, groups), *chunks))}
        result = tuple(sorted(dict.fromkeys(only), key=lambda name: (rank[entry_of(name)], rank[name])))
    else:
        asked = workload.plan.stitch.chunks or ()
        result = tuple(name for name in asked if name in kept) or leaves(chunks, groups)
    template = workload.stitch_template
    if only or (template and not all(each.key in kept for each in template.references if each.namespace == "chunks")):
        template = None
    part = replace(workload, chunks=chunks, groups=groups, stitch_chunks=result, stitch_template=template)
    # What is expected of the whole cannot be asked of a part.
    return replace(part, expect=None, review=None, rubric="")


def require_known(workload: Workload, name: str, *, or_later: bool = False) -> None:
    """Raises `UsageError` unless the plan has a chunk, a group or a piece of that name.

    With `or_later` a piece or merge that becomes known only while the plan runs will do.
    """
    if name in workload.chunks or name in workload.groups:
        return
    group = workload.groups.get(entry_of(name))
    if isinstance(group, ForEach) and group.members is not None:
        count = len(group.members)
        raise UsageError(f"there is no piece {name!r} in {workload.name}; there are {group.id}[1] to [{count}]")
    if group is not None and or_later:
        return
    if group is not None:
        raise UsageError(f"which pieces {group.id!r} has is not known before the run; name {group.id} itself")
    known = entry_ids(workload.chunks, workload.groups)
    near = did_you_mean(name, known) or f"there are {', '.join(known[:8])}"
    raise UsageError(f"there is no chunk {name!r} in {workload.name}; {near}")


def _kept_groups(workload: Workload, chunks: Mapping[str, Chunk], kept: set[str]) -> Iterator[tuple[str, Group]]:
    """The groups that stay, whole or with some of their pieces."""
    for name, group in workload.groups.items():
        if isinstance(group, ForEach) and group.members is not None:
            members = tuple(each for each in group.members if each in chunks)
            if members:
                yield name, replace(group, members=members)
        elif name in kept:
            yield name, group


def _with_upstream(workload: Workload, names: Iterable[str]) -> set[str]:
    kept: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in kept:
            continue
        kept.add(name)
        group, chunk = workload.groups.get(name), workload.chunks.get(name)
        if isinstance(group, ForEach):
            waiting.extend((*(group.members or ()), *group.prototype.upstream, *([group.over] if group.over else [])))
        elif isinstance(group, Reduce):
            waiting.extend(group.prototype.upstream)
        if chunk is not None:
            waiting.extend(chunk.upstream)
            if chunk.carry is not None and chunk.carry.previous:
                waiting.append(chunk.carry.previous)
    return kept
