"""What a damaged store has left and has lost, in words and for programs."""

from __future__ import annotations

from typing import Any

from orchestrator.cli.display.words import count
from orchestrator.store.damage import Damage

_SHOWN = 5
"""Runs that are told one by one; programs get all."""


def damage_lines(damage: Damage) -> list[str]:
    """What can be read, what is lost, and which runs that touches."""
    found = damage.salvage
    counts = found.counts
    lines = [
        f"can be read: {count(counts['answers'], 'answer')}, {count(counts['runs'], 'run')}, "
        f"{count(counts['chunks'], 'chunk')}, {count(counts['events'], 'event')}, {count(counts['calls'], 'call')}"
    ]
    lost = [count(found.answers_lost, "answer")] if found.answers_lost else []
    lost += [count(len(found.runs_lost), "run")] if found.runs_lost else []
    lost += [count(found.unread, "other row")] if found.unread and not lost else []
    lines.append(f"lost, as far as the rest tells: {', '.join(lost) or 'nothing that was paid for'}")
    lines += [
        f"run {run.run_id} ({run.name}) lost {', '.join(run.chunks[:_SHOWN])}{_more(len(run.chunks))}"
        for run in found.runs[:_SHOWN]
    ]
    lines += [f"and {count(len(found.runs) - _SHOWN, 'other run')}"] if len(found.runs) > _SHOWN else []
    return lines


def damage_record(damage: Damage) -> dict[str, Any]:
    """The same as an object."""
    found = damage.salvage
    return {
        "path": str(damage.path),
        "said": damage.said,
        "saved": found.counts,
        "answers_lost": found.answers_lost,
        "runs_lost": list(found.runs_lost),
        "runs": [{"run_id": run.run_id, "name": run.name, "chunks": list(run.chunks)} for run in found.runs],
        "rows_unread": found.unread,
    }


def _more(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""
