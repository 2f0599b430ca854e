"""The commands that run something: `run` and `resume`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.api import CommonOptions, RunControl, RunResult, aresume_run, arun_plan, forecast_plan
from orchestrator.api import RunOptions as ApiOptions
from orchestrator.cli.asking import asker
from orchestrator.cli.display.choose import Mode, choose_mode, make_screen
from orchestrator.cli.display.lines import final_line, is_success, problem_lines
from orchestrator.cli.display.neutralise import neutralise
from orchestrator.cli.display.screens import Closing
from orchestrator.cli.display.sink import Sink
from orchestrator.cli.display.writer import JSON_STALL_S, STALL_S, Writer
from orchestrator.cli.dry_run import print_outlook
from orchestrator.cli.given import claude_path, environment, existing_plan, existing_store, given_inputs, store_path
from orchestrator.cli.going_on import command_to_go_on, past_of, resume_command, whole_command
from orchestrator.cli.interrupts import stop_on_signals
from orchestrator.cli.options import OutlookFormat, ProgressMode
from orchestrator.cli.printing import print_exactly
from orchestrator.cli.sampled import sample_lines
from orchestrator.errors import StoreError, UsageError
from orchestrator.plan.load import StdinText
from orchestrator.store import open_store

STDOUT, STDERR = 1, 2

NO_FILE = "-"
"""As an output: the result goes to stdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What is run."""

    plan: Path
    inputs: tuple[str, ...]
    texts: tuple[str, ...]
    root: Path | None
    fresh: bool
    only: tuple[str, ...]
    until: tuple[str, ...]
    redo: tuple[str, ...]
    sample: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """By whom, where to, within which bounds, and how it is shown.

    None leaves a thing as the plan, or the run that is resumed, has it.
    """

    runner: str | None
    claude: Path | None
    output: str | None
    progress: ProgressMode
    store: Path | None
    max_concurrency: int | None
    max_cost_usd: float | None
    wait_for_limits: bool | None
    yes: bool
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """A run that is being watched: what the API is called with, beside what is run."""

    writer: Writer
    control: RunControl
    descriptor: int
    yes: bool

    def harder(self, at_least: int) -> None:
        """Ask the run to stop, or to stop harder than it was asked before; `at_least` that hard."""
        if at_least > 1 and self.control.level >= at_least:
            return
        level = self.control.request_stop()
        while level < at_least:
            level = self.control.request_stop()
        self.writer.stopping(int(level))

    def options(self, watch: WatchOptions, *, claude: Path | None) -> CommonOptions:
        """What every run is called with."""
        options: CommonOptions = {
            "runner": watch.runner,
            "claude": claude,
            "environment": environment(),
            "store": store_path(watch.store),
            "output": watch.output,
            "on_event": self.writer.on_event,
            "max_concurrency": watch.max_concurrency,
            "max_cost_usd": watch.max_cost_usd,
            "force": watch.force,
            "control": self.control,
        }
        if watch.wait_for_limits is not None:
            options["wait_for_limits"] = watch.wait_for_limits
        if not watch.yes:
            options["confirm"] = asker(writer=self.writer, descriptor=self.descriptor, on_interrupt=self.harder)
        return options


_Start = Callable[[_Session], Awaitable[RunResult]]
_Report = Callable[[RunResult], list[str]]


def run_plan_file(options: RunOptions, watch: WatchOptions, *, commands: Sequence[str]) -> int:
    """Run a plan and show it. Returns the exit code."""
    plan = existing_plan(options.plan, commands=commands)
    inputs = given_inputs(options.inputs, options.texts)

    chosen = _chosen(options, inputs)

    async def start(session: _Session) -> RunResult:
        given = session.options(watch, claude=claude_path(watch.claude))
        asked: ApiOptions = {**chosen, **given, "default_output": True}
        return await arun_plan(plan, **asked)

    def report(result: RunResult) -> list[str]:
        asked: ApiOptions = {**chosen, **_forecast_options(watch), "sample": None}
        store = store_path(watch.store)
        record = open_store(store).run(result.run_id)
        command = whole_command(record, output=watch.output, store=watch.store, here=Path.cwd())
        return sample_lines(result, forecast_plan(plan, **asked), command=command)

    return _watch(watch, start, report if options.sample else None)


def forecast_plan_file(
    options: RunOptions, watch: WatchOptions, *, form: OutlookFormat | None, dry_run: bool, commands: Sequence[str]
) -> None:
    """Print what `run_plan_file` would do; nothing is started, and nothing is written."""
    if not dry_run:
        raise UsageError("--format goes with --dry-run")
    plan = existing_plan(options.plan, commands=commands)
    chosen = _chosen(options, given_inputs(options.inputs, options.texts))
    asked: ApiOptions = {**chosen, **_forecast_options(watch)}
    found = forecast_plan(plan, **asked)
    print_outlook(found, form=form or OutlookFormat.TEXT)


def _chosen(options: RunOptions, inputs: dict[str, str | Path | StdinText]) -> ApiOptions:
    """What is run, in the words of the API."""
    return {
        "inputs": inputs,
        "root": options.root,
        "fresh": options.fresh,
        "only": options.only,
        "until": options.until,
        "redo": options.redo,
        "sample": options.sample,
    }


def _forecast_options(watch: WatchOptions) -> CommonOptions:
    return {
        "runner": watch.runner,
        "store": store_path(watch.store),
        "max_concurrency": watch.max_concurrency,
    }


def resume_run(run_id: str, watch: WatchOptions) -> int:
    """Continue a run and show it. Returns the exit code."""
    opened = open_store(existing_store(watch.store, run=run_id))
    run_id = opened.resolve(run_id)
    if watch.output is None and opened.run(run_id).options["output"] == NO_FILE:
        watch = replace(watch, output=NO_FILE)

    async def start(session: _Session) -> RunResult:
        return await aresume_run(run_id, **session.options(watch, claude=watch.claude))

    return _watch(watch, start)


def _watch(watch: WatchOptions, start: _Start, report: _Report | None = None) -> int:
    to_stdout = watch.output == NO_FILE
    descriptor = STDERR if to_stdout else STDOUT
    stream = sys.stderr if to_stdout else sys.stdout
    mode = choose_mode(watch.progress, is_terminal=os.isatty(descriptor), environment=environment())
    sink = Sink(descriptor, encoding="utf-8" if mode == "json" else stream.encoding)
    closing = Closing(next_command=lambda run_id: _next_command(run_id, store=watch.store), here=str(Path.cwd()))
    screen = make_screen(mode, sink, closing=closing, environment=environment())
    stall_s = JSON_STALL_S if mode == "json" else STALL_S
    writer = Writer(screen, sink, keep_all=mode == "json", stall_s=stall_s)
    try:
        with writer:
            session = _Session(writer=writer, control=RunControl(), descriptor=descriptor, yes=watch.yes)
            result = asyncio.run(_run(session, start))
    finally:
        _tell_trouble(writer, mode=mode, sink=sink, closing=closing)
    if to_stdout:
        print_exactly(result.text)
    if report is not None:
        aside = Sink(descriptor if mode in ("tty", "plain") else STDERR, encoding=stream.encoding)
        aside.write("".join(f"{neutralise(line)}\n" for line in report(result)))
        aside.flush()
    return result.exit_code


async def _run(session: _Session, start: _Start) -> RunResult:
    with stop_on_signals(asyncio.get_running_loop(), harder=session.harder):
        return await start(session)


def _tell_trouble(writer: Writer, *, mode: Mode, sink: Sink, closing: Closing) -> None:
    """On stderr, after anything but success, when the display did not say it or nobody was there to read it."""
    view = writer.view
    told = mode in ("tty", "plain") and not sink.broken
    if told or view.finished is None or is_success(view.finished) or sink.fileno() == STDERR:
        return
    errors = Sink(STDERR, encoding=sys.stderr.encoding)
    lines = [final_line(view, view.finished, here=closing.here)]
    lines += problem_lines(view, next_command=closing.next_command(view.run_id))
    errors.write("\n".join(lines) + "\n")
    errors.flush()


def _next_command(run_id: str, *, store: Path | None) -> str:
    try:
        past = past_of(open_store(store_path(store)), run_id)
    except StoreError:
        return resume_command(run_id, store=store)
    return command_to_go_on(past, store=store, here=Path.cwd())
