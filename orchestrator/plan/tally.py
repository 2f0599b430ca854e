"""Counting the tokens of many texts: each distinct one once, long ones never again once their count is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable

from orchestrator.plan.loading import LEAST_CHARS, Texts
from orchestrator.plan.tokens import count_tokens

_ENCODING = "cl100k_base"
_COUNT = re.compile("[0-9]{1,12}")


class Tally:
    """Token counts (`cl100k_base`) by text. Give it all texts at once with `prepare` where they are known: then long
    ones are looked up together, and progress is told of those that have to be counted.
    """

    def __init__(self, texts: Texts | None = None) -> None:
        self._texts = texts or Texts()
        self._counts: dict[str, int] = {}

    def count(self, text: str) -> int:
        """The tokens of a text. Raises `TokenRanksError`."""
        if text not in self._counts:
            self._counts[text] = count_tokens(text)
        return self._counts[text]

    def prepare(self, texts: Iterable[str]) -> None:
        """Have the counts of the long ones among these texts ready. Raises `TokenRanksError`."""
        new = (text for text in texts if len(text) >= LEAST_CHARS and text not in self._counts)
        keys = {text: _key(text) for text in dict.fromkeys(new)}
        known = self._texts.cache.find(keys.values())
        self._counts |= {text: int(known[key]) for text, key in keys.items() if _COUNT.fullmatch(known.get(key, ""))}
        missing = [text for text in keys if text not in self._counts]
        meter = self._texts.meter("counting tokens", missing)
        for text in missing:
            self._counts[text] = _count(text, meter.share_of(text))
        self._texts.cache.keep({keys[text]: str(self._counts[text]) for text in missing})


def _count(text: str, on_share: Callable[[float], None]) -> int:
    return count_tokens(text, on_chars=lambda done: on_share(done / len(text)))


def _key(text: str) -> str:
    return hashlib.sha256(f"tokens {_ENCODING}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
