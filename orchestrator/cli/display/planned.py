"""What the planner decided, for people: strategy and reason, then the chunks as a tree. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from orchestrator.api import PlanningResult
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.words import count

REASON_CHARS = 600
NOTHING_TO_SAMPLE = "nothing to sample: no chunk of this plan runs once for each piece, so all of it runs"
NO_PIECES: Mapping[str, str] = MappingProxyType({})

STRATEGY_WORDS = {
    "single": "one call, not split",
    "parallel": "parts that do not need each other",
    "sequence": "one after the other",
    "dag": "parts that build on each other",
}


def planned_lines(planning: PlanningResult) -> list[str]:
    """The lines; of a planner that gave no plan, what is wrong with its last answer."""
    if planning.plan is None:
        return [f"no plan that can be run: {one_line(problem, limit=400)}" for problem in planning.problems]
    words = STRATEGY_WORDS.get(str(planning.strategy), "")
    many = f", {count(len(planning.needs), 'chunk')}" if planning.strategy != "single" else ""
    lines = [
        f"planned as {planning.strategy} ({words}){many}: {one_line(planning.reason, limit=REASON_CHARS)}",
        *(f"  {line}" for line in tree_lines(planning.needs, planning.titles, planning.pieces)),
    ]
    return [*lines, NOTHING_TO_SAMPLE] if planning.whole else lines


def tree_lines(
    needs: Mapping[str, Sequence[str]], titles: Mapping[str, str], pieces: Mapping[str, str] = NO_PIECES
) -> list[str]:
    """Each chunk once, under the last of those it needs; the others, and what it goes over, are named behind it."""
    under: dict[str, list[str]] = {name: [] for name in needs}
    order = {name: at for at, name in enumerate(needs)}
    roots: list[str] = []
    for name, needed in needs.items():
        known = [each for each in needed if each in order]
        (under[max(known, key=order.__getitem__)] if known else roots).append(name)
    lines: list[str] = []
    waiting = [(name, "", "") for name in reversed(roots)]
    while waiting:
        name, before, below = waiting.pop()
        parent = max((each for each in needs[name] if each in order), key=order.__getitem__, default="")
        others = [each for each in needs[name] if each != parent]
        also = f" (and after {', '.join(others)})" if others else ""
        title = one_line(titles.get(name, ""))
        over = f": {one_line(pieces[name])}" if name in pieces else ""
        lines.append(f"{before}{name}{f'  {title}' if title else ''}{over}{also}")
        children = under[name]
        for at, child in reversed(list(enumerate(children))):
            last = at == len(children) - 1
            waiting.append((child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")))
    return lines
