"""Recorded streams damaged in every way that was thought of, and a plain second opinion on what may count as success.

Everything follows from the seed: `damaged(seed)` is the same stream for ever.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from orchestrator.runners.base import Failure, Reply
from orchestrator.runners.claude_cli.framing import LineFramer
from orchestrator.runners.claude_cli.messages import Message
from orchestrator.runners.claude_cli.parsing import parse_line
from orchestrator.runners.claude_cli.transcript import Transcript
from orchestrator.runners.claude_cli.verdict import Ending, judge

RECORDINGS = Path(__file__).parent / "recordings"
NOW = 1_795_400_000.0

NAMES = tuple(sorted(path.stem for path in RECORDINGS.glob("*.ndjson")))
EXIT_CODES = (0, 0, 0, 0, 1, 143, -9, None)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1e308, 10**30, "", "success", "refusal", "end_turn", "<synthetic>", "completed"),
    *("result", "assistant", "\ud83d", "\u2028\x85\x00", [], {}, [[]], ["text"], {"type": "text", "text": "x"}),
    *([{"type": "text", "text": "more"}], [{"type": "text", "text": 5}], [None, 7, "x"], {"a": {"b": [{}]}}),
)
FOREIGN = (
    *(b"", b"   ", b"null", b"[]", b"7", b'"text"', b"{", b"}", b"{}", b'{"type":null}', b'{"type":["result"]}'),
    *(b"warning: \x1b[31msomething\xff", b"\xff\xfe\x00", b"\xed\xa0\x80", b"\r", b"[" * 5000, b'{"a":' * 3000),
    *(b'{"type":"new_kind","text":"x"}', b'{"type":"result"}', b'{"type":"assistant"}', b'{"type":"system"}'),
    *(b'{"type":"assistant","message":{"content":"plain"}}', b'{"type":"result","subtype":"success","is_error":false}'),
    *(b'{"type":"user","isSynthetic":true,"message":7}', b"NaN", b'{"type":"rate_limit_event","rate_limit_info":[1]}'),
    b'{"type":"assistant","message":{"model":"<synthetic>","content":[{"type":"text","text":"API Error: 500"}]}}',
    b'{"type":"result","subtype":"success","is_error":"false","num_turns":1e999,"result":{}}',
    b'{"type":"assistant","parent_tool_use_id":"t","message":{"content":[{"type":"text","text":"nested"}]}}',
)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A stream, cut into pieces as it arrives, how its process ended, and whether a JSON answer was asked for."""

    pieces: tuple[bytes, ...]
    exit_code: int | None
    structured: bool

    @property
    def data(self) -> bytes:
        """The whole stream."""
        return b"".join(self.pieces)


@cache
def recorded(name: str) -> bytes:
    """A stream as it was recorded."""
    return (RECORDINGS / f"{name}.ndjson").read_bytes()


def damaged(seed: int) -> Damaged:
    """The damaged stream of this seed."""
    chance = random.Random(seed)
    name = chance.choice(NAMES)
    lines = recorded(name).split(b"\n")
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        lines = chance.choice(_CHANGES)(lines, chance)
    data = b"\n".join(lines)
    if chance.random() < 0.05:
        data = data[: chance.randrange(len(data) + 1)]
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 1, 3))))
    pieces = tuple(data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True))
    structured = name == "json_schema" and chance.random() < 0.7
    return Damaged(pieces, chance.choice(EXIT_CODES), structured)


Lines = list[bytes]


def _bytes(change: Callable[[bytes, int, int, random.Random], bytes]) -> Callable[[Lines, random.Random], Lines]:
    """A change of bytes within one line; where it makes or takes a newline, of the lines."""

    def of_lines(lines: Lines, chance: random.Random) -> Lines:
        at = chance.randrange(len(lines))
        line = lines[at] + b"\n"
        start = chance.randrange(len(line))
        stop = min(len(line), start + chance.choice((1, 2, 20, 400)))
        changed = change(line, start, stop, chance)
        joined = changed[:-1] if changed.endswith(b"\n") else changed + b"".join(lines[at + 1 : at + 2])
        used = 1 if changed.endswith(b"\n") else 2
        return [*lines[:at], *joined.split(b"\n"), *lines[at + used :]]

    return of_lines


