"""Finding the files that a plan's patterns name, inside its root, without what `.gitignore` leaves out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.paths import PathError, inside_root, read_plan_text
from orchestrator.plan.split.globs import Glob
from orchestrator.plan.split.ignoring import VCS_FOLDERS, IgnoreRules, rules_in
from orchestrator.plan.split.pieces import SplitError, raise_all

MAX_FILES = 20_000
"""Files of one input: a piece each would be more calls than a run can make."""

_MAX_DEPTH = 64
_ONLY_TEXTS = "name the text files alone, such as **/*.md, or list them in .gitignore"
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of text: its real path, and its name relative to the plan's folder, with slashes."""

    path: Path
    name: str


def find_files(patterns: str | Sequence[str], *, base: Path, root: Path) -> tuple[FoundFile, ...]:
    """The files that any pattern matches, sorted by name, each once.

    Patterns are relative to `base`; `*` and `?` stay within a name, `**` is any number of folders, `[…]` a choice of
    characters, and a name that begins with a dot is found by a pattern that gives the dot. What a `.gitignore` from
    `root` down leaves out is left out, as are the folders of version control. Linked folders are not entered. Raises
    `SplitError` for patterns that match nothing or leave the root, for links that lead outside, for names that are not
    UTF-8, for files that are no text, and for more than 20,000 files; it holds all of them, and their hints say what
    to do.
    """
    found: dict[str, FoundFile] = {}
    errors: list[SplitError] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        search = _Search(pattern, base=base, root=root)
        try:
            matches = search.run()
        except SplitError as error:
            errors.append(error)
            continue
        errors += search.refused
        if not matches and not search.refused:
            errors.append(SplitError(f"{pattern!r} matches no file", hint=search.why_nothing()))
        found.update((each.name, each) for each in matches)
        if len(found) > MAX_FILES:
            errors.append(
                SplitError(f"{pattern!r} matches more than {MAX_FILES:,} files", hint="name less of the folder")
            )
            raise_all(errors)
    errors += _no_texts(found, base=base, root=root)
    raise_all(errors)
    return tuple(found[name] for name in sorted(found))


def would_find(patterns: Sequence[str], path: Path, *, base: Path, root: Path) -> bool:
    """Whether `find_files` would find a file at this real path inside `root`, if one were there."""
    return any(_matches(pattern, path, base=base) for pattern in patterns) and not _is_left_out(path, root.resolve())


def _matches(pattern: str, path: Path, *, base: Path) -> bool:
    parts, fixed = _parts_of(pattern)
    top = base.joinpath(*parts[:fixed]).resolve()
    return path.is_relative_to(top) and Glob(parts[fixed:]).matches(path.relative_to(top).parts)


def _is_left_out(path: Path, root: Path) -> bool:
    rules: IgnoreRules | None = None
    name, folder = "", root
    for part in path.relative_to(root).parts:
        rules = rules_in(folder, name=name, above=rules)
        is_folder = folder / part != path
        if (is_folder and part in VCS_FOLDERS) or (rules and rules.leaves_out(name + part, is_folder=is_folder)):
            return True
        name, folder = f"{name}{part}/", folder / part
    return False


def _parts_of(pattern: str) -> tuple[list[str], int]:
    """The names of a pattern, and how many of them are folders without any special character."""
    parts = [part for part in pattern.replace("\\", "/").split("/") if part not in ("", ".")]
    return parts, next((at for at, part in enumerate(parts) if _MAGIC.search(part)), max(0, len(parts) - 1))


def _no_texts(found: dict[str, FoundFile], *, base: Path, root: Path) -> list[SplitError]:
    """One error for each file that is no text."""
    errors: list[SplitError] = []
    for name in sorted(found):
        try:
            read_plan_text(name, base=base, root=root)
        except PathError as problem:
            errors.append(SplitError(problem.message, hint=_ONLY_TEXTS))
    return errors


