"""What seam work is made of: parts that never change, and edits that can be shown, mapped and undone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

PartKind = Literal["answer", "gap", "separator"]


class Part(NamedTuple):
    """One part of a result as it came: the answer of a chunk, the gap of one, or what stands between two parts."""

    kind: PartKind
    chunk_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """`text` stands in place of the characters from `start` to `end`, by `rule`; `start == end` inserts.

    The edits of one text are in order and do not overlap.
    """

    start: int
    end: int
    text: str
    rule: str = ""


class Span(NamedTuple):
    """What became of a stretch of a part: the characters from `start` to `end` of the original are those from
    `out_start` to `out_end` of the result.

    With `rule` "" they are the same characters. Otherwise `removed` holds the original ones, "" for an insertion.
    `part` is the index of the part.
    """

    part: int
    start: int
    end: int
    out_start: int
    out_end: int
    rule: str = ""
    removed: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts put together, with the edits of each. Offsets are characters."""

    parts: tuple[Part, ...]
    edits: tuple[tuple[Edit, ...], ...]

    @property
    def text(self) -> str:
        """The result."""
        return "".join(apply(edits, part.text) for part, edits in zip(self.parts, self.edits, strict=True))

    @property
    def plain(self) -> str:
        """What the parts are end to end, without seam work."""
        return "".join(part.text for part in self.parts)

    def owner(self, part: int) -> str:
        """The chunk of a part; for a separator the one before it."""
        return self.parts[part].chunk_id or self.parts[part - 1].chunk_id

    def spans(self) -> Iterator[Span]:
        """The map of the result: spans that cover it, and every part, in order."""
        out = 0
        for index, (part, edits) in enumerate(zip(self.parts, self.edits, strict=True)):
            at = 0
            for edit in (*edits, Edit(len(part.text), len(part.text), "")):
                if edit.start > at:
                    yield Span(index, at, edit.start, out, out + edit.start - at)
                    out += edit.start - at
                if edit.rule:
                    removed = part.text[edit.start : edit.end]
                    yield Span(index, edit.start, edit.end, out, out + len(edit.text), edit.rule, removed)
                    out += len(edit.text)
                at = edit.end


def rebuild(text: str, spans: Iterable[Span], *, parts: int) -> tuple[str, ...]:
    """The parts as they were, from a result and its map alone."""
    found: list[list[str]] = [[] for _ in range(parts)]
    for span in spans:
        found[span.part].append(span.removed if span.rule else text[span.out_start : span.out_end])
    return tuple("".join(each) for each in found)


def apply(edits: Sequence[Edit], text: str) -> str:
    """`text` after its edits."""
    if not edits:
        return text
    pieces: list[str] = []
    at = 0
    for edit in edits:
        pieces += (text[at : edit.start], edit.text)
        at = edit.end
    return "".join((*pieces, text[at:]))


def compose(first: Sequence[Edit], second: Sequence[Edit], *, between: str) -> tuple[Edit, ...]:
    """Edits of the original that do what `first` and then `second` do; `between` is the text after `first`.

    Edits that touch the same characters become one, by both rules.
    """
    if not first or not second:
        return tuple(first or second)
    done: list[Edit] = []
    at_first = at_second = shift = 0
    while at_first < len(first) or at_second < len(second):
        one = first[at_first] if at_first < len(first) else None
        two = second[at_second] if at_second < len(second) else None
        if one and (two is None or one.start + shift + len(one.text) <= two.start):
            done.append(one)
            shift += len(one.text) - (one.end - one.start)
            at_first += 1
            continue
        assert two is not None
        if one is None or two.end <= one.start + shift:
            done.append(replace(two, start=two.start - shift, end=two.end - shift))
            at_second += 1
            continue
        start = end = min(one.start + shift, two.start)
        begin, rules, over = start - shift, list[str](), list[Edit]()
        while True:
            if at_first < len(first) and (first[at_first].start + shift < end or not rules):
                one = first[at_first]
                end = max(end, one.start + shift + len(one.text))
                shift += len(one.text) - (one.end - one.start)
                rules.append(one.rule)
                at_first += 1
            elif at_second < len(second) and (second[at_second].start < end or not over):
                two = second[at_second]
                end = max(end, two.end)
                over.append(replace(two, start=two.start - start, end=two.end - start))
                rules.append(two.rule)
                at_second += 1
            else:
                break
        text = apply(over, between[start:end])
        named = dict.fromkeys(name for rule in rules for name in rule.split(", "))
        done.append(Edit(begin, end - shift, text, ", ".join(named)))
    return tuple(done)
