"""Whether a text is what was expected of it: what falls short, in words that can be sent back to who wrote it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.engine.reviewing.same_as_source import differences
from orchestrator.plan.expecting import ExpectSpec
from orchestrator.plan.json_text import read_json
from orchestrator.plan.schema_check import misfit
from orchestrator.plan.split import SplitError
from orchestrator.plan.split.markdown import blocks_of
from orchestrator.plan.split.patterns import matches
from orchestrator.plan.workload import Chunk

OPENING_CHARS = 300
"""Of a text, where a refusal would show: whoever refuses says so first."""

_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff]|[^\\s\u3040-\u30ff\u3400-\u9fff]+")
"""Scripts without blanks between words count by character."""

_REFUSAL = re.compile(
    r"\b(?:I(?:['’]m| am) (?:sorry|afraid|unable|not able)\b.{0,60}\b(?:can(?:no|['’])t|unable|not able|won['’]t|not)\b"
    r"|I (?:can(?:no|['’])t|won['’]t|am unable to|am not able to) "
    r"(?:help|assist|provide|comply|fulfil|create|write|do that|answer|complete|continue)"
    r"|as an AI(?: language)? model\b)",
    re.IGNORECASE | re.DOTALL,
)


def shortfalls(text: str, expect: ExpectSpec, *, source: str = "") -> tuple[str, ...]:
    """What the text is not although it is expected to, a sentence each; () when nothing is.

    `source` is what `same_as_source` compares with.
    """
    return tuple(_shortfalls(text, expect, source))


def answer_shortfalls(chunk: Chunk, text: str) -> tuple[str, ...]:
    """What an answer of the chunk is not although the plan expects it to."""
    return shortfalls(text, chunk.expect, source=source_of(chunk)) if chunk.expect is not None else ()


def source_of(chunk: Chunk) -> str:
    """The text that a piece was made of, which its answer may have to resemble; "" for any other chunk."""
    item = chunk.item
    return "" if item is None else item.text if item.text is not None else item.original


def _shortfalls(text: str, expect: ExpectSpec, source: str) -> Iterator[str]:
    for wanted in expect.contains:
        if wanted not in text:
            yield f"it does not contain {_shown(wanted)}"
    for pattern in expect.matches:
        try:
            if not matches(pattern, text):
                yield f"nothing in it matches the regular expression {_shown(pattern)}"
        except SplitError as problem:
            # One that takes too long is enough: the others would take as long again.
            yield problem.message
            break
    words = len(_WORD.findall(text)) if expect.min_words or expect.max_words else 0
    if expect.min_words is not None and words < expect.min_words:
        yield f"it has {words:,} words, at least {expect.min_words:,} are expected"
    if expect.max_words is not None and words > expect.max_words:
        yield f"it has {words:,} words, at most {expect.max_words:,} are expected"
    yield from _missing_headings(text, expect.headings)
    if expect.json_schema is not None:
        yield from _misfits(text, expect.json_schema)
    if expect.no_refusal and _REFUSAL.search(text[:OPENING_CHARS]):
        yield "it begins like a refusal"
    yield from differences(source, text, aspects=expect.same_as_source)


def _misfits(text: str, schema: Mapping[str, Any]) -> Iterator[str]:
    try:
        value = read_json(text, fenced=True)
    except ValueError as error:
        yield f"it is no JSON: {error}"
        return
    if wrong := misfit(value, schema):
        yield f"it does not fit the JSON Schema: {wrong}"


def _missing_headings(text: str, wanted: tuple[str, ...]) -> Iterator[str]:
    """Those that do not come, or not after the one named before."""
    if not wanted:
        return
    titles = [block.title.casefold() for block in blocks_of(text) if block.level]
    at = 0
    for heading in wanted:
        folded = heading.strip().lstrip("#").strip().casefold()
        if folded in titles[at:]:
            at = titles.index(folded, at) + 1
        elif folded in titles:
            yield f"the heading {_shown(heading)} comes too early"
        else:
            yield f"it has no heading {_shown(heading)}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
