"""What a planner may decide of a chunk, and what one chunk needs of others. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.plan.model import SplitMode

Strategy = Literal["single", "parallel", "sequence", "dag"]
STRATEGIES: tuple[Strategy, ...] = ("single", "parallel", "sequence", "dag")
SPLITS: tuple[SplitMode, ...] = ("markdown", "headings", "text", "code", "lines")
"""How a planner may have a text cut. An expression of its own might match nothing, or everything."""

MAX_CHUNKS = 40
"""More chunks than this are not a plan that a person can review; the pieces of one do not count."""
MAX_PROMPT_CHARS = 12_000
"""Characters of a prompt that the planner writes itself; inputs and answers come on top."""
MAX_WORDS = 8_000
"""Words of one answer: with a larger budget it comes near the output ceiling of models in use."""
MAX_ANSWER_CHARS = 1_000_000
MAX_PROBLEMS = 20
"""Problems told at once."""

PIECE_TOKENS = 4_000
"""Tokens (`cl100k_base`) of a piece when the planner does not say: some eight pages, which a model reads with care."""
MIN_PIECE_TOKENS, MAX_PIECE_TOKENS = 200, 100_000
MERGED_TOKENS = 16_000
"""Tokens (`cl100k_base`) of the answers in one merge when the planner does not say: some twenty medium answers."""
MIN_MERGED_TOKENS, MAX_MERGED_TOKENS = 1_000, 100_000
MAX_BATCH = 1_000

_SHOWN_CHARS = 60
_ID_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What a chunk runs over, once for each piece: an input or the answer of a chunk, never both.

    The other fields are those of `for_each` in a plan; None is left to the plan.
    """

    input: str = ""
    chunk: str = ""
    split: SplitMode | None = None
    level: int | None = None
    max_tokens: int | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The chunk whose answers are put together, and how many tokens of them go into one prompt."""

    chunk: str
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChunk:
    """One chunk as the planner wants it: ids are normalised, `prompt` is its own text, not yet a template."""

    id: str
    title: str
    prompt: str
    depends_on: tuple[str, ...]
    inputs: tuple[str, ...]
    complexity: str | None
    words: int | None
    for_each: Pieces | None = None
    reduce: Merged | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerAnswer:
    """An answer that holds together: every reference leads somewhere, nothing is in a cycle. `stitch` may be empty."""

    strategy: Strategy
    reason: str
    chunks: tuple[PlannedChunk, ...]
    stitch: tuple[str, ...]


@dataclass(slots=True)
class Problems:
    """What is wrong, each thing once, in order."""

    found: list[str] = field(default_factory=list[str])

    def add(self, problem: str) -> None:
        """Note a problem, unless it is noted already."""
        if problem not in self.found:
            self.found.append(problem)


PLACEHOLDER = re.compile(r"\{\{\s*(chunks|inputs)\.([A-Za-z0-9_-]{1,100})\s*\}\}")
"""The only placeholders in what a planner writes; all other braces are plain text."""


def placed(prompt: str, namespace: str) -> Iterator[str]:
    """The names that a prompt refers to in its own text."""
    for found in PLACEHOLDER.finditer(prompt):
        if found[1] == namespace:
            yield reference_name(found[1], found[2])


def reference_name(namespace: str, name: str) -> str:
    """The name as it is meant: ids of chunks are normalised, names of inputs are not."""
    return plain_id(name) or name if namespace == "chunks" else name


def goes_over(chunk: PlannedChunk) -> tuple[str, str]:
    """Namespace and name of what its pieces or merged answers come from; both empty for a chunk that is one call."""
    if chunk.for_each is not None:
        return ("inputs", chunk.for_each.input) if chunk.for_each.input else ("chunks", chunk.for_each.chunk)
    return ("chunks", chunk.reduce.chunk) if chunk.reduce is not None else ("", "")


def needs(chunk: PlannedChunk) -> tuple[str, ...]:
    """The chunks whose answers it needs, each once."""
    return _needed(chunk, "chunks", chunk.depends_on)


def needed_inputs(chunk: PlannedChunk) -> tuple[str, ...]:
    """The inputs it needs, each once."""
    return _needed(chunk, "inputs", chunk.inputs)


def _needed(chunk: PlannedChunk, namespace: str, named: Sequence[str]) -> tuple[str, ...]:
    space, name = goes_over(chunk)
    over = (name,) if space == namespace else ()
    return tuple(dict.fromkeys((*placed(chunk.prompt, namespace), *over, *named)))


def in_order(answer: PlannerAnswer) -> tuple[PlannedChunk, ...]:
    """The chunks in the planner's order, but each after what it needs."""
    by_id: Mapping[str, PlannedChunk] = {chunk.id: chunk for chunk in answer.chunks}
    ordered: dict[str, PlannedChunk] = {}
    waiting = list(reversed(answer.chunks))
    while waiting:
        chunk = waiting[-1]
        missing = [name for name in needs(chunk) if name not in ordered]
        if missing and chunk.id not in ordered:
            waiting.extend(by_id[name] for name in reversed(missing))
        else:
            ordered.setdefault(waiting.pop().id, chunk)
    return tuple(ordered.values())


def plain_id(text: str) -> str:
    """`text` as an id of a chunk: small letters, digits and `_`, beginning with a letter; "" when nothing is left."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if name and not name[0].isalpha():
        name = f"part_{name}"
    return name[:_ID_CHARS].rstrip("_")


def one_line(value: object) -> str:
    """A text on one line, without control characters and half characters; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(character if character.isprintable() else " " for character in value).split())


def shown(value: object) -> str:
    """A value as a problem shows it."""
    text = repr(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
