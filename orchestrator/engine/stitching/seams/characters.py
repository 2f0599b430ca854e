"""Rules for line ends and Unicode."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from orchestrator.engine.stitching.seams.closing import Changes
from orchestrator.engine.stitching.seams.edits import Edit
from orchestrator.engine.stitching.seams.labels import code_spans
from orchestrator.engine.stitching.seams.structure import Page

_RETURN = re.compile(r"\r\n?")
_WORD = re.compile(r"\S+")


def line_feeds(pages: Sequence[Page]) -> Changes:
    """CRLF and a lone CR become LF."""
    return {
        at: [
            Edit(found.start(), found.start() + 1, "" if len(found[0]) == 2 else "\n")
            for found in _RETURN.finditer(page.text)
        ]
        for at, page in enumerate(pages)
        if page.is_answer and "\r" in page.text
    }


def normal_unicode(pages: Sequence[Page]) -> Changes:
    """Characters that are written in several ways are written in one (NFC); code, HTML and addresses stay."""
    changes: Changes = {}
    for at, page in enumerate(pages):
        if page.is_answer and not unicodedata.is_normalized("NFC", page.text):
            edits = list(_normal_words(page))
            if edits:
                changes[at] = edits
    return changes


def _normal_words(page: Page) -> Iterator[Edit]:
    for start, end in _prose(page):
        for word in _WORD.finditer(page.text, start, end):
            normal = unicodedata.normalize("NFC", word[0])
            if normal != word[0] and "/" not in word[0]:
                yield Edit(word.start(), word.end(), normal)


def _prose(page: Page) -> Iterator[tuple[int, int]]:
    """The stretches of running text without code spans."""
    if not page.markdown:
        yield 0, len(page.text)
        return
    done = 0
    for start, end in page.structure.prose:
        # Places of nested blocks may share lines.
        at = max(start, done)
        for begins, ends in code_spans(page.text, start, end):
            if begins >= at:
                yield at, begins
            at = max(at, ends)
        if at < end:
            yield at, end
        done = max(done, end)
