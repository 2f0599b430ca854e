"""What plain progress says: one line for each thing worth telling, and the line at the end. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.cli.display.allowance import windows_fact
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.pausing import continued_line, new_pause_line, pause_lines
from orchestrator.cli.display.view import Attempt, RunView
from orchestrator.cli.display.words import about, count, duration, money, money_span, span, whole_duration
from orchestrator.events import (
    ChunkFailed,
    ChunkRetryScheduled,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkSucceeded,
    Event,
    RunContinued,
    RunEstimated,
    RunFinished,
    RunPaused,
    RunResumed,
    RunReviewed,
    RunSlowed,
    RunStarted,
    RunStitched,
)

DOT = " · "
SPEED_UP_WORTH_TELLING = 1.2
NAMES_SHOWN = 5
"""Chunks that one reason names before it only counts."""

PROBLEMS_SHOWN = 20


def event_lines(event: Event, view: RunView) -> list[str]:
    """The lines for an event that `view` has just taken in; none for what is not worth a line."""
    match event:
        case RunStarted():
            return [f"{one_line(event.name)}: {count(event.total, 'chunk')}, run {one_line(event.run_id)}"]
        case RunResumed():
            return [f"{one_line(event.name)}: run {one_line(event.run_id)} goes on, {count(event.total, 'chunk')}"]
        case RunEstimated():
            return [estimate_line(event), *(f"warning: {one_line(text)}" for text in event.warnings)]
        case ChunksAdded():
            return [f"{count(len(event.chunk_ids), 'more chunk')}, {view.total:,} in all"]
        case RunReviewed():
            return [review_line(event)]
        case RunPaused():
            return [new_pause_line(pause) for pause in view.pauses.values() if pause.event is event]
        case RunSlowed():
            return [f"fewer at once: {one_line(event.reason)}"]
        case RunContinued():
            return [continued_line(event)]
        case RunStitched():
            return [f"note: {one_line(text, limit=600)}" for text in event.notes]
        case _:
            line = chunk_line(event, view)
            return [line] if line else []


def chunk_line(event: Event, view: RunView) -> str:
    """The line of one chunk's event, or nothing."""
    counter = f"[{view.done}/{view.total}] "
    match event:
        case ChunkSucceeded():
            tokens = count(event.output_tokens, "token")
            facts = [one_line(event.chunk_id), duration(event.elapsed_s), tokens, money(event.cost_usd)]
            return counter + DOT.join(facts)
        case ChunkReused():
            return f"{counter}{one_line(event.chunk_id)}{DOT}reused"
        case ChunkFailed():
            return f"{counter}{one_line(event.chunk_id)}{DOT}failed ({event.error_type}): {one_line(event.message)}"
        case ChunkSkipped():
            return f"{counter}{one_line(event.chunk_id)}{DOT}skipped: {one_line(event.because)} has no answer"
        case ChunkRetryScheduled():
            again = f"again in {duration(event.wait_s)}"
            return f"{one_line(event.chunk_id)}: attempt {event.attempt} failed ({one_line(event.reason)}), {again}"
        case _:
            return ""


def estimate_line(event: RunEstimated) -> str:
    """What the run will ask for, before it asks."""
    if not event.calls:
        return f"nothing to ask: {count(event.reusable, 'answer')} reused"
    models = ["the default model" if name == "default" else name for name in event.model.split(", ")]
    model = f" to {one_line(', '.join(models))}" if event.model else ""
    reused = f" ({count(event.reusable, 'answer')} reused)" if event.reusable else ""
    tokens = f"about {about(event.input_tokens)} tokens in and {about(event.output_tokens)} out"
    costs = money_span(event.cost_usd_low, event.cost_usd_high)
    takes = span(event.time_s_low, event.time_s_high)
    login = f"; paid by {one_line(event.login)}" if event.login else ""
    return f"{count(event.calls, 'call')}{model}{reused}, {tokens}, {costs}, {takes}{login}"


def review_line(event: RunReviewed) -> str:
    """What a look at the result found, and what comes of it."""
    if not event.problems:
        return "review: nothing to put right"
    repairs = count(len(event.repairs), "repair")
    follows = f"{repairs} to come" if event.repairs else "not put right"
    return f"review: {count(len(event.problems), 'thing')} to put right, {follows}"


def waiting_line(attempt: Attempt, *, now_s: float) -> str:
    """What a running chunk is doing, so that its silence is no riddle."""
    passed = whole_duration(now_s - attempt.since_s)
    if attempt.output_chars:
        return f"{one_line(attempt.chunk_id)}: {count(attempt.output_chars, 'character')} so far, {passed}"
    usual = f"usually under {attempt.timeout_s:g} s for a {one_line(attempt.complexity)} chunk"
    return f"{one_line(attempt.chunk_id)}: waiting for the model, {passed}, {usual}"


