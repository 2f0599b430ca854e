"""One child process: started so that it cannot outlive us, drained, and ended for certain.

asyncio's own streams are not used: `readline()` fails past 64 KiB, and a task for each read costs more than the
parsing. Bytes go straight to a callback.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from orchestrator.runners.claude_cli.command import START_LINE, shimmed
from orchestrator.runners.claude_cli.watchdog import Watchdog

STDERR_TAIL_BYTES = 4_000
"""Kept of stderr: enough for a message and a short trace."""

GROUP_POLL_S = 0.02
"""How often we look whether a process group is gone; there is nothing to wait on for grandchildren."""

PROC = Path("/proc")

DRAIN_S = 1.0
"""How long the last output of an ended group is waited for; longer only if a process that left the group holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long we wait for a process, in seconds. Tests shrink these; `timeout_s` of a request is apart.

    `start_s` is for the first line of output, for up to `starts_at_once` processes that start together, and in
    proportion for more: 16 starting at once on 2 cores took up to 19 s (2.1.328). `extension` bounds an attempt whose
    text keeps arriving, as a multiple of its `timeout_s`. After a result the process gets `exit_s` to exit (some
    versions never do [public issues 25629, 66968]). `grace_s` lies between SIGTERM and SIGKILL, and again bounds the
    wait after SIGKILL. `probe_s` bounds each question to the CLI about itself. `reset_s` bounds the wait for a clean
    conversation between two prompts (0.02 s in 2.1.332); a process that nobody is expected to need is ended after
    `linger_s`. What it holds in memory is looked at every `memory_s`.
    """

    start_s: float = 60.0
    starts_at_once: int = 8
    extension: float = 3.0
    exit_s: float = 5.0
    grace_s: float = 5.0
    probe_s: float = 20.0
    reset_s: float = 5.0
    linger_s: float = 5.0
    memory_s: float = 1.0


class ChildProcess(asyncio.SubprocessProtocol):
    """A running command in a session of its own. Make one with `start`; whoever starts it has to await `end`.

    `on_output` receives stdout as it comes. `changed` is set when the input is written, a stream ended, or the process
    exited; `written_at` (None while something waits to be written) and `exited_at` are of `time.monotonic()`.
    """

    def __init__(self, *, on_output: Callable[[bytes], None], watchdog: Watchdog, timing: Timing) -> None:
        self._on_output = on_output
        self._watchdog = watchdog
        self._timing = timing
        self._transport: asyncio.SubprocessTransport | None = None
        self._stderr = b""
        self._ended = False
        self._over = asyncio.Event()
        self.changed = asyncio.Event()
        self.pid = 0
        self.written_at: float | None = None
        self.exited_at: float | None = None

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        on_output: Callable[[bytes], None],
        watchdog: Watchdog,
        timing: Timing,
    ) -> ChildProcess:
        """Run `command` in `folder`; its stdin waits for `write`. Raises `OSError` when it cannot start.

        When this is cancelled or fails, nothing is left running: asyncio ends the shim, and the command itself only
        begins with the line that is written last.
        """
        watchdog.ensure()
        child = cls(on_output=on_output, watchdog=watchdog, timing=timing)
        await asyncio.get_running_loop().subprocess_exec(
            lambda: child, *shimmed(command), cwd=folder, env=environment, start_new_session=True
        )
        try:
            watchdog.register(child.pid)
        except OSError:
            await child.end()
            raise
        child._begin()
        return child

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process runs; its pid is also its group and its session."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    def _begin(self) -> None:
        pipe = self._input()
        if pipe is not None:
            pipe.set_write_buffer_limits(high=0)
            pipe.write(START_LINE)

    def write(self, data: bytes, *, last: bool) -> None:
        """Write without waiting: what does not fit into the pipe goes out while the output is read.

        With `last` the input is closed after it.
        """
        self.written_at = None
        pipe = self._input()
        if pipe is None:
            return
        pipe.write(data)
        if last:
            pipe.write_eof()
        elif not pipe.get_write_buffer_size():
            self.resume_writing()

    def resume_writing(self) -> None:
        """All that was given to `write` is out."""
        self.written_at = time.monotonic()
        self.changed.set()

    def _input(self) -> asyncio.WriteTransport | None:
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        return cast("asyncio.WriteTransport | None", pipe)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Stdout goes on, of stderr a tail is kept."""
        if fd == 1:
            self._on_output(data)
        else:
            self._stderr = (self._stderr + data)[-STDERR_TAIL_BYTES:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Stdin is closed once all is written, or when the process closed its side."""
        if fd == 0:
            self.resume_writing()
        self.changed.set()

    def process_exited(self) -> None:
        """The leader of the group is reaped; others of the group may still run."""
        self.exited_at = time.monotonic()
        self.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything about the process is over."""
        self._over.set()
        self.changed.set()

    @property
    def finished(self) -> bool:
        """Whether the process exited and all its output was read; something it left behind may hold that open."""
        return self._over.is_set()

    async def wait_exited(self) -> None:
        """Return when the process has exited."""
        while self.exited_at is None:
            self.changed.clear()
            await self.changed.wait()

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it runs."""
        return self._transport.get_returncode() if self._transport else None

    @property
    def stderr_tail(self) -> str:
        """The last `STDERR_TAIL_BYTES` of stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    def kill(self) -> None:
        """SIGKILL to the whole group, at once."""
        self._signal(signal.SIGKILL)

    async def end(self) -> None:
        """End the group, whoever is still in it: SIGTERM, grace, SIGKILL, and a bounded wait. Returns when it is gone.

        Cancelling this shortens the grace to nothing, and nothing else. May be called more than once.
        """
        ending = asyncio.ensure_future(self._end())
        cancelled = False
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                cancelled = True
                self.kill()
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _end(self) -> None:
        if self._ended:
            return
        if self._signal(signal.SIGTERM) and not await self._gone(self._timing.grace_s):
            self._signal(signal.SIGKILL)
            await self._gone(self._timing.grace_s)
        await self._wait_over(DRAIN_S)
        if self._transport is not None:
            self._transport.close()
        await self._wait_over(self._timing.grace_s)
        self._ended = True
        self._watchdog.unregister(self.pid)

    async def _wait_over(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    async def _gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._signal(0) and has_living_members(self.pid):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(GROUP_POLL_S)
        return True

    def _signal(self, number: int) -> bool:
        """Send a signal to the group; whether anybody was there. A number of 0 only asks."""
        if self._ended or self.pid <= 1:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def has_living_members(group: int) -> bool:
    """Whether a process group that can still be signalled holds more than dead processes waiting to be reaped.

    Orphans are reaped by process 1, which in a container may take its time or never do it. Without `/proc`, as on
    macOS, every group that can be signalled counts as living.
    """
    if not PROC.exists():
        return True
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            # The name in parentheses may hold anything; state, parent and group follow the last one.
            state, _, its_group = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in {"Z", "X"}:
                return True
    return False
