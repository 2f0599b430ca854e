"""A stand-in Messages API on 127.0.0.1 for the real CLI: scripted, counted, and able to fail in every way we know.

What it answers is decided by a pure function or by rules on the prompt; how it is sent (deltas, delays, cuts) is
written down in the response itself. Every request is kept. `README.md` shows the usual uses.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestrator.prompt_texts import prompt_text

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One `POST /v1/messages` as it arrived. `at` is `time.monotonic()`; header names are in small letters."""

    number: int
    at: float
    path: str
    headers: Mapping[str, str]
    body: bytes
    parsed: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """The first user message without the constant first line that the runner puts in front."""
        return _text_of(self._messages("user")[0]["content"]).removeprefix(prompt_text("first-line") + "\n")

    @property
    def last_user_text(self) -> str:
        """The last user message: the prompt again, or what the CLI said to make the model go on."""
        return _text_of(self._messages("user")[-1]["content"])

    @property
    def turn(self) -> int:
        """How many answers the request already holds: 0 for the first request of a conversation."""
        return len(self._messages("assistant"))

    @property
    def system(self) -> str:
        """The system prompt that was given to the CLI: the blocks behind its own two."""
        blocks = self.parsed.get("system") or []
        return "\n".join(block["text"] for block in blocks[2:])

    @property
    def model(self) -> str:
        return str(self.parsed["model"])

    @property
    def stream(self) -> bool:
        """False when the CLI asks again after a broken stream."""
        return bool(self.parsed.get("stream"))

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools that the model is offered."""
        return list(self.parsed.get("tools") or [])

    @property
    def tool_results(self) -> list[ToolResult]:
        """What the tools gave that the model called last, in order; empty when it called none."""
        content = self._messages("user")[-1]["content"]
        blocks = [] if isinstance(content, str) else [each for each in content if each["type"] == "tool_result"]
        return [
            ToolResult(_text_of(block.get("content") or ""), is_error=bool(block.get("is_error"))) for block in blocks
        ]

    @property
    def overhead(self) -> int:
        """Bytes of the body beyond the prompt and the system prompt; our constant first line counts as overhead."""
        return len(self.body) - _json_bytes(self.prompt) - _json_bytes(self.system)

    def _messages(self, role: str) -> list[dict[str, Any]]:
        return [message for message in self.parsed["messages"] if message["role"] == role]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the CLI sends back of a tool that the model called."""

    text: str
    is_error: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """What the API does with a request.

    `blocks` are the text blocks of the answer; `thinking` comes before them. `delay_s` passes before the first byte,
    `delta_delay_s` before each delta of `delta_chars` characters. After `cut_after_chars` characters of text the
    connection breaks. `status` other than 200 sends an error with `message`. `hang` never answers. `tool_json` is the
    JSON text with which the model calls `StructuredOutput` after its text, sent as it stands, broken or not.
    `tool_calls` are other tools that it calls after its text, each with its input.
    """

    blocks: tuple[str, ...] = ()
    thinking: str = ""
    stop_reason: str = "end_turn"
    input_tokens: int = 10
    output_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    delay_s: float = 0.0
    delta_chars: int = 400
    delta_delay_s: float = 0.0
    cut_after_chars: int | None = None
    status: int = 200
    message: str = ""
    error_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    hang: bool = False
    tool_json: str | None = None
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()


Respond = Callable[[ApiRequest], ApiResponse]


def answer(*blocks: str, **settings: Any) -> ApiResponse:
    """A complete answer in these text blocks. `settings` are fields of `ApiResponse`."""
    return ApiResponse(blocks=blocks, **settings)


def structured(value: object, **settings: Any) -> ApiResponse:
    """A call of the structured output tool with this value; a string is sent as it stands, as broken JSON text."""
    text = value if isinstance(value, str) else json.dumps(value)
    return ApiResponse(tool_json=text, **{"stop_reason": "tool_use", **settings})


def calls(*tools: tuple[str, Mapping[str, Any]], says: str = "", **settings: Any) -> ApiResponse:
    """The model says something, or nothing, and calls these tools, each a name with its input."""
    blocks = (says,) if says else ()
    return ApiResponse(blocks=blocks, tool_calls=tools, **{"stop_reason": "tool_use", **settings})


