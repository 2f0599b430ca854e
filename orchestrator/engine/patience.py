"""How long one call is waited for: by its size class or by what the plan says, and by what earlier calls took. Pure.

A call that is ended may have been paid for. So what was learned never makes the time for an answer shorter: it makes
it longer where a model is slow. It shortens only how long nothing at all may come, and that only by answers to the same
prompt with the same model and effort: a model that thinks sends nothing meanwhile (2.1.332 tells no pings), and one
that answered small questions at once may think for minutes about a hard one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.plan.workload import Chunk

ENOUGH_CALLS = 20
"""Calls from which a limit is learned: of one model, or for silence of one recipe."""

SILENT_FACTOR = 4.0
"""Silence is suspicious after so many times what the longest answer to the same prompt took as a whole."""

LEAST_SILENCE_S = 120.0
"""Never less, nor less than half the size class: an API under load may keep a healthy call waiting, and pieces of one
text differ."""

SLOW_FACTOR = 1.5
"""An answer may take so many times what 99 in 100 of those calls took."""

LONGEST_FACTOR = 2.0
"""The time for an answer grows to so many times its size class at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits of one attempt in seconds, each with where it is from, in words."""

    timeout_s: float
    silence_s: float
    timeout_from: str
    silence_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBounds:
    """What every call of a run keeps to. `call_mb` is what one is likely to hold in memory.

    `took_s` has by the model asked for what its latest calls took, `alike_s` by recipe what its answers did.
    """

    max_memory_mb: int | None = None
    call_mb: int = 0
    took_s: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    alike_s: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])

    def patience(self, chunk: Chunk, *, timeouts: int) -> Patience:
        """The limits of the chunk's next attempt, after so many that ran out of time: twice as long after each."""
        took_s = () if chunk.timeout_given else self.took_s.get(chunk.model or "default", ())
        alike_s = () if chunk.timeout_given else self.alike_s.get(chunk.recipe, ())
        found = learned(chunk.timeout_s, took_s=took_s, alike_s=alike_s, usual=_usual(chunk))
        if not timeouts:
            return found
        times, told = 2.0**timeouts, f", doubled {'once' if timeouts == 1 else f'{timeouts} times'}"
        return Patience(
            timeout_s=found.timeout_s * times,
            silence_s=found.silence_s * times,
            timeout_from=found.timeout_from + told,
            silence_from=found.silence_from + told,
        )


def learned(class_s: float, *, took_s: Sequence[float], alike_s: Sequence[float] = (), usual: str) -> Patience:
    """The limits for a size class of `class_s`; `usual` says in words where that one is from.

    `took_s` is what earlier calls of the model took, `alike_s` what answers to the same prompt did.
    """
    timeout_s, timeout_from = class_s, usual
    if len(took_s) >= ENOUGH_CALLS:
        slow = sorted(took_s)[math.ceil(0.99 * len(took_s)) - 1]
        timeout_s = min(LONGEST_FACTOR * class_s, max(class_s, SLOW_FACTOR * slow))
        if timeout_s > class_s:
            timeout_from = _told(took_s, "calls of this model")
    silence_s, silence_from = timeout_s, timeout_from
    if len(alike_s) >= ENOUGH_CALLS:
        least_s = min(class_s, max(LEAST_SILENCE_S, class_s / 2))
        silence_s = min(timeout_s, max(least_s, SILENT_FACTOR * max(alike_s)))
        if silence_s < timeout_s:
            silence_from = _told(alike_s, "answers to this prompt")
    return Patience(timeout_s=timeout_s, silence_s=silence_s, timeout_from=timeout_from, silence_from=silence_from)


def _told(took_s: Sequence[float], of: str) -> str:
    return f"learned from {len(took_s)} {of}, the longest of which took {max(took_s):.0f} s"


def _usual(chunk: Chunk) -> str:
    return "timeout_s of the plan" if chunk.timeout_given else f"complexity {chunk.complexity}"
