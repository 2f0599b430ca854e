"""Which files `.gitignore` leaves out, folder by folder from the root down, as git reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.plan.paths import PathError, decode_text, read_bytes
from orchestrator.plan.split.globs import Glob
from orchestrator.plan.split.pieces import SplitError

_MAX_BYTES = 1_000_000
VCS_FOLDERS = frozenset({".git", ".hg", ".svn", ".jj", ".bzr", "CVS"})


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line: what it matches, whether folders alone, and whether it takes back what an earlier one left out."""

    glob: Glob
    folders_only: bool
    takes_back: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in a folder: its own first, then those of the folders above."""

    folder: str
    rules: tuple[_Rule, ...]
    above: IgnoreRules | None

    def leaves_out(self, name: str, *, is_folder: bool) -> bool:
        """Whether a name, relative to the root, is left out. The nearest rule that matches decides, the last of a file.

        The folders above it are not looked at: who walks does not enter what is left out.
        """
        names = name[len(self.folder) :].split("/")
        for rule in reversed(self.rules):
            if (is_folder or not rule.folders_only) and rule.glob.matches(names):
                return not rule.takes_back
        return self.above is not None and self.above.leaves_out(name, is_folder=is_folder)


def rules_in(folder: Path, *, name: str, above: IgnoreRules | None) -> IgnoreRules | None:
    """The rules for what is in `folder`, whose name from the root ends with a slash, or is empty for the root itself.

    Raises `SplitError` for a `.gitignore` that cannot be read.
    """
    file = folder / ".gitignore"
    if file.is_symlink() or not file.is_file():
        return above
    try:
        text = decode_text(*read_bytes(file, limit=_MAX_BYTES), named=f"{name}.gitignore").text
    except PathError as problem:
        raise SplitError(problem.message, hint=problem.hint) from None
    return IgnoreRules(name, tuple(_rules(text)), above)


def _rules(text: str) -> Iterator[_Rule]:
    for line in text.split("\n"):
        pattern = re.sub(r"(?<!\\)[ \t\r]+$", "", line)
        if not pattern or pattern.startswith("#"):
            continue
        takes_back = pattern.startswith("!")
        pattern = pattern.removeprefix("!")
        folders_only = pattern.endswith("/")
        pattern = pattern.removesuffix("/")
        parts = [_plain(part) for part in pattern.removeprefix("/").split("/")]
        if any(parts):
            anywhere = "/" not in pattern
            yield _Rule(Glob(["**", *parts] if anywhere else parts, dots=True), folders_only, takes_back)


def _plain(part: str) -> str:
    """A name in the manner of `fnmatch`, which knows no backslash and writes `[!a]` for git's `[^a]`."""
    if part.startswith("**") and part.strip("*") == "":
        return "**" if part == "**" else "*"
    taken = re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], part)
    return taken.replace("[^", "[!")
