"""Every way in which the CLI tells an error gets the class that the engine acts on, and a remedy."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.runners.base import Failure, FailureClass, Reply
from orchestrator.runners.claude_cli.classify import REMEDIES, ErrorEvidence, classify
from orchestrator.runners.claude_cli.parsing import parse_line
from orchestrator.runners.claude_cli.transcript import Transcript
from orchestrator.runners.claude_cli.usage_limits import reset_time, tells_usage_limit
from orchestrator.runners.claude_cli.verdict import Ending, judge

NOW = datetime(2026, 4, 22, 12, 0, tzinfo=UTC).timestamp()

INIT = b'{"type":"system","subtype":"init","session_id":"s","model":"m","apiKeySource":"none"}'
TEXT = b'{"type":"assistant","message":{"model":"m","content":[{"type":"text","text":"Hello."}]}}'
DONE = (
    b'{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn",'
    b'"terminal_reason":"completed","result":"Hello."}'
)
ERROR_LINE = (
    b'{"type":"assistant","message":{"model":"<synthetic>","content":[{"type":"text","text":"API Error: 500 oops"}]},'
    b'"error":"server_error","api_error_status":500}'
)
REJECTED = b'{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1776949200}}'
ALLOWED = b'{"type":"rate_limit_event","rate_limit_info":{"status":"allowed","resetsAt":1776949200}}'


def judged(*lines: bytes, ending: Ending | None = None) -> Reply | Failure:
    transcript = Transcript()
    for line in lines:
        transcript.add(parse_line(line))
    return judge(transcript, ending or Ending(exit_code=0), now=NOW)


def class_of(*lines: bytes, ending: Ending | None = None) -> FailureClass | None:
    outcome = judged(*lines, ending=ending)
    return outcome.error_type if isinstance(outcome, Failure) else None


def error_result(text: str, status: int | None = None, *, terminal: str = "api_error") -> bytes:
    signs = {"is_error": True, "num_turns": 1, "stop_reason": "stop_sequence", "terminal_reason": terminal}
    return json.dumps(
        {"type": "result", "subtype": "success", **signs, "result": text, "api_error_status": status}
    ).encode()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, FailureClass.INVALID_REQUEST),
        (401, FailureClass.AUTH),
        (402, FailureClass.BILLING),
        (403, FailureClass.AUTH),
        (404, FailureClass.UNKNOWN_MODEL),
        (408, FailureClass.TRANSIENT),
        (413, FailureClass.TOO_LONG),
        (422, FailureClass.INVALID_REQUEST),
        (429, FailureClass.THROTTLED),
        (500, FailureClass.TRANSIENT),
        (502, FailureClass.TRANSIENT),
        (529, FailureClass.TRANSIENT),
    ],
)
def test_status_decides(status: int, expected: FailureClass) -> None:
    """The API's status decides the class, with exit 1 as well as in versions that exit with 0."""
    line = error_result(f"API Error: {status} something", status)
    for exit_code in (0, 1):
        outcome = judged(INIT, line, ending=Ending(exit_code=exit_code))
        assert isinstance(outcome, Failure)
        assert outcome.error_type is expected
        assert outcome.message.endswith(REMEDIES[expected])
        assert outcome.evidence["api_error_status"] == status


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("Prompt is too long", None, FailureClass.TOO_LONG),
        ("API Error: 400 prompt is too long: 212000 tokens > 200000 maximum", 400, FailureClass.TOO_LONG),
        ("Invalid API key · Please run /login", None, FailureClass.AUTH),
        ("API Error: 401 Invalid API key · Please run /login", None, FailureClass.AUTH),
        ("Not logged in · Please run /login", None, FailureClass.AUTH),
        ("OAuth token has expired", None, FailureClass.AUTH),
        ("OAuth token revoked · Please run /login", None, FailureClass.AUTH),
        ("Login expired · Please run /login", None, FailureClass.AUTH),
        ("Credit balance is too low", None, FailureClass.BILLING),
        ("Credit balance is too low", 400, FailureClass.BILLING),
        ("You've hit your monthly spend limit.", 429, FailureClass.BILLING),
        ("There's an issue with the selected model (nope).", None, FailureClass.UNKNOWN_MODEL),
        ("API Error: Claude's response exceeded the 32000 output token maximum.", None, FailureClass.OUTPUT_CEILING),
        ("API Error: Connection error.", None, FailureClass.TRANSIENT),
        ("API Error: 503 upstream", None, FailureClass.TRANSIENT),
        ("API Error: Request rejected (429) · slow down", None, FailureClass.THROTTLED),
        ("API Error: Repeated 529 Overloaded errors", None, FailureClass.TRANSIENT),
        ("Server is temporarily limiting requests (not your usage limit)", 429, FailureClass.THROTTLED),
        ("Claude AI usage limit reached|1776949200", None, FailureClass.USAGE_LIMIT),
        ("5-hour limit reached ∙ resets 3am", 429, FailureClass.USAGE_LIMIT),
        ("something nobody has seen", None, FailureClass.PROTOCOL),
    ],
)
def test_words_decide_where_fields_do_not(text: str, status: int | None, expected: FailureClass) -> None:
    """Texts of earlier versions are understood when a status is missing or has two meanings."""
    assert class_of(INIT, error_result(text, status), ending=Ending(exit_code=1)) is expected


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        ("prompt_too_long", FailureClass.TOO_LONG),
        ("blocking_limit", FailureClass.TOO_LONG),
        ("budget_exhausted", FailureClass.BILLING),
        ("aborted_streaming", FailureClass.CRASH),
    ],
)
def test_terminal_reason_decides(terminal: str, expected: FailureClass) -> None:
    """What the CLI calls the end of the turn decides, whatever the text says."""
    assert class_of(INIT, error_result("no words", terminal=terminal)) is expected


