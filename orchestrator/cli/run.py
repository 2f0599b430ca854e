"""The commands that run something: `run` and `resume`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from orchestrator.api import (
    CommonOptions,
    PlanSource,
    RunControl,
    RunResult,
    aresume_run,
    arun_plan,
    forecast_plan,
    forecast_resume,
)
from orchestrator.api import RunOptions as ApiOptions
from orchestrator.cli.accounts import configured_accounts
from orchestrator.cli.asking import asker
from orchestrator.cli.display.choose import Mode, choose_mode, make_screen
from orchestrator.cli.display.lines import final_line, is_success, problem_lines
from orchestrator.cli.display.neutralise import neutralise
from orchestrator.cli.display.planned import PlanningResult, planned_lines
from orchestrator.cli.display.relay import Relay
from orchestrator.cli.display.screens import Closing
from orchestrator.cli.display.sink import STALL_S, Sink
from orchestrator.cli.display.writer import JSON_STALL_S, Writer
from orchestrator.cli.dry_run import print_outlook
from orchestrator.cli.given import claude_path, environment, existing_store, given_inputs, store_path
from orchestrator.cli.going_on import command_to_go_on, command_to_run_again, past_of, resume_command, whole_command
from orchestrator.cli.interrupts import stop_on_signals
from orchestrator.cli.loading import loading_on_stderr
from orchestrator.cli.options import DryRunOptions, OutlookFormat, RunOptions, WatchOptions
from orchestrator.cli.printing import print_error, print_exactly, require_stdout
from orchestrator.cli.sampled import sample_lines
from orchestrator.errors import PlanChangedError, StoreError, UsageError
from orchestrator.plan.inputs import GivenInput
from orchestrator.store import RunRecord, open_store

STDOUT, STDERR = 1, 2

SHOW_CURSOR = b"\x1b[?25h"
"""What a live display leaves undone when the process leaves at once."""

NO_FILE = "-"
"""As an output: the result goes to stdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A run that is being watched: what the API is called with, beside what is run."""

    relay: Relay
    control: RunControl
    descriptor: int
    mode: Mode
    yes: bool

    def harder(self, at_least: int) -> None:
        """Ask the run to stop, or to stop harder than it was asked before; `at_least` that hard."""
        if at_least > 1 and self.control.level >= at_least:
            return
        level = self.control.request_stop()
        while level < at_least:
            level = self.control.request_stop()
        self.relay.stopping(int(level))

    def options(self, watch: WatchOptions, *, claude: Path | None) -> CommonOptions:
        """What every run is called with."""
        options: CommonOptions = {
            "runner": watch.runner,
            "claude": claude,
            "environment": environment(),
            "store": store_path(watch.store),
            "output": watch.output,
            "on_event": self.relay.on_event,
            "max_concurrency": watch.max_concurrency,
            "max_cost_usd": watch.max_cost_usd,
            "max_tokens": watch.max_tokens,
            "max_wall_s": watch.max_wall_s,
            "allow_tools": watch.allow_tools,
            "max_wait": watch.max_wait,
            "accounts": configured_accounts(watch.accounts) or None,
            "force": watch.force,
            "control": self.control,
            "on_loading": self.relay.loading,
        }
        # Who says how long it may wait has it wait, whatever the run was told before.
        if watch.wait_for_limits is not None or watch.max_wait is not None:
            options["wait_for_limits"] = watch.wait_for_limits is not False
        options["confirm"] = asker(
            writer=self.relay, descriptor=self.descriptor, on_interrupt=self.harder, yes=watch.yes
        )
        return options

    def show_planned(self, planning: PlanningResult) -> None:
        """What the planner decided and why, where progress goes; on stderr when that is for programs."""
        if self.mode == "quiet":
            return
        self.relay.rest()
        sink = Sink(STDERR if self.mode == "json" else self.descriptor)
        sink.write("".join(f"{line}\n" for line in planned_lines(planning)))
        sink.flush_within(STALL_S)


T = TypeVar("T")

_Start = Callable[[Session], Awaitable[RunResult]]
_Report = Callable[[RunResult], list[str]]
_Command = Callable[[RunRecord], str]


def run_plan_file(plan: Path, options: RunOptions, watch: WatchOptions) -> int:
    """Run a plan and show it. Returns the exit code."""

    def command(record: RunRecord) -> str:
        return whole_command(record, output=watch.output, store=watch.store, here=Path.cwd())

    return run_and_watch(plan, chosen(options, given_inputs(options.inputs, options.texts)), watch, command=command)


def run_and_watch(plan: PlanSource, asked: ApiOptions, watch: WatchOptions, *, command: _Command) -> int:
    """Run what is asked and show it; after a sample say what the whole takes. Returns the exit code.

    `command` is the command for the whole, by the record of the run of a sample.
    """

    async def start(session: Session) -> RunResult:
        given = session.options(watch, claude=claude_path(watch.claude))
        more: ApiOptions = {"default_output": True, "on_planned": session.show_planned}
        return await arun_plan(plan, **{**asked, **given, **more})

    def report(result: RunResult) -> list[str]:
        record = open_store(store_path(watch.store)).run(result.run_id)
        if record.options["sample"] is None:
            return []
        # The command that is named reuses what the sample was asked anew for.
        whole: ApiOptions = {"sample": None, "fresh": False, "redo": ()}
        outlook = forecast_plan(plan, **{**asked, **_forecast_options(watch), **whole})
        return sample_lines(result, outlook, command=command(record))

    return watch_result(watch, start, report if asked.get("sample") else None)


def print_forecast(plan: PlanSource, options: RunOptions, watch: WatchOptions, dry_run: DryRunOptions) -> None:
    """Print what running a plan would do; nothing is started, and nothing is written."""
    form = form_of(dry_run)
    forecast(plan, chosen(options, given_inputs(options.inputs, options.texts)), watch, form)


def forecast(plan: PlanSource, asked: ApiOptions, watch: WatchOptions, form: OutlookFormat) -> None:
    """Print the outlook of what is asked."""
    with loading_on_stderr(watch.progress, environment=environment()) as on_loading:
        found = forecast_plan(plan, **{**asked, **_forecast_options(watch), "on_loading": on_loading})
    print_outlook(found, form=form)


def print_what_is_left(run_id: str, watch: WatchOptions, dry_run: DryRunOptions) -> None:
    """Print what resuming a run would do; nothing is started, and nothing is written."""
    form = form_of(dry_run)
    run_id = open_store(existing_store(watch.store, run=run_id)).resolve(run_id)
    with loading_on_stderr(watch.progress, environment=environment()) as on_loading:
        found = forecast_resume(run_id, **{**_forecast_options(watch), "on_loading": on_loading})
    print_outlook(found, form=form)


def form_of(dry_run: DryRunOptions) -> OutlookFormat:
    """How a dry run is told. Raises `UsageError` when none was asked for."""
    if not dry_run.dry_run:
        raise UsageError("--format goes with --dry-run")
    return dry_run.form or OutlookFormat.TEXT


def chosen(options: RunOptions, inputs: dict[str, GivenInput]) -> ApiOptions:
    """What is run, in the words of the API."""
    return {
        "inputs": inputs,
        "root": options.root,
        "fresh": options.fresh,
        "only": tuple(options.only or ()),
        "until": tuple(options.until or ()),
        "redo": tuple(options.redo or ()),
        "sample": options.sample,
    }


def _forecast_options(watch: WatchOptions) -> CommonOptions:
    return {
        "runner": watch.runner,
        "store": store_path(watch.store),
        "max_concurrency": watch.max_concurrency,
        "accounts": configured_accounts(watch.accounts) or None,
    }


def resume_run(run_id: str, watch: WatchOptions) -> int:
    """Continue a run and show it. Returns the exit code."""
    opened = open_store(existing_store(watch.store, run=run_id))
    run_id = opened.resolve(run_id)
    record = opened.run(run_id)
    kept = record.options
    # A planner's run writes nothing itself; it knows what the run that follows is to write.
    if watch.output is None and (kept.get("planning") or kept)["output"] == NO_FILE:
        watch = replace(watch, output=NO_FILE)

    async def start(session: Session) -> RunResult:
        return await aresume_run(run_id, **session.options(watch, claude=watch.claude))

    try:
        return watch_result(watch, start)
    except PlanChangedError as error:
        if not (kept["is_file"] and record.plan_path and Path(record.plan_path).exists()):
            raise
        same = replace(record, options={**kept, "runner": watch.runner or kept["runner"]})
        command = command_to_run_again(same, store=watch.store, here=Path.cwd())
        raise PlanChangedError(run_id, changed=error.changed, command=command) from None


def watch_result(watch: WatchOptions, start: _Start, report: _Report | None = None) -> int:
    """Show what `start` starts; its result goes where it belongs, then comes the report. Returns the exit code."""
    to_stdout = watch.output == NO_FILE
    descriptor = STDERR if to_stdout else STDOUT
    stream = sys.stderr if to_stdout else sys.stdout
    mode = choose_mode(watch.progress, is_terminal=os.isatty(descriptor), environment=environment())
    result = _show(watch, start, mode=mode, descriptor=descriptor, encoding=stream.encoding)
    if to_stdout:
        print_exactly(result.text)
    if result.status == "failed" and result.reason:
        print_error(result.reason)
    if report is not None:
        aside = Sink(descriptor if mode in ("tty", "plain") else STDERR, encoding=stream.encoding)
        aside.write("".join(f"{neutralise(line)}\n" for line in report(result)))
        aside.flush_within(STALL_S)
    return result.exit_code


def watch_all(watch: WatchOptions, start: Callable[[Session], Awaitable[T]], *, again: str) -> T:
    """Show what `start` starts, one run or several. `again` is the command to type when it stops."""
    descriptor = STDERR if watch.output == NO_FILE else STDOUT
    mode = choose_mode(watch.progress, is_terminal=os.isatty(descriptor), environment=environment())
    encoding = (sys.stderr if watch.output == NO_FILE else sys.stdout).encoding
    return _show(watch, start, mode=mode, descriptor=descriptor, encoding=encoding, again=again)


def _show(
    watch: WatchOptions,
    start: Callable[[Session], Awaitable[T]],
    *,
    mode: Mode,
    descriptor: int,
    encoding: str,
    again: str = "",
) -> T:
    if watch.output == NO_FILE:
        require_stdout()
    sink = Sink(descriptor, encoding="utf-8" if mode == "json" else encoding)
    closing = Closing(
        next_command=lambda run_id: again or _next_command(run_id, store=watch.store), here=str(Path.cwd())
    )

    def make_writer() -> Writer:
        screen = make_screen(mode, sink, closing=closing, environment=environment())
        return Writer(screen, sink, keep_all=mode == "json", stall_s=JSON_STALL_S if mode == "json" else STALL_S)

    relay = Relay(make_writer)
    try:
        with relay:
            session = Session(relay=relay, control=RunControl(), descriptor=descriptor, mode=mode, yes=watch.yes)
            return asyncio.run(_run(session, start))
    finally:
        _tell_trouble(relay, mode=mode, sink=sink, closing=closing)


async def _run(session: Session, start: Callable[[Session], Awaitable[T]]) -> T:
    restore = SHOW_CURSOR if session.mode == "tty" else b""
    with stop_on_signals(asyncio.get_running_loop(), harder=session.harder, restore=restore):
        return await start(session)


def _tell_trouble(relay: Relay, *, mode: Mode, sink: Sink, closing: Closing) -> None:
    """On stderr, after anything but success, when the display did not say it or nobody was there to read it."""
    view = relay.view
    told = mode in ("tty", "plain") and not sink.broken
    if told or view.finished is None or is_success(view.finished) or sink.fileno() == STDERR:
        return
    errors = Sink(STDERR, encoding=sys.stderr.encoding)
    lines = [final_line(view, view.finished, here=closing.here)]
    lines += problem_lines(view, next_command=closing.next_command(view.run_id))
    errors.write("\n".join(lines) + "\n")
    errors.flush_within(STALL_S)


def _next_command(run_id: str, *, store: Path | None) -> str:
    try:
        past = past_of(open_store(store_path(store)), run_id)
    except StoreError:
        return resume_command(run_id, store=store)
    return command_to_go_on(past, store=store, here=Path.cwd())
