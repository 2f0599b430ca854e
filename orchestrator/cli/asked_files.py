"""The files that a request is about, as inputs: one each, or several of one kind together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.plan.inputs import GivenInput

SEPARATE_FILES = 3
"""Files of one kind up to this number are an input each; more are one input, which a chunk can go over."""

_NAMED = 5
"""Files of a folder that a message names before it only counts."""


def with_files(files: Sequence[Path], given: Mapping[str, GivenInput]) -> dict[str, GivenInput]:
    """The given inputs and those of the files that were typed.

    A file is an input named by its stem. More than three with the same ending are one input, named by the ending, and
    so is a folder, named as it is: it stands for the text files in it that are not hidden and that no `.gitignore`
    leaves out. Raises `UsageError` for what is not there, and for a folder without text files or with others.
    """
    inputs = dict(given)
    kinds: dict[str, list[Path]] = {}
    for file in files:
        if not file.is_dir():
            _require_file(file)
            kinds.setdefault(file.suffix.lower(), []).append(file)
    told: set[str] = set()
    for file in files:
        alike = kinds.get(file.suffix.lower(), [])
        if file.is_dir():
            inputs[_free_name(file.resolve().name, taken=inputs)] = _files_in(file)
        elif len(alike) <= SEPARATE_FILES:
            inputs[_free_name(file.stem, taken=inputs)] = file
        elif file.suffix.lower() not in told:
            told.add(file.suffix.lower())
            inputs[_free_name(f"{file.suffix} files", taken=inputs)] = tuple(alike)
    return inputs


def _require_file(file: Path) -> None:
    if not file.is_file():
        raise UsageError(f"no file {file}; a request of several words needs quotes")


def _files_in(folder: Path) -> tuple[Path, ...]:
    from orchestrator.plan.split import SplitError, find_files

    here = Path.cwd().resolve()
    base = folder.resolve()
    root = here if base.is_relative_to(here) else base
    try:
        return tuple(each.path for each in find_files("**", base=base, root=root))
    except SplitError as problem:
        told = "; ".join(each.message for each in problem.all[:_NAMED])
        more = f"; and {len(problem.all) - _NAMED:,} more" if len(problem.all) > _NAMED else ""
        hint = f"; {problem.hint}" if problem.hint else ""
        raise UsageError(f"{folder}: {told}{more}{hint}") from None


def _free_name(stem: str, *, taken: Mapping[str, GivenInput]) -> str:
    """The name of an input: the words as an id, with a number behind it when that is taken."""
    plain = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:56]
    plain = plain if plain[:1].isalpha() else f"file_{plain}".rstrip("_")
    return next(name for at in range(1, len(taken) + 2) if (name := plain if at == 1 else f"{plain}_{at}") not in taken)