def test_model_prose_is_never_matched() -> None:
    """An answer may talk about limits, logins and refusals: it is an answer."""
    prose = b"Claude AI usage limit reached|1776949200. Invalid API key. Credit balance is too low. API Error: 529"
    outcome = judged(INIT, TEXT.replace(b"Hello.", prose), DONE.replace(b"Hello.", prose))
    assert isinstance(outcome, Reply)
    assert outcome.text == prose.decode()


def test_rejected_allowance_is_a_usage_limit_with_its_end() -> None:
    """A rejected rate-limit event makes a 429 a usage limit until the given second; an allowed one does not."""
    line = error_result("API Error: 429", 429)
    limit = judged(INIT, REJECTED, line)
    assert isinstance(limit, Failure)
    assert (limit.error_type, limit.resets_at) == (FailureClass.USAGE_LIMIT, 1776949200)
    assert class_of(INIT, ALLOWED, line) is FailureClass.THROTTLED
    assert class_of(INIT, REJECTED, error_result("API Error: 500", 500)) is FailureClass.TRANSIENT
    assert class_of(INIT, REJECTED, TEXT, DONE) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Claude AI usage limit reached|1776949200", 1776949200.0),
        ("Claude AI usage limit reached|1776949200000", 1776949200.0),
        ("Weekly limit reached · resets 10am (Asia/Seoul)", datetime(2026, 4, 23, 10, tzinfo=ZoneInfo("Asia/Seoul"))),
        (
            "You've hit your limit · resets Apr 23 at 4pm (America/Recife)",
            datetime(2026, 4, 23, 16, tzinfo=ZoneInfo("America/Recife")),
        ),
        (
            "You've hit your session limit · resets 12:50am (America/Los_Angeles)",
            datetime(2026, 4, 23, 0, 50, tzinfo=ZoneInfo("America/Los_Angeles")),
        ),
        ("5-hour limit reached ∙ resets 3pm", datetime(2026, 4, 22, 15, tzinfo=UTC)),
        ("5-hour limit reached ∙ resets 11:49am", datetime(2026, 4, 23, 11, 49, tzinfo=UTC)),
        ("5-hour limit reached ∙ resets 12am", datetime(2026, 4, 23, 0, tzinfo=UTC)),
        ("You've hit your limit · resets Jan 2, 9:05am (UTC)", datetime(2027, 1, 2, 9, 5, tzinfo=UTC)),
        ("You've hit your limit · resets Apr 22 at 11am (UTC)", datetime(2026, 4, 22, 11, tzinfo=UTC)),
        ("Weekly limit reached · resets 10am (Mars/Olympus)", None),
        ("Weekly limit reached · resets 10am (../../etc/passwd)", None),
        ("Weekly limit reached · resets 13pm (UTC)", None),
        ("Weekly limit reached · resets Feb 31 at 1am (UTC)", None),
        ("Weekly limit reached", None),
    ],
)
def test_reset_time_is_read(text: str, expected: datetime | float | None) -> None:
    """The end of a limit is read from every wording seen; a time that cannot be meant is not known."""
    assert tells_usage_limit(text)
    found = reset_time(text, now=NOW, local=UTC)
    assert found == (expected.timestamp() if isinstance(expected, datetime) else expected)


