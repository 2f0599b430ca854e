"""One attempt on the real CLI: a prompt given to a process, its output read as it comes, its limits kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from orchestrator.redaction import Redactor
from orchestrator.runners.base import FailureClass, OnProgress, Request
from orchestrator.runners.claude_cli.limits import Limit, Times, limit_of
from orchestrator.runners.claude_cli.memory import MB, Held, MemoryWatch
from orchestrator.runners.claude_cli.parsing import parse_line
from orchestrator.runners.claude_cli.process import ChildProcess, Timing
from orchestrator.runners.claude_cli.transcript import Transcript
from orchestrator.runners.claude_cli.verdict import Ending
from orchestrator.runners.claude_cli.worker import Starts, Worker

LEFT_BEHIND_S = 0.5
"""How long output may stay open after the process exited, before what holds it is ended."""


class Attempt:
    """State of one attempt: what was heard, and when. Make one for each, and await `run` once.

    `on_progress` gets the characters of answer seen so far, `on_answered` is called once, when the model's first sign
    came. Whoever makes one sets `over` when it is done. What is told of errors has gone through `redactor`.
    """

    def __init__(
        self,
        *,
        request: Request,
        timing: Timing,
        starts: Starts,
        memory: MemoryWatch,
        redactor: Redactor,
        on_progress: OnProgress,
        on_answered: Callable[[], None],
    ) -> None:
        self._request = request
        self._timing = timing
        self._starts = starts
        self._starts_peak = 1
        self._on_progress = on_progress
        self._on_answered = on_answered
        self._answered = False
        self._stopped = False
        self._told_chars = 0
        self._times = Times(started=time.monotonic())
        self._result_at: float | None = None
        self._worker: Worker | None = None
        self._child: ChildProcess | None = None
        self._keep = False
        self._memory = memory
        self._held = Held(group=0, limit=(request.max_memory_mb or 0) * MB, on_over=self._wake)
        self._redactor = redactor
        self.transcript = Transcript(redact=redactor.text)
        self.over = asyncio.Event()

    def stop(self) -> None:
        """End the attempt as cancelled. `run` returns as soon as its group is gone."""
        self._stopped = True
        self._wake()

    async def run(self, worker: Worker, data: bytes, *, keep: bool) -> Ending:
        """Give `data` to the process and listen until the answer is over.

        With `keep` the process goes on after a result, so that it can be given another prompt; else its group is gone
        when this returns. Cancelling ends the group and propagates.
        """
        self.transcript = Transcript(redact=self._redactor.text, before=worker.spent)
        self._times.started = time.monotonic()
        self._worker, self._keep = worker, keep
        self._child = child = worker.ask(data, last=not keep, hear=self._hear)
        limit: Limit | None = None
        over = goes_on = False
        self._held.group = child.pid
        self._memory.begin(self._held)
        try:
            limit = await self._listen(child)
            over = child.exited_at is not None
            goes_on = keep and not over and self._result_at is not None
        finally:
            self._memory.end(self._held)
            if not goes_on:
                await worker.end()
        timeout = limit if not over and not self.transcript.results else None
        return Ending(
            exit_code=child.exit_code,
            stderr_tail=self._redactor.tail(child.stderr_tail),
            incomplete=not goes_on and worker.finish_output(),
            ended_by_us=not over,
            timeout=timeout.error_type if timeout else None,
            limit_s=timeout.seconds if timeout else 0.0,
            limit_from=_origin(self._request, timeout),
            held_mb=round(self._held.bytes / MB),
            limit_mb=self._held.limit // MB if timeout and self._held.is_over else 0,
        )

    async def _listen(self, child: ChildProcess) -> Limit | None:
        """Until the process is finished or kept, or a limit is reached, which is returned."""
        while not child.finished and not (self._keep and self._result_at is not None):
            child.changed.clear()
            limit = self._limit(child)
            left = limit.at - time.monotonic()
            if left <= 0:
                return limit
            try:
                await asyncio.wait_for(child.changed.wait(), left)
            except TimeoutError:
                continue
        return None

    def _limit(self, child: ChildProcess) -> Limit:
        timing, times = self._timing, self._times
        times.written = child.written_at
        self._starts_peak = max(self._starts_peak, self._starts.count)
        crowd = max(1.0, self._starts_peak / timing.starts_at_once)
        limit = limit_of(
            times,
            timeout_s=self._request.timeout_s,
            silence_s=self._request.silence_s,
            start_s=timing.start_s * crowd,
            extension=timing.extension,
        )
        if self._stopped:
            return Limit(at=times.started, error_type=FailureClass.CANCELLED, seconds=0.0)
        if self._held.is_over:
            return Limit(at=times.started, error_type=FailureClass.CRASH, seconds=0.0)
        if child.exited_at is not None:
            return Limit(at=child.exited_at + LEFT_BEHIND_S, error_type=limit.error_type, seconds=LEFT_BEHIND_S)
        if self._result_at is not None:
            return Limit(at=self._result_at + timing.exit_s, error_type=limit.error_type, seconds=timing.exit_s)
        return limit

    def _hear(self, lines: Sequence[bytes]) -> None:
        now = time.monotonic()
        self._times.last_output = now
        for line in lines:
            self.transcript.add(parse_line(line))
        if self._times.first_line is None and self.transcript.lines:
            self._times.first_line = now
            if self._worker is not None:
                self._worker.started()
            self._wake()
        if self._result_at is None and self.transcript.results:
            self._result_at = now
            self._wake()
        if not self._answered and self.transcript.answered:
            self._answered = True
            self._on_answered()
        chars = self.transcript.output_chars
        if chars != self._told_chars:
            self._times.last_text = now
            self._told_chars = chars
            self._on_progress(chars)

    def _wake(self) -> None:
        if self._child is not None:
            self._child.changed.set()


def _origin(request: Request, limit: Limit | None) -> str:
    """Where the limit that ended an attempt is from; that of the start is always the same."""
    if limit is None:
        return ""
    named = {FailureClass.SILENCE_TIMEOUT: request.silence_from, FailureClass.WALL_TIMEOUT: request.timeout_from}
    return named.get(limit.error_type, "")
