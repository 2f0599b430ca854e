"""All chunks that a run will have, as far as that can be foreseen: the known ones, and a guess at the others. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

from orchestrator.plan.continuity import with_keepers
from orchestrator.plan.pieces import pair_chunks, piece_chunks
from orchestrator.plan.workload import Chunk, ForEach, Group, Item, Reduce, Workload

GUESSED_PIECES = 6
"""Pieces of an answer that is not there yet: outlines have five to eight points."""

_MAX_LEVELS = 12

AnswerTokens = Callable[[Chunk], float]
"""Tokens (`cl100k_base`) that the answer of a chunk is guessed to take in a prompt, marks included."""


@dataclass(slots=True)
class Foresight:
    """`chunks` are all chunks by id, `members` those of each group in order.

    `before` has what each chunk and each group waits for; a group is over when its members are. `parts` are the tokens
    (`cl100k_base`) of what a merge puts together, `pieces` those of a piece that is guessed.
    """

    chunks: dict[str, Chunk]
    members: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    before: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    parts: dict[str, float] = field(default_factory=dict[str, float])
    pieces: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, chunk: Chunk, *more: str) -> None:
        """Take in a chunk, which waits for `more` too."""
        self.chunks[chunk.id] = chunk
        self.before[chunk.id] = tuple(dict.fromkeys((*chunk.upstream, *chunk.after, *chunk.told_of, *more)))


def foresee(workload: Workload, *, answer_tokens: AnswerTokens) -> Foresight:
    """Every chunk of the workload and those that will become known; linear in their number."""
    seen = Foresight(chunks={})
    for chunk in workload.chunks.values():
        seen.add(chunk)
    known: dict[str, list[str]] = {}
    for chunk in workload.chunks.values():
        if chunk.group:
            known.setdefault(chunk.group, []).append(chunk.id)
    over = {name: (group.over,) for name, group in workload.groups.items() if group.over in workload.groups}
    for name in TopologicalSorter({name: over.get(name, ()) for name in workload.groups}).static_order():
        group = workload.groups[name]
        if isinstance(group, Reduce):
            if name in known:
                seen.before[name] = (*seen.before[name], *known[name])
                seen.parts.update(dict.fromkeys((name, *known[name]), group.max_tokens))
            else:
                _merges(group, seen, answer_tokens)
        else:
            _pieces(group, workload.groups, seen, answer_tokens)
    return seen


def _pieces(group: ForEach, groups: Mapping[str, Group], seen: Foresight, answer_tokens: AnswerTokens) -> None:
    if group.members is not None:
        names = seen.members[group.id] = group.members
    else:
        if group.paired:
            chunks = pair_chunks(group, [seen.chunks[each] for each in seen.members[group.over]])
        else:
            items = [Item(index=at, count=GUESSED_PIECES, text="") for at in range(1, GUESSED_PIECES + 1)]
            chunks = piece_chunks(group, items)
            whole = groups.get(group.over)
            source = whole.last if isinstance(whole, Reduce) else seen.chunks[group.over]
            seen.pieces.update({chunk.id: answer_tokens(source) / GUESSED_PIECES for chunk in chunks})
        seen.members[group.id] = tuple(chunk.id for chunk in chunks)
        chunks = with_keepers(chunks, group.kept)
        for chunk in chunks:
            seen.add(chunk, *(() if group.paired else (group.over,)))
        names = tuple(chunk.id for chunk in chunks)
    seen.before[group.id] = names


def _merges(group: Reduce, seen: Foresight, answer_tokens: AnswerTokens) -> None:
    names: Sequence[str] = seen.members.get(group.over, ())
    total = sum(answer_tokens(seen.chunks[each]) for each in names)
    each_merge = answer_tokens(group.prototype)
    for level in range(1, _MAX_LEVELS):
        count = math.ceil(total / group.max_tokens)
        if count <= 1 or count >= len(names) > 1:
            break
        size = math.ceil(len(names) / count)
        batches = [names[at : at + size] for at in range(0, len(names), size)]
        merges = [replace(group.prototype, id=f"{group.id}[{level}.{at}]") for at in range(1, len(batches) + 1)]
        for merge, batch in zip(merges, batches, strict=True):
            seen.add(merge, *batch)
            seen.parts[merge.id] = total / len(batches)
        names, total = [merge.id for merge in merges], each_merge * len(merges)
    seen.before[group.id] = (*seen.before[group.id], *names)
    seen.parts[group.id] = min(total, group.max_tokens)