@pytest.mark.parametrize(
    ("text", "at", "passed"),
    [
        ("5-hour limit reached ∙ resets 3am", "2026-04-22T03:04:00+00:00", 240),
        ("5-hour limit reached ∙ resets 3am", "2026-04-22T03:00:00+00:00", 0),
        ("5-hour limit reached ∙ resets 3am", "2026-04-22T03:10:00+00:00", 600),
        ("5-hour limit reached ∙ resets 3am", "2026-04-22T03:10:01+00:00", 601 - 86_400),
        ("Weekly limit reached · resets 10am (Asia/Seoul)", "2026-04-22T01:05:00+00:00", 300),
        ("You've hit your session limit · resets 12:50am (America/Los_Angeles)", "2026-04-22T07:55:00+00:00", 300),
        ("You've hit your session limit · resets 11:58pm", "2026-04-22T00:03:00+00:00", 300),
        ("You've hit your limit · resets Apr 23 at 4pm (America/Recife)", "2026-04-23T19:06:00+00:00", 360),
    ],
)
def test_a_time_that_has_just_passed_is_not_tomorrows(text: str, at: str, passed: int) -> None:
    """Read up to ten minutes late a time of day is the one that has come, also over midnight; then it is the next."""
    now = datetime.fromisoformat(at).timestamp()
    assert reset_time(text, now=now, local=UTC) == now - passed


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (datetime(2026, 3, 29, 0, 0, tzinfo=UTC), "limit reached · resets 2:30am (Europe/Berlin)"),
        (datetime(2026, 10, 24, 23, 0, tzinfo=UTC), "limit reached · resets 2:30am (Europe/Berlin)"),
    ],
)
def test_time_that_a_change_of_clocks_skips_or_repeats_is_not_known(now: datetime, text: str) -> None:
    """Half past two exists not at all in one night of the year and twice in another."""
    assert reset_time(text, now=now.timestamp()) is None


def test_time_without_a_zone_is_this_machines() -> None:
    """Without a zone the next such time on the clock of this machine is meant."""
    found = reset_time("5-hour limit reached ∙ resets 3am", now=NOW)
    assert found is not None
    assert 0 < found - NOW <= 24 * 3600
    assert datetime.fromtimestamp(found).hour == 3


@pytest.mark.parametrize(
    "text",
    [
        "Server is temporarily limiting requests (not your usage limit)",
        "You've hit your monthly spend limit.",
        "Context limit reached",
        "The character limit of the form",
    ],
)
def test_other_limits_are_no_usage_limits(text: str) -> None:
    """A spend limit, a context limit and a busy server do not end at a reset."""
    assert not tells_usage_limit(text)


