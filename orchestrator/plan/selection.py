"""The entries of a plan and what they need of each other, and running a part of it. Pure.

An entry is what stands in the plan under one id: a chunk, or a group with its chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.errors import UsageError
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.workload import Chunk, ForEach, Group, Kept, Reduce, Workload


def entry_of(name: str) -> str:
    """The entry that a chunk belongs to: `part` for `part[3]`, `ch1` for `ch1.summary`, its own id for any other."""
    return name.partition("[")[0].partition(".")[0]


def entry_ids(chunks: Mapping[str, Chunk], groups: Mapping[str, Group]) -> list[str]:
    """Every entry, in plan order."""
    order = {chunk.id: chunk.order for chunk in chunks.values() if not chunk.group and chunk.keeping is None}
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
    keeping: dict[str, list[Chunk]] = {}
    for chunk in chunks.values():
        if chunk.keeping is not None:
            keeping.setdefault(chunk.keeping.of, []).append(chunk)
        elif chunk.group:
            pieces.setdefault(chunk.group, []).append(chunk)
    ordered: dict[str, Chunk] = {}
    ordered_groups: dict[str, Group] = {}
    before: tuple[str, ...] = ()
    for name in entry_ids(chunks, groups):
        group = groups.get(name)
        after = before
        for chunk in pieces.get(name, ()) if group is not None else (chunks[name],):
            ordered[chunk.id] = replace(chunk, after=after)
            ordered |= {keeper.id: keeper for keeper in keeping.get(chunk.id, ())}
            after = (chunk.id,)
        if isinstance(group, Reduce):
            ordered[name] = replace(group.last, after=before)
            ordered |= {keeper.id: keeper for keeper in keeping.get(name, ())}
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
    groups = _without_idle_keepers(chunks, dict(_kept_groups(workload, chunks, kept)))
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
    return replace(part, stitch_schema=None, expect=None, review=None, rubric="", transitions=False)


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
            waiting.extend(_told_of(group.prototype, workload.groups))
        elif isinstance(group, Reduce):
            waiting.extend(group.prototype.upstream)
        if chunk is not None:
            waiting.extend((*chunk.upstream, *_told_of(chunk, workload.groups)))
    return kept


def _told_of(chunk: Chunk, groups: Mapping[str, Group]) -> Iterator[str]:
    """What a chunk is told of, and of groups that are not known yet also what their keepers will go on from."""
    yield from chunk.told_of
    for kept in kept_by(chunk):
        group = groups.get(kept.keeper)
        while isinstance(group, ForEach):
            so_far = next(each.so_far for each in group.kept if each.so_far.kind == kept.kind)
            if so_far.keeper:
                yield so_far.keeper
            group = groups.get(so_far.keeper)


def kept_by(chunk: Chunk) -> list[Kept]:
    """The summaries and glossaries that the prompt of a chunk shows."""
    told = [chunk.carry.kept] if chunk.carry is not None else []
    told += [chunk.keeping.so_far] if chunk.keeping is not None else []
    return [kept for kept in told if kept is not None]


def _without_idle_keepers(chunks: Mapping[str, Chunk], groups: Mapping[str, Group]) -> dict[str, Group]:
    """The groups, keeping only what is told to somebody; known keepers that nobody needs were never selected."""
    shown = [*chunks.values(), *(group.prototype for group in groups.values())]
    read = {(kept.kind, kept.keeper) for chunk in shown for kept in kept_by(chunk)}
    found = dict(groups)
    for name in reversed(entry_ids(chunks, groups)):
        group = groups.get(name)
        if not isinstance(group, ForEach):
            continue
        own = {kept.kind for kept in kept_by(group.prototype)}
        judged = [replace(each, last=(each.so_far.kind, name) in read) for each in group.kept]
        kept = tuple(each for each in judged if each.last or each.so_far.kind in own)
        read |= {(each.so_far.kind, each.so_far.keeper) for each in kept}
        found[name] = replace(group, kept=kept)
    return found
