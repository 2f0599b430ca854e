"""A runner that answers offline and deterministically, with a latency model. For demos, and for users' own tests.

    runner = SimulatedRunner(latency_s=0, answers={"summary": "Short."}, failures={"draft": [refusal]})
    result = run_plan("plan.yaml", runner=runner)

The same prompt gives the same answer in every process; a request with a schema gets the smallest value that fits it.
Nothing leaves the machine and nothing is paid. The cost that it reports is what the tokens would have cost at
`USD_PER_TOKEN_*`; it says "simulated" as its login.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.runners.base import SIMULATED, Failure, OnProgress, Reply, Request, RunnerInfo, Usage
from orchestrator.runners.invented import heed, invent
from orchestrator.runners.smallest import smallest_instance

TOKENS_PER_SECOND = 80.0
"""How fast text arrives, about what a large model writes."""

START_LATENCY_S = 0.6
"""From the start of a process to its first text, as measured with the Claude CLI 2.1.328 and an instant API."""

CHARS_PER_TOKEN = 4.0
USD_PER_TOKEN_IN = 4e-6
USD_PER_TOKEN_OUT = 20e-6

Answer = str | Callable[[Request], "str | Failure"]


class SimulatedRunner:
    """Answers prompts with made-up text.

    latency_s: seconds for every answer; None models them (start latency plus length at `TOKENS_PER_SECOND`).
    speed: modelled latencies are divided by it.
    seed: other seeds give other answers and latencies.
    answers: text for a chunk id, or a function of the request that returns text or a `Failure`.
    failures: for a chunk id the failures of its first attempts, in order; attempts after them are answered.
    """

    kind = SIMULATED

    def __init__(
        self,
        *,
        latency_s: float | None = None,
        speed: float = 1.0,
        seed: int = 0,
        answers: Mapping[str, Answer] | None = None,
        failures: Mapping[str, Sequence[Failure]] | None = None,
    ) -> None:
        self._latency_s = latency_s
        self._speed = speed
        self._seed = seed
        self._answers = dict(answers or {})
        self._failures = {chunk_id: list(each) for chunk_id, each in (failures or {}).items()}
        self.requests: list[Request] = []
        """Every request so far, in order of their start."""

    async def open(self) -> RunnerInfo:
        """Always ready."""
        return RunnerInfo(version="1", login="nobody: the answers are simulated")

    async def close(self) -> None:
        """Nothing to end."""

    async def run(self, request: Request, *, on_progress: OnProgress) -> Reply | Failure:
        """Wait as long as the model says, telling progress, then answer."""
        self.requests.append(request)
        planned = self._failures.get(request.chunk_id)
        if planned:
            await self._wait(START_LATENCY_S)
            return planned.pop(0)
        answer = self._answers.get(request.chunk_id)
        text: str | Failure | None = answer(request) if callable(answer) else answer
        if isinstance(text, Failure):
            await self._wait(START_LATENCY_S)
            return text
        if text is None:
            text = self._compose(request)
        await self._write(text, on_progress)
        usage = Usage(
            input_tokens=round((len(request.prompt) + len(request.context)) / CHARS_PER_TOKEN),
            output_tokens=max(1, round(len(text) / CHARS_PER_TOKEN)),
        )
        return Reply(
            text=text,
            model=request.model or "simulated",
            usage=usage,
            cost_usd=round(usage.input_tokens * USD_PER_TOKEN_IN + usage.output_tokens * USD_PER_TOKEN_OUT, 6),
            session_id=hashlib.sha256(f"{self._seed}{request.prompt}".encode()).hexdigest()[:16],
            login="simulated",
        )

    def _compose(self, request: Request) -> str:
        if request.output_schema is not None:
            return json.dumps(_made_up(request, request.output_schema), separators=(",", ":"))
        chance = random.Random(f"{self._seed}\0{request.context}\0{request.prompt}")
        title = request.chunk_id.replace("_", " ").capitalize()
        return heed(invent(title, chance), request.expect, source=request.source, chance=chance)

    async def _write(self, text: str, on_progress: OnProgress) -> None:
        if self._latency_s is not None:
            await asyncio.sleep(self._latency_s)
            return
        await self._wait(START_LATENCY_S)
        steps = max(1, min(20, len(text) // 200))
        for step in range(1, steps + 1):
            await self._wait(len(text) / CHARS_PER_TOKEN / TOKENS_PER_SECOND / steps)
            on_progress(len(text) * step // steps)

    async def _wait(self, modelled_s: float) -> None:
        await asyncio.sleep(modelled_s / self._speed if self._latency_s is None else self._latency_s)


def _made_up(request: Request, schema: Mapping[str, Any]) -> Any:
    """A value that fits the schema, whose records say which rows they belong to."""
    value = smallest_instance(schema)
    records: list[dict[str, Any]] = value.get("items", [value]) if request.record_key else []
    for record, row in zip(records, request.rows, strict=False):
        is_number = isinstance(record.get(request.record_key), int) and row.isdecimal()
        record[request.record_key] = int(row) if is_number else row
    return value
