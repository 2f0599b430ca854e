"""From a chunk and the answers it refers to: its prompt, and the fingerprint of all that shapes its answer. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.plan.continuity import keeper_id
from orchestrator.plan.tokens import head_lines, head_tokens
from orchestrator.plan.values import FILTERS, Answer, Answers, Element, Gap, Items, Value, without_marks
from orchestrator.plan.workload import Chunk, ForEach, Group, Item, Keeping, Kept, KeptKind, Part, Workload
from orchestrator.prompt_texts import fill, prompt_text

FINGERPRINT_VERSION = 1
"""Part of every fingerprint; raised when what a fingerprint covers changes."""

WORDS_OF_100_TOKENS = 60
"""What a keeper is asked to write: plain English has 75, names and other languages fewer."""

MAX_GAPS = 3
"""Answers that a summary does not cover and a prompt names; of more of them it helps nobody to read."""

_CUTS: dict[KeptKind, Callable[[str, int], str]] = {"summary": head_tokens, "glossary": head_lines}


def system_prompt(workload: Workload) -> str:
    """What all chunks of the run are told: our own few lines, then the plan's `context`."""
    own = prompt_text(workload.system)
    return f"{own}\n\n{workload.context}" if workload.context else own


def chunk_context(chunk: Chunk, shared: str) -> str:
    """The system prompt of one chunk: what all are told, then the CLAUDE.md of its folder if it asks for that."""
    if not chunk.memory:
        return shared
    return f"{shared}\n\n{fill(prompt_text('project-memory'), {'text': chunk.memory})}"


