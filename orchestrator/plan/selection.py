"""Running a part of a plan: which chunks stay, and what the result is then made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.errors import UsageError
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.workload import Chunk, Workload


def leaves(chunks: Mapping[str, Chunk]) -> tuple[str, ...]:
    """The chunks that no other chunk refers to or depends on, in plan order. Order-only edges do not count."""
    needed = {name for chunk in chunks.values() for name in chunk.upstream}
    return tuple(name for name in chunks if name not in needed)


def select(workload: Workload, *, only: Sequence[str] = (), until: Sequence[str] = ()) -> Workload:
    """The part of a workload that leads to some of its chunks; the workload itself when none is named.

    What stays is the named chunks and everything upstream of them, in plan order; in `mode: sequence` each chunk comes
    after the one before it that stays. With `only` the result holds just the chunks named there. With `until` it holds
    those of the plan's own `stitch.chunks` that stay, or, when none does or the plan names none, all that no other
    chunk that stays refers to. With both, `only` decides on the result. A `stitch.template` is used only without
    `only`, and only if all the answers that it refers to stay. Raises `UsageError` for an unknown id.
    """
    if not only and not until:
        return workload
    for name in (*only, *until):
        if name not in workload.chunks:
            near = did_you_mean(name, workload.chunks) or f"there are {', '.join(list(workload.chunks)[:8])}"
            raise UsageError(f"there is no chunk {name!r} in {workload.name}; {near}")
    kept = _with_upstream(workload.chunks, (*only, *until))
    chunks: dict[str, Chunk] = {}
    before: tuple[str, ...] = ()
    for name, chunk in workload.chunks.items():
        if name in kept:
            chunks[name] = replace(chunk, after=before if workload.plan.mode == "sequence" else ())
            before = (name,)
    if only:
        result = tuple(name for name in chunks if name in only)
    else:
        asked = workload.plan.stitch.chunks or ()
        result = tuple(name for name in asked if name in chunks) or leaves(chunks)
    template = workload.stitch_template
    if only or (template and not all(each.key in kept for each in template.references if each.namespace == "chunks")):
        template = None
    return replace(workload, chunks=chunks, stitch_chunks=result, stitch_template=template)


def _with_upstream(chunks: Mapping[str, Chunk], names: Iterable[str]) -> set[str]:
    kept: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting.extend(chunks[name].upstream)
    return kept
