"""When an attempt has taken too long. Pure: times in, a limit out; all in seconds of one clock."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.runners.base import FailureClass


@dataclass(slots=True, kw_only=True)
class Times:
    """What happened when. None: not yet."""

    started: float
    written: float | None = None
    first_line: float | None = None
    last_output: float | None = None
    last_text: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The attempt is over `at` this time, for this reason, after `seconds` of what the reason counts."""

    at: float
    error_type: FailureClass
    seconds: float


def limit_of(
    times: Times, *, timeout_s: float, start_s: float, extension: float, silence_s: float | None = None
) -> Limit:
    """The limit as it stands now; anything that happens can only move it further away, but for the first line.

    Before the first line it is `start_s`, or `timeout_s` after the prompt was written if that is sooner. Then it is
    `timeout_s` after the prompt was written; text that keeps arriving moves it to `timeout_s` after the last text, up
    to `extension` times `timeout_s` in all. `silence_s` (as long as `timeout_s` when left out) without any output is
    silence.
    """
    silence_s = timeout_s if silence_s is None else silence_s
    if times.first_line is None or times.last_output is None:
        at = times.started + start_s
        if times.written is not None:
            at = min(at, times.written + timeout_s)
        return Limit(at=at, error_type=FailureClass.START_TIMEOUT, seconds=at - times.started)
    begun = times.first_line if times.written is None else times.written
    wall = begun + timeout_s
    if times.last_text is not None:
        wall = min(begun + extension * timeout_s, max(wall, times.last_text + timeout_s))
    at = min(wall, times.last_output + silence_s)
    quiet_s = at - times.last_output
    if quiet_s >= min(silence_s, timeout_s / 2):
        return Limit(at=at, error_type=FailureClass.SILENCE_TIMEOUT, seconds=quiet_s)
    return Limit(at=at, error_type=FailureClass.WALL_TIMEOUT, seconds=at - begun)
