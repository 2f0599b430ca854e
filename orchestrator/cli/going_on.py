"""The command that goes on with a run from where it stands. Pure, but for `past_of`, which asks the store and the
clock.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from orchestrator.events import RunEstimated, RunFinished, RunResumed, RunReviewed, RunStarted
from orchestrator.store import ChunkRecord, RunRecord, Store

LONGEST_TEXT_CHARS = 200
"""An input text that is longer is not repeated in a command that people read."""

_COST_LIMIT = re.compile(r"the cost limit of \$(\d+(?:\.\d+)?(?:e-?\d+)?) is reached")
_TOKEN_LIMIT = re.compile(r"the limit of ([\d,]+) tokens is reached")
_SAME_FAILURE = re.compile(r"\d+ chunks in a row failed for the same reason")
_USAGE_LIMIT = "the usage limit"
_BEYOND_MAX_WAIT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\)?, longer than max_wait")
_NOT_WRITTEN = "cannot write "
"""How the reasons begin that a stopped run is stored with; no other field tells them apart."""
_ROUNDING = timedelta(minutes=1)
"""Reasons tell the minute in which a limit ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is stored of a run. `estimate` is its latest `run_estimated` event, if it came that far.

    `unclosed_s` is how long its latest process told of itself, when that has not ended, or was killed. `faulty` are
    the chunks that its latest review found something in. `now` is when this was asked.
    """

    run: RunRecord
    chunks: Sequence[ChunkRecord]
    estimate: Mapping[str, Any] | None
    unclosed_s: float = 0.0
    faulty: tuple[str, ...] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def past_of(store: Store, run_id: str) -> Past:
    """All that `command_to_go_on` looks at. Raises `UnknownRunError` or `StoreError`."""
    events = store.events(run_id)
    estimates = [event for event in events if event["type"] == RunEstimated.type]
    chunks = store.chunks(run_id)
    return Past(
        run=store.run(run_id),
        chunks=chunks,
        estimate=estimates[-1] if estimates else None,
        unclosed_s=_unclosed_s(events),
        faulty=_faulty(events, [chunk.chunk_id for chunk in chunks]),
    )


def _faulty(events: Sequence[Mapping[str, Any]], chunk_ids: Collection[str]) -> tuple[str, ...]:
    looks = [event["problems"] for event in events if event["type"] == RunReviewed.type]
    named = [problem.partition(": ")[0] for problem in looks[-1]] if looks else []
    return tuple(dict.fromkeys(name for name in named if name in chunk_ids))


def _unclosed_s(events: Sequence[Mapping[str, Any]]) -> float:
    begun = [event["at"] for event in events if event["type"] in (RunStarted.type, RunResumed.type)]
    if not begun or events[-1]["type"] == RunFinished.type:
        return 0.0
    return (datetime.fromisoformat(events[-1]["at"]) - datetime.fromisoformat(begun[-1])).total_seconds()


def command_to_go_on(past: Past, *, store: Path | None, here: Path) -> str:
    """What to type, for a shell; empty for a run that is complete.

    `store` is the store as it was given on the command line. Paths below the folder `here` are shown relative to it.
    """
    run = past.run
    if run.state == "complete" and not run.reason:
        return ""
    has_file = run.options["is_file"] and run.plan_path is not None
    if has_file and _SAME_FAILURE.match(run.reason):
        return command_to_run_again(run, store=store, here=here)
    if has_file and _is_answered(past):
        return command_to_run_again(run, store=store, here=here, redo=past.faulty)
    words = ["resume", run.run_id, *_what_helps(past)]
    return shlex.join(["orchestrate", *words, *(["--store", str(store)] if store else [])])


def _is_answered(past: Past) -> bool:
    """Whether every answer is there, and the result is not what it should be: to resume would end the same."""
    return past.run.state == "partial" and all(chunk.status == "succeeded" for chunk in past.chunks)


def command_to_run_again(run: RunRecord, *, store: Path | None, here: Path, redo: Sequence[str] = ()) -> str:
    """The command for a new run of the same plan file as it is now, made as this one was made.

    `redo` are chunks that are to be asked again.
    """
    assert run.plan_path is not None, "a plan without a file cannot be named"
    words = _run_again(run, plan=Path(run.plan_path), here=here)
    words += [word for name in redo for word in ("--redo", name)]
    return shlex.join(["orchestrate", *words, *(["--store", str(store)] if store else [])])


def whole_command(run: RunRecord, *, output: str | None, store: Path | None, here: Path) -> str:
    """The command for all of the plan that a sample was taken of; `output` is as it was given for the sample."""
    record = replace(run, options={**run.options, "output": output, "sample": None})
    return command_to_run_again(record, store=store, here=here)


def resume_command(run_id: str, *, store: Path | None) -> str:
    """The plain command, for a run of which no more is known."""
    return shlex.join(["orchestrate", "resume", run_id, *(["--store", str(store)] if store else [])])


def _what_helps(past: Past) -> list[str]:
    """The options without which a resumed run would stop again where it stopped."""
    reason = past.run.reason
    if reason.startswith(_NOT_WRITTEN):
        return ["-o", "-"]
    if reached := _COST_LIMIT.match(reason):
        return ["--max-cost", _shown(_higher_limit_usd(past, limit_usd=float(reached[1])))]
    if reached := _TOKEN_LIMIT.match(reason):
        return ["--max-tokens", str(_higher_limit_tokens(past, limit=int(reached[1].replace(",", ""))))]
    if not reason.startswith(_USAGE_LIMIT):
        return []
    if not past.run.options["wait_for_limits"]:
        return ["--wait"]
    ends = [datetime.fromisoformat(f"{end}+00:00") for end in _BEYOND_MAX_WAIT.findall(reason)]
    if not ends or max(ends) <= past.now:
        return []
    return ["--max-wait", f"{math.ceil((max(ends) + _ROUNDING - past.now) / timedelta(hours=1))}h"]


def _higher_limit_usd(past: Past, *, limit_usd: float) -> float:
    """Enough for what is left, by the estimate, and at least twice the limit; `limit_usd` may be rounded."""
    limit_usd = past.run.options["max_cost_usd"] or limit_usd
    paid_usd = sum(chunk.cost_usd for chunk in past.chunks if not chunk.reused_from)
    left_usd = _share_left(past) * past.estimate["cost_usd_high"] if past.estimate is not None else 0.0
    return max(2 * limit_usd, 2 * paid_usd, paid_usd + left_usd)


def _higher_limit_tokens(past: Past, *, limit: int) -> int:
    """The same in tokens, rounded up to two significant digits; an answer may be twice as long as estimated."""
    taken, left = sum(chunk.input_tokens + chunk.output_tokens for chunk in past.chunks), 0.0
    if past.estimate is not None:
        left = _share_left(past) * (past.estimate["input_tokens"] + 2 * past.estimate["output_tokens"])
    return int(_shown(max(2.0 * limit, 2.0 * taken, taken + left)))


def _share_left(past: Past) -> float:
    """The share of the estimated calls that is still to be made."""
    if past.estimate is None or not past.estimate["calls"]:
        return 0.0
    return min(1.0, sum(chunk.status != "succeeded" for chunk in past.chunks) / past.estimate["calls"])


def _shown(amount_usd: float) -> str:
    """Rounded up to two significant digits."""
    amount = Decimal(repr(amount_usd))
    unit = Decimal(1).scaleb(amount.adjusted() - 1)
    return format(((amount / unit).to_integral_value(ROUND_CEILING) * unit).normalize(), "f")


def _run_again(run: RunRecord, *, plan: Path, here: Path) -> list[str]:
    """The plan as it is now, run as it was run before."""
    kept = run.options
    words = [_from(here, plan)]
    words += ["--runner", kept["runner"]] if kept["runner"] != "claude" else []
    words += ["--claude", _from(here, Path(kept["claude"]))] if kept["claude"] else []
    for name, given in run.inputs.items():
        words += _input_words(name, given, here=here)
    words += ["--root", _from(here, Path(kept["root"]))] if kept["root"] else []
    words += [word for name in kept["only"] for word in ("--only", name)]
    words += [word for name in kept["until"] for word in ("--until", name)]
    words += ["--sample", str(kept["sample"])] if kept.get("sample") else []
    words += ["-j", str(kept["max_concurrency"])] if kept["max_concurrency"] else []
    words += ["--max-cost", format(Decimal(repr(kept["max_cost_usd"])), "f")] if kept["max_cost_usd"] else []
    words += ["--max-tokens", str(kept["max_tokens"])] if kept.get("max_tokens") else []
    words += ["--max-wall", f"{kept['max_wall_s']:g}"] if kept.get("max_wall_s") else []
    words += [] if kept["wait_for_limits"] else ["--no-wait"]
    words += ["--max-wait", f"{kept['max_wait']:g}s"] if kept.get("max_wait") else []
    for name, folder in kept.get("accounts", {}).items():
        words += ["--account", f"{name}={_from(here, Path(folder))}"]
    words += ["--allow-tools", ",".join(kept["allow_tools"])] if kept.get("allow_tools") else []
    output = kept["output"]
    # The file of a sample is named after that of the whole, and would be once more.
    if output and (output == "-" or not kept.get("sample")):
        words += ["-o", output if output == "-" else _from(here, Path(output))]
    return words


def _input_words(name: str, given: Mapping[str, Any], *, here: Path) -> list[str]:
    match given["given"]:
        case "file":
            return ["--input", f"{name}={_from(here, Path(given['path']))}"]
        case "set" if len(given["text"]) <= LONGEST_TEXT_CHARS:
            return ["--set", f"{name}={given['text']}"]
        case "set":
            return ["--input", f"{name}=FILE"]
        case "stdin":
            return ["--input", f"{name}=-"]
        case _:
            return []


def _from(here: Path, path: Path) -> str:
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
