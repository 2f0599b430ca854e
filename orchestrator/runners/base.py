"""The seam between the engine and whoever answers a prompt: one prompt, one attempt, one value back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable


class FailureClass(StrEnum):
    """What kind of failure an attempt ended with; the engine decides by this alone."""

    TRANSIENT = "transient"
    """5xx, 529, a broken connection: the same attempt may work later."""
    THROTTLED = "throttled"
    """429 that is no usage limit: too many at once."""
    USAGE_LIMIT = "usage_limit"
    """The login's allowance is used up until `Failure.resets_at`."""
    AUTH = "auth"
    """401, 403: this login may not call."""
    BILLING = "billing"
    """The account cannot pay."""
    UNKNOWN_MODEL = "unknown_model"
    """404: no such model for this login."""
    ENVIRONMENT = "environment"
    """The CLI could not be started, or refused its flags."""
    INVALID_REQUEST = "invalid_request"
    """400: this prompt will never be taken."""
    TOO_LONG = "too_long"
    """The prompt exceeds the model's window (413 too)."""
    OUTPUT_CEILING = "output_ceiling"
    """The answer was cut at the model's output limit."""
    TOOL_DENIED = "tool_denied"
    """The model asked for a tool, or a file, that it may not use; whatever it answered then is not what was asked."""
    REFUSAL = "refusal"
    """The model, or a safeguard, declined."""
    EMPTY = "empty"
    """A clean end without any text."""
    REJECTED = "rejected"
    """A whole answer, but not what the plan's `expect` asks for; the engine's own judgement."""
    MALFORMED = "malformed"
    """The answer does not have the form that was asked for."""
    CRASH = "crash"
    """The process died without a result."""
    PROTOCOL = "protocol"
    """The output stream broke its own rules, or its signs of success contradict each other."""
    START_TIMEOUT = "start_timeout"
    """No sign of life from the process."""
    SILENCE_TIMEOUT = "silence_timeout"
    """It started, then nothing came for too long."""
    WALL_TIMEOUT = "wall_timeout"
    """The attempt as a whole took too long."""
    CANCELLED = "cancelled"
    """Ended on our request."""


Isolation = Literal["fresh", "reuse"]
"""Whether a request gets a process of its own, or one that has answered others and begun anew since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """All that shapes one attempt. `context` is the system prompt; `timeout_s` bounds the attempt in seconds.

    With an `output_schema` (a JSON Schema of an object) the text of the reply is one JSON value in compact form. With a
    `record_key` its records carry the names of `rows` in that field; a runner that makes answers up needs to know.
    With an `output_schema` (a JSON Schema of an object) the text of the reply is one JSON value in compact form.
    `expect` is what the plan expects of the answer, and `source` what that compares with; the engine judges by it, and
    only a runner that makes answers up need look at it. `tools` may be used, and nothing be read outside `workdir`.
    With the isolation `reuse` a runner may answer several requests in one process, as long as none shows anything of
    another; with `fresh` each begins with nothing but what stands here. `max_memory_mb` bounds what the processes of
    the attempt hold together, in megabytes. `silence_s` bounds how long nothing may come at all, as long as `timeout_s`
    when left out; `timeout_from` and `silence_from` say in words where the two are from.
    `account` is the login that pays, by the name that the plan gives it; empty for the usual one.
    """

    chunk_id: str
    attempt: int
    prompt: str
    context: str
    model: str | None
    fallback_model: str | None
    effort: str | None
    timeout_s: float
    output_schema: Mapping[str, Any] | None = None
    record_key: str = ""
    rows: tuple[str, ...] = ()
    expect: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: str = ""
    tools: tuple[str, ...] = ()
    workdir: Path | None = None
    isolation: Isolation = "fresh"
    silence_s: float | None = None
    timeout_from: str = ""
    silence_from: str = ""
    max_memory_mb: int | None = None
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the API reports them; `input_tokens` excludes what the cache read or wrote."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_input_tokens(self) -> int:
        """Everything that was sent, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWindow:
    """One allowance of a subscription login, as last reported: `name` is its type, such as `five_hour`.

    `utilization` is the share that is used up, 1 being all of it. `resets_at` is the epoch second at which it begins
    anew, None when it was not told.
    """

    name: str
    utilization: float
    resets_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer. `model` is the one that answered; `cost_usd` is what the CLI reports, 0 if it reports none.

    `windows` are the allowances of the login as they stood when the answer began; none for a login without any.
    `held_mb` is the most memory that its processes were seen to hold, in megabytes; 0 when nobody saw it.
    """

    text: str
    model: str
    usage: Usage = Usage()
    cost_usd: float = 0.0
    session_id: str = ""
    login: str = ""
    windows: tuple[UsageWindow, ...] = ()
    held_mb: int = 0
    evidence: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An attempt without an answer. `message` ends with what to do, where something can be done.

    `evidence` holds the structured facts that decided the class (exit code, status, reasons, stderr tail), never the
    prompt. `partial_text` is the beginning of an answer that was cut at the output limit, whole as far as it goes; it
    is never shown as an answer. `resets_at` is the epoch second at which a usage limit ends, `retry_after_s` a wait
    the API asked for.
    `cost_usd` and `usage` are what the attempt was charged all the same, `windows` as for a `Reply`.
    """

    error_type: FailureClass
    message: str
    evidence: Mapping[str, object] = field(default_factory=dict[str, object])
    partial_text: str = ""
    resets_at: float | None = None
    retry_after_s: float | None = None
    cost_usd: float = 0.0
    usage: Usage = Usage()
    windows: tuple[UsageWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerInfo:
    """What a runner found out about itself. `login` says in words which login pays, `logins` which for each account.

    `call_mb` is what the processes of one call are likely to hold in memory, in megabytes; 0 for next to nothing.
    """

    version: str
    login: str
    logins: Mapping[str, str] = field(default_factory=dict[str, str])
    call_mb: int = 0


OnProgress = Callable[[int], None]
"""Called with the characters of answer text seen so far in this attempt; may fall back when the answer starts again."""


SIMULATED = "simulated"
"""The kind of runner whose answers are made up and cost nothing."""


class Runner(Protocol):
    """Answers prompts. Several `run` calls may be under way at once, from one event loop."""

    @property
    def kind(self) -> str:
        """The kind that is part of every fingerprint: answers of different kinds never stand in for each other."""
        ...

    async def open(self) -> RunnerInfo:
        """Get ready. Raises `RunnerUnavailableError` with the remedy when it cannot work here."""
        ...

    async def run(self, request: Request, *, on_progress: OnProgress) -> Reply | Failure:
        """Make one attempt. Never raises for anything the other side does; cancelling it ends what it started."""
        ...

    async def close(self) -> None:
        """End everything that was started, in bounded time. May be called more than once."""
        ...


@runtime_checkable
class ForesightedRunner(Protocol):
    """A runner that can get ready for what comes next. Optional: one without this works as well, if later."""

    def expect(self, upcoming: Sequence[Request]) -> None:
        """These start next, in this order, as soon as there is room; they come without their prompts.

        Replaces what was said before; with none, nothing is known to come and nothing is to be kept ready. Returns at
        once and raises nothing.
        """
        ...
