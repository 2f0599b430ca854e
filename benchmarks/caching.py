"""What forty chunks that share a long text cost, against a shell loop that puts the text into every prompt.

The real CLI against a stand-in API that keeps prompts as the real one does. Prints a Markdown table.
`benchmarks/README.md` says how to run it and what the rows mean.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from machine import described

from orchestrator import run_plan
from orchestrator.plan.prices import MILLION, price_table
from orchestrator.runners.base import Usage
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner
from tests.equipment.fixtures import bundled_claude, cli_environment
from tests.equipment.prompt_cache import PromptCache
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer

MODEL = "sonnet"
AT_ONCE = 4


def shared_text(tokens: int) -> str:
    """A handbook of about so many tokens, as the stand-in API counts."""
    line = "Rule {number}: a change is reviewed by somebody who did not write it, before it goes out.\n"
    lines = (line.format(number=number) for number in range(tokens))
    text = ""
    for each in lines:
        if len(text) >= 4 * tokens:
            break
        text += each
    return text


def prompt_of(number: int) -> str:
    """What one chunk asks."""
    return f"Write section {number} of the guide by these rules."


def ours(folder: Path, claude: Path, environment: dict[str, str], text: str, count: int, *, isolation: str) -> None:
    """One plan whose `context` is the text."""
    plan = {
        "model": MODEL,
        "context": text,
        "isolation": isolation,
        "chunks": [{"id": "part", "for_each": list(map(prompt_of, range(count))), "prompt": "{{ item.text }}"}],
        "limits": {"max_concurrency": AT_ONCE},
    }
    runner = ClaudeCliRunner(claude=claude, environment=environment)
    run_plan(plan, runner=runner, store=folder / f"{isolation}.db", base_dir=folder).raise_for_failure()


def shell_loop(
    folder: Path, claude: Path, environment: dict[str, str], text: str, count: int, *, flags: Sequence[str]
) -> None:
    """What `xargs -P 4` does: text and question together through stdin, one process each."""

    def call(number: int) -> None:
        subprocess.run(
            [claude, "-p", "--model", MODEL, *flags],
            input=f"{text}\n{prompt_of(number)}",
            cwd=folder,
            env=environment,
            text=True,
            capture_output=True,
            check=True,
        )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(call, range(count)))


def respond(request: ApiRequest, *, delay_s: float) -> ApiResponse:
    """An answer whose first byte takes its time, as a real one does."""
    return answer(f"Section for {len(request.prompt)} characters.", delay_s=delay_s)


def input_usage(work: Callable[[dict[str, str]], None], folder: Path, *, delay_s: float) -> Usage:
    """The input tokens of all requests that `work` makes through the CLI."""
    seen: list[ApiResponse] = []
    cache = PromptCache(partial(respond, delay_s=delay_s))

    def noted(request: ApiRequest) -> ApiResponse:
        seen.append(cache(request))
        return seen[-1]

    with StandInApi(noted) as api:
        work(cli_environment(api, folder))
    return Usage(
        input_tokens=sum(each.input_tokens for each in seen),
        cache_read_tokens=sum(each.cache_read_tokens for each in seen),
        cache_write_tokens=sum(each.cache_write_tokens for each in seen),
    )


def cost_usd(usage: Usage) -> float:
    """What the input costs by the list prices of the model."""
    price = price_table().find(MODEL)
    assert price is not None
    sent = usage.input_tokens * price.input
    return (sent + usage.cache_read_tokens * price.cache_read + usage.cache_write_tokens * price.cache_write) / MILLION


def main() -> int:
    """Each way once: the figures are tokens, not times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=20_000, help="length of the shared text")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds until an answer begins")
    options = parser.parse_args()
    text, claude = shared_text(options.tokens), bundled_claude()
    lean = ("--tools", "", "--setting-sources", "", "--strict-mcp-config", "--no-session-persistence")
    ways = {
        "xargs -P 4 claude -p": partial(shell_loop, flags=()),
        "the same with lean flags": partial(shell_loop, flags=lean),
        "orchestrate": partial(ours, isolation="fresh"),
        "orchestrate, isolation: reuse": partial(ours, isolation="reuse"),
    }
    print(described(), f"· {options.chunks} chunks share {options.tokens:,} tokens, {AT_ONCE} at once\n")
    print("| way | sent | written to the cache | read back | input cost | of the first |")
    print("|---|---:|---:|---:|---:|---:|")
    first = 0.0
    for name, way in ways.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            usage = input_usage(
                lambda environment, way=way, folder=folder: way(folder, claude, environment, text, options.chunks),
                folder,
                delay_s=options.delay,
            )
        cost = cost_usd(usage)
        first = first or cost
        tokens = f"{usage.input_tokens:,} | {usage.cache_write_tokens:,} | {usage.cache_read_tokens:,}"
        print(f"| {name} | {tokens} | ${cost:.2f} | {cost / first:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
