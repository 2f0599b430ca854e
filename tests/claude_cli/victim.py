"""A program to be killed: it opens a runner and makes attempts at once. Arguments: CLAUDE COUNT.

Prints `ready` before it starts anything, and `open` once the runner is open. With a COUNT of 0 it keeps one process
after an answer and starts another ahead, prints `waiting` and does nothing more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner
from tests.claude_cli.attempts import request


async def main(claude: Path, count: int) -> None:
    runner = ClaudeCliRunner(claude=claude, environment=dict(os.environ), timing=Timing())
    await runner.open()
    print("open", flush=True)
    if not count:
        await runner.run(request(isolation="reuse"), on_progress=lambda _: None)
        runner.expect([request(prompt=""), request(prompt="", context="Another.")])
        await asyncio.sleep(0.5)
        print("waiting", flush=True)
        await asyncio.sleep(3600)
    requests = [request(timeout_s=600.0) for _ in range(count)]
    await asyncio.gather(*(runner.run(each, on_progress=lambda _: None) for each in requests))


if __name__ == "__main__":
    print("ready", flush=True)
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
