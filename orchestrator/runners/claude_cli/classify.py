"""Evidence of an error to a failure class and a message that ends with the remedy. Pure.

Structured fields decide first; words only where there are none, and only words of the CLI's own. The rows are what
2.1.328 and 2.1.330 do against an API that answers each status, and texts of earlier versions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.runners.base import FailureClass
from orchestrator.runners.claude_cli.usage_limits import reset_time, tells_usage_limit

QUOTED_CHARS = 400

REMEDIES: dict[FailureClass, str] = {
    FailureClass.TRANSIENT: "This is usually temporary; try again later.",
    FailureClass.THROTTLED: "Run fewer chunks at once (-j), or wait.",
    FailureClass.USAGE_LIMIT: "Wait for the reset, or use another login.",
    FailureClass.AUTH: "Log in (run `claude`, then /login), or set a valid ANTHROPIC_API_KEY.",
    FailureClass.BILLING: "Add credit to the account, raise its spend limit, or use another login.",
    FailureClass.UNKNOWN_MODEL: "Name a model that this login may use (`model:` in the plan).",
    FailureClass.ENVIRONMENT: "`orchestrate doctor` shows what is wrong with the CLI.",
    FailureClass.INVALID_REQUEST: "Change what is asked, or the settings of this chunk.",
    FailureClass.TOO_LONG: "Give this chunk less text, or split it into several chunks.",
    FailureClass.OUTPUT_CEILING: "Ask for a shorter answer, or split this chunk into several.",
    FailureClass.TOOL_DENIED: "Name in the prompt what it may read; `tools:` and `workdir:` say what and where.",
    FailureClass.REFUSAL: "Reword what is asked, or choose another model.",
    FailureClass.REJECTED: "Say in the prompt what the plan expects, or expect less (`expect:` in the plan).",
    FailureClass.EMPTY: "Say what has to be in the answer.",
    FailureClass.MALFORMED: "Try again, or choose another model.",
    FailureClass.CRASH: "A fresh process may work; `claude --version` shows whether the CLI runs at all.",
    FailureClass.PROTOCOL: "A fresh process may work; if not, try another version of the CLI.",
    FailureClass.START_TIMEOUT: "Run fewer chunks at once (-j), or check that `claude -p hello` answers.",
    FailureClass.SILENCE_TIMEOUT: "Raise timeout_s, or try again.",
    FailureClass.WALL_TIMEOUT: "Raise timeout_s or the chunk's complexity, or split the chunk.",
    FailureClass.CANCELLED: "`orchestrate resume last` goes on from here.",
}
"""What a person can do about each class."""

_TOO_LONG = re.compile(
    r"prompt is too long|input is too long|exceeds? (?:the )?context|too many tokens|request too large|exceeds \d+ ?MB",
    re.IGNORECASE,
)
_CEILING = re.compile(r"output token maximum|max_output_tokens", re.IGNORECASE)
_BILLING = re.compile(r"credit balance|spend(?:ing)? limit|billing|payment", re.IGNORECASE)
_AUTH = re.compile(
    r"/login|not logged in|invalid (?:api key|x-api-key|bearer token|authentication)|failed to authenticate"
    r"|oauth (?:access )?token (?:has |was |is )?(?:expired|revoked|invalid)|(?:login|session) (?:has )?expired"
    r"|authentication_error",
    re.IGNORECASE,
)
_MODEL = re.compile(r"issue with the selected model|model[^.]{0,60}(?:not found|does not exist)", re.IGNORECASE)
_CONNECTION = re.compile(
    r"connect|network|socket|timed? ?out|ECONN|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|fetch failed|overloaded|stream"
    r"|internal server error|temporarily|terminated",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvidence:
    """What was seen of an error. `codes` are the machine-readable names the CLI and the API gave it.

    `rejected` says that a subscription's allowance was reported as used up, until `resets_at` if that is known.
    """

    text: str
    status: int | None = None
    codes: frozenset[str] = frozenset()
    terminal_reason: str = ""
    subtype: str = ""
    stop_reason: str = ""
    rejected: bool = False
    resets_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A failure class, the message for people, and the epoch second at which a usage limit ends."""

    error_type: FailureClass
    message: str
    resets_at: float | None = None


def classify(evidence: ErrorEvidence, *, now: float) -> Verdict:
    """The class of an error that the CLI told. `now` is an epoch second, for limits told as a time of day."""
    error_type = _class_of(evidence)
    resets_at = None
    if error_type is FailureClass.USAGE_LIMIT:
        resets_at = evidence.resets_at or reset_time(evidence.text, now=now)
    return Verdict(error_type=error_type, message=explain(error_type, evidence.text), resets_at=resets_at)


def explain(error_type: FailureClass, what: str) -> str:
    """`what` on one line without control characters, at most `QUOTED_CHARS` of it, then the remedy."""
    # One wording of a usage limit carries its end in epoch seconds, which whoever tells it says as a time.
    told = one_line(re.sub(r"\|\d{10,13}\b", "", what))
    return f"{told or error_type.value}. {REMEDIES[error_type]}"