@pytest.mark.parametrize(
    ("lines", "ending"),
    [
        ((INIT, TEXT, DONE, DONE), Ending(exit_code=0)),
        ((INIT, TEXT, ERROR_LINE, DONE), Ending(exit_code=0)),
        ((INIT, TEXT, DONE), Ending(exit_code=1)),
        ((INIT, TEXT, DONE), Ending(exit_code=-11)),
        ((INIT, TEXT, DONE), Ending(exit_code=0, incomplete=True)),
        ((INIT, TEXT, b"{garbage", DONE), Ending(exit_code=0)),
        ((TEXT, DONE), Ending(exit_code=0)),
        ((INIT, TEXT, DONE.replace(b'"is_error":false,', b"")), Ending(exit_code=0)),
        ((INIT, TEXT, DONE.replace(b"end_turn", b"pause_turn")), Ending(exit_code=0)),
        ((INIT, TEXT, DONE.replace(b'"stop_reason":"end_turn",', b"")), Ending(exit_code=0)),
        ((INIT, TEXT, DONE.replace(b'"num_turns":1', b'"num_turns":0')), Ending(exit_code=0)),
        ((INIT, TEXT, DONE.replace(b"Hello.", b"Something else.")), Ending(exit_code=0)),
    ],
)
def test_contradicting_signs_are_no_success(lines: tuple[bytes, ...], ending: Ending) -> None:
    """One sign against it is enough: a result that says success is then a failure of the protocol."""
    assert class_of(INIT, TEXT, DONE) is None
    assert class_of(*lines, ending=ending) is FailureClass.PROTOCOL


def test_error_told_as_success_has_the_class_of_the_error() -> None:
    """Where a clean result follows an API error and no text, the error decides."""
    clean = DONE.replace(b"Hello.", b"API Error: 500 oops")
    assert class_of(INIT, ERROR_LINE, clean) is FailureClass.TRANSIENT


def test_own_end_after_the_result_keeps_the_answer() -> None:
    """A process that does not exit after its result is ended; its exit code then says nothing."""
    assert class_of(INIT, TEXT, DONE, ending=Ending(exit_code=143, ended_by_us=True)) is None


def test_text_that_is_not_of_the_answer_stays_out() -> None:
    """Lines of sub-agents and of the CLI itself are never part of an answer."""
    nested = (
        b'{"type":"assistant","parent_tool_use_id":"t","message":{"model":"m","content":[{"type":"text","text":"X"}]}}'
    )
    outcome = judged(INIT, nested, TEXT, DONE)
    assert isinstance(outcome, Reply)
    assert outcome.text == "Hello."


def test_refusal_anywhere_is_a_refusal() -> None:
    """A refused half and a second try arrive as one clean success; it is a refusal all the same."""
    told = (
        b'{"type":"user","isSynthetic":true,"refused_message_id":"r","message":{"content":"x"}}',
        b'{"type":"system","subtype":"model_refusal_no_fallback"}',
        b'{"type":"assistant","message":{"model":"m","stop_reason":"refusal","content":[]}}',
        b'{"type":"stream_event","event":{"type":"message_delta","delta":{"stop_reason":"refusal"}}}',
    )
    for line in told:
        assert class_of(INIT, line, TEXT, DONE) is FailureClass.REFUSAL
    assert class_of(INIT, TEXT, DONE.replace(b"end_turn", b"refusal")) is FailureClass.REFUSAL


def test_continued_answer_tells_its_seam() -> None:
    """An answer that the CLI made go on by itself is whole, and says where and why it was cut."""
    more = (
        b'{"type":"user","isSynthetic":true,"message":{"content":[{"type":"text","text":"Output token limit hit."}]}}'
    )
    outcome = judged(INIT, TEXT, more, TEXT, DONE.replace(b'"num_turns":1', b'"num_turns":2'))
    assert isinstance(outcome, Reply)
    assert outcome.text == "Hello.Hello."
    assert outcome.evidence["num_turns"] == 2
    assert outcome.evidence["seams"] == [{"reason": "ceiling", "chars": 6}]


