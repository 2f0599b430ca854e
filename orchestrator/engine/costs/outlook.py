"""What a run would do, before it is begun: what runs and why, what is reused, and what it all takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from orchestrator.engine.costs.allowance import WindowOutlook
from orchestrator.engine.costs.forecast import Forecast
from orchestrator.engine.reuse import ReuseRules, other_runner, reason_to_run
from orchestrator.plan.estimate import ChunkEstimate, Estimate
from orchestrator.plan.selection import entry_ids, entry_needs, entry_of
from orchestrator.plan.workload import Chunk, ForEach, Reduce, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOutlook:
    """One chunk. `entry` is what stands in the plan: the chunk itself, or the group that it belongs to.

    `runs` is False when a stored answer will be reused; `why` says why it runs, and is empty when it does not.
    `known` is False for a chunk that only the run will tell of: a guess. `keeps` is what a keeper keeps: summary,
    glossary. The estimate is that of one call, tokens in
    the model's own count.
    """

    id: str
    entry: str
    runs: bool
    why: str
    known: bool
    estimate: ChunkEstimate
    keeps: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOutlook:
    """One entry of the plan: a chunk, or a group with all its chunks.

    `kind` is chunk, for_each or reduce. `needs` are the entries that it waits for. `open`: how many chunks it has is
    known only at run time, those told here are a guess. `reasons` counts its chunks that run by why they do, keepers
    left out.
    """

    id: str
    kind: str
    needs: tuple[str, ...]
    open: bool
    chunks: tuple[ChunkOutlook, ...]
    reasons: Mapping[str, int]

    @property
    def running(self) -> tuple[ChunkOutlook, ...]:
        """Its chunks that are asked."""
        return tuple(chunk for chunk in self.chunks if chunk.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a run of the plan would do. `entries` in plan order, `estimate` of all that runs.

    `critical_path` are the chunks that take longest one after the other, `critical_path_s` the seconds they take.
    `windows` are the usage windows that the login reported in earlier runs and that are not over yet. `planning`: this
    is the planner's call alone; what the chunks of its plan will take comes on top, and is known only then.
    """

    name: str
    entries: tuple[EntryOutlook, ...]
    estimate: Estimate
    critical_path: tuple[str, ...]
    critical_path_s: float
    warnings: tuple[str, ...] = ()
    windows: tuple[WindowOutlook, ...] = ()
    planning: bool = False


def outlook(
    workload: Workload,
    *,
    forecast: Forecast,
    estimate: Estimate,
    rules: ReuseRules,
    runner: str,
    warnings: tuple[str, ...],
    windows: tuple[WindowOutlook, ...] = (),
) -> Outlook:
    """What the workload would do with this kind of runner, and with the store as `forecast` found it."""
    reusable = forecast.reusable
    chunks: dict[str, list[ChunkOutlook]] = {}
    for name, each in estimate.chunks.items():
        chunk = workload.chunks.get(name)
        entry = entry_of(name)
        why = "known only at run time"
        if name in reusable:
            why = ""
        elif chunk is not None:
            why = _why(chunk, workload, forecast, rules, runner=runner)
        told = ChunkOutlook(
            id=name,
            entry=entry,
            runs=name not in reusable,
            why=why,
            known=chunk is not None,
            estimate=each,
            keeps=estimate.keeps.get(name, ""),
        )
        chunks.setdefault(entry, []).append(told)
    needs = entry_needs(workload.chunks, workload.groups)
    entries = tuple(
        _entry(name, workload, needs[name], tuple(chunks.get(name, ())), forecast)
        for name in entry_ids(workload.chunks, workload.groups)
    )
    path, seconds = _critical_path(workload, estimate, reusable)
    return Outlook(
        name=workload.name,
        entries=entries,
        estimate=estimate,
        critical_path=path,
        critical_path_s=seconds,
        warnings=warnings,
        windows=windows,
        planning=workload.to_be_planned,
    )


