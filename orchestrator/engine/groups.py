"""The groups of a run: which chunks they have, and what becomes known of them as answers come in.

For each `for_each` there is a virtual node under its own id, ready when all its chunks are over; while its chunks are
not known yet, one more (`part[*]`), ready when they can be. A `reduce` has one for each level of its tree
(`summary[*1]`, `summary[*2]`, …); its last merge is an ordinary chunk under the plan's id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from orchestrator.engine.head_start import beginning_of
from orchestrator.engine.merging import SHRINKS, Sized, cut_to_fit, pack
from orchestrator.engine.render import Known
from orchestrator.engine.schedule import FinalStatus, Lane, Node, OnMissing
from orchestrator.engine.stitching.join_source import groups_by_source, source_text
from orchestrator.plan.continuity import with_keepers
from orchestrator.plan.pieces import answer_items, chained, pair_chunks, piece_chunks
from orchestrator.plan.sampling import sampled
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.values import Answer, Gap
from orchestrator.plan.workload import Chunk, ForEach, Group, Part, Reduce, Workload
from orchestrator.store import ChunkRecord


@dataclass(slots=True)
class Step:
    """What follows when a virtual node is ready: chunks and nodes to add, edges to add, and the node's own end.

    `failures` maps chunks that can not run to the reason.
    """

    status: FinalStatus = "succeeded"
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    virtual: list[Node] = field(default_factory=list[Node])
    extend: dict[str, dict[str, OnMissing]] = field(default_factory=dict[str, "dict[str, OnMissing]"])
    failures: dict[str, str] = field(default_factory=dict[str, str])


class Outcomes(Protocol):
    """What became of the chunks so far: answers by id, and for those without one the reason."""

    answers: dict[str, str]
    gaps: dict[str, str]


class Groups:
    """Knows the chunks of every group; `known` is what prompts see of the run, and grows with each `step`."""

    def __init__(self, workload: Workload, *, ledger: Outcomes) -> None:
        self._groups = workload.groups
        self._chunks = dict(workload.chunks)
        self._ledger = ledger
        self._in_order = workload.plan.mode == "sequence"
        self._members = {
            group.id: group.members
            for group in workload.groups.values()
            if isinstance(group, ForEach) and group.members is not None
        }
        self._by_source = groups_by_source(workload)
        self._levels: dict[str, list[str]] = {}
        self._batches: dict[str, int] = {}
        self.known = Known(
            answers=ledger.answers,
            gaps=ledger.gaps,
            chunks=self._chunks,
            groups=workload.groups,
            members=self._members.get,
        )

    def ahead(self, workload: Workload) -> Workload:
        """The same workload with all that is known of its groups by now."""
        groups: dict[str, Group] = {}
        for name, group in workload.groups.items():
            members = self._members.get(name)
            groups[name] = replace(group, members=members) if members and isinstance(group, ForEach) else group
        return replace(workload, chunks=dict(self._chunks), groups=groups)

    def is_virtual(self, node_id: str) -> bool:
        """Whether a node of the schedule is no chunk."""
        return node_id not in self._chunks

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Chunks that became known otherwise than by a step."""
        self._chunks.update({chunk.id: chunk for chunk in chunks})

    def slices(self, names: Sequence[str]) -> list[str]:
        """What the parts of a piece are of its source, when their answers are joined as that was; else []."""
        chunks = [self._chunks[name] for name in names]
        items = [chunk.item for chunk in chunks if chunk.group in self._by_source and chunk.item is not None]
        return [source_text(item) for item in items]

    def first_nodes(self, *, duration_s: Mapping[str, float]) -> list[Node]:
        """The nodes that exist from the start; `duration_s` estimates the seconds of each chunk."""
        nodes = [self.node(chunk, duration_s=duration_s.get(chunk.id, 1.0)) for chunk in self._chunks.values()]
        for group in self._groups.values():
            order = group.prototype.order
            if isinstance(group, Reduce):
                missing = group.last.on_missing.get(group.over, "gap")
                nodes.append(Node(id=f"{group.id}[*1]", order=order, virtual=True, upstream={group.over: missing}))
                continue
            upstream: dict[str, OnMissing] = dict.fromkeys(self._members.get(group.id, ()), "gap")
            if group.members is None:
                opening = f"{group.id}[*]"
                over = f"{group.over}[*]" if self._is_open(group.over) and group.paired else group.over
                upstream[opening] = "skip"
                nodes.append(Node(id=opening, order=order, virtual=True, upstream={over: "skip"}))
            # A group without a single chunk is over no earlier than the chunks before it.
            after = group.prototype.after
            nodes.append(Node(id=group.id, order=order, virtual=True, upstream=upstream, after=after))
        return nodes

    def node(self, chunk: Chunk, *, duration_s: float = 1.0) -> Node:
        """The schedule's node of a chunk; a last merge waits for the levels before it."""
        upstream: dict[str, OnMissing] = dict(chunk.on_missing)
        for each in chunk.told_of:
            upstream.setdefault(each, "gap")
        if isinstance(self._groups.get(chunk.id), Reduce):
            upstream[f"{chunk.id}[*1]"] = "skip"
        return Node(
            id=chunk.id,
            order=chunk.order,
            upstream=upstream,
            after=chunk.after,
            duration_s=duration_s,
            lane=Lane(chunk.accounts, beginning_of(chunk)),
        )

    def cause(self, node_id: str) -> str:
        """The chunk or group to name when something is skipped for a virtual node."""
        name, _, opening = node_id.partition("[*")
        if not opening:
            return name
        over = self._groups[name].over
        return self.cause(f"{over}[*]") if self._is_open(over) and not self._members.get(over) else over

    def skipped(self, node_id: str) -> None:
        """A virtual node was skipped: a group that gets no chunks shows a gap under its own name."""
        name = node_id.partition("[*")[0]
        if isinstance(self._groups.get(name), ForEach):
            self._ledger.gaps.setdefault(name, f"skipped since {self.cause(f'{name}[*]')} has no answer")

    def _is_open(self, name: str) -> bool:
        group = self._groups.get(name)
        return isinstance(group, ForEach) and group.members is None

    def step(self, node_id: str) -> Step:
        """What follows now that the virtual node is ready."""
        name, _, level = node_id.partition("[*")
        group = self._groups[name]
        if isinstance(group, Reduce):
            return self._merge(group, int(level.rstrip("]")))
        if level:
            return self._open(group)
        complete = all(each in self._ledger.answers for each in self._members.get(name, ()))
        return Step(status="succeeded" if complete else "failed")

    def _open(self, group: ForEach) -> Step:
        if group.paired:
            chunks = pair_chunks(group, [self._chunks[each] for each in self._members[group.over]])
        else:
            chunks = piece_chunks(group, answer_items(group.over, self._ledger.answers[group.over]))
            if group.sample:
                chunks = chained(group, sampled(chunks, group.sample))
        self._members[group.id] = tuple(chunk.id for chunk in chunks)
        chunks = with_keepers(chunks, group.kept)
        self._chunks.update({chunk.id: chunk for chunk in chunks})
        # Whoever is told of a group waits for what its answers were kept in, too.
        return Step(chunks=chunks, extend={group.id: dict.fromkeys((chunk.id for chunk in chunks), "gap")})

    def _merge(self, group: Reduce, level: int) -> Step:
        """Make the merges of one level, or the last one when all that is left fits into it."""
        names = self._levels.get(group.id) if level > 1 else list(self._members.get(group.over, ()))
        sized = [each for name in names or () for each in self._parts(group, name)]
        batches = pack(sized, max_tokens=group.max_tokens)
        if len(batches) <= 1:
            self._chunks[group.id] = replace(group.last, parts=tuple(batches[0]) if batches else ())
            return Step()
        before = self._batches.get(group.id)
        if before is not None and len(batches) > SHRINKS * before:
            shorter = "ask for a length in its prompt, or raise max_tokens"
            return Step(failures={group.id: f"its merges are as long as what they merge: {shorter}"})
        self._batches[group.id] = len(batches)
        return self._one_level(group, level, batches)

    def _one_level(self, group: Reduce, level: int, batches: list[list[Part]]) -> Step:
        chunks: list[Chunk] = []
        self._levels[group.id] = []
        for at, batch in enumerate(batches, 1):
            if len(batch) == 1 and batch[0].start is None:
                self._levels[group.id].append(batch[0].chunk_id)
                continue
            chunk_id = f"{group.id}[{level}.{at}]"
            order = (*group.prototype.order, level, at)
            chunk = replace(group.prototype, id=chunk_id, order=order, parts=tuple(batch))
            if self._in_order and chunks:
                chunk = replace(chunk, after=(chunks[-1].id,))
            chunks.append(chunk)
            self._levels[group.id].append(chunk_id)
        self._chunks.update({chunk.id: chunk for chunk in chunks})
        following = f"{group.id}[*{level + 1}]"
        upstream: dict[str, OnMissing] = dict.fromkeys((chunk.id for chunk in chunks), "gap")
        node = Node(id=following, order=group.prototype.order, virtual=True, upstream=upstream)
        return Step(chunks=chunks, virtual=[node], extend={group.id: {following: "skip"}})

    def _parts(self, group: Reduce, name: str) -> list[Sized]:
        text = self._ledger.answers.get(name)
        if text is None:
            gap = str(Gap(name, self._ledger.gaps.get(name, "no answer")))
            return [Sized(Part(chunk_id=name), count_tokens(gap) + 2)]
        return cut_to_fit(name, text, max_tokens=group.max_tokens, size=_shown_tokens(name), cut=_cut)


