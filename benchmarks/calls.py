"""Ways to make many calls of the real CLI, so many at once: ours, and those that somebody would otherwise type.

Each takes the prompts, a folder to work in, the CLI and its environment, and returns when all are answered. Text is
what the answers are wanted for: a way that gives none is no way.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAN = ("--tools", "", "--setting-sources", "", "--strict-mcp-config", "--no-session-persistence")
"""Flags that keep the request small; few loops have them."""

Way = Callable[[Sequence[str], Path, Path, dict[str, str], int], None]


def xargs(prompts: Sequence[str], folder: Path, claude: Path, environment: dict[str, str], at_once: int) -> None:
    """`xargs -P 4 claude -p`, one prompt a line."""
    _xargs(prompts, folder, environment, at_once, [str(claude), "-p"])


def xargs_lean(prompts: Sequence[str], folder: Path, claude: Path, environment: dict[str, str], at_once: int) -> None:
    """The same with lean flags."""
    _xargs(prompts, folder, environment, at_once, [str(claude), "-p", *LEAN])


def _xargs(prompts: Sequence[str], folder: Path, environment: dict[str, str], at_once: int, words: list[str]) -> None:
    command = ["xargs", "-d", "\n", "-n", "1", "-P", str(at_once), *words]
    # What xargs puts behind the last word is the prompt: it has to follow an option that takes a word.
    command += ["--"] if words[-1] == "" else []
    done = subprocess.run(
        command, input="\n".join(prompts), cwd=folder, env=environment, text=True, capture_output=True
    )
    if done.returncode or len(done.stdout.splitlines()) < len(prompts):
        raise RuntimeError(f"xargs: {done.returncode} {done.stderr[-500:]}")


def asyncio_loop(prompts: Sequence[str], folder: Path, claude: Path, environment: dict[str, str], at_once: int) -> None:
    """A loop over processes by hand, with a semaphore and lean flags."""

    async def run() -> None:
        slots = asyncio.Semaphore(at_once)

        async def one(prompt: str) -> None:
            async with slots:
                process = await asyncio.create_subprocess_exec(
                    claude,
                    "-p",
                    *LEAN,
                    cwd=folder,
                    env=environment,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                )
                out, _ = await process.communicate(prompt.encode())
                if process.returncode or not out:
                    raise RuntimeError(f"claude ended with {process.returncode}")

        await asyncio.gather(*map(one, prompts))

    asyncio.run(run())


def agent_sdk(prompts: Sequence[str], folder: Path, claude: Path, environment: dict[str, str], at_once: int) -> None:
    """`query()` of claude-agent-sdk under a semaphore, without tools and settings."""
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    options = ClaudeAgentOptions(
        cli_path=str(claude), cwd=str(folder), env=environment, tools=[], setting_sources=[], max_turns=1
    )

    async def run() -> None:
        slots = asyncio.Semaphore(at_once)

        async def one(prompt: str) -> None:
            async with slots:
                async for message in query(prompt=prompt, options=options):
                    if isinstance(message, ResultMessage) and (message.is_error or not message.result):
                        raise RuntimeError(f"no answer: {message}")

        await asyncio.gather(*map(one, prompts))

    asyncio.run(run())


def orchestrate_fresh(
    prompts: Sequence[str], folder: Path, claude: Path, environment: dict[str, str], at_once: int
) -> None:
    """`orchestrate plan.yaml`, as it comes."""
    _orchestrate(prompts, folder, claude, environment, at_once, isolation="fresh")


def orchestrate_reuse(
    prompts: Sequence[str], folder: Path, claude: Path, environment: dict[str, str], at_once: int
) -> None:
    """`orchestrate plan.yaml` with `isolation: reuse`."""
    _orchestrate(prompts, folder, claude, environment, at_once, isolation="reuse")


def _orchestrate(
    prompts: Sequence[str], folder: Path, claude: Path, environment: dict[str, str], at_once: int, *, isolation: str
) -> None:
    plan = {
        **({} if isolation == "fresh" else {"isolation": isolation}),
        "chunks": [{"id": "part", "for_each": list(prompts), "prompt": "{{ item.text }}"}],
        "limits": {"max_concurrency": at_once},
    }
    (folder / "plan.yaml").write_text(json.dumps(plan), encoding="utf-8")
    words = ["plan.yaml", "--yes", "--fresh", "--force", "--progress", "quiet", "--claude", str(claude)]
    command = [sys.executable, "-m", "orchestrator", *words]
    done = subprocess.run(
        command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"orchestrate: {done.returncode} {done.stderr[-500:]}")


WAYS: dict[str, Way] = {
    "`xargs -P 4 claude -p`": xargs,
    "the same, lean flags": xargs_lean,
    "asyncio over processes, lean flags": asyncio_loop,
    "claude-agent-sdk `query()`": agent_sdk,
    "orchestrate": orchestrate_fresh,
    "orchestrate, `isolation: reuse`": orchestrate_reuse,
}
