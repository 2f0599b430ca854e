"""The blocks of source code, by blank lines and indentation; no grammar, so any language will do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.plan.split.pieces import BLOCK, GLUED, LINE, WEAKEST_BLOCK, Block, Line, lines_of

_DEFINITION = re.compile(
    r"(?:@|#\[|(?:(?:pub(?:lic)?|private|protected|internal|export|default|abstract|static|final|async|unsafe|const|"
    r"inline|extern|open|sealed|data|override)\b\S*\s+)*"
    r"(?:def|class|func|function|fn|fun|interface|struct|enum|impl|trait|type|module|namespace|record|object|sub|"
    r"package|macro|template)\b)"
)
_OPENING = re.compile(r".*\{\s*(?://.*)?$")
_ATTACHED = re.compile(r"@|#(?!include|define|if|endif|pragma)|//|/\*|\*|--\s|;;|#\[")
_CLOSING = re.compile(r"[}\])]|(?:end|else|elif|elsif|except|finally|catch|then|fi|done|esac|rescue|ensure)\b")
_QUOTES: dict[str, tuple[str, ...]] = {
    "python": ('"""', "'''"),
    "javascript": ("`",),
    "typescript": ("`",),
    "go": ("`",),
    "java": ('"""',),
    "kotlin": ('"""',),
    "scala": ('"""',),
    "swift": ('"""',),
}
_ANY_LANGUAGE = ('"""', "'''")


def code_blocks(text: str, *, language: str | None) -> list[Block]:
    """The top-level blocks of `text`, which cover it: a line that is not indented, and what belongs below it."""
    quotes = _QUOTES.get((language or "").lower(), _ANY_LANGUAGE)
    return _blocks(list(_code_lines(text, quotes)), depth=0)


def inner_blocks(text: str, block: Block) -> list[Block]:
    """The blocks one step deeper inside `block`: its first line, then each line at the least indentation below it."""
    lines = [(line, _indent(line.text)) for line in lines_of(text, block.start, block.end)]
    return _blocks(lines, depth=block.depth + 1)


def _code_lines(text: str, quotes: Sequence[str]) -> Iterator[tuple[Line, int | None]]:
    """Each line with its indentation; None for a blank line, and for one inside a string of several lines."""
    lines = list(lines_of(text))
    mark = ""
    indents: list[int | None] = []
    for line in lines:
        indents.append(None if mark else _indent(line.text))
        mark = _mark_after(line.text, mark, quotes)
    if mark:
        indents = [_indent(line.text) for line in lines]
    yield from zip(lines, indents, strict=True)


def _mark_after(line: str, mark: str, quotes: Sequence[str]) -> str:
    """The quotes that are open after a line, when `mark` was open before it."""
    if mark:
        return "" if line.count(mark) % 2 else mark
    return next((each for each in quotes if line.count(each) % 2), "")


def _indent(line: str) -> int | None:
    bare = line.lstrip(" \t\f")
    return len(line.expandtabs(8)) - len(line.expandtabs(8).lstrip()) if bare else None


def _blocks(lines: list[tuple[Line, int | None]], *, depth: int) -> list[Block]:
    top = depth == 0
    own = next((indent for _, indent in lines if indent is not None), 0)
    deeper = [indent for _, indent in lines[1:] if indent is not None and (top or indent > own)]
    least = 0 if top else min(deeper, default=0)
    blocks: list[Block] = []
    after_blank, after_attached = True, False
    for line, indent in lines:
        bare = line.text.strip()
        begins = indent is not None and indent <= least and not _CLOSING.match(bare)
        if begins or not blocks:
            strength = _strength(bare, after_blank, after_attached, depth=depth)
            blocks.append(Block(line.start, "indented block", strength, depth=depth))
            after_attached = bool(_ATTACHED.match(bare))
        elif bare:
            after_attached = False
        blocks[-1].end = line.end
        after_blank = not bare
    return blocks


def _strength(bare: str, after_blank: bool, after_attached: bool, *, depth: int) -> int:
    if after_attached and not after_blank:
        return GLUED
    defines = _DEFINITION.match(bare) or (after_blank and (_OPENING.match(bare) or _ATTACHED.match(bare)))
    if depth == 0:
        return BLOCK + 2 if defines else BLOCK if after_blank else WEAKEST_BLOCK
    return (WEAKEST_BLOCK - 1 if depth == 1 else LINE + 1) if defines or after_blank else LINE