def _shown_tokens(name: str) -> Callable[[str], int]:
    # Two more for the blank line that follows.
    return lambda text: count_tokens(str(Answer(name, text))) + 2


def _cut(text: str, max_tokens: int) -> list[str]:
    from orchestrator.plan.split import split_text

    return [piece.text for piece in split_text(text, mode="markdown", max_tokens=max_tokens)]


def new_record(chunk: Chunk) -> ChunkRecord:
    """What is stored of a chunk at first."""
    place = (*chunk.order, 0, 0, 0)
    position = place[0] * 10**12 + place[1] * 10**6 + place[2]
    return ChunkRecord(chunk_id=chunk.id, position=position, status="pending", recipe=chunk.recipe)


def known_from(workload: Workload, *, answers: Mapping[str, str], gaps: Mapping[str, str]) -> Known:
    """What a stored run knows; the chunks of a group that was open are those whose ids carry its name, in order."""

    def members(name: str) -> tuple[str, ...] | None:
        group = workload.groups.get(name)
        known = group.members if isinstance(group, ForEach) else None
        return known if known is not None else stored_members(name, {**answers, **gaps})

    return Known(
        answers=answers,
        gaps=gaps,
        chunks=workload.chunks,
        groups=workload.groups,
        members=members,
    )


def stored_members(name: str, ids: Collection[str]) -> tuple[str, ...] | None:
    """The chunks of a group among the ids of a stored run, parts of pieces left out; None for what is no group."""
    if name in ids:
        return None
    piece = re.compile(rf"{re.escape(name)}\[([0-9]+)\]")
    numbers = {each: int(found[1]) for each in ids if (found := piece.fullmatch(each))}
    return tuple(sorted(numbers, key=numbers.__getitem__)) or None
