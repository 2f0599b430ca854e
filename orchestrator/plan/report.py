"""Where a problem of a plan stands: from a path such as `chunks[1].prompt` to file, line and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.errors import PlanError, Problem
from orchestrator.plan.yaml_source import Position, YamlDocument, YamlPath

MAX_PROBLEMS = 200
"""Problems told at once; nobody reads on after that many, and a hostile file can hold a million."""

_SEARCHED_LINES = 200
"""Lines after the start of a quoted or folded text in which a place in it is looked for."""


def dotted(path: YamlPath) -> str:
    """The path as a person reads it: `chunks[1].prompt`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


@dataclass(slots=True)
class Report:
    """Collects the problems of one plan. Without a `document` (a plan given as a dict) places are dotted paths."""

    file: str
    document: YamlDocument | None = None
    problems: list[Problem] = field(default_factory=list[Problem])

    def at(self, path: YamlPath, message: str, hint: str = "", *, key: bool = False) -> None:
        """A problem of the value at `path`, or of its key; of the nearest value around it when there is none."""
        position = self._position(path)
        if position is None or self.document is None:
            place = dotted(path)
            self.problems.append(Problem(self.file, 0, 0, f"{place}: {message}" if place else message, hint=hint))
            return
        line, column = (position.key_line, position.key_column) if key else (position.line, position.column)
        self._add(line, column, message, hint)

    def in_text(self, path: YamlPath, text: str, *, line: int, column: int, message: str, hint: str = "") -> None:
        """A problem inside the text at `path`, at a line and column of that text, both from 1."""
        position = self._position(path)
        if position is None or self.document is None:
            where = f"{dotted(path)}, line {line}" if "\n" in text.rstrip("\n") else dotted(path)
            self.problems.append(Problem(self.file, 0, 0, f"{where}: {message}", hint=hint))
        elif position.style == "|":
            self._add(position.text_line + line - 1, position.indent + column, message, hint)
        else:
            self._add(*self._search(position, text, line, column), message, hint)

    def in_file(self, file: str, text: str, *, line: int, column: int, message: str, hint: str = "") -> None:
        """A problem inside another file."""
        lines = text.split("\n")
        shown = lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""
        self.problems.append(Problem(file, line, column, message, shown, hint))

    def about_call(self, message: str, hint: str = "") -> None:
        """A problem of what was given beside the plan."""
        self.problems.append(Problem(self.file, 0, 0, message, hint=hint))

    def raise_if_any(self) -> None:
        """Raises `PlanError` with the problems in file order: the plan first, then other files."""
        if self.problems:
            raise PlanError(ordered(self.problems, first=self.file))

    def _position(self, path: YamlPath) -> Position | None:
        if self.document is None:
            return None
        for length in range(len(path), -1, -1):
            found = self.document.positions.get(path[:length])
            if found is not None:
                return found
        return Position(1, 1, 1, 1)

    def _add(self, line: int, column: int, message: str, hint: str) -> None:
        lines = self.document.lines if self.document else []
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        self.problems.append(Problem(self.file, line, column, message, shown, hint))

    def _search(self, position: Position, text: str, line: int, column: int) -> tuple[int, int]:
        """Where a place of a quoted, folded or plain text stands in the file: looked for, since escapes move it."""
        lines = self.document.lines if self.document else []
        wanted = text.split("\n")[line - 1]
        last = min(len(lines), position.line + _SEARCHED_LINES)
        for start, end in ((0, len(wanted)), (column - 1, column + 30), (column - 1, column + 9)):
            needle = wanted[start:end].strip()
            offset = column - 1 - start - (len(wanted[start:end]) - len(wanted[start:end].lstrip()))
            for at in range(position.line - 1, last if needle else 0):
                found = lines[at].find(needle, position.column - 1 if at == position.line - 1 else 0)
                if found >= 0:
                    return at + 1, found + offset + 1
        return position.line, position.column


def ordered(problems: Sequence[Problem], *, first: str) -> list[Problem]:
    """In file order, each once, at most `MAX_PROBLEMS` and a line that says how many more there are."""
    unique = list(dict.fromkeys(problems))
    unique.sort(key=lambda each: (each.file != first, each.file, each.line, each.column))
    if len(unique) > MAX_PROBLEMS:
        more = f"{len(unique) - MAX_PROBLEMS:,} more problems"
        return [*unique[:MAX_PROBLEMS], Problem(first, 0, 0, more, hint="they show once these are mended")]
    return unique