@pytest.mark.parametrize(
    ("ending", "expected", "words"),
    [
        (
            Ending(exit_code=1, stderr_tail="error: unknown option '--tools'"),
            FailureClass.ENVIRONMENT,
            "unknown option",
        ),
        (Ending(exit_code=127), FailureClass.ENVIRONMENT, "exited with 127"),
        (Ending(exit_code=1, stderr_tail="Not logged in · Please run /login"), FailureClass.AUTH, "/login"),
        (Ending(exit_code=1, stderr_tail="Error: stdin exceeds 10 MB"), FailureClass.TOO_LONG, "10 MB"),
        (Ending(exit_code=1), FailureClass.CRASH, "exited with 1"),
        (Ending(exit_code=-9, stderr_tail="x"), FailureClass.CRASH, "SIGKILL"),
        (Ending(exit_code=0), FailureClass.CRASH, "exited with 0"),
    ],
)
def test_end_without_a_line_is_told_apart(ending: Ending, expected: FailureClass, words: str) -> None:
    """A CLI that refuses to start is a fault of the environment; one that dies is a crash, with code and stderr."""
    outcome = judged(ending=ending)
    assert isinstance(outcome, Failure)
    assert outcome.error_type is expected
    assert words in outcome.message
    crashed = judged(INIT, TEXT, ending=replace(ending, exit_code=ending.exit_code or 3))
    assert isinstance(crashed, Failure)
    assert crashed.error_type is FailureClass.CRASH


def test_time_limit_while_the_api_kept_refusing_is_the_apis_class() -> None:
    """A version that retries inside is ended by our limit, but what it retried for is the reason."""
    limit = Ending(exit_code=143, ended_by_us=True, timeout=FailureClass.WALL_TIMEOUT, limit_s=9)
    retry = b'{"type":"system","subtype":"api_retry","error_status":401,"error":"authentication_failed"}'
    assert class_of(INIT, retry, ending=limit) is FailureClass.AUTH
    assert class_of(INIT, retry, TEXT, ending=limit) is FailureClass.WALL_TIMEOUT
    assert class_of(INIT, ending=limit) is FailureClass.WALL_TIMEOUT


def test_message_is_clipped_and_printable() -> None:
    """Whatever the error text holds, the message is one printable line of bounded length that ends with the remedy."""
    text = "\x1b]52;c;AAAA\x07 line\nbreak " + "long " * 1000
    verdict = classify(ErrorEvidence(text=text, status=500), now=NOW)
    assert verdict.message.isprintable()
    assert len(verdict.message) < 600
    assert verdict.message.endswith(REMEDIES[FailureClass.TRANSIENT])


def test_every_class_has_a_remedy() -> None:
    """No class leaves the reader without a next step."""
    assert set(REMEDIES) == set(FailureClass)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"type":7}',
        b'{"type":"result","usage":[],"modelUsage":{"m":3},"errors":"x","num_turns":"many","total_cost_usd":true}',
        b'{"type":"assistant","message":"x"}',
        b'{"type":"assistant","message":{"content":[1,{"type":"text","text":5}]}}',
        b'{"type":"user"}',
        b'{"type":"stream_event","event":[]}',
        b'{"type":"rate_limit_event"}',
        b'{"type":"result","num_turns":1e400,"total_cost_usd":-1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_any_line_is_taken(line: bytes) -> None:
    """No line, however strange, raises; and none of these makes an answer."""
    assert isinstance(judged(line), Failure)


def test_half_surrogate_pair_can_be_stored() -> None:
    """A character that was cut in half inside JSON becomes U+FFFD; one whose halves meet again is whole."""
    half, whole = (
        judged(INIT, TEXT.replace(b"Hello.", b"a\\ud83d"), DONE.replace(b"Hello.", b"")),
        judged(
            INIT,
            TEXT.replace(b"Hello.", b"a\\ud83d"),
            TEXT.replace(b"Hello.", b"\\ude00b"),
            DONE.replace(b"Hello.", b""),
        ),
    )
    assert isinstance(half, Reply)
    assert isinstance(whole, Reply)
    assert (half.text, whole.text) == ("a\ufffd", "a😀b")


def test_an_end_in_epoch_seconds_is_no_part_of_the_message() -> None:
    """People are told the time; the number is for us."""
    verdict = classify(ErrorEvidence(text="Claude AI usage limit reached|1776949200"), now=0.0)
    assert verdict.message.startswith("Claude AI usage limit reached. ")
    assert verdict.resets_at == 1776949200.0
