"""What loading a plan tells while it takes its time, and what it need not find out again. A leaf of this package."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How far a step has come that is made before anything is asked.

    `doing` says which in words, such as `reading plan.yaml: splitting handbook`. Bytes are those of the texts in UTF-8.
    """

    doing: str
    done_bytes: int
    total_bytes: int


OnLoading = Callable[[Loading], None]
"""Told dozens of times a second how far the work has come, in the thread that does it; what it raises ends the work."""


class TextCache(Protocol):
    """Remembers what was found out about texts. Keys are hashes of all that shaped a value, values are short texts.

    Neither method ever raises: what cannot be read was never there, and what cannot be kept is found out again.
    """

    def find(self, keys: Collection[str]) -> Mapping[str, str]:
        """The values that are known, by key."""
        ...

    def keep(self, values: Mapping[str, str]) -> None:
        """Remember values, at the cache's own time and discretion."""
        ...


class NoCache:
    """Remembers nothing."""

    def find(self, keys: Collection[str]) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def keep(self, values: Mapping[str, str]) -> None:
        """Nothing is kept."""


NO_CACHE = NoCache()

LEAST_CHARS = 2_000
"""Shorter texts are worked on anew each time: looking them up would take as long."""


def tell_nobody(loading: Loading) -> None:
    """For whoever does not want to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What work on long texts gets along: the cache, whom to tell, and what to say is being done."""

    cache: TextCache = NO_CACHE
    on_loading: OnLoading = tell_nobody
    doing: str = ""

    def meter(self, what: str, texts: Collection[str]) -> Meter:
        """A meter for work on all these texts, one after the other."""
        sizes = [len(text.encode("utf-8", "replace")) for text in texts]
        return Meter(self.on_loading, f"{self.doing}: {what}" if self.doing else what, sum(sizes))


class Meter:
    """Adds up how far the work on several texts has come."""

    def __init__(self, on_loading: OnLoading, doing: str, total_bytes: int) -> None:
        self._on_loading = on_loading
        self._doing = doing
        self._total = total_bytes
        self._done = 0

    def share_of(self, text: str) -> Callable[[float], None]:
        """What the work on the next text tells: which share of it is done."""
        before, size = self._done, len(text.encode("utf-8", "replace"))
        self._done += size

        def tell(share: float) -> None:
            done = before + round(size * share)
            self._on_loading(Loading(doing=self._doing, done_bytes=done, total_bytes=self._total))

        return tell
