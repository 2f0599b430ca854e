"""What the tests of the runner share: one attempt, made and awaited."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.runners.base import Failure, OnProgress, Reply, Request
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner

QUICK = Timing(start_s=20.0, exit_s=0.3, grace_s=0.5, probe_s=20.0)
"""Short waits where a test makes us wait on purpose; long ones where only a busy machine does."""

DEFAULTS: dict[str, Any] = {
    "chunk_id": "part",
    "attempt": 1,
    "prompt": "Say something.",
    "context": "Be brief.",
    "model": None,
    "fallback_model": None,
    "effort": None,
    "timeout_s": 20.0,
}


def request(**settings: Any) -> Request:
    """A request with the defaults above."""
    return Request(**{**DEFAULTS, **settings})


def attempt(
    claude: Path,
    environment: Mapping[str, str],
    *,
    timing: Timing = QUICK,
    on_progress: OnProgress = lambda _: None,
    **settings: Any,
) -> Reply | Failure:
    """Open a runner, make one attempt, close it."""

    async def main() -> Reply | Failure:
        runner = ClaudeCliRunner(claude=claude, environment=environment, timing=timing)
        await runner.open()
        try:
            return await runner.run(request(**settings), on_progress=on_progress)
        finally:
            await runner.close()

    return asyncio.run(main())


def runs(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self").exists():
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def eventually(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True
