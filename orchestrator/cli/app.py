"""`orchestrate`: options in, one call, one exit code. Imports nothing heavy: `--help` must answer at once."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from orchestrator.cli.layout import AS_IT_STANDS, examples
from orchestrator.cli.options import (
    AccountOption,
    ClaudeOption,
    DryRunOptions,
    InputOption,
    JsonOption,
    LastRunArgument,
    PlanArgument,
    RootOption,
    RunArgument,
    RunOptions,
    SetOption,
    StoreOption,
    WatchOptions,
    with_groups,
)
from orchestrator.cli.planner_commands import add_planner_commands
from orchestrator.cli.refusals import refusal
from orchestrator.cli.words_first import with_command_first
from orchestrator.errors import OrchestrateError, UsageError

EPILOG = (
    examples(
        "orchestrate plan.yaml                       run a plan (short for: orchestrate run plan.yaml)",
        "orchestrate plan.yaml --runner simulated    try it offline; nothing is paid",
        'orchestrate ask "Explain this" lease.md     have the model plan it, then run that',
        "orchestrate init                            write a first plan to start from",
    )
    + f"\n\n{AS_IT_STANDS}"
    + """Exit codes:
  0    complete
  1    ended with failed or skipped chunks; what exists is stitched, gaps are visible
  2    the plan or the command line is wrong; nothing was started
  3    the environment is wrong: no CLI, not logged in, store unusable
  4    stopped with work left (budget, limit, time); can be resumed
  130  interrupted; can be resumed"""
)


class PlanFirstGroup(TyperGroup):
    """Puts `run` in front of a command line that names a plan and no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the line with its command in front. Raises `UsageError` for options that are answered in words."""
        params = [param for command in self.commands.values() for param in command.params]
        valued = {name for param in params if not getattr(param, "is_flag", True) for name in param.opts}
        words = with_command_first(
            args, commands=self.commands, own_options=("--help", "-h", "--version"), valued=valued
        )
        if why := refusal(words):
            raise UsageError(why)
        return super().parse_args(ctx, words)


app = typer.Typer(
    cls=PlanFirstGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from orchestrator.cli.versions import installed_version

        typer.echo(f"orchestrate {installed_version('orchestrate') or '(not installed, run from a checkout)'}")
        raise typer.Exit


@app.callback()
def orchestrate(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_show_version, is_eager=True),
) -> None:
    """Split a request too big for one Claude CLI call into chunks, run them, stitch one result."""


@app.command(
    epilog=examples(
        "orchestrate plan.yaml",
        "orchestrate plan.yaml --input diff=changes.diff -o review.md",
        "git diff | orchestrate review.yaml --input diff=- -o -",
    )
)
@with_groups
def run(plan: PlanArgument, watch: WatchOptions, options: RunOptions, dry_run: DryRunOptions) -> None:
    """Run a plan. Answers that are already known are reused, so it is always safe to type again."""
    from orchestrator.cli.given import existing_plan
    from orchestrator.cli.run import print_forecast, run_plan_file

    plan = existing_plan(plan, commands=_command_names())
    if dry_run.asked:
        print_forecast(plan, options, watch, dry_run)
    else:
        raise typer.Exit(run_plan_file(plan, options, watch))


add_planner_commands(app)


@app.command(epilog=examples("orchestrate resume last", "orchestrate resume last --max-cost 10"))
@with_groups
def resume(run: RunArgument, watch: WatchOptions, dry_run: DryRunOptions) -> None:
    """Go on with a run that was stopped or failed, as it was started; options given here win."""
    from orchestrator.cli.run import print_what_is_left, resume_run

    if dry_run.asked:
        print_what_is_left(run, watch, dry_run)
    else:
        raise typer.Exit(resume_run(run, watch))


@app.command(epilog=examples("orchestrate check plan.yaml", "orchestrate check review.yaml --input diff=changes.diff"))
def check(
    plan: PlanArgument,
    inputs: InputOption = None,
    texts: SetOption = None,
    root: RootOption = None,
    accounts: AccountOption = None,
    json: JsonOption = False,
) -> None:
    """Say what is wrong with a plan, or what it would do and cost. Starts nothing."""
    from orchestrator.cli.check import check_plan

    code = check_plan(
        plan,
        inputs=inputs or (),
        texts=texts or (),
        root=root,
        accounts=accounts,
        as_json=json,
        commands=_command_names(),
    )
    if code:
        raise typer.Exit(code)


@app.command(epilog=examples("orchestrate status", "orchestrate status last --json"))
def status(run: LastRunArgument = "last", store: StoreOption = None, json: JsonOption = False) -> None:
    """Say how a run stands: each chunk, why it ran or was reused, what it cost, how to go on."""
    from orchestrator.cli.reading import print_status

    print_status(run, store=store, as_json=json)


@app.command(
    epilog=examples(
        "orchestrate show last", "orchestrate show last outline > outline.md", "orchestrate show last --seams"
    )
)
def show(
    run: RunArgument,
    chunk: str | None = typer.Argument(
        None, metavar="[CHUNK]", help="A chunk or for_each id; without it the whole result."
    ),
    seams: bool = typer.Option(False, "--seams", help="Show as a diff what changed where answers meet, by rule."),
    at: int | None = typer.Option(None, "--at", min=1, metavar="LINE", help="Say which chunk wrote this line."),
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Print the result of a run, or the answer of one chunk exactly as it is stored."""
    from orchestrator.cli.reading import print_answer, print_result, print_seams, print_writers

    if (seams or at is not None) and chunk is not None:
        raise UsageError(f"{'--seams' if seams else '--at'} is about the whole result: leave the chunk out")
    if at is not None:
        print_writers(run, at, store=store, as_json=json)
    elif seams:
        print_seams(run, store=store, as_json=json)
    elif chunk is None:
        print_result(run, store=store, as_json=json)
    else:
        print_answer(run, chunk, store=store, as_json=json)


