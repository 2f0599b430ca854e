"""The logins that a person configured: a file of their own, and what the command names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from orchestrator.errors import PlanError, UsageError

FILE = Path("orchestrate") / "accounts.yaml"
"""In the folder of a person's settings; `ORCHESTRATE_ACCOUNTS` names another."""


def configured_accounts(options: Sequence[str] | None) -> dict[str, Path]:
    """The folders of the logins by name: those of the file, then those of `--account NAME=DIR`.

    Raises `UsageError` for what is no such thing; a file that is not there has none.
    """
    named = os.environ.get("ORCHESTRATE_ACCOUNTS")
    file = Path(named) if named else _settings_folder() / FILE
    accounts = _read(file) if named or file.is_file() else {}
    for option in options or ():
        name, equals, folder = option.partition("=")
        if not (name and equals and folder):
            raise UsageError(f"--account {option}: write it as --account NAME=DIR")
        accounts[name] = Path(folder).expanduser().absolute()
    return accounts


def _settings_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME") or "/") / ".config")


def _read(file: Path) -> dict[str, Path]:
    from orchestrator.plan.yaml_source import read_yaml

    try:
        value = read_yaml(file.read_bytes(), file=str(file)).value
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
    except PlanError as error:
        raise UsageError(str(error)) from None
    folders = cast("Mapping[object, object]", value) if isinstance(value, dict) else None
    if folders is None or not all(isinstance(each, str) and each for pair in folders.items() for each in pair):
        raise UsageError(f"{file} is to name a folder for each account, as in `work: ~/.claude-work`")
    return {str(name): file.parent / Path(str(folder)).expanduser() for name, folder in folders.items()}
