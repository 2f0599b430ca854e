"""A process of the CLI that waits for a prompt: started ahead of it, or kept after the last one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.runners.claude_cli.clearing import CLEAR_LINE, HARMLESS, NOTHING_SPENT, Clearing, Spent
from orchestrator.runners.claude_cli.framing import LineFramer
from orchestrator.runners.claude_cli.parsing import parse_line
from orchestrator.runners.claude_cli.process import ChildProcess, Timing
from orchestrator.runners.claude_cli.watchdog import Watchdog

Hear = Callable[[Sequence[bytes]], None]
"""Called whenever output came, with the lines that it completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All that a process of the CLI is started with; those with an equal one can stand in for each other."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = field(repr=False)
    folder: Path

    @classmethod
    def of(cls, command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Launch:
        """The launch of this command in this folder with exactly this environment."""
        return cls(command=tuple(command), environment=tuple(sorted(environment.items())), folder=folder)


@dataclass(slots=True)
class Starts:
    """How many processes of one runner are starting at this moment; they slow each other down."""

    count: int = 0


class Worker:
    """One process and its state. `begin` starts it, `ready` says whether it may be given a prompt; whoever makes one
    awaits `end`.

    `turns` counts the prompts it was given. `spent` is what it told to have spent before the next one.
    """

    def __init__(self, launch: Launch, *, watchdog: Watchdog, timing: Timing, starts: Starts) -> None:
        self.launch = launch
        self.turns = 0
        self.spent: Spent = NOTHING_SPENT
        self.idle_since = time.monotonic()
        self._watchdog = watchdog
        self._timing = timing
        self._starts = starts
        self._starting = False
        self._framer = LineFramer()
        self._hear: Hear = self._between
        self._clearing: Clearing | None = None
        self._spoiled = False
        self._child: ChildProcess | None = None
        self._getting_ready: asyncio.Task[bool] | None = None

    @property
    def child(self) -> ChildProcess:
        """The process. Raises `RuntimeError` before it is there."""
        if self._child is None:
            raise RuntimeError("the process has not begun; await ready() first")
        return self._child

    def begin(self) -> None:
        """Start the process; `ready` waits for it."""
        self._starts.count += 1
        self._starting = True
        self._getting_ready = asyncio.create_task(self._start())

    def clear(self) -> None:
        """Have it begin a clean conversation after a prompt that went well; `ready` waits for the sign of it."""
        self._clearing = Clearing()
        self._hear = self._between
        self.idle_since = time.monotonic()
        self._getting_ready = asyncio.create_task(self._reset(self._clearing))

    async def ready(self) -> bool:
        """Whether it can take a prompt, as soon as that is known. Raises `OSError` when it could not be started."""
        task = self._getting_ready
        if task is None:
            return False
        await asyncio.wait([task])
        if task.cancelled():
            return False
        return task.result() and not self._spoiled and self.child.exited_at is None

    @property
    def unclean(self) -> bool:
        """Whether it was to begin a clean conversation and gave no sign that it did, or said what nobody asked for."""
        task = self._getting_ready
        if self._clearing is None or task is None or not task.done() or task.cancelled():
            return False
        return self._spoiled or not task.result()

    def ask(self, data: bytes, *, last: bool, hear: Hear) -> ChildProcess:
        """Write one prompt; from now on `hear` gets the output. With `last` the process ends after its answer."""
        self.turns += 1
        self._hear = hear
        self.child.write(data, last=last)
        return self.child

    def finish_output(self) -> bool:
        """Whether the output stopped inside a line; asked once, when there is no more of it."""
        return self._framer.finish() is not None

    async def end(self) -> None:
        """End the process and all it started. May be called more than once; cancelling shortens the grace alone."""
        task = self._getting_ready
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        try:
            if self._child is not None:
                await self._child.end()
        finally:
            self.started()

    def started(self) -> None:
        """It has shown a sign of life, or is gone: it slows nobody down any more."""
        if self._starting:
            self._starting = False
            self._starts.count -= 1

    async def _start(self) -> bool:
        self._child = await ChildProcess.start(
            self.launch.command,
            environment=dict(self.launch.environment),
            folder=self.launch.folder,
            on_output=self._on_output,
            watchdog=self._watchdog,
            timing=self._timing,
        )
        return True

    async def _reset(self, clearing: Clearing) -> bool:
        child = self.child
        child.write(CLEAR_LINE, last=False)
        deadline = time.monotonic() + self._timing.reset_s
        while not clearing.over and child.exited_at is None:
            child.changed.clear()
            try:
                await asyncio.wait_for(child.changed.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return False
        self.spent = clearing.spent
        return clearing.clean

    def _on_output(self, data: bytes) -> None:
        self._hear(self._framer.feed(data))

    def _between(self, lines: Sequence[bytes]) -> None:
        """Between two prompts nothing of an answer may come."""
        for line in lines:
            message = parse_line(line)
            if self._clearing is not None and not self._clearing.over:
                self._clearing.add(message)
                if self._clearing.over:
                    self.child.changed.set()
            elif not isinstance(message, HARMLESS):
                self._spoiled = True
