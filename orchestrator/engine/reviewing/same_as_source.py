"""What a text changed of its source that should have stayed: headings, code, links and numbers. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from orchestrator.plan.expecting import SourceAspect
from orchestrator.plan.split.markdown import blocks_of

NAMED = 5
"""Of what is missing or new, how many are named."""
SHOWN_CHARS = 60

_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(
    r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)|<(https?://[^>\s]+)>", re.MULTILINE
)
_BARE_URL = re.compile(r"(?<![(<\w])https?://[^\s<>)\]\"']+[^\s<>)\]\"'.,;:!?]")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,’'\u00a0\u202f]\d+)*(?![\w])")
_FENCE = "code fence"
_NOT_A_DIGIT = re.compile(r"\D")


def differences(source: str, text: str, *, aspects: Sequence[SourceAspect]) -> Iterator[str]:
    """What of these aspects is not the same in both, a sentence each."""
    for aspect in aspects:
        found = _FINDERS[aspect](source), _FINDERS[aspect](text)
        if aspect == "headings":
            yield from _outline_difference(*found)
        else:
            yield from _bag_difference(aspect, *found)


def _outline_difference(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    if list(before) != list(after):
        yield f"its headings are {_outline(after)}, those of the source {_outline(before)}"


def _outline(levels: Sequence[str]) -> str:
    shown = ", ".join(levels[:NAMED])
    more = f", … {len(levels)} in all" if len(levels) > NAMED else ""
    return f"{shown}{more}" if levels else "none"


def _bag_difference(aspect: str, before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Nothing may be missing and nothing new; the order may be another, as languages have theirs."""
    missing, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
    if missing:
        yield f"{aspect} of the source that it does not have: {_listed(missing)}"
    if new:
        yield f"{aspect} that the source does not have: {_listed(new)}"


def _listed(found: Counter[str]) -> str:
    names = [repr(each if len(each) <= SHOWN_CHARS else f"{each[: SHOWN_CHARS - 1]}…") for each in found]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _headings(text: str) -> list[str]:
    return ["#" * block.level for block in blocks_of(text) if block.level]


def _code(text: str) -> list[str]:
    fences = [_inside(text[block.start : block.end]) for block in blocks_of(text) if block.kind == _FENCE]
    return fences + [found[2].strip() for found in _CODE_SPAN.finditer(_without_fences(text))]


def _inside(fence: str) -> str:
    """A fence without its marks: the language after the opening one belongs to it."""
    lines = [line.rstrip() for line in fence.strip().splitlines()]
    closed = len(lines) > 1 and re.fullmatch(r"\s*(`{3,}|~{3,})", lines[-1])
    return "\n".join([lines[0].strip().lstrip("`~").strip(), *lines[1 : -1 if closed else None]]) if lines else ""


def _without_fences(text: str) -> str:
    return "".join(text[block.start : block.end] for block in blocks_of(text) if block.kind != _FENCE)


def _links(text: str) -> list[str]:
    prose = _CODE_SPAN.sub(" ", _without_fences(text))
    targets = [found[1] or found[2] or found[3] for found in _LINK.finditer(prose)]
    return targets + _BARE_URL.findall(_LINK.sub(" ", prose))


def _numbers(text: str) -> list[str]:
    """Digits alone: 1,000.5 and 1.000,5 are one number in two languages."""
    prose = _BARE_URL.sub(" ", _LINK.sub(" ", _CODE_SPAN.sub(" ", _without_fences(text))))
    lines = (re.sub(r"^\s*\d{1,9}[.)]\s", "", line) for line in prose.splitlines())
    return [_NOT_A_DIGIT.sub("", found) for line in lines for found in _NUMBER.findall(line)]


_FINDERS: dict[SourceAspect, Callable[[str], list[str]]] = {
    "headings": _headings,
    "code": _code,
    "links": _links,
    "numbers": _numbers,
}
