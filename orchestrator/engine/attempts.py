"""The attempts under way: each is a task of the event loop whose end comes through the mailbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from orchestrator.engine.clock import Clock
from orchestrator.engine.journal import Journal
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.patience import CallBounds
from orchestrator.engine.render import chunk_context
from orchestrator.engine.reviewing.judging import source_of
from orchestrator.events import ChunkProgressed
from orchestrator.plan.workload import Chunk
from orchestrator.redaction import LOOKS_ALONE
from orchestrator.runners.base import Failure, FailureClass, Reply, Request, Runner

PROGRESS_INTERVAL_S = 0.5
"""At most one progress event for a chunk in this time: the eye needs no more."""

ASKED_AGAIN_S = 0.05
"""Between two requests to end at once."""

Outcome = Reply | Failure
OnEnded = Callable[[Request, Outcome, float], None]
"""Called with the request, how it ended, and the seconds that it took."""
Judge = Callable[[str, Reply], Outcome]
"""What becomes of a reply to the chunk of this id, once it is looked at. Called in a thread of its own."""


@dataclass(slots=True)
class Tries:
    """The attempts of one chunk: `number` counts all that began, `used` those that count against its maximum."""

    number: int = 0
    used: int = 0
    throttled_waits: int = 0
    timeouts: int = 0
    started_s: float = 0.0
    told_s: float = 0.0


class Attempts:
    """Starts attempts and reports their ends. `of` has the tries of every chunk that was ever started.

    Each of `on_answering` is called with the chunk's id whenever text of its answer arrives, `judge` with the answer.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        journal: Journal,
        mailbox: Mailbox,
        clock: Clock,
        judge: Judge,
        bounds: CallBounds,
        on_answering: Sequence[Callable[[str], None]],
        on_ended: OnEnded,
    ) -> None:
        self.of: dict[str, Tries] = {}
        self._runner = runner
        self._journal = journal
        self._mailbox = mailbox
        self._clock = clock
        self._judge = judge
        self._bounds = bounds
        self._on_answering = on_answering
        self._on_ended = on_ended
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def start(self, chunk: Chunk, *, account: str, prompt: str, context: str, earlier: int) -> Request:
        """Begin the chunk's next attempt; after each timeout it gets twice the time.

        `context` is what all chunks share; `account` pays; `earlier` attempts were made by processes before
        this one.
        """
        tries = self.of.setdefault(chunk.id, Tries(number=earlier))
        tries.number += 1
        tries.used += 1
        tries.started_s = self._clock.monotonic_s()
        patience = self._bounds.patience(chunk, timeouts=tries.timeouts)
        request = replace(
            request_for(chunk, prompt=prompt, context=context, account=account),
            attempt=tries.number,
            timeout_s=patience.timeout_s,
            silence_s=patience.silence_s,
            timeout_from=patience.timeout_from,
            silence_from=patience.silence_from,
            max_memory_mb=self._bounds.max_memory_mb,
        )
        task = asyncio.create_task(self._attempt(request), name=f"orchestrate {chunk.id}")
        self._under_way[chunk.id] = task
        # Not `pop` by id alone: the next attempt of the chunk may have begun by then.
        task.add_done_callback(partial(self._over, chunk.id))
        return request

    def running_s(self) -> dict[str, float]:
        """The chunks with an attempt under way, and for how many seconds."""
        now = self._clock.monotonic_s()
        return {chunk_id: round(now - self.of[chunk_id].started_s, 1) for chunk_id in self._under_way}

    def cancel(self, *, at_once: bool = False) -> list[asyncio.Task[None]]:
        """Ask all that is under way to end; the tasks to wait for. Asked a second time they end without any grace.

        With `at_once` it goes on asking: two cancellations that come in one turn of the event loop are only one.
        """
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if at_once and tasks:
            asyncio.get_running_loop().call_later(ASKED_AGAIN_S, partial(self.cancel, at_once=True))
        return tasks

    def _over(self, chunk_id: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(chunk_id) is task:
            del self._under_way[chunk_id]

    async def _attempt(self, request: Request) -> None:
        try:
            outcome = await self._runner.run(request, on_progress=partial(self._progressed, request.chunk_id))
        except asyncio.CancelledError:
            outcome = Failure(error_type=FailureClass.CANCELLED, message="ended on request")
        except Exception as error:
            # A runner promises not to raise. This is a defect: it ends the run where the mailbox is read.
            self._mailbox.post(partial(_raise, error))
            return
        elapsed_s = self._clock.monotonic_s() - self.of[request.chunk_id].started_s
        if isinstance(outcome, Reply):
            outcome = await self._judged(request, outcome)
        if isinstance(outcome, Failure):
            outcome = _without_secrets(outcome)
        self._mailbox.post(partial(self._on_ended, request, outcome, elapsed_s))

    async def _judged(self, request: Request, reply: Reply) -> Outcome:
        """A pattern of the plan may take seconds: they are not the event loop's. What is paid for is judged to the end
        though the attempt be cancelled meanwhile.
        """
        if request.output_schema is None and not request.expect:
            return self._judge(request.chunk_id, reply)
        judging = asyncio.ensure_future(asyncio.to_thread(self._judge, request.chunk_id, reply))
        while not judging.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({judging})
        return judging.result()

    def _progressed(self, chunk_id: str, output_chars: int) -> None:
        for each in self._on_answering:
            each(chunk_id)
        tries = self.of[chunk_id]
        now = self._clock.monotonic_s()
        if now - tries.told_s >= PROGRESS_INTERVAL_S:
            tries.told_s = now
            self._journal.append(ChunkProgressed, chunk_id=chunk_id, output_chars=output_chars)


def request_for(chunk: Chunk, *, prompt: str, context: str, account: str) -> Request:
    """What a runner is asked for a chunk, in its first attempt. `context` is what all chunks share."""
    return Request(
        chunk_id=chunk.id,
        attempt=1,
        prompt=prompt,
        context=chunk_context(chunk, context),
        account=account,
        model=chunk.model,
        fallback_model=chunk.fallback_model,
        effort=chunk.effort,
        timeout_s=chunk.timeout_s,
        output_schema=chunk.output_schema,
        record_key=chunk.form.key if chunk.form is not None else "",
        rows=chunk.form.rows if chunk.form is not None else (),
        expect=chunk.expect.model_dump(exclude_defaults=True) if chunk.expect is not None else {},
        source=source_of(chunk),
        tools=chunk.tooling.tools if chunk.tooling is not None else (),
        workdir=chunk.tooling.folder if chunk.tooling is not None else None,
        isolation=chunk.isolation,
    )


def _without_secrets(failure: Failure) -> Failure:
    """Whoever the runner is: what is stored and told of a failure holds nothing that looks like a key."""
    evidence = cast("Mapping[str, object]", LOOKS_ALONE.value(failure.evidence))
    return replace(failure, message=LOOKS_ALONE.text(failure.message), evidence=evidence)


def _raise(error: Exception) -> None:
    raise error
