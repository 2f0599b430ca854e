"""Lines to typed messages: the second pure step.

The stream's vocabulary grows with every release, so what is not known is skipped and counted by its type, and a
field of an unexpected type reads as absent. Line types as seen in 2.1.328 and 2.1.330.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from orchestrator.runners.base import Usage, UsageWindow
from orchestrator.runners.claude_cli.messages import (
    ApiRetry,
    AssistantLine,
    ConversationReset,
    Init,
    Malformed,
    Message,
    RateLimit,
    RefusalNote,
    ResultLine,
    Skipped,
    StreamMark,
    TextDelta,
    UserLine,
)

EXCERPT_CHARS = 120
"""Kept of a line that is no message."""

_TARGETS = ("file_path", "path", "pattern")
"""Where the input of a tool says what it looks at."""

Fields = Mapping[str, Any]


def parse_line(line: bytes) -> Message:
    """The message that stands on a line. Never raises: what cannot be read comes back as `Malformed` or `Skipped`."""
    if not line.strip():
        return Skipped(type="blank")
    try:
        value: object = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return _malformed(line)
    if not isinstance(value, dict):
        return _malformed(line)
    fields = cast("Fields", value)
    kind = _text(fields, "type")
    reader = _READERS.get(kind)
    return reader(fields) if reader else Skipped(type=kind or "without type")


def _malformed(line: bytes) -> Malformed:
    return Malformed(excerpt=line[:EXCERPT_CHARS].decode("utf-8", "replace"), length=len(line))


def _system(fields: Fields) -> Message:
    subtype = _text(fields, "subtype")
    if subtype == "init":
        return Init(
            session_id=_text(fields, "session_id"),
            model=_text(fields, "model"),
            api_key_source=_text(fields, "apiKeySource"),
            version=_text(fields, "claude_code_version"),
        )
    if subtype == "api_retry":
        delay_ms = _number(fields, "retry_delay_ms") or 0.0
        return ApiRetry(status=_status(fields, "error_status"), error=_text(fields, "error"), delay_ms=delay_ms)
    if subtype.startswith("model_refusal"):
        return RefusalNote(subtype=subtype, explanation=_text(fields, "api_refusal_explanation"))
    return Skipped(type=f"system/{subtype}")


def _assistant(fields: Fields) -> Message:
    message = _object(fields, "message")
    limit = _object(_object(fields, "api_error_params"), "rate_limit_info")
    return AssistantLine(
        text=_content_text(message.get("content")),
        model=_text(message, "model"),
        message_id=_text(message, "id"),
        stop_reason=_text(message, "stop_reason"),
        nested=bool(fields.get("parent_tool_use_id")),
        refused=bool(fields.get("refused_message_id")) or message.get("stop_reason") == "refusal",
        error=_text(fields, "error"),
        api_error=_text(fields, "api_error"),
        status=_status(fields, "api_error_status"),
        api_error_type=_text(fields, "api_error_type"),
        resets_at=_number(limit, "resetsAt"),
        tools=tuple(_text(block, "name") for block in _blocks(message.get("content"), "tool_use")),
    )


def _user(fields: Fields) -> Message:
    content = _object(fields, "message").get("content")
    return UserLine(
        text=_content_text(content),
        synthetic=fields.get("isSynthetic") is True,
        refused=bool(fields.get("refused_message_id")),
        tool_result=bool(_blocks(content, "tool_result")),
        nested=bool(fields.get("parent_tool_use_id")),
    )


def _stream_event(fields: Fields) -> Message:
    event = _object(fields, "event")
    kind = _text(event, "type")
    if fields.get("parent_tool_use_id"):
        return Skipped(type="nested stream_event")
    if kind == "content_block_delta":
        delta = _object(event, "delta")
        if delta.get("type") == "text_delta":
            return TextDelta(chars=len(_text(delta, "text")))
    elif kind in {"message_start", "content_block_start"}:
        return StreamMark()
    elif kind == "message_delta":
        return StreamMark(stop_reason=_text(_object(event, "delta"), "stop_reason"))
    return Skipped(type=f"stream_event/{kind}")


def _rate_limit(fields: Fields) -> Message:
    limit = _object(fields, "rate_limit_info")
    return RateLimit(
        status=_text(limit, "status"),
        resets_at=_number(limit, "resetsAt"),
        limit_type=_text(limit, "rateLimitType"),
        windows=tuple(_windows(limit)),
    )


def _windows(limit: Fields) -> Iterator[UsageWindow]:
    """The windows with a utilisation; where there is no list of them, the one window that a warning is about."""
    listed = _object(limit, "unifiedWindows") or {_text(limit, "rateLimitType"): limit}
    for name in listed:
        window = _object(listed, name)
        utilization = _number(window, "utilization")
        if name and utilization is not None and utilization >= 0:
            yield UsageWindow(name=name, utilization=utilization, resets_at=_number(window, "resetsAt"))


def _result(fields: Fields) -> Message:
    is_error = fields.get("is_error")
    errors = fields.get("errors")
    models = _object(fields, "modelUsage")
    return ResultLine(
        subtype=_text(fields, "subtype"),
        is_error=is_error if isinstance(is_error, bool) else None,
        terminal_reason=_text(fields, "terminal_reason"),
        stop_reason=_text(fields, "stop_reason"),
        num_turns=int(_number(fields, "num_turns") or 0),
        text=_text(fields, "result") if isinstance(fields.get("result"), str) else None,
        errors=tuple(str(error) for error in cast("list[object]", errors)) if isinstance(errors, list) else (),
        status=_status(fields, "api_error_status"),
        api_error=_text(fields, "api_error"),
        api_error_type=_text(fields, "api_error_type"),
        cost_usd=max(0.0, _number(fields, "total_cost_usd") or 0.0),
        usage=_usage(_object(fields, "usage"), models),
        session_id=_text(fields, "session_id"),
        structured=_structured(fields.get("structured_output")),
        denials=tuple(_denials(fields.get("permission_denials"))),
    )


def _denials(value: object) -> Iterator[str]:
    for each in _objects(value):
        given = _object(each, "tool_input")
        target = next((text for name in _TARGETS if (text := _text(given, name))), "")
        yield f"{_text(each, 'tool_name')} {target}".strip()


def _structured(value: object) -> str | None:
    """Compact JSON; where half a surrogate pair stands in it, escaped, so that it is text all the same."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def _usage(usage: Fields, models: Fields) -> Usage:
    """Tokens of the whole turn. `modelUsage` makes the cost; `usage` is empty on some errors (2.1.328)."""
    each = [cast("Fields", model) for model in models.values() if isinstance(model, dict)]

    def total(name: str, plain_name: str) -> int:
        of_models = sum(int(_number(model, name) or 0) for model in each)
        return max(0, of_models or int(_number(usage, plain_name) or 0))

    return Usage(
        input_tokens=total("inputTokens", "input_tokens"),
        output_tokens=total("outputTokens", "output_tokens"),
        cache_read_tokens=total("cacheReadInputTokens", "cache_read_input_tokens"),
        cache_write_tokens=total("cacheCreationInputTokens", "cache_creation_input_tokens"),
    )


def _content_text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "".join(_text(block, "text") for block in _blocks(content, "text"))


def _blocks(content: object, kind: str) -> list[Fields]:
    return [block for block in _objects(content) if block.get("type") == kind]


def _objects(value: object) -> list[Fields]:
    if not isinstance(value, list):
        return []
    return [cast("Fields", each) for each in cast("list[object]", value) if isinstance(each, dict)]


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return cast("Fields", value) if isinstance(value, dict) else {}


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _number(fields: Fields, name: str) -> float | None:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None


def _status(fields: Fields, name: str) -> int | None:
    number = _number(fields, name)
    return int(number) if number is not None and 100 <= number <= 999 else None


_READERS: Mapping[str, Callable[[Fields], Message]] = {
    "system": _system,
    "assistant": _assistant,
    "user": _user,
    "stream_event": _stream_event,
    "rate_limit_event": _rate_limit,
    "result": _result,
    "conversation_reset": lambda _: ConversationReset(),
}
