"""The live part of a terminal: one total row and one row for each slot. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from orchestrator.cli.display.lines import DOT
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.pausing import pause_lines
from orchestrator.cli.display.view import Attempt, RunView
from orchestrator.cli.display.words import money, whole_duration

BAR_CELLS = 24
ID_CELLS = 28


class Row(NamedTuple):
    """A row as (text, style) parts; styles are names that rich knows."""

    parts: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The row without styles."""
        return "".join(text for text, _ in self.parts)


def frame(view: RunView, *, now_s: float, rows: int, loading: str = "") -> list[Row]:
    """The rows to show now, at most `rows` of them, at least the total row; `loading` is what goes on instead of calls.

    Before a run has begun that is all there is to show.
    """
    if loading and not view.run_id:
        return [Row(((loading, "dim"),))]
    slots: list[Attempt | None] = [None] * view.slots
    for attempt in view.running.values():
        slots[attempt.slot] = attempt
    used = [attempt for attempt in slots if attempt is not None]
    head = [_total_row(view, now_s=now_s)]
    head += [Row(((f"  {loading}", "dim"),))] if loading else []
    head += _waiting_rows(view, now_s=now_s)
    # A row is kept free, so that nothing jumps when something begins to wait.
    room = rows - max(2, len(head))
    if len(slots) <= room:
        body = [_slot_row(attempt, now_s=now_s) for attempt in slots]
    else:
        # No room for every slot: those in use, as many as fit.
        shown = used[: max(0, room - 1)]
        body = [_slot_row(attempt, now_s=now_s) for attempt in shown]
        if hidden := len(used) - len(shown):
            body.append(Row(((f"  … and {hidden} more running", "dim"),)))
    return [*head, *body][: max(1, rows)]


def _total_row(view: RunView, *, now_s: float) -> Row:
    share = view.done / view.total if view.total else 0.0
    cells = math.floor(share * BAR_CELLS)
    facts = [f"{view.done}/{view.total}", whole_duration(now_s - view.started_s)]
    if left := view.left_s(now_s):
        facts.append(f"about {whole_duration(left)} left")
    if view.cost_usd:
        facts.append(money(view.cost_usd) + (" simulated" if view.runner.startswith("simulated") else ""))
    if view.failed:
        facts.append(f"{view.failed} failed")
    return Row((("━" * cells, "green"), ("━" * (BAR_CELLS - cells), "bright_black"), (" " + DOT.join(facts), "")))


def _waiting_rows(view: RunView, *, now_s: float) -> list[Row]:
    if view.pauses:
        return [Row(((f"  {line}", "yellow"),)) for line in pause_lines(view, now_s=now_s)]
    if not view.waiting:
        return []
    soonest = min(view.waiting.values(), key=lambda waiting: waiting.until_s)
    wait = whole_duration(math.ceil(max(0.0, soonest.until_s - now_s)))
    more = f", {len(view.waiting) - 1} more waiting" if len(view.waiting) > 1 else ""
    return [Row(((f"  {one_line(soonest.chunk_id)}: again in {wait} ({one_line(soonest.reason)}){more}", "yellow"),))]


def _slot_row(attempt: Attempt | None, *, now_s: float) -> Row:
    if attempt is None:
        return Row((("  ·", "bright_black"),))
    again = f" (attempt {attempt.attempt})" if attempt.attempt > 1 else ""
    name = one_line(attempt.chunk_id, limit=ID_CELLS) + again
    passed = whole_duration(now_s - attempt.since_s)
    if attempt.output_chars:
        what = f"{attempt.output_chars:,} characters so far"
    else:
        what = f"waiting for the model, usually under {attempt.timeout_s:g} s"
    return Row(((f"  {name:<{ID_CELLS}}", "bold"), (f" {passed:>9}", ""), (f"  {what}", "dim")))
