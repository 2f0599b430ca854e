"""What the store remembers, as immutable values. Times are UTC in ISO 8601, durations seconds, money US dollars."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RunState = Literal["running", "complete", "partial", "failed", "stopped"]
ChunkState = Literal["pending", "running", "succeeded", "failed", "skipped", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run. `state` is "running" also for a run whose process died; `Store.is_held` tells the two apart.

    `source` is the plan's text, `base_dir` what its relative paths start from when `plan_path` is None. `inputs` maps
    names to `{"given", "sha256", "path" or "text"}`, `files` paths to SHA-256. `options` holds what the run was
    started with (runner, output, limits, selections).
    """

    run_id: str
    name: str
    plan_path: str | None
    base_dir: str | None
    source: str
    inputs: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]
    options: Mapping[str, Any]
    state: RunState
    reason: str
    created_at: str
    updated_at: str
    elapsed_s: float
    result_path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRecord:
    """One chunk of one run. `why` says why it ran or was reused; `because` names the upstream chunk of a skip."""

    chunk_id: str
    position: int
    status: ChunkState
    attempts: int = 0
    why: str = ""
    recipe: str = ""
    fingerprint: str = ""
    answer_id: int | None = None
    reused_from: str = ""
    error_type: str = ""
    message: str = ""
    because: str = ""
    elapsed_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """What an earlier run of a plan knew of its chunks, by id. `runner` is the kind that it had, "" without a run."""

    runner: str = ""
    chunks: Mapping[str, ChunkRecord] = field(default_factory=dict[str, ChunkRecord])


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt that ended without an answer, with the evidence that decided its class."""

    chunk_id: str
    attempt: int
    at: str
    error_type: str
    message: str
    elapsed_s: float
    cost_usd: float
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """A whole answer. `answer_id` is 0 until it is stored."""

    answer_id: int = 0
    fingerprint: str
    runner: str
    text: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    elapsed_s: float
    session_id: str
    run_id: str
    chunk_id: str
    created_at: str


def digest_of(answer: AnswerRecord) -> str:
    """Tells an answer that was altered on the disk: SHA-256 over its text and all that says what it is an answer to."""
    parts = (answer.fingerprint, answer.runner, answer.model, answer.run_id, answer.chunk_id, answer.created_at)
    return hashlib.sha256("\0".join((*parts, answer.text)).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOrigin:
    """Which call gave an answer. `attempt` counts from 1; 0 when the run that made it is not in the store any more."""

    answer_id: int
    run_id: str
    chunk_id: str
    attempt: int
    session_id: str
    model: str
    cost_usd: float
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginningRecord:
    """An answer that was cut at the model's output limit, as far as it goes. `cuts` counts how often it was."""

    fingerprint: str
    text: str
    cuts: int
    run_id: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """What one answered call took. `model` is the one asked for, `default` when none was named.

    `counted_tokens` is our own count (`cl100k_base`) of what was sent, `input_tokens` what was reported for it.
    """

    runner: str
    model: str
    counted_tokens: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    elapsed_s: float
