"""Which chunk may go on now: a pure state machine without a clock, a loop or a wait.

A chunk moves `waiting → ready → queued → running → finished`. It becomes ready the moment its own inputs are there
(no levels, no barrier); the engine then looks its answer up and either finishes it at once or queues it for a slot.
Among queued chunks the one that heads the longest path to the end starts first; plan order breaks ties.

A virtual node is no chunk: it stands for a group, or for the moment at which the chunks of a group become known. It
becomes ready like a chunk and is finished by the engine without a slot.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Literal, NamedTuple

FinalStatus = Literal["succeeded", "failed", "skipped"]
OnMissing = Literal["skip", "gap"]


class Lane(NamedTuple):
    """What chunks of one queue have in common: who may pay for them, and how their requests begin."""

    accounts: tuple[str, ...] = ()
    beginning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the schedule needs to know of a chunk.

    `upstream` maps the chunks it depends on to what happens when one has no answer; `after` are chunks that only have
    to be over. `duration_s` is an estimate and only orders the queue; `order` is the place in the plan. `lane` says
    which others it queues with: a lane may be closed while others go on.
    """

    id: str
    order: tuple[int, ...] = ()
    virtual: bool = False
    upstream: Mapping[str, OnMissing] = field(default_factory=dict[str, OnMissing])
    after: tuple[str, ...] = ()
    duration_s: float = 1.0
    lane: Lane = field(default_factory=Lane)


def always_open(_: Lane) -> bool:
    """For a schedule none of whose lanes is ever closed."""
    return True


@dataclass(frozen=True, slots=True)
class Skip:
    """`chunk_id` will never start, because `because` has no answer."""

    chunk_id: str
    because: str


