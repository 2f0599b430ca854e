"""The options that several commands share, each declared once, in groups that a command takes whole."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

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


def _seconds(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter("it must be a number above 0, in seconds")
    return value


def _span(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[1-9][0-9]{0,5}[smhd]?", value):
        raise typer.BadParameter("write it as 90s, 30m, 6h or 2d")
    return value + "s" if value and value.isdecimal() else value


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
MaxTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", metavar="N", min=1, help="Start nothing new beyond so many tokens, in and out."),
]
MaxWallOption = Annotated[
    float | None,
    typer.Option("--max-wall", metavar="SECONDS", help="Start nothing new after so long.", callback=_seconds),
]
WaitOption = Annotated[
    bool | None,
    typer.Option("--wait/--no-wait", help="Wait for the end of a usage limit (as usual), or stop there."),
]
MaxWaitOption = Annotated[
    str | None,
    typer.Option("--max-wait", metavar="TIME", help="Wait no longer for a usage limit: 30m, 6h, 2d.", callback=_span),
]
AccountOption = Annotated[
    list[str] | None,
    typer.Option("--account", metavar="NAME=DIR", help="A login that plans may name, kept in DIR. Repeatable."),
]
AllowToolsOption = Annotated[
    list[str] | None,
    typer.Option("--allow-tools", metavar="A,B", help="Tools that the plan may use if it asks: Read, Grep, Glob."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before an expensive run.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite an output file that no run wrote.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOptions:
    """What a plan or a request is given, and whether stored answers count."""

    inputs: InputOption = None
    texts: SetOption = None
    root: RootOption = None
    fresh: FreshOption = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(GivenOptions):
    """What of a plan is run besides."""

    only: OnlyOption = None
    until: UntilOption = None
    redo: RedoOption = None
    sample: SampleOption = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunOptions:
    """Whether, and how, it is only told what would run."""

    dry_run: DryRunOption = False
    form: FormatOption = None

    @property
    def asked(self) -> bool:
        """Whether anything of it was typed."""
        return self.dry_run or self.form is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """Who answers, within which bounds, and how it is shown.

    None leaves a thing as the plan, or the run that is resumed, has it.
    """

    runner: RunnerOption = None
    claude: ClaudeOption = None
    progress: ProgressOption = ProgressMode.AUTO
    store: StoreOption = None
    max_cost_usd: MaxCostOption = None
    wait_for_limits: WaitOption = None
    max_wait: MaxWaitOption = None
    accounts: AccountOption = None
    yes: YesOption = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions(CallOptions):
    """The same, and where the result goes."""

    output: OutputOption = None
    max_concurrency: ConcurrencyOption = None
    max_tokens: MaxTokensOption = None
    max_wall_s: MaxWallOption = None
    allow_tools: AllowToolsOption = None
    force: ForceOption = False


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each of its parameters that is a group of options taken apart into these options.

    Typer reads the options of a command from its signature; this makes the signature.
    """
    groups: dict[str, Any] = {
        parameter.name: parameter.annotation
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if is_dataclass(parameter.annotation)
    }

    def taken_apart(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{each.name: given.pop(each.name) for each in fields(group)})
        command(**given)

    parameters = list(_parameters(command))
    taken_apart.__name__, taken_apart.__doc__ = command.__name__, command.__doc__
    taken_apart.__annotations__ = {each.name: each.annotation for each in parameters}
    setattr(taken_apart, "__signature__", inspect.Signature(parameters))  # noqa: B010 - functions declare none
    return taken_apart


def _parameters(command: Callable[..., None]) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if not is_dataclass(group):
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        hints = get_type_hints(group, include_extras=True)
        for each in fields(group):
            yield inspect.Parameter(
                each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name]
            )