def error(status: int, message: str = "", **settings: Any) -> ApiResponse:
    """An error as the API sends it; `headers` may carry `retry-after` and the like."""
    return ApiResponse(status=status, message=message or f"stand-in {status}", **settings)


def default_answer(prompt: str) -> str:
    """What is answered when nothing is scripted: a few words that depend on the prompt alone."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    return f"Answer {digest[:12]} to {len(prompt)} characters."


class StandInApi:
    """The server. A context manager; `url` is what the CLI gets as `ANTHROPIC_BASE_URL`.

    `respond` decides alone when it is given; else the first rule of `when()` whose words are in the prompt, else
    `default_answer`. All methods may be called while requests are under way.
    """

    def __init__(self, respond: Respond | None = None) -> None:
        self._respond = respond
        self._rules: list[tuple[str, Iterator[ApiResponse | Respond]]] = []
        self._lock = threading.Condition()
        self._requests: list[ApiRequest] = []
        self._in_flight = 0
        self.max_in_flight = 0
        self.closing = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="stand-in API")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> list[ApiRequest]:
        """All requests so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def in_flight(self) -> int:
        """Requests that have arrived and are not answered yet."""
        with self._lock:
            return self._in_flight

    def requests_for(self, words: str) -> list[ApiRequest]:
        """The requests whose prompt contains `words`."""
        return [request for request in self.requests if words in request.prompt]

    def when(self, words: str, *responses: ApiResponse | Respond) -> None:
        """Answer prompts that contain `words` with these, one a request; the last one is kept up.

        A rule that was added later wins over earlier ones.
        """
        with self._lock:
            self._rules.insert(0, (words, _keep_up(responses)))

    def wait_for_requests(self, count: int, *, timeout_s: float = 20.0) -> list[ApiRequest]:
        """Block until `count` requests have arrived. Raises `TimeoutError`."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._requests) >= count, timeout_s):
                raise TimeoutError(f"{len(self._requests)} of {count} requests came in {timeout_s} s")
            return list(self._requests)

    def wait_until_idle(self, *, timeout_s: float = 20.0) -> None:
        """Block until no request is under way. Raises `TimeoutError`."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._in_flight == 0, timeout_s):
                raise TimeoutError(f"{self._in_flight} requests are still under way after {timeout_s} s")

    def take(self, *, path: str, headers: Mapping[str, str], body: bytes) -> ApiResponse:
        """Record a request and decide its response."""
        with self._lock:
            request = ApiRequest(
                number=len(self._requests),
                at=time.monotonic(),
                path=path,
                headers=headers,
                body=body,
                parsed=json.loads(body),
            )
            self._requests.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
            self._lock.notify_all()
            chosen = self._choose(request)
        return chosen(request) if callable(chosen) else chosen  # outside the lock: a test's function may wait

    def _choose(self, request: ApiRequest) -> ApiResponse | Respond:
        if self._respond is not None:
            return self._respond
        for words, responses in self._rules:
            if words in request.prompt:
                return next(responses)
        return answer(default_answer(request.prompt))

    def finished(self) -> None:
        """A request taken before is answered, cut or given up."""
        with self._lock:
            self._in_flight -= 1
            self._lock.notify_all()

    def __enter__(self) -> StandInApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.drop_connections()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, api: StandInApi) -> None:
        self.api = api
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event here."""

    def hold(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.add(connection)

    def release(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.discard(connection)

    def drop_connections(self) -> None:
        """Break what is still open, so that no handler thread waits for a client."""
        with self._connections_lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Nothing is printed."""

    def setup(self) -> None:
        super().setup()
        self.server.hold(self.request)

    def finish(self) -> None:
        self.server.release(self.request)
        with suppress(OSError):
            super().finish()

    def do_HEAD(self) -> None:
        """The CLI looks whether anybody is there."""
        self._send(200, b"")

    def do_GET(self) -> None:
        """Nothing but messages is served."""
        self._send(404, b'{"type":"error","error":{"type":"not_found_error","message":"stand-in"}}')

    def do_POST(self) -> None:
        """Take a request and play its response."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if not self.path.split("?")[0].endswith("/v1/messages"):
            self.do_GET()
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = self.server.api.take(path=self.path, headers=headers, body=body)
        try:
            self._play(response, json.loads(body))
        finally:
            self.server.api.finished()

    def _play(self, response: ApiResponse, asked: Mapping[str, Any]) -> None:
        self._pause(response.delay_s)
        if response.hang:
            self.server.api.closing.wait()
            self.close_connection = True
        elif response.status != 200:
            kind = response.error_type or ERROR_TYPES.get(response.status, "api_error")
            problem = {"type": "error", "error": {"type": kind, "message": response.message}}
            self._send(response.status, json.dumps(problem).encode(), response.headers)
        elif asked.get("stream"):
            self._stream(response, str(asked["model"]))
        else:
            self._send(200, json.dumps(_whole_message(response, str(asked["model"]))).encode(), response.headers)

    def _stream(self, response: ApiResponse, model: str) -> None:
        self.send_response(200)
        for name, value in {"content-type": "text/event-stream", "request-id": "req_1", **response.headers}.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in _events(response, model):
            if event is None:
                return
            if event["type"] == "content_block_delta":
                self._pause(response.delta_delay_s)
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def _pause(self, seconds: float) -> None:
        if seconds and self.server.api.closing.wait(seconds):
            raise ConnectionError("the stand-in API closes")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", "request-id": "req_1", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _events(response: ApiResponse, model: str) -> Iterator[dict[str, Any] | None]:
    """The server-sent events of an answer; None where the connection breaks."""
    message = _whole_message(replace(response, blocks=(), thinking=""), model)
    message |= {"content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    yield {"type": "message_start", "message": message}
    left = response.cut_after_chars
    kinds = [("thinking", response.thinking)] if response.thinking else []
    for index, (kind, text) in enumerate([*kinds, *(("text", block) for block in response.blocks)]):
        opening = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
        yield {"type": "content_block_start", "index": index, "content_block": opening}
        for start in range(0, len(text), response.delta_chars):
            piece = text[start : start + response.delta_chars]
            if left is not None and kind == "text":
                piece, left = piece[:left], left - len(piece)
            yield {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: piece}}
            if left is not None and left <= 0:
                yield None
        yield {"type": "content_block_stop", "index": index}
    called = [(name, json.dumps(given)) for name, given in response.tool_calls]
    if response.tool_json is not None:
        called.append(("StructuredOutput", response.tool_json))
    for at, (name, text) in enumerate(called):
        index = len(kinds) + len(response.blocks) + at
        yield from _tool_events(name, text, index=index, delta_chars=response.delta_chars)
    delta = {"stop_reason": response.stop_reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": _output_tokens(response)}}
    yield {"type": "message_stop"}


def _tool_events(name: str, text: str, *, index: int, delta_chars: int) -> Iterator[dict[str, Any]]:
    block = {"type": "tool_use", "id": f"toolu_{time.monotonic_ns():x}{index}", "name": name, "input": {}}
    yield {"type": "content_block_start", "index": index, "content_block": block}
    for start in range(0, len(text), delta_chars):
        delta = {"type": "input_json_delta", "partial_json": text[start : start + delta_chars]}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _whole_message(response: ApiResponse, model: str) -> dict[str, Any]:
    thinking = [{"type": "thinking", "thinking": response.thinking, "signature": "s"}] if response.thinking else []
    return {
        "id": f"msg_{time.monotonic_ns():x}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [*thinking, *({"type": "text", "text": block} for block in response.blocks)],
        "stop_reason": response.stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": response.input_tokens,
            "output_tokens": _output_tokens(response),
            "cache_read_input_tokens": response.cache_read_tokens,
            "cache_creation_input_tokens": response.cache_write_tokens,
        },
    }


def _output_tokens(response: ApiResponse) -> int:
    if response.output_tokens is not None:
        return response.output_tokens
    return sum(len(block) for block in response.blocks) // 4 + 1


def _keep_up(responses: Sequence[ApiResponse | Respond]) -> Iterator[ApiResponse | Respond]:
    yield from responses
    while True:
        yield responses[-1]


def _text_of(content: str | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(block["text"] for block in content if block["type"] == "text")


def _json_bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
