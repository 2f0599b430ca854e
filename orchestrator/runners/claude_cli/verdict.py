"""A transcript and how its process ended to a reply or a failure: the third pure step.

A turn succeeded only when every sign says so; each is needed (2.1.328: every API error has `subtype: success`, an
empty answer is a clean success, `result.result` holds the last text block alone). Signs that contradict each other
are a failure of the protocol, never a success.
"""

from __future__ import annotations

import signal
from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.runners.base import Failure, FailureClass, Reply, Usage
from orchestrator.runners.claude_cli.classify import (
    ErrorEvidence,
    Verdict,
    by_words,
    classify,
    explain,
    one_line,
)
from orchestrator.runners.claude_cli.messages import ResultLine
from orchestrator.runners.claude_cli.transcript import Transcript

STRUCTURED_OUTPUT = "StructuredOutput"
"""The tool that the CLI offers by itself with a JSON schema (2.1.328, 2.1.332)."""

MAX_DENIALS = 20
"""Denied calls that the evidence names."""

SHELL_CANNOT_START = {126, 127}
"""Exit codes of a shell that could not start the program."""

TOLD_ON_STDERR = {FailureClass.AUTH, FailureClass.BILLING, FailureClass.TOO_LONG, FailureClass.USAGE_LIMIT}
"""What a CLI that never began may say in words; anything else that it says then is a fault of the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the process ended. `exit_code` is negative for a signal, None when it never came.

    `ended_by_us` says that we ended it, or keep it for another prompt, so that its exit code means nothing; `timeout`
    is the limit that was the reason, after `limit_s` seconds, and `limit_from` where it is from. `incomplete` says that
    the output stopped inside a line.
    `held_mb` is the most that the processes were seen to hold; `limit_mb` is given when they were ended for that.
    """

    exit_code: int | None
    stderr_tail: str = ""
    incomplete: bool = False
    ended_by_us: bool = False
    timeout: FailureClass | None = None
    limit_s: float = 0.0
    limit_from: str = ""
    held_mb: int = 0
    limit_mb: int = 0


def judge(
    transcript: Transcript, ending: Ending, *, now: float, structured: bool = False, tools: Collection[str] = ()
) -> Reply | Failure:
    """The outcome of an attempt. `now` is an epoch second; `tools` might be used.

    With `structured` a JSON schema was asked for: the answer is then the object of the result line, as JSON text.
    """
    verdict = _verdict(transcript, ending, now, structured, tools)
    if verdict is None:
        text = transcript.results[0].structured if structured else None
        return _reply(transcript, text=transcript.text if text is None else text, held_mb=ending.held_mb)
    result = transcript.results[-1] if transcript.results else None
    return Failure(
        error_type=verdict.error_type,
        message=verdict.message,
        evidence=evidence_of(transcript, ending),
        partial_text=transcript.text if verdict.error_type is FailureClass.OUTPUT_CEILING else "",
        resets_at=verdict.resets_at,
        cost_usd=result.cost_usd if result else 0.0,
        usage=result.usage if result else Usage(),
        windows=tuple(transcript.windows.values()),
    )


def evidence_of(transcript: Transcript, ending: Ending) -> dict[str, object]:
    """The structured facts that decided, without empty ones; no prompt and no answer."""
    result = transcript.results[-1] if transcript.results else None
    error = transcript.errors[-1] if transcript.errors else None
    facts: dict[str, object] = {
        "exit_code": ending.exit_code,
        "ended_by_us": ending.ended_by_us,
        "limit_s": ending.limit_s,
        "limit_from": ending.limit_from,
        "held_mb": ending.held_mb or None,
        "limit_mb": ending.limit_mb or None,
        "stderr": ending.stderr_tail,
        "results": len(transcript.results),
        "lines": transcript.lines,
        "malformed_lines": len(transcript.malformed),
        "skipped_lines": dict(transcript.skipped),
        "api_retries": transcript.retries,
        "continued": [seam.reason for seam in transcript.seams],
        "output_chars": transcript.output_chars,
        "cli_version": transcript.init.version if transcript.init else "",
        "api_error_status": (result and result.status) or (error and error.status) or None,
        "error": error.error if error else "",
        "api_error": (result.api_error if result else "") or (error.api_error if error else ""),
        "api_error_type": (result.api_error_type if result else "") or (error.api_error_type if error else ""),
        "tools_called": dict(transcript.called),
        "refusals": [one_line(reason) for reason in transcript.refusals],
    }
    if result:
        facts |= {
            "subtype": result.subtype,
            "is_error": result.is_error,
            "terminal_reason": result.terminal_reason,
            "stop_reason": result.stop_reason,
            "num_turns": result.num_turns,
            "denied": [one_line(call) for call in result.denials[:MAX_DENIALS]],
        }
    return {name: value for name, value in facts.items() if value not in (None, "", [], {}) and value is not False}


