"""Names and numbers that differ between parts of one result and should not. Pure, and careful: it says only what is
likely, since each finding is paid for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.plan.expecting import ConsistencyAspect

SHORTEST_NAME = 5
"""Letters: shorter names that differ by one letter are mostly two names."""
CONTEXT_WORDS = 2
"""Words before a number that must be the same for two numbers to speak of one thing."""

_PROSE = re.compile(r"^(```|~~~).*?^\1[ \t]*$|`[^`\n]+`|\]\([^)]*\)|https?://\S+", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?<=[\w,;:)] )([A-ZÀ-ÖØ-Þ][\w'’-]{3,})")
_NUMBER = re.compile(r"((?:[\w'’-]+[ \t]+){2,6})(\d+(?:[.,]\d+)*)[ \t]*(%|[\w°€$£]+)")
_SMALL = frozenset(
    re.findall(r"\w+", "a an and as at by for from has have in is it its of on or that the this to was were will with")
)

Difference = tuple[str, str]
"""The part that is likely to be wrong, and what is wrong in words."""


def inconsistencies(parts: Mapping[str, str], *, aspects: Sequence[ConsistencyAspect]) -> list[Difference]:
    """What differs between the parts (texts by chunk id); of two forms the rarer one is taken to be wrong."""
    prose = {name: _PROSE.sub(" ", text) for name, text in parts.items()}
    found: list[Difference] = []
    if "names" in aspects:
        found += _names(prose)
    if "numbers" in aspects:
        found += _numbers(prose)
    return found


def _names(parts: Mapping[str, str]) -> Iterator[Difference]:
    counts = {name: Counter(map(_bare, _NAME.findall(text))) for name, text in parts.items()}
    total = sum(counts.values(), Counter[str]())
    by_start: dict[str, list[str]] = {}
    for name in total:
        if len(name) >= SHORTEST_NAME:
            by_start.setdefault(name[:2].casefold(), []).append(name)
    for alike in by_start.values():
        for name in alike:
            usual = max((each for each in alike if _one_apart(name, each)), key=lambda each: total[each], default=name)
            if total[usual] <= total[name]:
                continue
            for part, found in counts.items():
                if found[name] and not found[usual]:
                    yield part, f"it says {name!r}, the other parts say {usual!r}"


def _bare(name: str) -> str:
    return re.sub(r"['’]s$", "", name)


def _one_apart(one: str, other: str) -> bool:
    """Whether one letter is another, missing or one too many; a plural is no other spelling."""
    if one == other or abs(len(one) - len(other)) > 1 or one.casefold() == other.casefold():
        return False
    if len(one) > len(other):
        one, other = other, one
    at = next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), len(one))
    if len(one) == len(other):
        return one[at + 1 :] == other[at + 1 :]
    return one[at:] == other[at + 1 :] and not (at == len(one) and other[-1] in "sn")


def _numbers(parts: Mapping[str, str]) -> Iterator[Difference]:
    values: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for part, text in parts.items():
        for before, number, after in _NUMBER.findall(text):
            words = [word.casefold() for word in before.split() if word.casefold() not in _SMALL]
            if len(words) >= CONTEXT_WORDS and after.casefold() not in _SMALL:
                about = (*words[-CONTEXT_WORDS:], after.casefold())
                values.setdefault(about, {}).setdefault(part, set()).add(re.sub(r"[.,](?=\d{3}\b)", "", number))
    for about, by_part in values.items():
        if any(len(found) > 1 for found in by_part.values()):
            continue  # The part itself says several: they are of several things.
        said = Counter(next(iter(found)) for found in by_part.values())
        usual, often = said.most_common(1)[0]
        for part, found in by_part.items():
            number = next(iter(found))
            if number != usual and said[number] < often:
                what = f"{' '.join(about[:-1])} … {about[-1]}"
                yield part, f"it says {number} where the other parts say {usual} ({what})"
