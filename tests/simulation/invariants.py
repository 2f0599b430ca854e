"""What is true of every run at every moment, as plain functions over what was seen from outside.

Each raises `BrokenError` with words. They look at events, at what the runner was asked, and at the store; never into
the engine, so that they hold whatever it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from orchestrator.engine.drafts import MAX_CONTINUATIONS
from orchestrator.engine.policy import FREE_THROTTLED_WAITS
from orchestrator.events import (
    TRANSIENT,
    ChunkCancelled,
    ChunkFailed,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
    Event,
    RunContinued,
    RunFinished,
    RunResumed,
    RunStarted,
)
from orchestrator.plan.workload import Chunk
from orchestrator.runners.base import Failure, FailureClass, Reply
from tests.simulation.faults import STOPPING, Span
from tests.simulation.seen import Seen

TERMINAL = (ChunkSucceeded, ChunkReused, ChunkFailed, ChunkSkipped, ChunkCancelled)
ANSWERED = (ChunkSucceeded, ChunkReused)
MOMENT_S = 0.002
"""Events tell time in milliseconds."""


class BrokenError(AssertionError):
    """Something that is always true was not."""


def require(condition: object, words: str) -> None:
    """Raise `BrokenError` unless the condition holds."""
    if not condition:
        raise BrokenError(words)


# At each start of an attempt, as the runner sees it.


def never_too_many_at_once(seen: Seen, span: Span) -> None:
    """No more than `max_concurrency` attempts go on at once, and one of a chunk at most."""
    running = seen.runner.in_flight.values()
    require(len(running) <= seen.max_concurrency, f"{len(running)} attempts at once")
    own = [each for each in running if each.request.chunk_id == span.request.chunk_id]
    require(len(own) == 1, f"{len(own)} attempts of {span.request.chunk_id} at once")


def references_first(seen: Seen, span: Span) -> None:
    """All that a chunk refers to has come to its end, and its prompt holds the answers that it refers to."""
    chunk = seen.chunk(span.request.chunk_id)
    if chunk is None:
        return
    for name in (*chunk.upstream, *chunk.after, *chunk.told_of):
        for each in seen.members(name):
            require(each in seen.ended, f"{chunk.id} started before {each} was over")
    earlier = seen.earlier_in_sequence(span.request.chunk_id)
    require(not earlier, f"{span.request.chunk_id} started before {earlier}, which come first in the sequence")
    for name in chunk.references:
        if name in seen.answers and not chunk.keeping:
            require(seen.answers[name] in span.request.prompt, f"{chunk.id} was not told what {name} answered")


def finished_never_again(seen: Seen, span: Span) -> None:
    """What has a stored answer is not asked again, whatever died or was stopped in between."""
    chunk_id = span.request.chunk_id
    require(chunk_id not in seen.ended, f"{chunk_id} was asked after its end")
    for text in seen.runner.replies.get((chunk_id, span.request.prompt), ()):
        row = seen.store.connection.execute(
            "SELECT run_id FROM answers WHERE chunk_id = ? AND instr(text, ?)", (chunk_id, text)
        ).fetchone()
        may_reuse = row is not None and (row[0] == seen.run_id or seen.may_reuse(chunk_id))
        require(not may_reuse, f"{chunk_id} was asked again although its answer is stored")


def attempts_are_bounded(seen: Seen, span: Span) -> None:
    """A chunk gets `max_attempts` in a process, beside those that do not count: pauses, throttled waits, cuts."""
    chunk = seen.chunk(span.request.chunk_id)
    failures = [each.outcome.error_type for each in seen.of(span) if isinstance(each.outcome, Failure)]
    throttled = failures.count(FailureClass.THROTTLED)
    free = failures.count(FailureClass.USAGE_LIMIT) + min(
        failures.count(FailureClass.OUTPUT_CEILING), MAX_CONTINUATIONS
    )
    # Once the retries of the run are used up, what an overload meets waits without using an attempt.
    overloads = throttled + failures.count(FailureClass.TRANSIENT)
    counted = seen.counted_overloads[span.request.chunk_id] - min(throttled, FREE_THROTTLED_WAITS)
    free += overloads - max(0, counted)
    most = chunk.max_attempts if chunk is not None else 0
    require(len(failures) - free < most, f"{span.request.chunk_id} had {len(failures)} attempts, {free} of them free")


def waits_are_kept(seen: Seen, span: Span) -> None:
    """A retry does not start before the wait is over that was told."""
    at_s = seen.not_before.pop(span.request.chunk_id, 0.0)
    require(span.started_s >= at_s - MOMENT_S, f"{span.request.chunk_id} started {at_s - span.started_s:.3f} s early")


def money_is_reserved(seen: Seen, span: Span) -> None:
    """Nothing starts once the limit is spent; beside others only what fits by the lowest estimates."""
    if seen.max_cost_usd is None:
        return
    spent = seen.spent_usd(before_s=span.started_s)
    require(
        spent < seen.max_cost_usd, f"${spent:.4f} of ${seen.max_cost_usd:.4f} spent, and {span.request.chunk_id} starts"
    )
    running = [each.request.chunk_id for each in seen.runner.in_flight.values()]
    if len(running) > 1:
        least = spent + sum(map(seen.least_usd, running))
        require(
            least <= seen.max_cost_usd + 1e-9,
            f"{len(running)} attempts under way cost at least ${least:.4f} of ${seen.max_cost_usd}",
        )


def nothing_after_a_stop(seen: Seen, span: Span) -> None:
    """Once a stop was asked for, a login was lost, or the time is over, nothing starts."""
    stop_s = seen.stop_s
    require(stop_s is None or span.started_s <= stop_s, f"{span.request.chunk_id} started after the stop")
    if seen.max_wall_s is not None:
        over_s = seen.began_s + seen.max_wall_s + seen.paused_s()
        require(span.started_s <= over_s + 0.1, f"{span.request.chunk_id} started after the time was over")


def pause_outlives_its_process(seen: Seen, span: Span) -> None:
    """A pause that an earlier process of the run told still holds in the next one."""
    until_s = seen.pause_left_s
    require(until_s is None or span.started_s >= until_s - MOMENT_S, "started in the pause of an earlier process")


# With each event, as an observer gets it.


def numbers_have_no_gap(seen: Seen, event: Event) -> None:
    """`seq` goes on by one from event to event, and after what is stored of earlier processes."""
    require(event.seq == seen.next_seq, f"event {event.seq} came where {seen.next_seq} was due")
    require(event.run_id == seen.run_id, "an event of another run")
    require(not seen.finished, "an event after the last one")
    is_head = isinstance(event, RunStarted | RunResumed)
    require(is_head == (not seen.events), "the first event is that of the run's begin")


def stored_before_told(seen: Seen, event: Event) -> None:
    """What is told is on the disk: the event itself, and with an answer the answer."""
    if event.type in TRANSIENT:
        return
    connection = seen.store.connection
    key = (event.run_id, event.seq)
    found = connection.execute("SELECT 1 FROM events WHERE run_id = ? AND seq = ?", key).fetchone()
    require(found, f"{event.type} was told and is not stored")
    if isinstance(event, ANSWERED):
        row = seen.stored_answer(event.chunk_id)
        require(row, f"{event.chunk_id} was told as answered and its answer is not stored")


def one_end_for_each(seen: Seen, event: Event) -> None:
    """A chunk has one last event, and nothing is told of it afterwards or before it is known."""
    chunk_id = getattr(event, "chunk_id", None)
    if chunk_id is not None:
        require(chunk_id not in seen.ended, f"{event.type} of {chunk_id} after its end")
        require(chunk_id in seen.known, f"{event.type} of {chunk_id}, which nobody knows")
    if isinstance(event, ChunksAdded):
        require(not seen.known & set(event.chunk_ids), "chunks were added twice")


def skips_have_a_cause(seen: Seen, event: Event) -> None:
    """A skipped chunk names one that has no answer."""
    if isinstance(event, ChunkSkipped):
        cause = [seen.ended.get(each) for each in seen.members(event.because)]
        without = [each for each in cause if isinstance(each, ChunkFailed | ChunkSkipped)]
        unopened = event.because in seen.workload.groups and not cause
        require(without or unopened, f"{event.chunk_id} was skipped for {event.because}, which did not fail")


def pauses_hold(seen: Seen, event: Event) -> None:
    """Nothing starts in a pause; after it one call goes alone until it is answered or fails for good."""
    if isinstance(event, ChunkStarted):
        require(not seen.paused, f"{event.chunk_id} started in a pause")
        if seen.canary:
            others = seen.still_running(_moment_s(event))
            require(not others, f"{event.chunk_id} started beside the canary {sorted(others)}")
    if isinstance(event, RunContinued):
        ended = seen.ending_pause(_moment_s(event))
        require(ended.until_s is None or ended.until_s <= _moment_s(event) + MOMENT_S, "the pause ended too early")


def rows_of_failures_stop(seen: Seen, event: Event) -> None:
    """After so many chunks that failed in a row for one reason nothing starts any more."""
    if isinstance(event, ChunkStarted):
        require(
            seen.most_same_failures < seen.max_same_failure, f"{event.chunk_id} started after a row of equal failures"
        )


def _moment_s(event: Event) -> float:
    from tests.simulation.virtual import EPOCH_S

    return datetime.fromisoformat(event.at).timestamp() - EPOCH_S


# Each time before time passes, unless there is a reason for standing still.


def slots_never_idle(seen: Seen) -> None:
    """While a slot is free and nothing forbids it, no chunk waits that could go on."""
    running = {each.request.chunk_id for each in seen.runner.in_flight.values()}
    # After an overload fewer go on at once; how many is the engine's own affair, as long as one does.
    most = 1 if seen.overloads else seen.max_concurrency
    if len(running) >= most:
        return
    for chunk in _candidates(seen):
        before = (*chunk.upstream, *chunk.after)
        over = all(each in seen.ended for name in before for each in seen.members(name) or "?")
        waits = chunk.id in running or not over or seen.earlier_in_sequence(chunk.id)
        require(waits, f"{chunk.id} could start, and {len(running)} of {most} slots are taken")


def _candidates(seen: Seen) -> Iterator[Chunk]:
    """The chunks of which the plan itself says what they wait for."""
    for chunk_id in seen.known - seen.ended.keys():
        chunk = seen.workload.chunks.get(chunk_id)
        waits = seen.not_before.get(chunk_id, 0.0) > seen.loop.time() - MOMENT_S
        if chunk is None or waits or chunk_id in seen.split or chunk.merges or chunk.keeping or chunk_id in seen.twins:
            continue
        yield chunk


# When a process has ended by itself.


def every_chunk_has_an_end(seen: Seen) -> None:
    """Each known chunk has its one last event, and the counts told are those of the events."""
    last = seen.events[-1]
    require(isinstance(last, RunFinished), "the last event is the end of the run")
    assert isinstance(last, RunFinished)
    require(seen.known == seen.ended.keys(), f"without an end: {sorted(seen.known - seen.ended.keys())}")
    counted = [last.succeeded, last.reused, last.failed, last.skipped, last.cancelled]
    told = [sum(isinstance(each, kind) for each in seen.ended.values()) for kind in TERMINAL]
    require(counted == told, f"{counted} were counted, {told} told")
    require(not seen.runner.in_flight, "an attempt goes on after the end of its process")
    require(not seen.store.held, "a lock is held after the end of its process")


def status_follows(seen: Seen) -> None:
    """Status and exit code are what the ends of the chunks make them, and nothing is called off without a reason."""
    result = seen.result
    assert result is not None
    ends = list(seen.ended.values())
    complete = bool(ends) and all(isinstance(each, ANSWERED) for each in ends)
    cancelled = any(isinstance(each, ChunkCancelled) for each in ends)
    if result.status == "complete":
        require(complete and result.exit_code == 0, "complete, and not every chunk has an answer")
    if cancelled:
        require(result.status == "stopped", f"work is left, and the status is {result.status}")
    if result.status == "stopped":
        require(result.exit_code in (3, 4, 130), f"stopped with exit code {result.exit_code}")
    if result.status in ("partial", "failed"):
        require(result.exit_code == 1 and not cancelled, f"{result.status} with exit code {result.exit_code}")
    if result.exit_code == 130:
        require(seen.stop_asked, "interrupted, and nobody asked")
    if result.exit_code == 3:
        lost = [each for each in seen.own_spans if isinstance(each.outcome, Failure)]
        require(any(each.outcome.error_type in STOPPING for each in lost), "exit code 3 without a lost login")  # pyright: ignore


def answers_are_those_given(seen: Seen) -> None:
    """What a chunk answered is what the runner gave for it, and no text of a failure."""
    given = {each.outcome.text for each in seen.runner.spans if isinstance(each.outcome, Reply)}
    for chunk_id, text in seen.answers.items():
        end = text.rsplit("\n", 1)[-1]
        ours = text in given or any(end and reply.endswith(end) for reply in given)
        require(ours or chunk_id in seen.split, f"{chunk_id} has an answer that nobody gave")


def money_adds_up(seen: Seen) -> None:
    """What a run says it cost is at least what its attempts told."""
    last = seen.events[-1]
    assert isinstance(last, RunFinished)
    told = seen.spent_usd(before_s=float("inf"), stored_only=True)
    require(last.cost_usd >= told - 1e-4, f"${last.cost_usd:.4f} told, ${told:.4f} paid")


AT_START: tuple[Callable[[Seen, Span], None], ...] = (
    never_too_many_at_once,
    references_first,
    finished_never_again,
    attempts_are_bounded,
    waits_are_kept,
    money_is_reserved,
    nothing_after_a_stop,
    pause_outlives_its_process,
)
AT_EVENT: tuple[Callable[[Seen, Event], None], ...] = (
    numbers_have_no_gap,
    stored_before_told,
    one_end_for_each,
    skips_have_a_cause,
    pauses_hold,
    rows_of_failures_stop,
)
AT_QUIET: tuple[Callable[[Seen], None], ...] = (slots_never_idle,)
AT_END: tuple[Callable[[Seen], None], ...] = (
    every_chunk_has_an_end,
    status_follows,
    answers_are_those_given,
    money_adds_up,
)