def _reply(transcript: Transcript, *, text: str, held_mb: int) -> Reply:
    result = transcript.results[0]
    evidence: dict[str, object] = {"num_turns": result.num_turns}
    if transcript.called:
        evidence["tools_called"] = dict(transcript.called)
    if transcript.seams:
        evidence["seams"] = [{"reason": seam.reason, "chars": seam.chars} for seam in transcript.seams]
    if transcript.skipped:
        evidence["skipped_lines"] = dict(transcript.skipped)
    init = transcript.init
    return Reply(
        text=text,
        model=transcript.model or (init.model if init else ""),
        usage=result.usage,
        cost_usd=result.cost_usd,
        session_id=result.session_id or (init.session_id if init else ""),
        login=init.api_key_source if init else "",
        windows=tuple(transcript.windows.values()),
        held_mb=held_mb,
        evidence=evidence,
    )


def _verdict(
    transcript: Transcript, ending: Ending, now: float, structured: bool, tools: Collection[str]
) -> Verdict | None:
    """What is wrong, or None when every sign says success."""
    if transcript.refusals:
        reason = next((text for text in transcript.refusals if " " in text), "the model, or a safeguard, declined")
        return _failed(FailureClass.REFUSAL, reason)
    if not transcript.results:
        return _without_result(transcript, ending, now)
    if len(transcript.results) > 1:
        return _failed(FailureClass.PROTOCOL, f"the CLI told {len(transcript.results)} results for one prompt")
    result = transcript.results[0]
    completed = result.subtype == "success" and result.terminal_reason in {"", "completed"}
    if result.is_error is True or not completed or result.stop_reason == "max_tokens":
        return classify(_error_evidence(transcript, result), now=now)
    if denied := _denied(transcript, result, tools):
        return _failed(FailureClass.TOOL_DENIED, f"the model may not use {denied}")
    if transcript.errors and not transcript.text.strip():
        return classify(_error_evidence(transcript, result), now=now)
    if contradiction := _contradiction(transcript, ending, result, structured):
        return _failed(FailureClass.PROTOCOL, f"the CLI reported success, but {contradiction}")
    if structured:
        missing = result.structured is None
        return _failed(FailureClass.MALFORMED, "the answer lacks the structured output") if missing else None
    if not transcript.text.strip():
        return _failed(FailureClass.EMPTY, "the model ended its turn without any text")
    return None


def _denied(transcript: Transcript, result: ResultLine, tools: Collection[str]) -> str:
    """The first call that was denied, in words. A tool that is not offered at all is in no list of the CLI's."""
    unknown = sorted({*transcript.called} - {*tools, STRUCTURED_OUTPUT})
    calls = [*result.denials, *unknown]
    return f"{calls[0]}{f' (and {len(calls) - 1} more)' if len(calls) > 1 else ''}" if calls else ""


