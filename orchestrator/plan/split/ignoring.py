"""Which files `.gitignore` leaves out, folder by folder from the root down, as git reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from orchestrator.plan.paths import PathError, decode_text, read_bytes
from orchestrator.plan.split.pieces import SplitError

_MAX_BYTES = 1_000_000
VCS_FOLDERS = frozenset({".git", ".hg", ".svn", ".jj", ".bzr", "CVS"})


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in a folder: its own first, then those of the folders above."""

    folder: str
    spec: GitIgnoreSpec
    above: IgnoreRules | None

    def leaves_out(self, name: str, *, is_folder: bool) -> bool:
        """Whether a name, relative to the root, is ignored. The nearest rule that says anything decides."""
        own = name[len(self.folder) :] + ("/" if is_folder else "")
        said = self.spec.check_file(own).include
        if said is not None:
            return said
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
        return IgnoreRules(name, GitIgnoreSpec.from_lines(text.splitlines()), above)
    except PathError as problem:
        raise SplitError(problem.message, hint=problem.hint) from None
    except ValueError as error:
        raise SplitError(f"{name}.gitignore has a rule that is none: {error}", hint="mend or remove it") from None
