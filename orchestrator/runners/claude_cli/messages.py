"""What a line of the CLI's output can say, one class for each kind that means something here (2.1.328, 2.1.330)."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.runners.base import Usage, UsageWindow

SYNTHETIC_MODEL = "<synthetic>"
"""The model name on assistant lines that the CLI wrote itself, to tell an error (2.1.328)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """First line of a session. `api_key_source` is `none` when a subscription login pays."""

    session_id: str
    model: str
    api_key_source: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantLine:
    """One complete content block or more of an answer; `error` and what follows is set on lines of the CLI's own.

    `tools` are the names of the tools that are called here.
    """

    text: str
    model: str
    message_id: str
    stop_reason: str
    nested: bool
    refused: bool
    error: str
    api_error: str
    status: int | None
    api_error_type: str
    resets_at: float | None
    tools: tuple[str, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether the CLI wrote this itself; such text is never part of an answer."""
        return self.model == SYNTHETIC_MODEL or bool(self.error or self.api_error or self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLine:
    """What was said to the model. `synthetic` when the CLI said it by itself, to make the model go on.

    `tool_result` when it is what a tool gave; `nested` when a sub-agent called it.
    """

    text: str
    synthetic: bool
    refused: bool
    tool_result: bool = False
    nested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """Characters of answer text, for showing progress only."""

    chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMark:
    """A boundary in the stream of deltas: those before it are void, or stand complete in an assistant line."""

    stop_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """State of a subscription's allowance; comes on every session, `allowed` is no limit.

    `windows` are those whose utilisation is told. 2.1.331 tells it on every session of a subscription login whose API
    sends `anthropic-ratelimit-unified-5h-utilization` (or `7d-`) and `…-reset`, to four digits as they came, and never
    for an API key.
    """

    status: str
    resets_at: float | None
    limit_type: str
    windows: tuple[UsageWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRetry:
    """The CLI asks the API again by itself."""

    status: int | None
    error: str
    delay_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalNote:
    """A system line that tells of a refusal, such as `model_refusal_no_fallback`."""

    subtype: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """End of the turn. `is_error` is None when the field is missing or no truth value.

    `structured` is the JSON text of the object that a JSON schema asked for, None when there is none. `denials` are the
    calls of tools that were not allowed, each the tool's name and what it was to look at (`permission_denials` of
    2.1.332).
    """

    subtype: str
    is_error: bool | None
    terminal_reason: str
    stop_reason: str
    num_turns: int
    text: str | None
    errors: tuple[str, ...]
    status: int | None
    api_error: str
    api_error_type: str
    cost_usd: float
    usage: Usage
    session_id: str
    structured: str | None
    denials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConversationReset:
    """The only proof that a conversation begins without what was said before (`/clear`, 2.1.328, 2.1.332)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A line of a type that means nothing here."""

    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A line that is no JSON object. Its length and beginning say what it was."""

    excerpt: str
    length: int


Message = (
    Init
    | AssistantLine
    | UserLine
    | TextDelta
    | StreamMark
    | RateLimit
    | ApiRetry
    | RefusalNote
    | ResultLine
    | ConversationReset
    | Skipped
    | Malformed
)