def heartbeat_line(view: RunView, *, now_s: float) -> str:
    """One line that explains a silence: how far the run is, what the longest-running chunk is doing, what is paused."""
    facts = [f"{view.done}/{view.total} done"]
    if len(view.running) > 1:
        facts.append(f"{len(view.running)} running")
    if left := view.left_s(now_s):
        facts.append(f"about {whole_duration(left)} left")
    if view.running:
        facts.append(waiting_line(min(view.running.values(), key=lambda attempt: attempt.since_s), now_s=now_s))
    facts += pause_lines(view, now_s=now_s)
    if not view.running and not view.pauses and view.waiting:
        soonest = min(view.waiting.values(), key=lambda waiting: waiting.until_s)
        wait = whole_duration(math.ceil(max(0.0, soonest.until_s - now_s)))
        facts.append(
            f"{one_line(soonest.chunk_id)}: again in {wait} after attempt {soonest.attempt}"
            f" ({one_line(soonest.reason)})"
        )
    return DOT.join(facts)


def stopping_line(level: int, view: RunView, *, now_s: float) -> str:
    """The answer to a Ctrl-C: 1 lets the running chunks finish, 2 ends them, 3 does not wait."""
    running = len(view.running)
    if level == 1 and running:
        return f"finishing {count(running, 'running chunk')}, {_drain_time(view, now_s=now_s)}; Ctrl-C again ends them"
    if level == 1:
        return "stopping; nothing is running"
    return "ending the running chunks" if level == 2 else "stopping at once"


def _drain_time(view: RunView, *, now_s: float) -> str:
    """How long the running chunks still need, by what finished chunks took; else their time limit bounds it."""
    passed = [now_s - attempt.since_s for attempt in view.running.values()]
    if mean_s := view.mean_s:
        return f"about {whole_duration(max(1.0, *(mean_s - gone for gone in passed)))}"
    limits = [attempt.timeout_s for attempt in view.running.values()]
    return f"up to {whole_duration(max(1.0, *(limit - gone for limit, gone in zip(limits, passed, strict=True))))}"


def final_line(view: RunView, event: RunFinished, *, here: str = "") -> str:
    """The one line at the end: how much, how long, how much faster, what it cost, where the result is.

    Result paths below the folder `here` are shown relative to it.
    """
    stopped = f"stopped: {event.reason}" if event.reason else "stopped"
    facts = [stopped] if event.status == "stopped" else []
    facts.append(f"{view.paid + view.reused}/{view.total}")
    shortfalls = [
        f"{number} {word}" for number, word in ((event.failed, "failed"), (event.skipped, "skipped")) if number
    ]
    if event.cancelled:
        shortfalls.append(f"{event.cancelled} not finished")
    if shortfalls:
        facts.append(", ".join(shortfalls))
    facts.append(duration(event.elapsed_s))
    if view.paid and event.elapsed_s > 0 and event.work_s / event.elapsed_s > SPEED_UP_WORTH_TELLING:
        facts.append(f"{event.work_s / event.elapsed_s:.1f} × faster than one by one")
    facts.append(money(event.cost_usd) + (" simulated" if view.runner.startswith("simulated") else ""))
    if event.cache_read_tokens:
        saved = f", {money(event.cache_saved_usd)} saved" if event.cache_saved_usd > 0 else ""
        facts.append(f"{event.cache_read_tokens:,} tokens from the cache{saved}")
    if usage := windows_fact(event.windows):
        facts.append(usage)
    if view.stitched and view.stitched.path:
        label = "result" if event.status == "complete" else "incomplete result"
        several = f"{count(view.stitched.files, 'file')} under " if view.stitched.files else ""
        facts.append(f"{label}: {several}{one_line(_from_here(view.stitched.path, here), limit=4096)}")
    if view.stitched and view.stitched.failed_path:
        facts.append(f"failed rows: {one_line(_from_here(view.stitched.failed_path, here), limit=4096)}")
    return DOT.join(one_line(fact, limit=4096) for fact in facts)


def _from_here(path: str, here: str) -> str:
    return path.removeprefix(here.rstrip("/") + "/") if here else path


def is_success(event: RunFinished) -> bool:
    """Whether nothing is left to say or do; a complete run with a reason could not write its result."""
    return event.status == "complete" and not event.reason


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMES_SHOWN:,} more" if len(ids) > NAMES_SHOWN else ""
    return ", ".join(ids[:NAMES_SHOWN]) + more


def problem_lines(view: RunView, *, next_command: str) -> list[str]:
    """After anything but success: the failed and skipped chunks by their reasons, and what to type next."""
    if view.finished is None or is_success(view.finished):
        return []
    by_reason: dict[str, list[str]] = {}
    for chunk_id, reason in view.problems:
        by_reason.setdefault(reason, []).append(one_line(chunk_id))
    problems = [f"{_names(ids)}: {one_line(reason, limit=600)}" for reason, ids in by_reason.items()]
    if view.reviewed is not None and not view.reviewed.repairs:
        problems += [f"not put right: {one_line(problem, limit=600)}" for problem in view.reviewed.problems]
    problems += [one_line(problem, limit=600) for problem in (view.stitched.problems if view.stitched else ())]
    lines = [f"  {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    more = len(problems) - PROBLEMS_SHOWN
    if more > 0:
        lines.append(f"  … and {more:,} more: orchestrate status {one_line(view.run_id)}")
    return [*lines, f"to go on: {next_command}"]