class Schedule:
    """Give it what happened; ask it what to do next. Every method raises `KeyError` for an unknown chunk."""

    def __init__(self, nodes: Iterable[Node], *, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency
        self._nodes: dict[str, Node] = {}
        self._before: dict[str, dict[str, OnMissing | None]] = {}
        self._order: dict[str, dict[str, None]] = {}
        self._downstream: dict[str, list[str]] = {}
        self._waits_for: dict[str, int] = {}
        self._rank: dict[str, float] = {}
        self._ready: list[str] = []
        self._queues: dict[Lane, list[tuple[float, tuple[int, ...], int, str]]] = {}
        self._queued = 0
        self._resting: set[str] = set()
        self._running: set[str] = set()
        self._final: dict[str, FinalStatus] = {}
        self._chunks_left = self._total = 0
        self.add(nodes)

    def add(self, nodes: Iterable[Node]) -> list[Skip]:
        """Take in nodes that became known; they may name each other and all that is there already.

        Returns the chunks among them that are skipped at once, because something they need has no answer.
        """
        new = [node if node.order else replace(node, order=(len(self._nodes) + at,)) for at, node in enumerate(nodes)]
        for node in new:
            self._nodes[node.id] = node
            self._downstream[node.id] = []
            self._before[node.id] = {}
            if node.after:
                self._order[node.id] = dict.fromkeys(node.after)
            self._waits_for[node.id] = 0
            self._total += not node.virtual
            self._chunks_left += not node.virtual
        for node in new:
            self._link(node.id, {**dict.fromkeys(node.after), **node.upstream})
        self._rank_all(node.id for node in new)
        skips: list[Skip] = []
        for node in new:
            because = next((each for each in node.upstream if self._is_missing(node.id, each)), None)
            if because is not None and node.id not in self._final:
                skips += [Skip(node.id, because), *self.finish(node.id, "skipped")]
            elif self._waits_for[node.id] == 0 and node.id not in self._final:
                self._ready.append(node.id)
        return skips

    def extend(self, chunk_id: str, upstream: Mapping[str, OnMissing]) -> None:
        """Let a chunk that still waits for something wait for these too; none of them may be finished."""
        self._link(chunk_id, upstream)

    def wait_again(self, chunk_id: str, upstream: Mapping[str, OnMissing]) -> None:
        """Take a chunk back from its slot: it becomes ready again when all of these are finished."""
        self._running.discard(chunk_id)
        self._link(chunk_id, upstream)

    def _link(self, chunk_id: str, before: Mapping[str, OnMissing | None]) -> None:
        for each, missing in before.items():
            self._before[chunk_id][each] = missing
            if each not in self._final:
                self._downstream[each].append(chunk_id)
                self._waits_for[chunk_id] += 1
            elif each in self._order.get(chunk_id, ()):
                self._wait_beyond(chunk_id, each)

    def _wait_beyond(self, chunk_id: str, over: str) -> None:
        """What was skipped ends early: whoever comes after it in order comes after all that it came after."""
        beyond, order = [over], self._order[chunk_id]
        while beyond:
            over = beyond.pop()
            if self._final[over] != "skipped":
                continue
            for each in self._order.get(over, ()):
                if each in order:
                    continue
                order[each] = None
                if each in self._final:
                    beyond.append(each)
                elif each not in self._before[chunk_id]:
                    self._before[chunk_id][each] = None
                    self._downstream[each].append(chunk_id)
                    self._waits_for[chunk_id] += 1

    def _is_missing(self, chunk_id: str, before: str) -> bool:
        return self._before[chunk_id].get(before) == "skip" and self._final.get(before, "succeeded") != "succeeded"

    def _rank_all(self, chunk_ids: Iterable[str]) -> None:
        """The longest path, in seconds, that each of these heads."""
        graph = {chunk_id: self._downstream[chunk_id] for chunk_id in chunk_ids}
        for chunk_id in TopologicalSorter(graph).static_order():
            if chunk_id in graph:
                below = max((self._rank[each] for each in self._downstream[chunk_id]), default=0.0)
                self._rank[chunk_id] = below + self._nodes[chunk_id].duration_s

    @property
    def unfinished(self) -> list[str]:
        """The chunks without a final status, in plan order."""
        left = [node for node in self._nodes.values() if not node.virtual and node.id not in self._final]
        return [node.id for node in sorted(left, key=lambda node: node.order)]

    @property
    def done(self) -> bool:
        """Whether every node has its final status."""
        return len(self._final) == len(self._nodes)

    @property
    def total(self) -> int:
        """How many chunks are known."""
        return self._total

    @property
    def done_count(self) -> int:
        """How many chunks have their final status."""
        return self.total - self._chunks_left

    @property
    def running_count(self) -> int:
        """How many slots are taken."""
        return len(self._running)

    @property
    def queued_count(self) -> int:
        """How many chunks wait for nothing but a slot."""
        return sum(map(len, self._queues.values()))

    @property
    def waiting_lanes(self) -> set[Lane]:
        """The lanes in which chunks wait for a slot, or rest before they do."""
        queued = {lane for lane, queue in self._queues.items() if queue}
        return queued | {self._nodes[chunk_id].lane for chunk_id in self._resting}

    def status(self, chunk_id: str) -> FinalStatus | None:
        """The chunk's final status, or None while it has none."""
        return self._final.get(chunk_id)

    def take_ready(self) -> list[str]:
        """The nodes that became ready since the last call, in plan order; the caller queues or finishes each."""
        ready, self._ready = self._ready, []
        return sorted(ready, key=lambda chunk_id: self._nodes[chunk_id].order)

    def enqueue(self, chunk_id: str) -> None:
        """The chunk needs a slot: it has no answer yet, or goes again."""
        node = self._nodes[chunk_id]
        self._resting.discard(chunk_id)
        self._queued += 1
        entry = (-self._rank[chunk_id], node.order, self._queued, chunk_id)
        heapq.heappush(self._queues.setdefault(node.lane, []), entry)

    def lane(self, chunk_id: str) -> Lane:
        """The lane that the chunk queues in."""
        return self._nodes[chunk_id].lane

    def rest(self, chunk_id: str) -> None:
        """The chunk waits for some time before it is queued again."""
        self._resting.add(chunk_id)

    def next_startable(self, is_open: Callable[[Lane], bool] = always_open) -> str | None:
        """The chunk to start next, or None when no slot is free, or none is queued in an open lane. Starts nothing."""
        queue = self._next_queue(is_open)
        return queue[0][-1] if queue and len(self._running) < self.max_concurrency else None

    def upcoming(self, count: int, is_open: Callable[[Lane], bool] = always_open) -> list[str]:
        """At most so many of those queued in open lanes, in the order in which they will start; looks at few others."""
        border = [(queue[0], 0, queue) for lane, queue in self._queues.items() if queue and is_open(lane)]
        heapq.heapify(border)
        found: list[str] = []
        while border and len(found) < count:
            entry, at, queue = heapq.heappop(border)
            found.append(entry[-1])
            for below in (2 * at + 1, 2 * at + 2):
                if below < len(queue):
                    heapq.heappush(border, (queue[below], below, queue))
        return found

    def start(self, is_open: Callable[[Lane], bool] = always_open) -> str:
        """Give a slot to `next_startable()` and return it. Raises `IndexError` when there is none."""
        chunk_id = heapq.heappop(self._next_queue(is_open))[-1]
        self._running.add(chunk_id)
        return chunk_id

    def _next_queue(self, is_open: Callable[[Lane], bool]) -> list[tuple[float, tuple[int, ...], int, str]]:
        """The queue whose head goes first; an empty one when all that are open are empty."""
        queues = [queue for lane, queue in self._queues.items() if queue and is_open(lane)]
        return min(queues, key=lambda queue: queue[0]) if queues else []

    def release(self, chunk_id: str) -> None:
        """The attempt is over and its slot free; the chunk itself is not finished yet."""
        self._running.discard(chunk_id)

    def finish(self, chunk_id: str, status: FinalStatus) -> list[Skip]:
        """Give a node its final status. Returns what is skipped for it, each already finished, virtual nodes too."""
        self._running.discard(chunk_id)
        skips: list[Skip] = []
        self._settle(chunk_id, status)
        ended = deque([chunk_id])
        while ended:
            each = ended.popleft()
            for below in sorted(self._downstream[each], key=lambda downstream: self._nodes[downstream].order):
                if below in self._final:
                    continue
                if self._is_missing(below, each):
                    self._settle(below, "skipped")
                    skips.append(Skip(below, each))
                    ended.append(below)
                    continue
                if each in self._order.get(below, ()):
                    self._wait_beyond(below, each)
                self._waits_for[below] -= 1
                if self._waits_for[below] == 0:
                    self._ready.append(below)
        return skips

    def _settle(self, chunk_id: str, status: FinalStatus) -> None:
        self._final[chunk_id] = status
        self._chunks_left -= not self._nodes[chunk_id].virtual
