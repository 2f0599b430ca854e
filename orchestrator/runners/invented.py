"""Texts that are made up: prose without a meaning, in the form that a plan expects of an answer."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

from orchestrator.runners.smallest import smallest_instance

PROSE = (
    "The service keeps every request it has accepted until the work behind it is done and the answer was written to a "
    "place that survives a restart which is why a queue stands between the front and the workers and why each worker "
    "asks for one piece at a time rather than being handed a batch that it may never finish when load grows the queue "
    "grows first and that is the figure to watch before any other"
)

WORDS = PROSE.split()


def invent(title: str, chance: random.Random) -> str:
    """A few paragraphs under a heading."""
    paragraphs = [" ".join(_sentence(chance) for _ in range(chance.randint(2, 5))) for _ in range(chance.randint(2, 4))]
    return "\n\n".join([f"## {title}", *paragraphs])


def heed(text: str, expect: Mapping[str, Any], *, source: str, chance: random.Random) -> str:
    """The text changed to be what is expected, as far as that can be made up: regular expressions cannot."""
    if expect.get("json_schema") is not None:
        return json.dumps(smallest_instance(expect["json_schema"]))
    if expect.get("same_as_source"):
        text = source
    headings = cast("Sequence[str]", expect.get("headings") or ())
    if headings:
        body = text.partition("\n\n")[2] or text
        text = "\n\n".join([*(f"## {heading.lstrip('# ')}" for heading in headings), body])
    most = expect.get("max_words")
    required = cast("Sequence[str]", expect.get("contains") or ())
    if most is not None:
        text = _at_most(text, max(0, int(most) - sum(len(each.split()) for each in required)))
    text = "\n\n".join([text, *(each for each in required if each not in text)])
    while len(text.split()) < int(expect.get("min_words") or 0):
        text = f"{text} {_sentence(chance)}" if most is None else f"{text} word"
    return text


def _at_most(text: str, words: int) -> str:
    """The beginning of the text, cut after so many words; white space between them stays."""
    end = 0
    for word in text.split()[:words]:
        end = text.index(word, end) + len(word)
    return text[:end]


def _sentence(chance: random.Random) -> str:
    start = chance.randrange(len(WORDS))
    words = [WORDS[(start + offset) % len(WORDS)] for offset in range(chance.randint(8, 18))]
    return " ".join(words).capitalize() + "."