def _flip(line: bytes, start: int, stop: int, chance: random.Random) -> bytes:
    return line[:start] + bytes([line[start] ^ (1 << chance.randrange(8))]) + line[start + 1 :]


def _any_byte(line: bytes, start: int, stop: int, chance: random.Random) -> bytes:
    return line[:start] + bytes([chance.randrange(256)]) + line[start + 1 :]


def _lose(line: bytes, start: int, stop: int, chance: random.Random) -> bytes:
    return line[:start] + line[stop:]


def _double(line: bytes, start: int, stop: int, chance: random.Random) -> bytes:
    return line[:stop] + line[start:stop] + line[stop:]


def _move(line: bytes, start: int, stop: int, chance: random.Random) -> bytes:
    rest, where = line[:start] + line[stop:], chance.randrange(start + 1)
    return rest[:where] + line[start:stop] + rest[where:]


def _drop_line(lines: Lines, chance: random.Random) -> Lines:
    at = chance.randrange(len(lines))
    return lines[:at] + lines[at + 1 :] or [b""]


def _double_line(lines: Lines, chance: random.Random) -> Lines:
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines) + 1)
    return [*lines[:to], lines[at], *lines[to:]]


def _swap_lines(lines: Lines, chance: random.Random) -> Lines:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    changed = list(lines)
    changed[one], changed[other] = lines[other], lines[one]
    return changed


def _cut_short(lines: Lines, chance: random.Random) -> Lines:
    kept = lines[: chance.randrange(len(lines)) + 1]
    return [*kept[:-1], kept[-1][: chance.randrange(len(kept[-1]) + 1)]]


def _splice(lines: Lines, chance: random.Random) -> Lines:
    other = recorded(chance.choice(NAMES)).split(b"\n")
    return [*lines[: chance.randrange(len(lines) + 1)], *other[chance.randrange(len(other)) :]]


def _mix(lines: Lines, chance: random.Random) -> Lines:
    other, at = recorded(chance.choice(NAMES)).split(b"\n"), chance.randrange(len(lines) + 1)
    return [*lines[:at], chance.choice(other), *lines[at:]]


def _foreign(lines: Lines, chance: random.Random) -> Lines:
    at = chance.randrange(len(lines) + 1)
    return [*lines[:at], chance.choice(FOREIGN), *lines[at:]]


def _huge(lines: Lines, chance: random.Random) -> Lines:
    if chance.random() < 0.98:
        return _foreign(lines, chance)
    at, text = chance.randrange(len(lines) + 1), chance.choice((b"x", b"\xff", b'{"type":"assistant"')) * 60_000
    return [*lines[:at], text, *lines[at:]]


def _value(lines: Lines, chance: random.Random) -> Lines:
    """A value of a JSON line is another one, of whatever type, or its key is gone or has another name."""
    at = chance.randrange(len(lines))
    try:
        root = json.loads(lines[at])
    except (ValueError, RecursionError):
        return _foreign(lines, chance)
    node = root
    while isinstance(node, dict | list) and node:
        key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
        below = node[key]
        if not isinstance(below, dict | list) or not below or chance.random() < 0.3:
            match chance.randrange(5):
                case 0:
                    del node[key]
                case 1 if isinstance(node, dict):
                    node[chance.choice(("type", "result", "model", "text", "is_error", "subtype", "error"))] = below
                case _:
                    node[key] = chance.choice(VALUES)
            break
        node = below
    text = json.dumps(root, ensure_ascii=chance.random() < 0.5, separators=(",", ":"))
    return [*lines[:at], text.encode("utf-8", "surrogatepass"), *lines[at + 1 :]]


_CHANGES: tuple[Callable[[Lines, random.Random], Lines], ...] = (
    *map(_bytes, (_flip, _any_byte, _lose, _double, _move)),
    *(_drop_line, _double_line, _swap_lines, _cut_short, _splice, _mix, _foreign, _huge),
    *(_value, _value, _value, _value),
)

