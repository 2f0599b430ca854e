"""What goes wrong around a run: a seeded mix of failures, and a runner that answers, fails and hangs by it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.runners.base import Failure, FailureClass, OnProgress, Reply, Request, RunnerInfo, Usage
from tests.simulation.virtual import EPOCH_S, VirtualLoop

PASSING = (
    FailureClass.TRANSIENT,
    FailureClass.THROTTLED,
    FailureClass.EMPTY,
    FailureClass.MALFORMED,
    FailureClass.CRASH,
    FailureClass.PROTOCOL,
    FailureClass.OUTPUT_CEILING,
)
LASTING = (FailureClass.INVALID_REQUEST, FailureClass.REFUSAL, FailureClass.TOO_LONG)
HANGS = (FailureClass.START_TIMEOUT, FailureClass.SILENCE_TIMEOUT, FailureClass.WALL_TIMEOUT)
STOPPING = (FailureClass.AUTH, FailureClass.BILLING, FailureClass.UNKNOWN_MODEL, FailureClass.ENVIRONMENT)


TOLD = ("right", "right", "right", "early", "late", "past", "past", "")
"""How the end of a usage limit is told."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of virtual time; `told` says how its end is told: right, early, late, past, or not at all."""

    start_s: float
    end_s: float
    told: str = "right"


@dataclass(slots=True, kw_only=True)
class Faults:
    """The troubles of one world. Shares are of attempts, between 0 and 1."""

    passing: float = 0.0
    lasting: float = 0.0
    hanging: float = 0.0
    kinds: tuple[FailureClass, ...] = PASSING
    limits: list[Window] = field(default_factory=list[Window])
    storms: list[Window] = field(default_factory=list[Window])
    login_lost: Window | None = None
    login_failure: FailureClass = FailureClass.AUTH
    latency_s: float = 5.0
    slow: float = 0.0
    cost_usd: float = 0.01
    cost_told: bool = True
    salt: str = ""

    @classmethod
    def random(cls, chance: random.Random) -> Faults:
        """A mix: quiet worlds, worlds with one trouble, and worlds with all of them."""
        bad = chance.choice([0.0, 0.5, 1.0, 1.0])

        def share(most: float, likely: float = 0.5) -> float:
            return most * chance.random() * bad if chance.random() < likely else 0.0

        faults = cls(
            passing=share(0.5),
            lasting=share(0.2, 0.4),
            hanging=share(0.1, 0.3),
            kinds=tuple(chance.sample(PASSING, chance.randint(1, len(PASSING)))),
            latency_s=chance.choice([0.0, 0.5, 5.0, 20.0]),
            slow=chance.choice([0.0, 0.1]),
            cost_usd=chance.choice([0.0, 0.01, 0.2]),
            cost_told=chance.random() < 0.8,
            salt=str(chance.random()),
        )
        if bad and chance.random() < 0.25:
            start_s = 0.0
            for _ in range(chance.randint(1, 3)):
                start_s += chance.random() * 200
                end_s = start_s + chance.choice([1.0, 60.0, 600.0, 3600.0]) * chance.random() ** 2
                faults.limits.append(Window(start_s, end_s, chance.choice(TOLD)))
                start_s = end_s
        if bad and chance.random() < 0.2:
            start_s = chance.random() * 100
            faults.storms.append(Window(start_s, start_s + chance.random() * 300))
        if bad and chance.random() < 0.08:
            start_s = chance.random() * 60
            faults.login_lost = Window(start_s, start_s + 500)
            faults.login_failure = chance.choice(STOPPING)
        return faults


@dataclass(slots=True)
class Span:
    """One attempt as the runner saw it, in virtual seconds. `outcome` is None while it goes on."""

    request: Request
    started_s: float
    ended_s: float | None = None
    outcome: Reply | Failure | None = None


