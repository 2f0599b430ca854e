"""Joining answers as their source was: each stands between the blank space that stood around its piece. Pure.

The pieces of a text joined are the text, to the byte. So an answer that equals its piece gives the source again, and
a table or a list that was cut in two is one again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.engine.stitching.seams.edits import Edit
from orchestrator.plan.selection import entry_of
from orchestrator.plan.workload import Chunk, ForEach, Group, Item, Workload

BOM = "\ufeff"
"""The byte order mark; it stands at the beginning of a file, and in no prompt."""

RULE = "join"
"""What changes an answer for its place is told as the work of this rule."""

_LONE_LF = re.compile(r"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands before and after an answer.

    With `crlf` every line of the source ends with CRLF, and so do those of the answer. `blank`: the piece has no text,
    so that no answer can stand for it.
    """

    before: str
    after: str
    crlf: bool = False
    blank: bool = False

    def around(self, answer: str) -> str:
        """An answer at its place, without blank space of its own around it."""
        text = "" if self.blank else answer.strip()
        return self.around_gap(_LONE_LF.sub("\r\n", text) if self.crlf else text)

    def edits(self, answer: str) -> tuple[Edit, ...]:
        """What `around` does to the answer itself."""
        core = "" if self.blank else answer.strip()
        if not core:
            return (Edit(0, len(answer), "", RULE),) if answer else ()
        start = answer.index(core)
        end = start + len(core)
        line_ends = [found.start() for found in _LONE_LF.finditer(core)] if self.crlf else []
        changed = [Edit(0, start, "", RULE), *(Edit(start + at, start + at + 1, "\r\n", RULE) for at in line_ends)]
        return tuple(each for each in (*changed, Edit(end, len(answer), "", RULE)) if each.end > each.start)

    def around_gap(self, gap: str) -> str:
        """What stands where there is no answer, at its place."""
        return f"{self.before}{gap}{self.after}"


def frames_of(ids: Sequence[str], chunks: Mapping[str, Chunk], groups: Mapping[str, Group]) -> dict[str, Frame]:
    """The frame of every chunk of a result; {} unless all of them are about pieces of texts or files.

    The chunks joined in their frames are the result. Between two sources, and where pieces are left out, stands a
    blank line.
    """
    items = [_item_of(chunk_id, chunks, groups) for chunk_id in ids]
    known = [item for item in items if item is not None]
    if len(known) != len(items):
        return {}
    keys = [(chunks[chunk_id].group, item.source) for chunk_id, item in zip(ids, known, strict=True)]
    texts: dict[tuple[str, str], list[str]] = {}
    for key, item in zip(keys, known, strict=True):
        texts.setdefault(key, []).append(source_text(item))
    crlf = {key: _uses_crlf("".join(parts)) for key, parts in texts.items()}
    frames: dict[str, Frame] = {}
    for at, (chunk_id, key, item) in enumerate(zip(ids, keys, known, strict=True)):
        follows = at > 0 and key == keys[at - 1] and item.index == known[at - 1].index + 1
        if at == 0:
            between = BOM if item.bom else ""
        else:
            between = "" if follows else _blank_line(source_text(known[at - 1]), "\r\n" if crlf[key] else "\n")
        frames[chunk_id] = _frame(source_text(item), between, crlf=crlf[key])
    return frames


def source_text(item: Item) -> str:
    """The piece of the source that an item is, or, in a paired group, began with."""
    return item.text if item.text is not None else item.original


def rejoin(pieces: Sequence[str], answers: Sequence[str]) -> str:
    """The answers about consecutive pieces of a piece as one answer about it."""
    return "".join(_frame(piece, "").around(answer) for piece, answer in zip(pieces, answers, strict=True))


def groups_by_source(workload: Workload) -> frozenset[str]:
    """The groups whose answers are joined as their source was, those that they are paired with among them."""
    if workload.plan.stitch.join != "source":
        return frozenset()
    found: set[str] = set()
    waiting = [entry_of(name) for name in workload.stitch_chunks]
    while waiting:
        group = workload.groups.get(waiting.pop())
        if isinstance(group, ForEach) and group.of_text and group.id not in found:
            found.add(group.id)
            waiting.append(group.over)
    return frozenset(found)


def _item_of(chunk_id: str, chunks: Mapping[str, Chunk], groups: Mapping[str, Group]) -> Item | None:
    chunk = chunks.get(chunk_id)
    group = groups.get(chunk.group) if chunk is not None else None
    return chunk.item if chunk is not None and isinstance(group, ForEach) and group.of_text else None


def _frame(piece: str, between: str, *, crlf: bool = False) -> Frame:
    core = piece.strip()
    if not core:
        return Frame(between + piece, "", blank=True)
    start = piece.index(core)
    return Frame(between + piece[:start], piece[start + len(core) :], crlf)


def _uses_crlf(text: str) -> bool:
    return "\n" in text and not _LONE_LF.search(text)


def _blank_line(before: str, line_end: str) -> str:
    """The line ends that are missing for a blank line after a text."""
    return line_end * max(0, 2 - before[len(before.rstrip()) :].count("\n"))
