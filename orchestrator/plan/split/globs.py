"""Patterns of file names, matched name by name, so that no pattern takes long."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence


class Glob:
    """A pattern, name by name; a state is a set of places in it that the names so far may have come to.

    A name that begins with a dot is matched by a part that begins with one, as in a shell; with `dots`, by any part.
    """

    def __init__(self, parts: Sequence[str], *, dots: bool = False) -> None:
        self._parts = [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]
        self._sees_dots = [dots or part.startswith(".") for part in parts]

    @property
    def start(self) -> frozenset[int]:
        return self._open({0})

    def after(self, state: frozenset[int], name: str) -> frozenset[int]:
        """The state after one more name; an empty one matches nothing any more."""
        places: set[int] = set()
        for place in state - {len(self._parts)}:
            part = self._parts[place]
            if name.startswith(".") and not self._sees_dots[place]:
                continue
            if part is None:
                places |= {place, place + 1} if place == len(self._parts) - 1 else {place}
            elif part.match(name):
                places.add(place + 1)
        return self._open(places)

    def is_match(self, state: frozenset[int]) -> bool:
        return len(self._parts) in state

    def goes_on(self, state: frozenset[int]) -> bool:
        """Whether further names can match."""
        return bool(state - {len(self._parts)})

    def matches(self, names: Sequence[str]) -> bool:
        """Whether the names together are what the pattern says."""
        state = self.start
        for name in names:
            state = self.after(state, name)
        return self.is_match(state)

    def _open(self, places: set[int]) -> frozenset[int]:
        """With what comes after each `**`, which may be no folder at all; at the end it is at least one name."""
        for place, part in enumerate(self._parts[:-1]):
            if place in places and part is None:
                places.add(place + 1)
        return frozenset(places)
