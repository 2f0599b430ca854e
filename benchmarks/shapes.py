"""Graphs of calls in several shapes, and how long each call takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Graph:
    """Chunks by name: what each waits for, and how many seconds its answer takes, which the engine is not told."""

    before: Mapping[str, tuple[str, ...]]
    seconds: Mapping[str, float]

    def bound_s(self, at_once: int) -> float:
        """No schedule is shorter: the longest path, or all the work over the slots, whichever is larger."""
        ends: dict[str, float] = {}
        for name, before in self.before.items():
            ends[name] = self.seconds[name] + max((ends[each] for each in before), default=0.0)
        return max(max(ends.values()), sum(self.seconds.values()) / at_once)


Shape = Callable[[int], dict[str, tuple[str, ...]]]


def independent(count: int) -> dict[str, tuple[str, ...]]:
    """Nothing waits for anything."""
    return {f"c{n}": () for n in range(count)}


def ragged_chains(count: int) -> dict[str, tuple[str, ...]]:
    """Chains of 1 to 19 chunks beside each other."""
    before: dict[str, tuple[str, ...]] = {}
    chain = 0
    while len(before) < count:
        chain += 1
        for link in range(min(1 + chain * 7 % 19, count - len(before))):
            before[f"c{chain}_{link}"] = (f"c{chain}_{link - 1}",) if link else ()
    return before


def reduce_tree(count: int) -> dict[str, tuple[str, ...]]:
    """Nine of ten are leaves; every ten of a level are merged into one of the next."""
    before: dict[str, tuple[str, ...]] = {}
    level = [f"c0_{n}" for n in range(count * 9 // 10)]
    before |= dict.fromkeys(level, ())
    depth = 0
    while len(level) > 1:
        depth += 1
        merges = {f"c{depth}_{at}": tuple(level[at * 10 : at * 10 + 10]) for at in range((len(level) + 9) // 10)}
        before |= merges
        level = list(merges)
    return before


def branches(count: int) -> dict[str, tuple[str, ...]]:
    """Many questions, each with two to five searches, a step for each search, and one that joins them.

    The shape of the parallel questions with which planners of function calls are compared.
    """
    before: dict[str, tuple[str, ...]] = {}
    question = 0
    while len(before) < count:
        question += 1
        width = 2 + question % 4
        searches = [f"c{question}_s{n}" for n in range(width)]
        steps = {f"c{question}_m{n}": (search,) for n, search in enumerate(searches)}
        before |= {**dict.fromkeys(searches, ()), **steps, f"c{question}_join": tuple(steps)}
    return before


def layered(count: int) -> dict[str, tuple[str, ...]]:
    """Forty layers; each chunk waits for three at random of the layer above."""
    chance, width = random.Random(7), max(1, count // 40)
    names = [f"c{n // width}_{n % width}" for n in range(count)]
    above = (names[max(0, n // width - 1) * width : n // width * width] for n in range(count))
    return {name: tuple(chance.sample(layer, min(3, len(layer)))) for name, layer in zip(names, above, strict=True)}


SHAPES: dict[str, Shape] = {
    "independent": independent,
    "ragged chains": ragged_chains,
    "reduce tree": reduce_tree,
    "branches": branches,
    "layers": layered,
}


def heavy_tailed(names: list[str], *, mean_s: float, seed: int) -> dict[str, float]:
    """Log-normal seconds, most of them short, some ten times the median and none longer."""
    chance = random.Random(seed)
    drawn = [min(10.0, chance.lognormvariate(0.0, 0.8)) for _ in names]
    scale = mean_s * len(drawn) / sum(drawn)
    return {name: each * scale for name, each in zip(names, drawn, strict=True)}
