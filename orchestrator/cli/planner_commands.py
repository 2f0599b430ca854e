"""The commands `plan` and `ask`: options in, one call, one exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.layout import examples
from orchestrator.cli.options import (
    ClaudeOption,
    ConcurrencyOption,
    ForceOption,
    FreshOption,
    InputOption,
    MaxCostOption,
    OutputOption,
    ProgressMode,
    ProgressOption,
    RootOption,
    RunnerOption,
    SetOption,
    StoreOption,
    WaitOption,
    YesOption,
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


def plan(
    context: typer.Context,
    request: RequestArgument,
    runner: RunnerOption = None,
    claude: ClaudeOption = None,
    output: PlanFileOption = None,
    inputs: InputOption = None,
    texts: SetOption = None,
    root: RootOption = None,
    progress: ProgressOption = ProgressMode.AUTO,
    store: StoreOption = None,
    fresh: FreshOption = False,
    max_cost: MaxCostOption = None,
    wait: WaitOption = None,
    yes: YesOption = False,
) -> None:
    """Have the model plan a request, and write the plan for review. Nothing of it is run."""
    from orchestrator.cli.plan import PlanOptions, write_plan
    from orchestrator.cli.run import WatchOptions

    options = PlanOptions(request=request, inputs=tuple(inputs or ()), texts=tuple(texts or ()), root=root, fresh=fresh)
    watch = WatchOptions(
        runner=runner,
        claude=claude,
        output=output,
        progress=progress,
        store=store,
        max_concurrency=None,
        max_cost_usd=max_cost,
        wait_for_limits=wait,
        yes=yes,
        force=False,
    )
    raise typer.Exit(write_plan(options, watch, commands=_names(context)))


def ask(
    request: AskedArgument,
    files: FilesArgument = None,
    runner: RunnerOption = None,
    claude: ClaudeOption = None,
    output: OutputOption = None,
    inputs: InputOption = None,
    texts: SetOption = None,
    root: RootOption = None,
    progress: ProgressOption = ProgressMode.AUTO,
    store: StoreOption = None,
    fresh: FreshOption = False,
    max_concurrency: ConcurrencyOption = None,
    max_cost: MaxCostOption = None,
    wait: WaitOption = None,
    yes: YesOption = False,
    force: ForceOption = False,
) -> None:
    """Have the model plan a request, then run the plan. Asks before it spends."""
    from orchestrator.cli.plan import PlanOptions
    from orchestrator.cli.plan import ask as plan_and_run
    from orchestrator.cli.run import WatchOptions

    options = PlanOptions(request=request, inputs=tuple(inputs or ()), texts=tuple(texts or ()), root=root, fresh=fresh)
    watch = WatchOptions(
        runner=runner,
        claude=claude,
        output=output,
        progress=progress,
        store=store,
        max_concurrency=max_concurrency,
        max_cost_usd=max_cost,
        wait_for_limits=wait,
        yes=yes,
        force=force,
    )
    raise typer.Exit(plan_and_run(request, files or (), options, watch))


def add_planner_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(epilog=examples(*EXAMPLES["plan"]))(plan)
    app.command(epilog=examples(*EXAMPLES["ask"]))(ask)


def _names(context: typer.Context) -> tuple[str, ...]:
    """The names of all commands, for a hint at a mistyped one."""
    group: Any = context.find_root().command
    return tuple(group.commands)
