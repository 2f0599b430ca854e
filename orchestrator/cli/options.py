"""The options that several commands share, each declared once."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_STORE = Path(".orchestrate/store.db")


class ProgressMode(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"


class OutlookFormat(StrEnum):
    """How a dry run is told."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"


def _amount(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter("it must be an amount above 0, in US dollars")
    return value


PlanArgument = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan file.", show_default=False)]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run id, or last.", show_default=False)]
LastRunArgument = Annotated[str, typer.Argument(metavar="[RUN]", help="A run id; the last run when left out.")]

RunnerOption = Annotated[
    str | None,
    typer.Option("--runner", metavar="NAME", help="claude (the default), or simulated: offline, made-up answers."),
]
ClaudeOption = Annotated[
    Path | None,
    typer.Option(
        "--claude", metavar="PATH", help="The Claude CLI to use. Else ORCHESTRATE_CLAUDE, then claude on PATH."
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE|-", help="Where the result goes; - is stdout (progress: stderr)."),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=FILE|-", help="Give an input from a file, or - from stdin. Repeatable."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=TEXT", help="Give an input as text. Repeatable."),
]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Folder that the plan's own paths must stay inside of."),
]
ProgressOption = Annotated[
    ProgressMode, typer.Option("--progress", help="auto: tty on a terminal, else plain. json: one event a line.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FILE",
        help="Where answers are remembered. Else ORCHESTRATE_STORE, then .orchestrate/store.db here.",
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Reuse no stored answer.")]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="ID", help="Run and stitch this chunk, and run what it needs. Repeatable."),
]
UntilOption = Annotated[
    list[str] | None, typer.Option("--until", metavar="ID", help="Run everything up to this chunk. Repeatable.")
]
RedoOption = Annotated[list[str] | None, typer.Option("--redo", metavar="ID", help="Ask this chunk again. Repeatable.")]
SampleOption = Annotated[
    int | None,
    typer.Option(
        "--sample", metavar="N", min=1, help="Run N spread pieces of each for_each, and say what the whole takes."
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would run, why, and what it would take. Starts nothing.")
]
FormatOption = Annotated[
    OutlookFormat | None, typer.Option("--format", help="How --dry-run tells it.", show_default=False)
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option("-j", "--max-concurrency", metavar="N", min=1, max=256, help="Chunks under way at once."),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", metavar="USD", help="Start nothing new beyond this cost.", callback=_amount),
]
WaitOption = Annotated[
    bool | None,
    typer.Option("--wait/--no-wait", help="Wait for the end of a usage limit (as usual), or stop there."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before an expensive run.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite an output file that no run wrote.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
