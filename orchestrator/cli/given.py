"""What a person typed, made into values. The environment is read here, and nowhere below."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.options import DEFAULT_STORE
from orchestrator.cli.words_first import meant
from orchestrator.errors import UsageError

PLAN_SUFFIXES = (".yaml", ".yml")
OPTIONS_AS_WORDS = {"help": "--help", "version": "--version"}

if TYPE_CHECKING:
    from orchestrator.plan.inputs import GivenInput


def environment() -> Mapping[str, str]:
    """The environment variables as they are now."""
    return dict(os.environ)


def store_path(option: Path | None) -> Path:
    """`--store`, else `ORCHESTRATE_STORE`, else the default in the current folder."""
    return option or Path(os.environ.get("ORCHESTRATE_STORE") or DEFAULT_STORE)


def claude_path(option: Path | None) -> Path | None:
    """`--claude`, else `ORCHESTRATE_CLAUDE`, else None: the runner looks for itself."""
    named = os.environ.get("ORCHESTRATE_CLAUDE")
    return option or (Path(named) if named else None)


def given_inputs(files: Sequence[str] | None, texts: Sequence[str] | None) -> dict[str, GivenInput]:
    """The inputs of `--input NAME=FILE|-` and `--set NAME=TEXT`.

    Raises `UsageError` for a missing `=`, a name given twice, or a second input from stdin; stdin is read once all
    of that is right.
    """
    from orchestrator.plan.load import StdinText

    values: dict[str, GivenInput] = {}
    from_stdin = ""
    for option, pairs in (("--input", files), ("--set", texts)):
        for pair in pairs or ():
            name, equals, value = pair.partition("=")
            if not (name and equals):
                raise UsageError(
                    f"{option} {pair}: write it as {option} NAME={'FILE' if option == '--input' else 'TEXT'}"
                )
            if name in values:
                raise UsageError(f"the input {name!r} is given twice; give it once")
            if option == "--input" and value == "-":
                if from_stdin:
                    raise UsageError(f"both {from_stdin!r} and {name!r} want stdin; only one input can have it")
                from_stdin = name
            values[name] = Path(value) if option == "--input" else value
    if from_stdin:
        values[from_stdin] = StdinText(_read_stdin(from_stdin))
    return values


def _read_stdin(name: str) -> str:
    if sys.stdin is None:
        raise UsageError(f"the input {name!r} wants stdin, which is closed")
    if sys.stdin.isatty():
        sys.stderr.write(f"Reading the input {name} from the terminal; Ctrl-D ends it.\n")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the input {name!r} on stdin is not UTF-8 (byte {error.start})") from None


def existing_store(option: Path | None, *, run: str) -> Path:
    """The store's path. Raises `UsageError` when nothing is there, and so no run to speak of."""
    path = store_path(option)
    if not path.exists():
        raise UsageError(f"no run {run!r}: there is no store at {path}; run a plan first, or name another with --store")
    return path


def existing_plan(plan: Path, *, commands: Sequence[str]) -> Path:
    """The plan's path. Raises `UsageError` when nothing is there, naming the file or command that was meant."""
    if plan.exists() or plan.is_symlink():
        return plan
    named = str(plan)
    near = _plan_near(plan)
    command = OPTIONS_AS_WORDS.get(named) or meant(named, among=commands)
    if command is not None:
        hint = f"did you mean `orchestrate {command}`?"
    elif near is not None:
        hint = f"did you mean {near}?"
    elif len(named.split()) > 1:
        hint = f"to have a request planned: orchestrate ask {shlex.quote(named)}"
    else:
        hint = "`orchestrate init` writes a first one"
    raise UsageError(f"no plan file {plan}; {hint}")


def _plan_near(plan: Path) -> Path | None:
    """The plan file beside it of nearly the same name, whatever the ending."""
    try:
        beside = {each.stem: each for each in plan.parent.iterdir() if each.suffix in PLAN_SUFFIXES}
    except OSError:
        return None
    stem = plan.stem if plan.suffix in PLAN_SUFFIXES else plan.name
    return beside.get(stem) or beside.get(meant(stem, among=beside) or "")