def _contradiction(transcript: Transcript, ending: Ending, result: ResultLine, structured: bool) -> str:
    """The first sign that speaks against a success, in words; empty when there is none."""
    text, last = transcript.text, (result.text or "").strip()
    good_ends = {"end_turn", "tool_use"} if structured else {"end_turn"}
    doubts = (
        (result.is_error is not False, "the result line does not say whether it is an error"),
        (bool(transcript.errors), "an error line came before"),
        (result.num_turns < 1, "the prompt never reached the model (no turn was taken)"),
        (result.stop_reason not in good_ends, f"its stop reason is {result.stop_reason or 'missing'}"),
        (transcript.init is None, "its first line is missing"),
        (bool(transcript.malformed), f"{len(transcript.malformed)} lines before could not be read"),
        (ending.incomplete and not ending.ended_by_us, "its output went on and stopped inside a line"),
        (not ending.ended_by_us and ending.exit_code != 0, f"the process {exit_in_words(ending.exit_code)}"),
        (not structured and not text.strip().endswith(last), "its last text is not the end of the answer"),
    )
    return next((words for doubtful, words in doubts if doubtful), "")


def _without_result(transcript: Transcript, ending: Ending, now: float) -> Verdict:
    if ending.timeout is not None:
        return _timed_out(transcript, ending, ending.timeout, now)
    stderr = one_line(ending.stderr_tail)
    how = exit_in_words(ending.exit_code)
    said = f"the CLI {how} before it answered{': ' + stderr if stderr else ''}"
    code = ending.exit_code or 0
    if transcript.errors:
        return classify(_error_evidence(transcript, None), now=now)
    if transcript.lines == 0 and code > 0 and (stderr or code in SHELL_CANNOT_START):
        told = by_words(ending.stderr_tail) or FailureClass.ENVIRONMENT
        return _failed(told if told in TOLD_ON_STDERR else FailureClass.ENVIRONMENT, said)
    return _failed(FailureClass.CRASH, said if transcript.lines == 0 else said.replace("answered", "told a result", 1))


def _timed_out(transcript: Transcript, ending: Ending, timeout: FailureClass, now: float) -> Verdict:
    retry = transcript.retry
    if timeout is FailureClass.CANCELLED:
        return _failed(timeout, "the attempt was ended on request")
    if ending.limit_mb:
        told = f"the CLI held {ending.held_mb:,} MB of memory and was ended; limits: {{max_memory_mb: …}} allows more"
        return _failed(timeout, f"{told} than {ending.limit_mb:,}")
    if retry is not None and (retry.status or retry.error not in {"", "unknown"}):
        told = f"the CLI kept asking the API, which answered {retry.status or retry.error}"
        evidence = ErrorEvidence(text=told, status=retry.status, codes=frozenset({retry.error}))
        return classify(evidence, now=now)
    told = {
        FailureClass.START_TIMEOUT: f"the CLI showed no sign of life in {ending.limit_s:.0f} s",
        FailureClass.SILENCE_TIMEOUT: f"nothing came from the CLI for {ending.limit_s:.0f} s",
    }.get(timeout, f"the answer was not complete after {ending.limit_s:.0f} s")
    return _failed(timeout, f"{told} ({ending.limit_from})" if ending.limit_from else told)


def _error_evidence(transcript: Transcript, result: ResultLine | None) -> ErrorEvidence:
    error = transcript.errors[-1] if transcript.errors else None
    codes = {error.error, error.api_error, error.api_error_type} if error else set[str]()
    if result:
        codes |= {result.api_error, result.api_error_type}
    text = (result.text or "; ".join(result.errors)) if result and result.is_error is not False else ""
    rejected = transcript.rejected
    resets_at = (rejected.resets_at if rejected else None) or (error.resets_at if error else None)
    return ErrorEvidence(
        text=text or (error.text if error else ""),
        status=(result.status if result else None) or (error.status if error else None),
        codes=frozenset(codes - {""}),
        terminal_reason=result.terminal_reason if result else "",
        subtype=result.subtype if result else "",
        stop_reason=result.stop_reason if result else "",
        rejected=rejected is not None,
        resets_at=resets_at,
    )


def _failed(error_type: FailureClass, what: str) -> Verdict:
    return Verdict(error_type=error_type, message=explain(error_type, what))


def exit_in_words(exit_code: int | None) -> str:
    """`exited with 1`, `was ended by SIGKILL`, or that it never exited."""
    if exit_code is None:
        return "did not exit"
    if exit_code >= 0:
        return f"exited with {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"
