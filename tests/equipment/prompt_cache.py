"""The API's prompt cache, as its documentation describes it: which tokens of a request are written, read back, or sent.

The beginning of a request up to a block with a cache mark is kept for five minutes after its last use, from the moment
at which the answer begins; the next request that begins with exactly the same blocks reads it back. Beginnings of less
than 1,024 tokens are not kept. Source: "Prompt caching", documentation of the Claude API, 2026.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.equipment.standin_api import ApiRequest, ApiResponse, Respond

LIFE_S = 300.0
LEAST_TOKENS = 1_024
CHARS_PER_TOKEN = 4


class PromptCache:
    """Wraps what answers requests: `StandInApi(PromptCache(respond))` reports tokens as a caching API would."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, float]] = {}

    def __call__(self, request: ApiRequest) -> ApiResponse:
        """The answer with its three kinds of input tokens."""
        response = self._respond(request)
        now_s = time.monotonic()
        with self._lock:
            read, marked, total = self._look_up(request.parsed, now_s, begins_s=now_s + response.delay_s)
        return replace(
            response, input_tokens=total - marked, cache_read_tokens=read, cache_write_tokens=max(0, marked - read)
        )

    def _look_up(self, parsed: Mapping[str, Any], now_s: float, *, begins_s: float) -> tuple[int, int, int]:
        digest, chars, read, marked = hashlib.sha256(str(parsed["model"]).encode()), 0, 0, 0
        for block in _blocks(parsed):
            is_marked = isinstance(block, dict) and block.pop("cache_control", None) is not None
            text = json.dumps(block, ensure_ascii=False)
            digest.update(text.encode())
            chars += len(text)
            tokens = chars // CHARS_PER_TOKEN
            if not is_marked or tokens < LEAST_TOKENS:
                continue
            marked, key = tokens, digest.hexdigest()
            since_s, until_s = self._kept.get(key, (begins_s, 0.0))
            if since_s <= now_s < until_s:
                read = tokens
            elif until_s <= now_s:
                since_s = begins_s
            self._kept[key] = (since_s, begins_s + LIFE_S)
        return read, marked, chars // CHARS_PER_TOKEN


def _blocks(parsed: Mapping[str, Any]) -> Iterator[Any]:
    """All blocks in the order in which the API reads them, each a copy."""
    yield from (dict(tool) for tool in parsed.get("tools") or [])
    yield from (dict(block) for block in parsed.get("system") or [])
    for message in parsed["messages"]:
        content = message["content"]
        yield from [content] if isinstance(content, str) else (dict(block) for block in content)
