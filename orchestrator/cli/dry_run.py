"""`--dry-run`, and what a sample tells of the whole: an outlook as lines, as JSON, or as a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.api import EntryOutlook, Outlook
from orchestrator.cli.display.allowance import window_line
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.words import about, count, money_span, span
from orchestrator.cli.options import OutlookFormat
from orchestrator.cli.printing import print_json, print_lines
from orchestrator.plan.estimate import TOTALS

UNPLANNED = "This call makes the plan. Its chunks, and what they take, are known only then and come on top."

PATH_SHOWN = 6
"""Chunks of the critical path that are named, from its start."""


def print_outlook(outlook: Outlook, *, form: OutlookFormat) -> None:
    """Print what a run would do."""
    if form is OutlookFormat.JSON:
        print_json(outlook_record(outlook))
    else:
        print_lines(outlook_lines(outlook) if form is OutlookFormat.TEXT else mermaid_lines(outlook))


def outlook_record(outlook: Outlook) -> dict[str, Any]:
    """Everything, as JSON values. Tokens in the model's own count, money in US dollars."""
    return {
        "name": outlook.name,
        "planning": outlook.planning,
        "entries": [
            {
                "id": entry.id,
                "kind": entry.kind,
                "needs": list(entry.needs),
                "open": entry.open,
                "calls": len(entry.running),
                "reused": len(entry.chunks) - len(entry.running),
                "reasons": dict(entry.reasons),
                **_sums(entry),
                "chunks": [
                    {
                        "id": chunk.id,
                        "runs": chunk.runs,
                        "why": chunk.why,
                        "known": chunk.known,
                        "keeps": chunk.keeps,
                        "input_tokens": chunk.estimate.input_tokens,
                        "output_tokens": chunk.estimate.output_tokens,
                        "cost_usd_low": chunk.estimate.cost_usd_low,
                        "cost_usd_high": chunk.estimate.cost_usd_high,
                        "time_s": chunk.estimate.time_s,
                    }
                    for chunk in entry.chunks
                ],
            }
            for entry in outlook.entries
        ],
        "total": {name: getattr(outlook.estimate, name) for name in TOTALS if name != "warnings"},
        "critical_path": {"chunks": list(outlook.critical_path), "time_s": outlook.critical_path_s},
        "windows": [asdict(window) for window in outlook.windows],
        "warnings": list(outlook.warnings),
    }


def outlook_lines(outlook: Outlook) -> list[str]:
    """For people: a tree of the plan, one line for each entry, then what it all takes."""
    estimate = outlook.estimate
    heads = _tree(outlook.entries)
    width = max((len(head) for head, _ in heads.values()), default=0)
    lines = [f"{one_line(outlook.name)}: {count(estimate.calls, 'call')}, {estimate.reusable} reused; nothing started"]
    entries = {entry.id: entry for entry in outlook.entries}
    for name, (head, also) in heads.items():
        entry = entries[name]
        lines.append(f"{head:<{width}}  {_entry_text(entry)}{also}")
    lines.append(totals_text(outlook))
    path = outlook.critical_path
    if path:
        more = f" and {len(path) - PATH_SHOWN} more" if len(path) > PATH_SHOWN else ""
        way = " → ".join(path[:PATH_SHOWN])
        lines.append(f"critical path: {way}{more}, about {span(outlook.critical_path_s, outlook.critical_path_s)}")
    lines += [window_line(window) for window in outlook.windows if estimate.calls]
    lines += [UNPLANNED] if outlook.planning else []
    return [*lines, *(f"warning: {one_line(text)}" for text in outlook.warnings)]


def totals_text(outlook: Outlook) -> str:
    """Calls, tokens, cost and time of all that runs."""
    estimate = outlook.estimate
    if not estimate.calls:
        return "total: nothing to pay, every answer is there"
    tokens = f"about {about(estimate.input_tokens)} tokens in and {about(estimate.output_tokens)} out"
    costs = money_span(estimate.cost_usd_low, estimate.cost_usd_high)
    takes = span(estimate.time_s_low, estimate.time_s_high)
    return f"total: {count(estimate.calls, 'call')}, {tokens}, {costs}, {takes} ({estimate.model})"