@dataclass(slots=True)
class _Search:
    """One pattern on its way through the folders."""

    pattern: str
    base: Path
    root: Path
    ignored: list[str] = field(default_factory=list[str])
    refused: list[SplitError] = field(default_factory=list[SplitError])
    _files: list[FoundFile] = field(default_factory=list[FoundFile])
    _top: Path = Path()
    _left_out: bool = False
    _glob: Glob = field(default_factory=lambda: Glob([]))

    def run(self) -> list[FoundFile]:
        """All matching files that can be used; the others are `refused`.

        Enters the folder before the first special character alone.
        """
        parts, fixed = _parts_of(self.pattern)
        if not parts or self.pattern.startswith(("/", "~")):
            raise SplitError(f"{self.pattern!r} is not relative to the plan file", hint="such as src/**/*.py")
        if ".." in parts[1:] and any(_MAGIC.search(part) for part in parts[: parts.index("..", 1)]):
            raise SplitError(f"{self.pattern!r} goes up after a wildcard", hint="begin with the folder itself")
        try:
            self._top = inside_root("/".join(parts[:fixed]) or ".", base=self.base, root=self.root)
        except PathError as problem:
            raise SplitError(problem.message, hint=problem.hint) from None
        rules = self._rules_above()
        if self._top.is_dir() and not self._left_out:
            prefix = "/".join(parts[:fixed])
            self._glob = Glob(parts[fixed:])
            self._enter(self._top, f"{prefix}/" if prefix else "", rules, self._glob.start, depth=0)
        return self._files

    def why_nothing(self) -> str:
        """What to do about a pattern that matches nothing."""
        if self.ignored:
            return f".gitignore leaves out {self.ignored[0]!r}; copy it elsewhere, or change .gitignore"
        if not self._top.is_dir():
            near = self._top.parent
            names = sorted(each.name for each in near.iterdir() if each.is_dir())[:1000] if near.is_dir() else []
            return f"there is no folder {self._top.name!r} {did_you_mean(self._top.name, names)}".strip()
        names = sorted(each.name for each in self._top.iterdir())
        if names and all(name.startswith(".") for name in names):
            return f"it holds {', '.join(names[:3])}: what begins with a dot is found by a pattern that gives the dot"
        holds = f"it holds {', '.join(names[:3])}" if names else "it is empty"
        return f"the folder {self._top.name!r} is there, {holds}; `**/` looks in the folders below too"

    def _rules_above(self) -> IgnoreRules | None:
        """The rules that hold around the first folder; notes when they leave that one out."""
        rules: IgnoreRules | None = None
        name, folder = "", self.root.resolve()
        for part in self._top.relative_to(folder).parts:
            rules = rules_in(folder, name=name, above=rules)
            if part in VCS_FOLDERS or (rules and rules.leaves_out(name + part, is_folder=True)):
                self.ignored.append(name + part)
                self._left_out = True
            name, folder = f"{name}{part}/", folder / part
        return rules

    def _enter(self, folder: Path, shown: str, above: IgnoreRules | None, state: frozenset[int], *, depth: int) -> None:
        """Everything in a folder that the pattern goes on to match; `shown` is the folder's name from the base."""
        name = f"{folder.relative_to(self.root.resolve()).as_posix()}/".removeprefix("./")
        rules = rules_in(folder, name=name, above=above)
        for entry in _entries(folder):
            is_folder = entry.is_dir(follow_symlinks=False)
            after = self._glob.after(state, entry.name)
            if is_folder and (entry.name in VCS_FOLDERS or not self._glob.goes_on(after)):
                continue
            if not is_folder and not self._glob.is_match(after):
                continue
            if rules and rules.leaves_out(name + entry.name, is_folder=is_folder):
                self.ignored.append(name + entry.name)
            elif is_folder and depth < _MAX_DEPTH:
                self._enter(Path(entry.path), f"{shown}{entry.name}/", rules, after, depth=depth + 1)
            elif entry.is_file():
                self._take(shown + entry.name)
            if len(self._files) > MAX_FILES:
                return

    def _take(self, name: str) -> None:
        try:
            name.encode("utf-8")
            self._files.append(FoundFile(inside_root(name, base=self.base, root=self.root), name))
        except UnicodeEncodeError:
            shown = os.fsencode(name).decode("utf-8", "backslashreplace")
            self.refused.append(SplitError(f"the name '{shown}' is not UTF-8", hint="rename the file"))
        except PathError as problem:
            self.refused.append(SplitError(problem.message, hint=f"remove the link; {problem.hint}"))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise SplitError(f"the folder {folder.name!r} cannot be read: {error.strerror}") from None
