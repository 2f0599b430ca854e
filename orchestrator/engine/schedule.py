"""Which chunk may go on now: a pure state machine without a clock, a loop or a wait.

A chunk moves `waiting → ready → queued → running → finished`. It becomes ready the moment its own inputs are there
(no levels, no barrier); the engine then looks its answer up and either finishes it at once or queues it for a slot.
Among queued chunks the one that heads the longest path to the end starts first; plan order breaks ties.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Literal

FinalStatus = Literal["succeeded", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the schedule needs to know of a chunk.

    `upstream` maps the chunks it depends on to what happens when one has no answer; `after` are chunks that only have
    to be over. `duration_s` is an estimate and only orders the queue.
    """

    id: str
    upstream: Mapping[str, Literal["skip", "gap"]] = field(default_factory=dict[str, Literal["skip", "gap"]])
    after: tuple[str, ...] = ()
    duration_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Skip:
    """`chunk_id` will never start, because `because` has no answer."""

    chunk_id: str
    because: str


class Schedule:
    """Give it what happened; ask it what to do next. Every method raises `KeyError` for an unknown chunk."""

    def __init__(self, nodes: Iterable[Node], *, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency
        self._nodes = {node.id: node for node in nodes}
        self._position = {chunk_id: index for index, chunk_id in enumerate(self._nodes)}
        self._waits_for = {node.id: len({*node.upstream, *node.after}) for node in self._nodes.values()}
        self._downstream: dict[str, list[str]] = {chunk_id: [] for chunk_id in self._nodes}
        for node in self._nodes.values():
            for before in {*node.upstream, *node.after}:
                self._downstream[before].append(node.id)
        self._rank = self._path_lengths()
        self._ready = [chunk_id for chunk_id, count in self._waits_for.items() if count == 0]
        self._queue: list[tuple[float, int, str]] = []
        self._running: set[str] = set()
        self._final: dict[str, FinalStatus] = {}

    def _path_lengths(self) -> dict[str, float]:
        order = TopologicalSorter(self._downstream).static_order()
        rank: dict[str, float] = {}
        for chunk_id in order:
            below = max((rank[each] for each in self._downstream[chunk_id]), default=0.0)
            rank[chunk_id] = below + self._nodes[chunk_id].duration_s
        return rank

    @property
    def unfinished(self) -> list[str]:
        """The chunks without a final status, in plan order."""
        return [chunk_id for chunk_id in self._nodes if chunk_id not in self._final]

    @property
    def done(self) -> bool:
        """Whether every chunk has its final status."""
        return len(self._final) == len(self._nodes)

    @property
    def done_count(self) -> int:
        """How many chunks have their final status."""
        return len(self._final)

    @property
    def running_count(self) -> int:
        """How many slots are taken."""
        return len(self._running)

    @property
    def queued_count(self) -> int:
        """How many chunks wait for nothing but a slot."""
        return len(self._queue)

    def status(self, chunk_id: str) -> FinalStatus | None:
        """The chunk's final status, or None while it has none."""
        return self._final.get(chunk_id)

    def take_ready(self) -> list[str]:
        """The chunks that became ready since the last call, in plan order; the caller queues or finishes each."""
        ready, self._ready = self._ready, []
        return sorted(ready, key=self._position.__getitem__)

    def enqueue(self, chunk_id: str) -> None:
        """The chunk needs a slot: it has no answer yet, or goes again."""
        heapq.heappush(self._queue, (-self._rank[chunk_id], self._position[chunk_id], chunk_id))

    def next_startable(self) -> str | None:
        """The chunk to start next, or None when none is queued or no slot is free. Does not start it."""
        if not self._queue or len(self._running) >= self.max_concurrency:
            return None
        return self._queue[0][2]

    def start(self) -> str:
        """Give a slot to `next_startable()` and return it. Raises `IndexError` when there is none."""
        chunk_id = heapq.heappop(self._queue)[2]
        self._running.add(chunk_id)
        return chunk_id

    def release(self, chunk_id: str) -> None:
        """The attempt is over and its slot free; the chunk itself is not finished yet."""
        self._running.discard(chunk_id)

    def finish(self, chunk_id: str, status: FinalStatus) -> list[Skip]:
        """Give a chunk its final status. Returns the chunks that are skipped for it, each already finished."""
        skips: list[Skip] = []
        ended: list[tuple[str, FinalStatus]] = [(chunk_id, status)]
        while ended:
            each, its_status = ended.pop()
            self._running.discard(each)
            self._final[each] = its_status
            for below in sorted(self._downstream[each], key=self._position.__getitem__):
                if below in self._final:
                    continue
                if its_status != "succeeded" and self._nodes[below].upstream.get(each) == "skip":
                    skips.append(Skip(below, each))
                    ended.append((below, "skipped"))
                    # Final at once, so that a second failed input does not skip it again.
                    self._final[below] = "skipped"
                    continue
                self._waits_for[below] -= 1
                if self._waits_for[below] == 0:
                    self._ready.append(below)
        return skips