def mermaid_lines(outlook: Outlook) -> list[str]:
    """A graph in Mermaid's text form: one node for each entry, those that are reused with a class of their own."""
    lines = ["graph TD"]
    for entry in outlook.entries:
        text = f"{entry.id}<br/>{_counts_text(entry)}".replace('"', "#quot;")
        lines.append(f'    n_{entry.id}["{text}"]' + ("" if entry.running else ":::reused"))
    for entry in outlook.entries:
        lines += [f"    n_{before} --> n_{entry.id}" for before in entry.needs]
    return [*lines, "    classDef reused stroke-dasharray: 4"]


def _sums(entry: EntryOutlook) -> dict[str, float]:
    names = ("input_tokens", "output_tokens", "cost_usd_low", "cost_usd_high")
    return {name: sum(getattr(chunk.estimate, name) for chunk in entry.running) for name in names}


def _entry_text(entry: EntryOutlook) -> str:
    if not entry.running:
        return _counts_text(entry)
    sums = _sums(entry)
    tokens = f"about {about(round(sums['input_tokens']))} in, {about(round(sums['output_tokens']))} out"
    times = [chunk.estimate.time_s for chunk in entry.running]
    each = " each" if len(times) > 1 else ""
    cost = money_span(sums["cost_usd_low"], sums["cost_usd_high"])
    return f"{_counts_text(entry)} · {tokens}, {cost}, {span(min(times), max(times))}{each}"


def _counts_text(entry: EntryOutlook) -> str:
    """`runs: new`, `reused`, `60 run (58 new, 2 prompt changed), 3 reused`."""
    runs = Counter(chunk.keeps for chunk in entry.running)
    reused = sum(not chunk.runs and not chunk.keeps for chunk in entry.chunks)
    running = runs.pop("", 0)
    if entry.kind == "chunk":
        own = f"runs: {one_line(next(iter(entry.reasons)))}" if running else "reused"
        return ", ".join([own, *(f"then to keep the {kind}" for kind in runs)])
    parts: list[str] = []
    if running:
        reasons = ", ".join(f"{number} {one_line(why)}" for why, number in entry.reasons.items())
        parts.append(
            f"{running} run ({reasons})" if len(entry.reasons) > 1 else f"{running} run ({next(iter(entry.reasons))})"
        )
    if reused:
        parts.append(f"{reused} reused")
    parts += [f"{number} to keep the {kind}" for kind, number in runs.items()]
    text = ", ".join(parts) or "none"
    return f"a guess, known only at run time: {text}" if entry.open else text


def _tree(entries: Sequence[EntryOutlook]) -> dict[str, tuple[str, str]]:
    """Each entry's id behind the branches that lead to it, and what else it waits for.

    An entry hangs under the last that it needs, in plan order; those that follow from nothing stand at the left.
    """
    place = {entry.id: at for at, entry in enumerate(entries)}
    above = {entry.id: max(entry.needs, key=lambda name: place[name], default="") for entry in entries}
    below: dict[str, list[str]] = {}
    for entry in entries:
        below.setdefault(above[entry.id], []).append(entry.id)
    prefix: dict[str, str] = {"": ""}
    told: dict[str, tuple[str, str]] = {}
    waiting = list(reversed(below.get("", [])))
    while waiting:
        name = waiting.pop()
        parent, siblings = above[name], below[above[name]]
        is_last = name == siblings[-1]
        branch = "" if not parent else "└─ " if is_last else "├─ "
        others = [each for each in entries[place[name]].needs if each != parent]
        told[name] = (f"{prefix[parent]}{branch}{name}", f"; also after {', '.join(others)}" if others else "")
        prefix[name] = prefix[parent] + ("" if not parent else "   " if is_last else "│  ")
        waiting += reversed(below.get(name, []))
    return told