def one_line(text: str) -> str:
    """`text` without control characters and line breaks, clipped, without a full stop at its end."""
    printable = "".join(character if character.isprintable() else " " for character in text[: QUOTED_CHARS * 4])
    joined = " ".join(printable.split())
    return (joined if len(joined) <= QUOTED_CHARS else joined[: QUOTED_CHARS - 1] + "…").removesuffix(".")


def _class_of(seen: ErrorEvidence) -> FailureClass:
    by_field = _by_reasons(seen) or _by_status(seen)
    return by_field or by_words(seen.text) or _by_default(seen)


def _by_reasons(seen: ErrorEvidence) -> FailureClass | None:
    """What the CLI itself names the end of the turn, whatever the status."""
    codes = seen.codes
    if seen.stop_reason == "refusal":
        return FailureClass.REFUSAL
    if "max_output_tokens" in codes or seen.stop_reason == "max_tokens":
        return FailureClass.OUTPUT_CEILING
    if seen.terminal_reason in {"prompt_too_long", "blocking_limit"} or "request_too_large" in codes:
        return FailureClass.TOO_LONG
    if seen.terminal_reason == "budget_exhausted" or seen.subtype == "error_max_budget_usd":
        return FailureClass.BILLING
    if seen.subtype == "error_max_structured_output_retries":
        return FailureClass.MALFORMED
    if "usage_limit_reached" in codes:
        return FailureClass.USAGE_LIMIT
    if codes & {"billing_error", "credit_balance_too_low"}:
        return FailureClass.BILLING
    return None


def _by_status(seen: ErrorEvidence) -> FailureClass | None:
    """What the API's status says; a 400 and a 429 have two meanings each, which words or events tell apart."""
    match seen.status:
        case None:
            return FailureClass.USAGE_LIMIT if seen.rejected else _by_codes(seen.codes)
        case 400:
            words = by_words(seen.text)
            apart = {FailureClass.TOO_LONG, FailureClass.BILLING, FailureClass.USAGE_LIMIT}
            return words if words in apart else FailureClass.INVALID_REQUEST
        case 401 | 403:
            words = by_words(seen.text)
            return words if words in {FailureClass.BILLING, FailureClass.USAGE_LIMIT} else FailureClass.AUTH
        case 402:
            return FailureClass.BILLING
        case 404:
            return FailureClass.UNKNOWN_MODEL
        case 413:
            return FailureClass.TOO_LONG
        case 429:
            words = by_words(seen.text)
            if words in {FailureClass.BILLING, FailureClass.USAGE_LIMIT}:
                return words
            return FailureClass.USAGE_LIMIT if seen.rejected else FailureClass.THROTTLED
        case 408 | 409 | 425:
            return FailureClass.TRANSIENT
        case status:
            return FailureClass.TRANSIENT if status >= 500 else FailureClass.INVALID_REQUEST


def _by_codes(codes: frozenset[str]) -> FailureClass | None:
    """Error names without a status, as `system/api_retry` and other lines give them."""
    if codes & {"authentication_failed", "authentication_error", "permission_error", "oauth_org_not_allowed"}:
        return FailureClass.AUTH
    if "model_not_found" in codes:
        return FailureClass.UNKNOWN_MODEL
    if codes & {"overloaded", "overloaded_error", "server_error", "api_error"}:
        return FailureClass.TRANSIENT
    return None


def by_words(text: str) -> FailureClass | None:
    """What an error text of the CLI's own says, most special first."""
    if _TOO_LONG.search(text):
        return FailureClass.TOO_LONG
    if _CEILING.search(text):
        return FailureClass.OUTPUT_CEILING
    if _BILLING.search(text):
        return FailureClass.BILLING
    if tells_usage_limit(text):
        return FailureClass.USAGE_LIMIT
    if _AUTH.search(text):
        return FailureClass.AUTH
    if _MODEL.search(text):
        return FailureClass.UNKNOWN_MODEL
    return None


def _by_default(seen: ErrorEvidence) -> FailureClass:
    if "rate_limit" in seen.codes or "rate_limit_error" in seen.codes:
        return FailureClass.THROTTLED
    if seen.subtype == "error_during_execution" or seen.terminal_reason.startswith("aborted"):
        return FailureClass.CRASH
    if status := re.search(r"API Error: (?:\D{0,40}\()?(\d{3})\b", seen.text):
        told = ErrorEvidence(text=seen.text, status=int(status[1]))
        return _by_status(told) or FailureClass.PROTOCOL
    if codes_say_request(seen.codes):
        return FailureClass.INVALID_REQUEST
    if _CONNECTION.search(seen.text) or "unknown" in seen.codes:
        return FailureClass.TRANSIENT
    return FailureClass.PROTOCOL


def codes_say_request(codes: frozenset[str]) -> bool:
    """Whether the API blamed the request."""
    return bool(codes & {"invalid_request", "invalid_request_error"})
