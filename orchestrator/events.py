"""What happened in a run: immutable facts, past tense, one class for each kind.

Every event carries `type`, `run_id`, `seq` (from 0 without gaps in what an observer receives; a resumed process goes
on after the last stored one) and `at` (UTC, ISO 8601). No event holds a prompt or an answer. All but those in
`TRANSIENT` are stored before they are told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, cast, get_args

RunStatus = Literal["complete", "partial", "failed", "stopped"]
ChunkStatus = Literal["pending", "running", "succeeded", "failed", "skipped", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBase:
    """The header that every event carries."""

    type: ClassVar[str]
    run_id: str
    seq: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(EventBase):
    """First event of a new run, with the chunks known by then, in plan order."""

    type: ClassVar[str] = "run_started"
    name: str
    chunk_ids: tuple[str, ...]
    total: int
    runner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed(EventBase):
    """First event of a process that continues a run."""

    type: ClassVar[str] = "run_resumed"
    name: str
    chunk_ids: tuple[str, ...]
    total: int
    runner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEstimated(EventBase):
    """Told before the first call. Money in US dollars, time in seconds; all figures are estimates.

    `calls` counts chunks without a reusable answer, as far as that is known before the run. `login` says which login
    pays for the calls, `logins` for each account (empty for the usual login) `account`, `login` and `calls`.
    `planning`: the call makes a plan, and what the chunks of that plan take comes on top.
    """

    type: ClassVar[str] = "run_estimated"
    calls: int
    reusable: int
    input_tokens: int
    output_tokens: int
    cost_usd_low: float
    cost_usd_high: float
    time_s_low: float
    time_s_high: float
    model: str
    login: str
    warnings: tuple[str, ...] = ()
    planning: bool = False
    logins: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkStarted(EventBase):
    """An attempt began. `timeout_s` limits it, `attempt` counts from 1, `account` pays (empty: the usual login)."""

    type: ClassVar[str] = "chunk_started"
    chunk_id: str
    attempt: int
    timeout_s: float
    complexity: str
    why: str
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkProgressed(EventBase):
    """Text is arriving. `output_chars` may fall back to 0 when the CLI starts an answer again."""

    type: ClassVar[str] = "chunk_progressed"
    chunk_id: str
    output_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRetryScheduled(EventBase):
    """`attempt` failed for `reason`; the next begins in `wait_s` seconds."""

    type: ClassVar[str] = "chunk_retry_scheduled"
    chunk_id: str
    attempt: int
    wait_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSucceeded(EventBase):
    """The answer is stored. Tokens and cost are those of the whole chunk, failed attempts included."""

    type: ClassVar[str] = "chunk_succeeded"
    chunk_id: str
    attempt: int
    elapsed_s: float
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkReused(EventBase):
    """The answer came from the store; nothing was paid. `from_run` is the run that paid for it."""

    type: ClassVar[str] = "chunk_reused"
    chunk_id: str
    from_run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFailed(EventBase):
    """No attempt is left, or none would help. `error_type` is a failure class of `runners.base`."""

    type: ClassVar[str] = "chunk_failed"
    chunk_id: str
    attempt: int
    error_type: str
    message: str
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSkipped(EventBase):
    """Never started, because the upstream chunk `because` has no answer."""

    type: ClassVar[str] = "chunk_skipped"
    chunk_id: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCancelled(EventBase):
    """The run stopped before this chunk had an answer; a resumed run starts it."""

    type: ClassVar[str] = "chunk_cancelled"
    chunk_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunksAdded(EventBase):
    """Chunks that became known while the run went on."""

    type: ClassVar[str] = "chunks_added"
    chunk_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused(EventBase):
    """On `account` (empty for the usual login) nothing new starts before `until` (UTC, ISO 8601).

    With the `cause` `overload` that is so of all, and `until` is null. Others are `limit` and `leave_usage`; `met`
    counts them in a row.
    """

    type: ClassVar[str] = "run_paused"
    reason: str
    until: str | None
    account: str = ""
    cause: str = "limit"
    met: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSlowed(EventBase):
    """Fewer chunks than allowed are under way at once, for `reason`; told once by each process."""

    type: ClassVar[str] = "run_slowed"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContinued(EventBase):
    """The pause of `account` for that `cause` (`limit` stands for `leave_usage` too) ended; one call goes first."""

    type: ClassVar[str] = "run_continued"
    account: str = ""
    cause: str = "limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgressed(EventBase):
    """How far the run is; also the heartbeat. `running` maps chunk ids to seconds since their attempt began."""

    type: ClassVar[str] = "run_progressed"
    done: int
    total: int
    fraction: float
    eta_s: float | None
    running: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReviewed(EventBase):
    """The result was looked at. `problems` is what was found, a sentence each; what a model said is only counted.

    `repairs` are the chunks that will put it right; when there are none, what was found remains.
    """

    type: ClassVar[str] = "run_reviewed"
    round: int
    problems: tuple[str, ...]
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStitched(EventBase):
    """The result exists. `path` is null when it was not written to a file; `gaps` names what is missing in it.

    `files` counts the results where each source has its own: `path` is then their folder, with a slash at its end.
    `failed_path` is the file of the rows that failed, null when there is none. `problems` say why the result is not
    complete although every answer is there, `notes` what a reader should know of it.
    """

    type: ClassVar[str] = "run_stitched"
    path: str | None
    chars: int
    gaps: tuple[str, ...]
    failed_path: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(EventBase):
    """Last event of a process. `reason` says why a stopped run stopped, else it is empty.

    `elapsed_s` is this process's; `work_s` is what its paid attempts took one after the other. `windows` are the
    login's usage windows as seen last (see `WindowUse`). The cache is that of the API, for this process alone.
    """

    type: ClassVar[str] = "run_finished"
    status: RunStatus
    succeeded: int
    failed: int
    skipped: int
    cancelled: int
    reused: int
    cost_usd: float
    elapsed_s: float
    work_s: float
    reason: str
    windows: tuple[Mapping[str, Any], ...] = ()
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_saved_usd: float = 0.0


Event = (
    RunStarted
    | RunResumed
    | RunEstimated
    | ChunkStarted
    | ChunkProgressed
    | ChunkRetryScheduled
    | ChunkSucceeded
    | ChunkReused
    | ChunkFailed
    | ChunkSkipped
    | ChunkCancelled
    | ChunksAdded
    | RunPaused
    | RunSlowed
    | RunContinued
    | RunProgressed
    | RunReviewed
    | RunStitched
    | RunFinished
)

TRANSIENT: frozenset[str] = frozenset({ChunkProgressed.type, RunProgressed.type})
"""Types that are told but never stored."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_BY_TYPE: dict[str, type[EventBase]] = {kind.type: kind for kind in get_args(Event)}
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _BY_TYPE.values()}


def event_to_dict(event: EventBase) -> dict[str, Any]:
    """The event as plain JSON values, header first."""
    given: dict[str, Any] = {"type": event.type} | {name: getattr(event, name) for name in _NAMES[type(event)]}
    return {name: list(cast("Any", each)) if isinstance(each, tuple) else each for name, each in given.items()}


def event_to_json(event: EventBase) -> str:
    """One JSON object on one line."""
    return _ENCODER.encode(event_to_dict(event))


def event_from_dict(record: Mapping[str, Any]) -> Event:
    """The event that `event_to_dict` made the record from; fields that this version does not know are dropped.

    Raises `KeyError` for an unknown type and `TypeError` when a field is missing.
    """
    kind = _BY_TYPE[record["type"]]
    values: dict[str, Any] = {key: value for key, value in record.items() if key in _NAMES[kind]}
    values |= {key: tuple(cast("list[Any]", each)) for key, each in values.items() if isinstance(each, list)}
    return cast("Event", kind(**values))