def input_values(workload: Workload) -> dict[str, Value]:
    """The inputs as templates see them."""
    return {name: Items(each.items) if each.items else each.text for name, each in workload.inputs.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """The answers so far, as prompts refer to them.

    `answers` maps chunk ids to texts, `gaps` ids to the reason why there is none, `chunks` ids to chunks. `members`
    gives the chunks of a group (a `ForEach` of `groups`) in order, None while they are not known.
    """

    answers: Mapping[str, str]
    gaps: Mapping[str, str]
    chunks: Mapping[str, Chunk]
    groups: Mapping[str, Group]
    members: Callable[[str], tuple[str, ...] | None]

    def one(self, chunk_id: str) -> Answer | Gap:
        """The answer of a chunk, or the gap that stands there."""
        if chunk_id in self.answers:
            return Answer(chunk_id, self.answers[chunk_id])
        return Gap(chunk_id, self.gaps.get(chunk_id, "no answer"))

    def value(self, name: str) -> Value:
        """What `{{ chunks.NAME }}` stands for: an answer, or those of a group."""
        group = self.groups.get(name)
        if not isinstance(group, ForEach):
            return self.one(name)
        members = self.members(name)
        return self.one(name) if members is None else Answers(tuple(self._element(each, group) for each in members))

    def so_far(self, kept: Kept) -> str:
        """A running summary or glossary within its budget, and what it does not cover; "" where there is none.

        Where a keeper has no answer, what the one before it wrote stands, and the gap is named: at most the last few,
        so that a prompt is bounded whatever fails.
        """
        gaps: list[str] = []
        text = ""
        name = kept.keeper
        while name:
            group = self.groups.get(name)
            if isinstance(group, ForEach):
                members = self.members(name)
                before = next(each.so_far for each in group.kept if each.so_far.kind == kept.kind)
                name = keeper_id(members[-1], kept.kind) if members else before.keeper
                continue
            if name in self.answers:
                text = str(Answer(name, _CUTS[kept.kind](self.answers[name], kept.max_tokens)))
                break
            keeping = self.chunks[name].keeping
            assert keeping is not None, "only keepers are kept"
            gaps.append(str(self.one(name if keeping.of in self.answers else keeping.of)))
            name = keeping.so_far.keeper
        return "\n\n".join(each for each in (text, "\n".join(reversed(gaps[:MAX_GAPS]))) if each)

    def _element(self, chunk_id: str, group: ForEach) -> Element:
        chunk = self.chunks.get(chunk_id)
        item = item_values(chunk.item, self) if chunk is not None and chunk.item is not None else {}
        return Element(self.one(chunk_id), str(item.get("source", "")) if group.labelled else "", item)

    def parts(self, chunk: Chunk) -> Value:
        """What `{{ parts }}` stands for in a merge."""
        return Answers(tuple(Element(self._part(part)) for part in chunk.parts))

    def _part(self, part: Part) -> Answer | Gap:
        whole = self.one(part.chunk_id)
        if part.start is None or isinstance(whole, Gap):
            return whole
        return Answer(part.chunk_id, whole.text[part.start : part.end])


def item_values(item: Item, known: Known) -> dict[str, Value]:
    """What `{{ item.… }}` stands for. A text that a model wrote is an `Answer`, so that it is shown between marks."""
    if item.text is None:
        text: Value = known.one(item.answer_of)
    else:
        text = Answer(item.from_answer, item.text) if item.from_answer else item.text
    original: Value = Answer(item.from_answer, item.original) if item.from_answer else item.original
    values: dict[str, Value] = {
        "text": text,
        "original": text if item.text is not None else original,
        "index": item.index,
        "count": item.count,
        "source": item.source,
        "heading_path": item.heading_path,
        "previous_tail": item.previous_tail,
        "next_head": item.next_head,
    }
    values |= {f"row.{column}": "" if cell is None else cell for column, cell in item.row.items()}
    return values | {f"chunks.{group}": known.one(chunk_id) for group, chunk_id in item.chunks.items()}


def render_prompt(chunk: Chunk, workload: Workload, *, inputs: Mapping[str, Value], known: Known) -> str:
    """The chunk's prompt. Raises `RenderTooLarge`."""
    if chunk.keeping is not None:
        return _keeping_prompt(chunk.keeping, known)
    values: dict[str, object] = {
        "chunks": {name: known.value(name) for name in chunk.references},
        "inputs": inputs,
        "request": workload.plan.request or "",
        "name": workload.name,
    }
    if chunk.item is not None:
        values["item"] = item_values(chunk.item, known)
    if chunk.merges:
        values["parts"] = known.parts(chunk)
    return _carried(chunk, known) + chunk.template.render(values)


def _carried(chunk: Chunk, known: Known) -> str:
    """What stands in front of the prompt: what was kept so far, then the end of the answer before."""
    carry = chunk.carry
    if carry is None:
        return ""
    parts: list[str] = []
    so_far = known.so_far(carry.kept) if carry.kept is not None else ""
    if carry.kept is not None and so_far:
        parts.append(fill(prompt_text(f"carry-{carry.kept.kind}"), {"text": so_far}))
    if carry.previous:
        before = known.value(carry.previous)
        if isinstance(before, Answers):
            before = Answer(carry.previous, str(FILTERS["raw"].apply(before)))
        tail = FILTERS["tail"].apply(before, carry.tail_tokens)
        parts.append(fill(prompt_text("carry-tail"), {"text": str(tail)}))
    return "".join(f"{part}\n\n" for part in parts)


def _keeping_prompt(keeping: Keeping, known: Known) -> str:
    """What a keeper is asked: never longer than its budget and one answer, beside the words of the task."""
    kept = keeping.so_far
    values = {
        "so_far": known.so_far(kept) or prompt_text("keep-nothing"),
        "answer": str(known.one(keeping.of)),
        "words": str(kept.max_tokens * WORDS_OF_100_TOKENS // 100),
    }
    return fill(prompt_text(f"keep-{kept.kind}"), values)


def stitch_values(workload: Workload, known: Known) -> dict[str, object]:
    """What a result's template is filled with. A result is for people: its answers stand without marks."""
    template = workload.stitch_template
    names = {each.key for each in template.references if each.namespace == "chunks"} if template is not None else ()
    return {
        "chunks": {name: without_marks(known.value(name)) for name in names},
        "inputs": input_values(workload),
        "request": workload.plan.request or "",
        "name": workload.name,
    }


def fingerprint(chunk: Chunk, *, prompt: str, context: str, runner: str) -> str:
    """SHA-256, in hexadecimal, of all that shapes the chunk's answer, and of nothing else; `context` is what all share.

    Equal prompts of one plan are told apart by `chunk.occurrence`: ten requests for a name are ten requests.
    """
    shape: list[object] = [
        FINGERPRINT_VERSION,
        runner,
        chunk_context(chunk, context),
        chunk.model or "default",
        chunk.effort or "default",
        [] if chunk.tooling is None else [*chunk.tooling.tools, chunk.tooling.name],
        chunk.output_schema,
        chunk.occurrence,
        prompt,
    ]
    text = json.dumps(shape, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
