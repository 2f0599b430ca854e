"""The elements of an answer: what a chunk over another chunk's answer goes over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from orchestrator.plan.json_text import read_json, write_json
from orchestrator.plan.split.markdown import blocks_of
from orchestrator.plan.split.pieces import Block
from orchestrator.plan.split.splitter import split_text

_JSON_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})json[ \t]*\r?\n(.*?)^ {0,3}\1[ \t]*$", re.M | re.S | re.I)
_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)(?:\[[ xX]\][ \t]+)?")


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """One element of an answer, without blanks around it, and the headings above it, outermost first."""

    text: str
    heading_path: tuple[str, ...] = ()


def pieces_of_answer(text: str) -> tuple[AnswerPiece, ...]:
    """The elements of an answer; the first of these rules that fits decides.

    1. A JSON array, being the whole answer or the answer's only ```json fence: one for each element, a string as it
       is, any other value as compact JSON.
    2. Markdown headings: one for each heading of the highest level that occurs twice, with all below it. What stands
       before the first of them introduces, and is no element.
    3. Lists: one for each item of the top level, without its mark, with its further lines; at least two.
    4. One element, the whole answer; none for a blank one.

    An empty text among the elements is left out.
    """
    elements = _array(text)
    if elements is not None:
        return tuple(AnswerPiece(each) for each in elements if each.strip())
    blocks = blocks_of(text)
    levels = sorted(block.level for block in blocks if block.level)
    level = next((each for each in levels if levels.count(each) > 1), None)
    if level is not None:
        return _sections(text, blocks, level)
    items = _items(text)
    if len(items) > 1:
        return tuple(AnswerPiece(each) for each in items)
    return (AnswerPiece(text.strip()),) if text.strip() else ()


def _array(text: str) -> list[str] | None:
    fences = _JSON_FENCE.findall(text)
    candidates = [text, *([fences[0][1]] if len(fences) == 1 else [])]
    for candidate in candidates:
        if not candidate.lstrip().startswith("["):
            continue
        try:
            value: object = read_json(candidate)
        except ValueError:
            continue
        if isinstance(value, list):
            return [_as_text(each) for each in cast("list[Any]", value)]
    return None


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else write_json(value, compact=True)


def _sections(text: str, blocks: list[Block], level: int) -> tuple[AnswerPiece, ...]:
    starts = {block.start for block in blocks if block.level == level}
    pieces = split_text(text, mode="headings", max_tokens=None, level=level)
    return tuple(
        AnswerPiece(piece.text.strip(), piece.heading_path)
        for piece in pieces
        if any(piece.start <= start < piece.end for start in starts)
    )


def _items(text: str) -> list[str]:
    """The items of the lists at the top level; an item lasts as long as its lines are indented, or follow directly."""
    items: list[list[str]] = []
    inside, after_blank, width, fence = False, False, 0, ""
    for line in text.splitlines():
        found = None if fence else _ITEM.match(line)
        if found and not (inside and _indent(line) >= width):
            items.append([line[found.end() :]])
            inside, width = True, min(found.end(), _indent(line) + 5)
        elif inside and line.strip() and (_indent(line) >= 2 or not after_blank) and not _is_heading(line):
            items[-1].append(line[min(_indent(line), width) :])
        elif inside and not line.strip():
            items[-1].append("")
        else:
            inside = False
        after_blank = not line.strip()
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if mark and (not fence or (mark[1].startswith(fence) and not line.strip().strip(fence[0]))):
            fence = "" if fence else mark[1]
    return [each for each in ("\n".join(lines).strip() for lines in items) if each]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_heading(line: str) -> bool:
    return bool(re.match(r"#{1,6}\s", line))
