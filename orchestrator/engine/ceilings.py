"""When a prompt proves too long, or an answer is cut at the model's output limit. Pure but for the splitter.

The CLI goes on by itself up to three times after a cut (2.1.328) and then gives up with an error; what was written by
then is a whole beginning. We ask for the rest in a new call and join the two, so that nothing paid for is lost. The
beginning is stored under the fingerprint of the answer it will be, so that a later process goes on from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.plan.pieces import formed
from orchestrator.plan.split import split_text
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.values import Answer
from orchestrator.plan.workload import Chunk, Item
from orchestrator.prompt_texts import fill, prompt_text

MAX_CONTINUATIONS = 5
"""Calls for the rest of one answer: with the CLI's own, twenty-four times the model's output limit."""

MAX_DEPTH = 3
"""How often a piece is halved: an eighth of a piece that still does not fit is not too long, but something else."""

MIN_OVERLAP_CHARS = 12
"""A repetition shorter than this may be what the text says; a longer one is a model that went back a little."""

MAX_OVERLAP_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Beginning:
    """What there is of an answer that was cut so many times."""

    text: str = ""
    cuts: int = 0


class Continuations:
    """The beginnings of answers that were cut, by chunk."""

    def __init__(self) -> None:
        self._so_far: dict[str, Beginning] = {}

    def begin(self, chunk_id: str, beginning: Beginning) -> None:
        """An earlier process got so far."""
        self._so_far[chunk_id] = beginning

    def keep(self, chunk_id: str, text: str) -> Beginning | None:
        """Keep what was written before a cut; None, and nothing is kept, when the rest may not be asked for."""
        before = self._so_far.pop(chunk_id, Beginning())
        if not text.strip() or before.cuts >= MAX_CONTINUATIONS:
            return None
        self._so_far[chunk_id] = Beginning(join_continuation(before.text, text), before.cuts + 1)
        return self._so_far[chunk_id]

    def prompt(self, chunk_id: str, prompt: str) -> str:
        """The prompt itself, or the one that asks for the rest."""
        if chunk_id not in self._so_far:
            return prompt
        answer = str(Answer(chunk_id, self._so_far[chunk_id].text))
        return fill(prompt_text("continue"), {"prompt": prompt, "answer": answer})

    def whole(self, chunk_id: str, text: str) -> str:
        """The answer with what was written before."""
        return join_continuation(self._so_far.pop(chunk_id, Beginning()).text, text)


def join_continuation(beginning: str, rest: str) -> str:
    """The two as one text; what the rest repeats of the end of the beginning stands once."""
    for length in range(min(len(beginning), len(rest), MAX_OVERLAP_CHARS), MIN_OVERLAP_CHARS - 1, -1):
        if beginning.endswith(rest[:length]):
            return beginning + rest[length:]
    return beginning + rest


def halves(chunk: Chunk) -> list[Chunk]:
    """The chunk of a piece as several of about half its text: `part[3]` → `part[3.1]`, `part[3.2]`.

    A batch of rows with a record for each is cut between two of them. [] when it is no piece of a text, was halved
    often enough, or cannot be cut, as an answer that is one JSON value cannot.
    """
    item = chunk.item
    if item is None or item.text is None or chunk.id.count(".") >= MAX_DEPTH:
        return []
    if chunk.form is not None:
        items = _half_batches(item) if chunk.form.is_list else []
    else:
        half = count_tokens(item.text) // 2 + 1
        pieces = split_text(item.text, mode="markdown", max_tokens=max(1, half))
        items = [replace(item, text=piece.text) for piece in pieces]
    if len(items) < 2:
        return []
    return [
        formed(
            replace(
                chunk,
                id=f"{chunk.id[:-1]}.{at}]",
                order=(*chunk.order, at),
                item=replace(each, index=at, count=len(items)),
            )
        )
        for at, each in enumerate(items, 1)
    ]


def _half_batches(item: Item) -> list[Item]:
    lines = (item.text or "").split("\n")
    middle = len(lines) // 2
    if len(lines) != len(item.rows) or not middle:
        return []
    halves = (slice(None, middle), slice(middle, None))
    return [
        replace(item, text="\n".join(lines[half]), rows=item.rows[half], source=", ".join(item.rows[half]))
        for half in halves
    ]
