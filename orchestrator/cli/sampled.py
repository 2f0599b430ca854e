"""What is said after a sample: where its answers are, what the whole would take, and how to run it."""

from __future__ import annotations

from orchestrator.api import Outlook, RunResult
from orchestrator.cli.display.allowance import window_line
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.words import count, money, money_span, span

FAILURES_SHOWN = 3


def sample_lines(result: RunResult, whole: Outlook, *, command: str) -> list[str]:
    """The report. `whole` is the outlook of the plan without the sample, taken after it."""
    answered = [name for name, chunk in result.chunks.items() if chunk.status == "succeeded"]
    lines = [f"sample: {count(len(answered), 'answer')} of {len(result.chunks)}, {money(result.cost_usd)}"]
    if answered:
        lines.append(f"  one of them: orchestrate show {result.run_id} '{answered[0]}'")
    failed = [name for name, chunk in result.chunks.items() if chunk.status not in ("succeeded", "cancelled")]
    lines += [f"  without an answer: {one_line(name)}" for name in failed[:FAILURES_SHOWN]]
    if len(failed) > FAILURES_SHOWN:
        lines.append(f"  and {len(failed) - FAILURES_SHOWN} more")
    estimate = whole.estimate
    if not estimate.calls:
        return [*lines, f"the whole: all its answers are there; {command}"]
    cost = money_span(estimate.cost_usd_low, estimate.cost_usd_high)
    takes = span(estimate.time_s_low, estimate.time_s_high)
    lines.append(f"the whole: {count(estimate.calls, 'more call', 'more calls')}, {cost}, {takes}")
    lines += [window_line(window) for window in whole.windows]
    lines += [f"warning: {one_line(text)}" for text in whole.warnings]
    return [*lines, f"run it, with these answers reused: {command}"]
