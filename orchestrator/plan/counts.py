"""How long prompts will be, and the answers that stand in them. By count where the text is there, else by guess."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.plan.foresight import foresee
from orchestrator.plan.learned import Learned
from orchestrator.plan.model import Complexity
from orchestrator.plan.prices import Price
from orchestrator.plan.selection import kept_by
from orchestrator.plan.tally import Tally
from orchestrator.plan.template import Template
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.prompt_texts import prompt_text

OUTPUT_TOKENS: dict[Complexity, int] = {"simple": 400, "medium": 1000, "complex": 2500}
"""Tokens of an answer, in the model's own count, guessed by size class: about 300, 700 and 1,800 words."""
OVERHEAD_TOKENS = 600
"""Tokens that the CLI adds to each call: its own lines, tools off, measured on 2.1.328 at about 2 kB."""
MARK_TOKENS = 45
"""`cl100k_base` tokens of the marks around one answer."""


def guessed_output(chunk: Chunk, *, token_factor: float) -> float:
    """Tokens of an answer, in the model's own count, that nothing was learned of: a keeper writes to its budget."""
    if chunk.keeping is not None:
        return chunk.keeping.so_far.max_tokens * token_factor
    return OUTPUT_TOKENS[chunk.complexity]


class Counts:
    """Tokens of the texts of a workload, in `cl100k_base`, each distinct text counted once.

    `seen` are all the chunks there will be, as far as they can be foreseen.
    """

    def __init__(self, workload: Workload, prices: Mapping[str | None, Price], learned: Learned, tally: Tally) -> None:
        self._count = tally.count
        self._groups: dict[str, float] = {}
        self._fits = learned.tokens
        self._lengths = {
            recipe: sum(call.output_tokens for call in calls) / len(calls)
            for recipe, calls in learned.calls.items()
            if calls
        }
        self._factors = {model: price.token_factor for model, price in prices.items()}
        tally.prepare(_texts_of(workload))
        self._whole = {"request": self._count(workload.plan.request or ""), "name": self._count(workload.name)}
        self.context = self._count(workload.context)
        self.seen = foresee(workload, answer_tokens=self._answer)
        templates = {id(chunk.template): chunk.template for chunk in self.seen.chunks.values()}
        used = _inputs_used(templates.values())
        self._inputs = {name: self._count(text.text) for name, text in workload.inputs.items() if name in used}

    def _answer(self, chunk: Chunk) -> float:
        factor = self._factors[chunk.model]
        return self._lengths.get(chunk.recipe, guessed_output(chunk, token_factor=factor)) / factor + MARK_TOKENS

    def overhead(self, model: str | None) -> float:
        """Tokens that are reported beyond what is sent, in the model's own count."""
        fit = self._fits.get(model or "default")
        return fit.overhead_tokens if fit is not None else OVERHEAD_TOKENS

    def fixed(self, chunk: Chunk) -> float:
        """Tokens of the prompt that it shares with all of its recipe."""
        return self._prompt(chunk, own=False)

    def _answers(self, name: str) -> float:
        """What `{{ chunks.NAME }}` takes: one answer, or those of a group."""
        if name in self.seen.chunks:
            return self._answer(self.seen.chunks[name])
        if name not in self._groups:
            members = self.seen.members.get(name, ())
            self._groups[name] = sum(self._answer(self.seen.chunks[each]) for each in members)
        return self._groups[name]

    def _item(self, chunk: Chunk, field: str) -> float:
        item = chunk.item
        kind, _, name = field.partition(".")
        if item is None or kind in ("index", "count"):
            return 1
        if kind == "row":
            return self._count(str(item.row.get(name, "")))
        if kind == "chunks":
            return self._answers(item.chunks[name])
        if kind in ("text", "original"):
            marks = MARK_TOKENS if item.from_answer else 0
            if kind == "original" and item.text is None:
                return self._count(item.original) + marks
            if item.text is None:
                return self._answers(item.answer_of)
            tokens = item.tokens if item.tokens is not None else self._count(item.text)
            return tokens + marks + self.seen.pieces.get(chunk.id, 0)
        return self._count(str(getattr(item, kind)))

    def _told(self, chunk: Chunk) -> float:
        """What a prompt shows beside what its template refers to."""
        total = 0.0
        if chunk.carry is not None and chunk.carry.previous:
            total += chunk.carry.tail_tokens + MARK_TOKENS
        for kept in kept_by(chunk):
            if kept.keeper:
                lead = 0 if chunk.keeping is not None else self._count(prompt_text(f"carry-{kept.kind}"))
                total += kept.max_tokens + MARK_TOKENS + lead
        if chunk.keeping is not None:
            total += self._answers(chunk.keeping.of)
        return total

    def prompt(self, chunk: Chunk) -> float:
        """Tokens of a chunk's prompt: its own text, tags included, and all that it refers to."""
        return self._prompt(chunk, own=True)

    def _prompt(self, chunk: Chunk, *, own: bool) -> float:
        total = float(self._count(chunk.template.source) + self._count(chunk.memory)) + self._told(chunk)
        for reference in chunk.template.references:
            if not own and reference.namespace in ("item", "parts"):
                continue
            if reference.namespace == "chunks":
                tokens = self._answers(reference.key)
            elif reference.namespace == "item":
                tokens = self._item(chunk, reference.name)
            elif reference.namespace == "parts":
                tokens = self.seen.parts.get(chunk.id, 0.0)
            else:
                tokens = self._inputs.get(reference.name, 0) if reference.name else self._whole[reference.namespace]
            marks = MARK_TOKENS if reference.namespace == "chunks" else 0
            total += tokens if reference.max_tokens is None else min(tokens, reference.max_tokens + marks)
        return total


def _inputs_used(templates: Iterable[Template]) -> set[str]:
    references = (each for template in templates for each in template.references)
    return {each.name for each in references if each.namespace == "inputs"}


def _texts_of(workload: Workload) -> Iterator[str]:
    """The texts that are there before the run, and that will be counted."""
    yield workload.context
    used = _inputs_used(chunk.template for chunk in _all_chunks(workload))
    yield from (text.text for name, text in workload.inputs.items() if name in used)
    for chunk in _all_chunks(workload):
        yield chunk.template.source
        yield chunk.memory
        if chunk.item is not None and chunk.item.text is not None and chunk.item.tokens is None:
            yield chunk.item.text


def _all_chunks(workload: Workload) -> Iterator[Chunk]:
    yield from workload.chunks.values()
    yield from (group.prototype for group in workload.groups.values())