def _entry(
    name: str, workload: Workload, needs: tuple[str, ...], chunks: tuple[ChunkOutlook, ...], forecast: Forecast
) -> EntryOutlook:
    group = workload.groups.get(name)
    kind = "chunk" if group is None else "for_each" if isinstance(group, ForEach) else "reduce"
    reasons: dict[str, int] = {}
    for chunk in chunks:
        if chunk.runs and not chunk.keeps:
            reasons[chunk.why] = reasons.get(chunk.why, 0) + 1
    if isinstance(group, Reduce):
        is_open = not (all(chunk.known for chunk in chunks) and _is_there(group.over, workload, forecast))
    else:
        is_open = group is not None and group.members is None
    return EntryOutlook(id=name, kind=kind, needs=needs, open=is_open, chunks=chunks, reasons=reasons)


def _why(chunk: Chunk, workload: Workload, forecast: Forecast, rules: ReuseRules, *, runner: str) -> str:
    refusal = rules.refusal(chunk)
    if refusal:
        return refusal
    earlier = forecast.earlier.chunks.get(chunk.id)
    prospect = forecast.prospects.get(chunk.id)
    names = tuple(dict.fromkeys((*chunk.upstream, *chunk.told_of)))
    upstream = _chunks_of(names, workload)
    other = other_runner(forecast.earlier, runner=runner)
    if prospect is not None:
        changed = [each for each in upstream if _has_changed(each, forecast)]
        return reason_to_run(
            chunk,
            fingerprint=prospect.fingerprint,
            earlier=earlier,
            other_runner=other,
            changed_upstream=changed,
        )
    if earlier is None or earlier.recipe != chunk.recipe or (other and earlier.status == "succeeded"):
        return reason_to_run(chunk, fingerprint="", earlier=earlier, other_runner=other, changed_upstream=())
    # A group's chunks have one reason, whichever piece of the other each waits for.
    waits = dict.fromkeys(entry_of(each) for each in names if not _is_there(each, workload, forecast))
    return f"upstream runs: {', '.join(waits)}" if waits else "its prompt is known only at run time"


def _chunks_of(names: tuple[str, ...], workload: Workload) -> list[str]:
    found: list[str] = []
    for name in names:
        group = workload.groups.get(name)
        found += group.members or () if isinstance(group, ForEach) else (name,)
    return found


def _has_changed(chunk_id: str, forecast: Forecast) -> bool:
    """Whether the chunk has another answer than the earlier run gave it."""
    earlier, prospect = forecast.earlier.chunks.get(chunk_id), forecast.prospects.get(chunk_id)
    return earlier is None or prospect is None or earlier.answer_id != prospect.answer_id


def _is_there(name: str, workload: Workload, forecast: Forecast) -> bool:
    group = workload.groups.get(name)
    if isinstance(group, ForEach) and group.members is None:
        return False
    return all(each in forecast.reusable for each in _chunks_of((name,), workload))


def _critical_path(workload: Workload, estimate: Estimate, reusable: frozenset[str]) -> tuple[tuple[str, ...], float]:
    """The chunks that take longest one after the other, and their seconds; groups stand between their chunks."""
    before: dict[str, tuple[str, ...]] = dict(estimate.before)
    ends: dict[str, float] = {}
    way: dict[str, str | None] = {}
    for name in TopologicalSorter(before).static_order():
        own = estimate.chunks[name].time_s if name in estimate.chunks and name not in reusable else 0.0
        last = max(before.get(name, ()), key=lambda each: ends[each], default=None)
        ends[name] = own + (ends[last] if last is not None else 0.0)
        way[name] = last
    at = max(ends, key=lambda each: ends[each], default=None)
    seconds = ends[at] if at is not None else 0.0
    path: list[str] = []
    while at is not None:
        if at in estimate.chunks and at not in reusable:
            path.append(at)
        at = way[at]
    return tuple(reversed(path)), seconds
