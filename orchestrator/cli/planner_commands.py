"""The commands `plan` and `ask`: options in, one call, one exit code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.layout import examples
from orchestrator.cli.options import (
    CallOptions,
    DryRunOptions,
    GivenOptions,
    RunOptions,
    WatchOptions,
    with_groups,
)

RequestArgument = Annotated[
    str, typer.Argument(metavar='PLAN|"REQUEST"', help="A plan file with a request alone, or the request in words.")
]
AskedArgument = Annotated[str, typer.Argument(metavar='"REQUEST"', help="What is wanted, in words.")]
FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Files and folders that the request is about."),
]
PlanFileOption = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE|-", help="Where the plan goes, else <name>.planned.yaml beside."),
]

EXAMPLES = {
    "plan": (
        "orchestrate plan request.yaml                        writes request.planned.yaml, to read and run",
        'orchestrate plan "Compare three ways to store logs"  the same from words',
    ),
    "ask": (
        'orchestrate ask "Explain this contract to a tenant" lease.md -o out.md',
        'orchestrate ask "What changed?" old.md new.md -o - --max-cost 0.50',
        'orchestrate ask "Which of these functions have no tests?" src/*.py tests',
    ),
}


@with_groups
def plan(
    context: typer.Context,
    request: RequestArgument,
    calls: CallOptions,
    options: GivenOptions,
    dry_run: DryRunOptions,
    output: PlanFileOption = None,
) -> None:
    """Have the model plan a request, and write the plan for review. Nothing of it is run."""
    from orchestrator.cli.plan import forecast_planning, write_plan

    watch = WatchOptions(**asdict(calls), output=output)
    if dry_run.asked:
        forecast_planning(request, options, watch, dry_run, commands=_names(context))
    else:
        raise typer.Exit(write_plan(request, options, watch, commands=_names(context)))


@with_groups
def ask(
    request: AskedArgument,
    watch: WatchOptions,
    options: RunOptions,
    dry_run: DryRunOptions,
    files: FilesArgument = None,
) -> None:
    """Have the model plan a request, then run the plan. Asks before it spends."""
    from orchestrator.cli.plan import ask as plan_and_run
    from orchestrator.cli.plan import forecast_asking

    if dry_run.asked:
        forecast_asking(request, files or (), options, watch, dry_run)
    else:
        raise typer.Exit(plan_and_run(request, files or (), options, watch))


def add_planner_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(epilog=examples(*EXAMPLES["plan"]))(plan)
    app.command(epilog=examples(*EXAMPLES["ask"]))(ask)


def _names(context: typer.Context) -> tuple[str, ...]:
    """The names of all commands, for a hint at a mistyped one."""
    group: Any = context.find_root().command
    return tuple(group.commands)