@app.command(epilog=examples("orchestrate events last"))
def events(run: RunArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Print the stored events of a run, one JSON object a line (so --json changes nothing)."""
    from orchestrator.cli.reading import print_events

    print_events(run, store=store)


@app.command(epilog=examples("orchestrate doctor", "orchestrate doctor --repair"))
def doctor(
    claude: ClaudeOption = None,
    store: StoreOption = None,
    accounts: AccountOption = None,
    repair: bool = typer.Option(
        False, "--repair", help="Save what can be read of a damaged store in a new one; the damaged file is kept."
    ),
    json: JsonOption = False,
) -> None:
    """Check the Claude CLI, its login, the store and the libraries; each trouble comes with its remedy."""
    from orchestrator.cli.doctor import repair_store, run_checks

    if repair:
        raise typer.Exit(repair_store(store, as_json=json))
    raise typer.Exit(run_checks(claude=claude, store=store, accounts=accounts, as_json=json))


@app.command(epilog=examples("orchestrate schema > plan.schema.json"))
def schema() -> None:
    """Print the JSON Schema of a plan, for an editor's completion."""
    from orchestrator.cli.check import print_schema

    print_schema()


@app.command(epilog=examples("orchestrate init", "orchestrate init review"))
def init(name: str = typer.Argument("plan", metavar="[NAME]", help="The file will be NAME.yaml.")) -> None:
    """Write a small commented plan to start from. Never overwrites a file."""
    from orchestrator.cli.init import write_example

    write_example(name)


def _command_names() -> tuple[str, ...]:
    return tuple(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)


def main() -> None:
    """The command line. Ends the process with the exit code of the command."""
    try:
        app(prog_name="orchestrate")
    except OrchestrateError as error:
        from orchestrator.cli.printing import print_error

        print_error(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if not _is_of_stdout(error):
            raise
        from orchestrator.cli.printing import OutputLostError, print_error

        print_error(str(OutputLostError(error)))
        sys.exit(OutputLostError.exit_code)
    finally:
        _let_go_of_stdout()


def _is_of_stdout(error: OSError) -> bool:
    """Whether stdout failed: it then keeps what it holds, and fails again."""
    try:
        sys.stdout.flush()
    except OSError as again:
        return again.errno == error.errno
    return False


def _let_go_of_stdout() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # The reader left early (`| head`): what is still held must not be written, nor complained about, at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
