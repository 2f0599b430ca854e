"""Recorded output of the real CLI is read right, whole or damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orchestrator.runners.base import Failure, FailureClass, Reply, UsageWindow
from orchestrator.runners.claude_cli.framing import LineFramer
from orchestrator.runners.claude_cli.messages import Message
from orchestrator.runners.claude_cli.parsing import parse_line
from orchestrator.runners.claude_cli.transcript import Transcript
from orchestrator.runners.claude_cli.verdict import Ending, judge

RECORDINGS = Path(__file__).parent / "recordings"
NOW = 1_795_400_000.0
FIVE_WORDS = "word0 word1 word2 word3 word4 "

ANSWERS = {
    "success": FIVE_WORDS,
    "success_partial": FIVE_WORDS,
    "default_flags": FIVE_WORDS,
    "two_blocks": "PART-ONE PART-TWO",
    "stream_broken_then_retried": "ok " * 10,
    "stream_broken_then_retried_partial": "ok " * 10,
    "limit_warning_oauth": "word0 word1 word2 ",
}
FAILURES = {
    "budget_reached": FailureClass.BILLING,
    "continued_after_ceiling": FailureClass.OUTPUT_CEILING,
    "continued_after_ceiling_partial": FailureClass.OUTPUT_CEILING,
    "empty": FailureClass.EMPTY,
    "error_400": FailureClass.INVALID_REQUEST,
    "error_401": FailureClass.AUTH,
    "error_403": FailureClass.AUTH,
    "error_413": FailureClass.TOO_LONG,
    "error_429": FailureClass.THROTTLED,
    "error_429_cut_while_retrying": FailureClass.THROTTLED,
    "error_529": FailureClass.TRANSIENT,
    "json_schema": FailureClass.PROTOCOL,
    "prompt_too_long": FailureClass.TOO_LONG,
    "refusal": FailureClass.REFUSAL,
}
EXIT_ZERO = {*ANSWERS, "empty", "json_schema"}


def recorded(name: str) -> bytes:
    return (RECORDINGS / f"{name}.ndjson").read_bytes()


def ending_of(name: str, *, incomplete: bool = False) -> Ending:
    if name == "error_429_cut_while_retrying":
        limit = FailureClass.WALL_TIMEOUT
        return Ending(exit_code=143, ended_by_us=True, timeout=limit, limit_s=60.0, incomplete=incomplete)
    return Ending(exit_code=0 if name in EXIT_ZERO else 1, incomplete=incomplete)


def read(*pieces: bytes) -> tuple[list[Message], bool]:
    framer = LineFramer()
    messages = [parse_line(line) for piece in pieces for line in framer.feed(piece)]
    return messages, framer.finish() is not None


def outcome(name: str, *pieces: bytes, structured: bool = False, exit_code: int | None = None) -> Reply | Failure:
    messages, incomplete = read(*pieces)
    transcript = Transcript()
    for message in messages:
        transcript.add(message)
    ending = ending_of(name, incomplete=incomplete)
    if exit_code is not None:
        ending = Ending(exit_code=exit_code, incomplete=incomplete)
    return judge(transcript, ending, now=NOW, structured=structured)


def test_every_recording_is_expected() -> None:
    """No recording lies there without a word on what it must be read as."""
    assert {path.stem for path in RECORDINGS.glob("*.ndjson")} == {*ANSWERS, *FAILURES}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_whole(name: str) -> None:
    """An answer comes out whole, with who answered, what it cost and which login paid."""
    reply = outcome(name, recorded(name))
    assert isinstance(reply, Reply)
    assert reply.text == ANSWERS[name]
    assert reply.model == ("claude-sonnet-5-5" if name == "limit_warning_oauth" else "claude-opus-5-5")
    assert reply.cost_usd > 0
    assert reply.usage.output_tokens > 0
    assert reply.usage.total_input_tokens >= 10
    assert len(reply.session_id) == 36
    assert reply.login == ("none" if name == "limit_warning_oauth" else "ANTHROPIC_API_KEY")


def test_usage_windows_are_read() -> None:
    """The allowance of a subscription login comes with its answer; other logins have none."""
    reply = outcome("limit_warning_oauth", recorded("limit_warning_oauth"))
    assert reply.windows == (UsageWindow(name="five_hour", utilization=0.93, resets_at=1795413494.0),)
    assert outcome("success", recorded("success")).windows == ()


@pytest.mark.parametrize("name", FAILURES)
def test_failure_has_its_class_and_remedy(name: str) -> None:
    """A failure has the class that the engine needs, a message of one line, and the facts that decided."""
    failure = outcome(name, recorded(name))
    assert isinstance(failure, Failure)
    assert failure.error_type is FAILURES[name]
    assert failure.message.isprintable()
    assert failure.message.endswith(".")
    assert failure.evidence["lines"]


def test_failure_is_charged() -> None:
    """What a failed attempt cost is told all the same, with its tokens."""
    failure = outcome("continued_after_ceiling", recorded("continued_after_ceiling"))
    assert isinstance(failure, Failure)
    assert failure.cost_usd == pytest.approx(0.00256)
    assert (failure.usage.input_tokens, failure.usage.output_tokens) == (40, 20)
    assert failure.usage.cache_write_tokens == 400
    budget = outcome("budget_reached", recorded("budget_reached"))
    assert isinstance(budget, Failure)
    assert (budget.usage.input_tokens, budget.usage.output_tokens, budget.cost_usd) == (10, 3, pytest.approx(0.0006))


def test_structured_output_is_the_answer_when_asked_for() -> None:
    """With a JSON schema the answer is the object of the result line; without that object it is malformed."""
    reply = outcome("json_schema", recorded("json_schema"), structured=True)
    assert isinstance(reply, Reply)
    assert reply.text == '{"answer":"forty two"}'
    plain = outcome("success", recorded("success"), structured=True)
    assert isinstance(plain, Failure)
    assert plain.error_type is FailureClass.MALFORMED


@pytest.mark.parametrize("name", [*ANSWERS, *FAILURES])
def test_cut_after_any_line_is_never_an_answer(name: str) -> None:
    """Output that ends before the result line is a failure, whatever the exit code."""
    lines = recorded(name).splitlines(keepends=True)
    for count in range(len(lines)):
        for exit_code in (0, 1, 143, -9):
            assert isinstance(outcome(name, *lines[:count], exit_code=exit_code), Failure)


@pytest.mark.parametrize("name", [*ANSWERS, *FAILURES])
def test_cut_at_any_byte_is_never_an_answer(name: str) -> None:
    """Output that stops anywhere inside is a failure, even if only the last newline is missing."""
    data = recorded(name)
    step = max(1, len(data) // 300)
    for length in {*range(0, len(data), step), *range(len(data) - 40, len(data))}:
        assert isinstance(outcome(name, data[:length]), Failure)


@pytest.mark.parametrize("name", [*ANSWERS, *FAILURES])
def test_pieces_do_not_matter(name: str) -> None:
    """However the bytes are cut on their way, the messages and the outcome are the same."""
    data = recorded(name)
    whole, _ = read(data)
    rng = random.Random(name)
    for size in (1, 2, 3, 7, 1000):
        assert read(*(data[start : start + size] for start in range(0, len(data), size)))[0] == whole
    for _ in range(50):
        cut = rng.randrange(len(data))
        assert read(data[:cut], data[cut:])[0] == whole


def test_damage_never_makes_a_failure_an_answer() -> None:
    """3,000 damaged copies of failures: bytes changed, pieces lost, doubled or moved; never raises, never an answer."""
    rng = random.Random(2_1_330)
    names = sorted(set(FAILURES) - {"json_schema"})
    for _ in range(3000):
        name = rng.choice(names)
        assert isinstance(outcome(name, damaged(recorded(name), rng)), Failure)


def test_torn_output_never_changes_an_answer() -> None:
    """3,000 copies of answers with torn lines, foreign lines and missing ends: the right answer, or a failure."""
    rng = random.Random(79500)
    for _ in range(3000):
        name = rng.choice(sorted(ANSWERS))
        result = outcome(name, torn(recorded(name), rng), exit_code=rng.choice([0, 0, 0, 1, -9]))
        assert isinstance(result, Failure) or result.text == ANSWERS[name]


def damaged(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.randrange(1, 200))
    piece = data[start:stop]
    match rng.randrange(4):
        case 0:
            return data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :]
        case 1:
            return data[:start] + data[stop:]
        case 2:
            return data[:stop] + piece + data[stop:]
        case _:
            rest = data[:start] + data[stop:]
            where = rng.randrange(len(rest) + 1)
            return rest[:where] + piece + rest[where:]


def torn(data: bytes, rng: random.Random) -> bytes:
    where = rng.randrange(len(data))
    match rng.randrange(3):
        case 0:
            return data[:where]
        case 1:
            return data[:where] + b"\nwarning: \x1b[31msomething\xff\n" + data[where:]
        case _:
            lines = data.splitlines(keepends=True)
            lines.insert(
                rng.randrange(len(lines) + 1), rng.choice([b"\n", b"[]\n", b"null\n", b'{"type":"new"}\n', b"{\n"])
            )
            return b"".join(lines)