class FaultyRunner:
    """Answers as the faults of the world allow. `spans` has every attempt so far, whatever process made it."""

    kind = "faulty"

    def __init__(self, faults: Faults, chance: random.Random) -> None:
        self.faults = faults
        self.spans: list[Span] = []
        self.in_flight: dict[int, Span] = {}
        self.replies: dict[tuple[str, str], list[str]] = {}
        self.loop: VirtualLoop
        self.dead = False
        self.on_start: Callable[[Span], None] = lambda span: None
        self.on_end: Callable[[Span], None] = lambda span: None
        self._chance = chance

    async def open(self) -> RunnerInfo:
        return RunnerInfo(version="1", login="nobody")

    async def close(self) -> None:
        """Nothing to end."""

    async def run(self, request: Request, *, on_progress: OnProgress) -> Reply | Failure:
        if self.dead:
            return Failure(error_type=FailureClass.CANCELLED, message="the process is dead")
        span = Span(request, self.loop.time())
        self.spans.append(span)
        self.in_flight[id(span)] = span
        self.on_start(span)
        try:
            span.outcome = await self._outcome(request, on_progress)
            if isinstance(span.outcome, Reply):
                self.replies.setdefault((request.chunk_id, request.prompt), []).append(span.outcome.text)
        except asyncio.CancelledError:
            if not self.dead and self._chance.random() < 0.3:
                # Ending a child takes its time.
                await asyncio.sleep(self._chance.random() * 10)
            span.outcome = Failure(error_type=FailureClass.CANCELLED, message="ended")
            raise
        finally:
            span.ended_s = self.loop.time()
            self.in_flight.pop(id(span), None)
            if not self.dead:
                self.on_end(span)
        return span.outcome

    async def _outcome(self, request: Request, on_progress: OnProgress) -> Reply | Failure:
        faults, chance, now_s = self.faults, self._chance, self.loop.time()
        lost = faults.login_lost
        if lost is not None and lost.start_s <= now_s < lost.end_s:
            await self._wait(0.5)
            return Failure(error_type=faults.login_failure, message="log in again")
        for limit in faults.limits:
            if limit.start_s <= now_s < limit.end_s:
                await self._wait(0.5)
                return Failure(error_type=FailureClass.USAGE_LIMIT, message="limit", resets_at=self._told(limit))
        if request.prompt.count("text") > 25 and faults.lasting and _roll(faults.salt + request.prompt) < 0.3:
            await self._wait(0.5)
            return Failure(error_type=FailureClass.TOO_LONG, message="too long")
        if any(storm.start_s <= now_s < storm.end_s for storm in faults.storms) and chance.random() < 0.7:
            await self._wait(0.5)
            kind = chance.choice([FailureClass.TRANSIENT, FailureClass.THROTTLED])
            return Failure(error_type=kind, message="overloaded", retry_after_s=chance.choice([None, 3.0, 30.0]))
        if _roll(faults.salt + request.chunk_id) < faults.lasting:
            await self._wait(1.0)
            kind = LASTING[int(_roll(request.chunk_id + faults.salt) * len(LASTING))]
            return Failure(error_type=kind, message=kind.value, cost_usd=faults.cost_usd / 2)
        roll = chance.random()
        if roll < faults.hanging:
            await asyncio.sleep(request.timeout_s)
            return Failure(error_type=chance.choice(HANGS), message="it hung")
        if roll < faults.hanging + faults.passing:
            return await self._pass(request, chance.choice(faults.kinds))
        return await self._answer(request, on_progress)

    async def _pass(self, request: Request, kind: FailureClass) -> Failure:
        await self._wait(self.faults.latency_s)
        partial = f"begun {_digest(request.prompt)}\n" if kind is FailureClass.OUTPUT_CEILING else ""
        cost_usd = self.faults.cost_usd if self.faults.cost_told else 0.0
        return Failure(error_type=kind, message=kind.value, partial_text=partial, cost_usd=cost_usd)

    async def _answer(self, request: Request, on_progress: OnProgress) -> Reply:
        chance, faults = self._chance, self.faults
        latency_s = faults.latency_s * (8 if chance.random() < faults.slow else 1)
        await self._wait(latency_s / 2)
        if chance.random() < 0.2:
            on_progress(5)
        await self._wait(latency_s / 2)
        usage = Usage(input_tokens=50, output_tokens=10) if faults.cost_told else Usage()
        cost_usd = faults.cost_usd * chance.uniform(0.5, 1.5)
        return Reply(text=answer_to(request), model="faulty-1", usage=usage, cost_usd=cost_usd)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._chance.expovariate(1.0))

    def _told(self, limit: Window) -> float | None:
        end_s = EPOCH_S + limit.end_s
        length_s = limit.end_s - limit.start_s
        told = {"right": end_s, "early": end_s - length_s / 2, "late": end_s + length_s / 2, "past": EPOCH_S - 5}
        return told.get(limit.told)


def answer_to(request: Request) -> str:
    """The answer to a prompt: always the same, and another for every other prompt."""
    digest = _digest(request.prompt)
    if request.chunk_id.startswith("list"):
        return "\n".join(f"- {digest} {at}" for at in range(int(digest[0], 16) % 5 + 1))
    return f"answer {digest} of {request.chunk_id}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _roll(text: str) -> float:
    """A chance that is the same for the same text."""
    return int(_digest(text), 16) / 16**10
