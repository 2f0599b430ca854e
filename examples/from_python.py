"""The same from Python: a plan as a dict, events as they come, the outcome of each chunk. Run it from any folder.

.venv/bin/python examples/from_python.py
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator import RunResult, SimulatedRunner, astream_plan, event_to_json, resume_run, run_plan
from orchestrator.events import ChunkSucceeded, Event, RunEstimated

PLAN = {
    "name": "postcards",
    "context": "Two sentences, plain words.",
    "inputs": {"city": {"required": True}},
    "chunks": [
        {"id": "morning", "prompt": "A postcard about a morning in {{ inputs.city }}."},
        {"id": "evening", "prompt": "A postcard about an evening in {{ inputs.city }}."},
        {"id": "both", "prompt": "One postcard from these two:\n{{ chunks.morning }}\n{{ chunks.evening }}"},
    ],
}


def watch(event: Event) -> None:
    """Called with each event once it is stored."""
    if isinstance(event, RunEstimated):
        print(f"{event.calls} calls, up to ${event.cost_usd_high:.2f}; paid by {event.login}")
    elif isinstance(event, ChunkSucceeded):
        print(f"{event.chunk_id}: {event.elapsed_s:.1f} s, {event.output_tokens} tokens")


def blocking() -> RunResult:
    """Leave `runner` out to call the real CLI."""
    runner = SimulatedRunner(speed=10)
    return run_plan(
        PLAN, inputs={"city": "Porto"}, runner=runner, on_event=watch, output=Path("postcard.md"), force=True
    )


async def streaming() -> None:
    """Every answer is known by now, so this run pays nothing."""
    async for event in astream_plan(PLAN, inputs={"city": "Porto"}, runner=SimulatedRunner()):
        print(event_to_json(event)[:100])


def main() -> None:
    """Run it three ways."""
    result = blocking().raise_for_failure()
    for chunk in result.chunks.values():
        print(f"{chunk.id}: {chunk.status}, {chunk.reason}")
    asyncio.run(streaming())
    again = resume_run(result.run_id, runner=SimulatedRunner(), force=True)
    assert again.text == result.text


if __name__ == "__main__":
    main()
