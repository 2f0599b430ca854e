"""The processes that wait for a prompt: started while others answer, or kept after an answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from orchestrator.runners.base import Failure, FailureClass, Reply
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.watchdog import Watchdog
from orchestrator.runners.claude_cli.worker import Launch, Starts, Worker

OUT_OF_STEP = {FailureClass.PROTOCOL, FailureClass.START_TIMEOUT}
"""Failures of a later prompt that say that the CLI does not take several as we think it does."""


class WorkerPool:
    """Gives out processes and takes them back. `close` in the end; every process given out is given back before.

    A process waits only for a prompt with its own launch: command, environment and folder. Those that nobody is
    expected to need are ended after `Timing.linger_s`.
    """

    def __init__(self, *, watchdog: Watchdog, timing: Timing, starts: Starts) -> None:
        self.keeps = True
        """Whether processes are kept after an answer; false once one of them could not begin a clean conversation."""
        self._watchdog = watchdog
        self._timing = timing
        self._starts = starts
        self._waiting: list[Worker] = []
        self._taking: set[Worker] = set()
        self._answering: Counter[Launch] = Counter()
        self._expected: Counter[Launch] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None
        self._closed = False

    def expect(self, launches: Sequence[Launch]) -> None:
        """Have processes ready for prompts with these launches, which come next; replaces what was expected before.

        None is started where one that is kept will be free by then.
        """
        self._expected = Counter(launches)
        self._start_ahead()
        self._tidy()

    def _start_ahead(self) -> None:
        if self._closed:
            return
        for launch, count in self._expected.items():
            there = sum(worker.launch == launch for worker in self._waiting)
            for _ in range(0 if self._answering[launch] else count - there):
                worker = self._new(launch)
                worker.begin()
                self._waiting.append(worker)

    async def take(self, launch: Launch, *, keep: bool) -> Worker | None:
        """A process for one prompt; a new one when none waits. None when the pool is closed meanwhile.

        With `keep` it is one that may be kept afterwards and may have answered before. Raises `OSError` when it cannot
        be started.
        """
        while not self._closed:
            worker = self._pick(launch, used=keep and self.keeps)
            cold = worker is None
            if worker is None:
                worker = self._new(launch)
                worker.begin()
            if await self._is_ready(worker, cold=cold):
                if keep:
                    self._answering[launch] += 1
                self._start_ahead()
                return worker
        return None

    async def give_back(self, worker: Worker, *, keep: bool, outcome: Reply | Failure | None) -> None:
        """Take a process back after `outcome`. It goes on only with `keep`, as for `take`, and after a reply."""
        if keep:
            self._answering[worker.launch] -= 1
        if isinstance(outcome, Failure) and outcome.error_type in OUT_OF_STEP and worker.turns > 1:
            self.keeps = False
        if keep and isinstance(outcome, Reply) and self.keeps and not self._closed:
            worker.clear()
            self._waiting.append(worker)
            self._tidy()
        else:
            await worker.end()

    async def close(self) -> None:
        """End every process that waits, within some seconds. May be called more than once."""
        self._closed = True
        if self._tidying is not None:
            self._tidying.cancel()
        waiting, self._waiting = self._waiting, []
        for worker in (*waiting, *self._taking):
            self._do(worker.end())
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _new(self, launch: Launch) -> Worker:
        return Worker(launch, watchdog=self._watchdog, timing=self._timing, starts=self._starts)

    def _pick(self, launch: Launch, *, used: bool) -> Worker | None:
        """The waiting process to give out: one that has answered before if that may be, else the oldest."""
        fitting = [each for each in self._waiting if each.launch == launch and (used or not each.turns)]
        if not fitting:
            return None
        worker = next((each for each in fitting if each.turns), fitting[0])
        self._waiting.remove(worker)
        return worker

    async def _is_ready(self, worker: Worker, *, cold: bool) -> bool:
        """Whether it can take a prompt; else it is ended. What was to be kept and cannot shows that none can."""
        self._taking.add(worker)
        ready = False
        try:
            ready = await worker.ready()
        except OSError:
            if cold:
                raise
        finally:
            self._taking.discard(worker)
            if not ready:
                self.keeps = self.keeps and not worker.unclean
                await worker.end()
        return ready

    def _tidy(self) -> None:
        """End what is not needed; look again when the next one may be."""
        now = time.monotonic()
        left_s: list[float] = []
        for worker in tuple(self._waiting):
            if worker.launch in self._expected and (self.keeps or not worker.turns):
                continue
            lingers_s = worker.idle_since + self._timing.linger_s - now
            if lingers_s > 0:
                left_s.append(lingers_s)
            else:
                self._waiting.remove(worker)
                self._do(worker.end())
        if self._tidying is not None:
            self._tidying.cancel()
        self._tidying = asyncio.get_running_loop().call_later(min(left_s), self._tidy) if left_s else None

    def _do(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