# Lines that were not damaged are the same in a million streams.
_parsed: Callable[[bytes], Message] = lru_cache(maxsize=2000)(parse_line)


def outcome(stream: Damaged) -> Reply | Failure:
    """What the product makes of a stream, as it comes in pieces."""
    framer, transcript = LineFramer(), Transcript()
    for piece in stream.pieces:
        for line in framer.feed(piece):
            transcript.add(_parsed(line))
    ending = Ending(exit_code=stream.exit_code, incomplete=framer.finish() is not None)
    return judge(transcript, ending, now=NOW, structured=stream.structured)


@lru_cache(maxsize=2000)
def _read(line: bytes) -> Any:
    """The JSON value of a line, or None."""
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def second_opinion(stream: Damaged) -> str | None:
    """The one text that may count as this stream's answer; None when nothing may.

    Written without a look at the product's own reading, and simpler than that: what it allows may still be refused.
    """
    whole, _, rest = stream.data.rpartition(b"\n")
    if stream.exit_code != 0 or rest:
        return None
    read = [_read(line) for line in whole.split(b"\n") if line.strip()]
    records = [each for each in read if isinstance(each, dict)]
    results = [each for each in records if each.get("type") == "result"]
    first = [each for each in records if each.get("type") == "system" and each.get("subtype") == "init"]
    if len(results) != 1 or not first:
        return None
    result = results[0]
    good_ends = ("end_turn", "tool_use") if stream.structured else ("end_turn",)
    if result.get("is_error") is not False or result.get("subtype") != "success":
        return None
    if result.get("stop_reason") not in good_ends or not result.get("num_turns"):
        return None
    if isinstance(result.get("terminal_reason"), str) and result["terminal_reason"] not in ("", "completed"):
        return None
    if any(_refuses(each) for each in records):
        return None
    if stream.structured:
        value = result.get("structured_output")
        return None if value is None else json.dumps(value, sort_keys=True)
    # What the model says before it is given what a tool found is no part of its answer.
    given = [at for at, each in enumerate(records) if _gives_tool_result(each)]
    return "".join(map(_answer_text, records[given[-1] + 1 :] if given else records)) or None


def _message(record: dict[str, Any]) -> dict[str, Any]:
    message = record.get("message")
    return message if isinstance(message, dict) else {}


def _refuses(record: dict[str, Any]) -> bool:
    own = record.get("type") == "assistant" and _message(record).get("stop_reason") == "refusal"
    return own or (str(record.get("subtype")).startswith("model_refusal") and record.get("type") == "system")


def _gives_tool_result(record: dict[str, Any]) -> bool:
    """Whether this line tells the model what a tool of its own found."""
    content = _message(record).get("content")
    blocks = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    found = any(each.get("type") == "tool_result" for each in blocks)
    return found and record.get("type") == "user" and not record.get("parent_tool_use_id")


def _answer_text(record: dict[str, Any]) -> str:
    """The text that the model itself wrote on this line."""
    message = _message(record)
    if record.get("type") != "assistant" or record.get("parent_tool_use_id") or message.get("model") == "<synthetic>":
        return ""
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [each.get("text") for each in blocks if isinstance(each, dict) and each.get("type") == "text"]
    return "".join(each for each in texts if isinstance(each, str))


def verdict_on(seed: int) -> str:
    """What is wrong with what the product makes of the damaged stream of this seed; "" when nothing is."""
    stream = damaged(seed)
    try:
        found = outcome(stream)
    except Exception as error:
        return f"raised {error!r}"
    if isinstance(found, Failure):
        return ""
    allowed = second_opinion(stream)
    if allowed is None:
        return "counted as success, and nothing may"
    told = json.dumps(json.loads(found.text), sort_keys=True) if stream.structured else found.text
    same = told == allowed.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "" if same else f"told {told[:80]!r} where {allowed[:80]!r} stands"
