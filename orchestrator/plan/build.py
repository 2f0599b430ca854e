"""From a plan without problems to its chunks and groups, in plan order. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.plan.accounts import accounts_of
from orchestrator.plan.answer_form import AnswerForm
from orchestrator.plan.continuity import Continuity, follow, with_keepers
from orchestrator.plan.draft import ChunkDraft, TemplateDraft
from orchestrator.plan.grouping import GroupFacts
from orchestrator.plan.model import TIMEOUT_S, ChunkSpec, OnMissing, Plan
from orchestrator.plan.pieces import pair_chunks, piece_chunks
from orchestrator.plan.selection import in_plan_order
from orchestrator.plan.tooling import Hands
from orchestrator.plan.workload import Carry, Chunk, ForEach, Group, Reduce
from orchestrator.prompt_texts import prompt_text

DEFAULT_ATTEMPTS = 3
"""Attempts for a chunk, the first included: two retries outlast what is transient."""


@dataclass(frozen=True, slots=True)
class Built:
    """The chunks that are known before the run, and the groups, each by id and in plan order."""

    chunks: dict[str, Chunk]
    groups: dict[str, Group]


def build_chunks(
    plan: Plan, drafts: Sequence[ChunkDraft], facts: Mapping[str, GroupFacts], hands: Sequence[Hands]
) -> Built:
    """Every chunk of a plan whose drafts have no problem. Takes about a second for 10,000 pieces."""
    plain: dict[str, Chunk] = {}
    groups: dict[str, Group] = {}
    seen: Counter[str] = Counter()
    shown = {spec.id: _shown_whole(draft) for spec, draft in zip(plan.chunks, drafts, strict=True)}
    continuity = follow(plan, facts=facts, shown=shown)
    before = ""
    for at, (spec, draft, may) in enumerate(zip(plan.chunks, drafts, hands, strict=True)):
        assert draft.prompt is not None, "a prompt that cannot be read is a problem"
        form = _form(draft, facts.get(spec.id))
        chunk = replace(_chunk(plan, spec, draft.prompt, facts, seen, form, may), order=(at,))
        if spec.for_each is not None:
            groups[spec.id] = _for_each(chunk, spec, facts[spec.id], plan=plan, continuity=continuity)
        elif spec.reduce is not None:
            last = _chunk(plan, spec, draft.final, facts, seen, form, may) if draft.final is not None else chunk
            groups[spec.id] = _reduce(chunk, replace(last, order=(at,)), spec)
        else:
            plain[spec.id] = _carrying(chunk, spec, continuity, previous=before)
        before = spec.id
    built = _assembled(plan, plain, groups, facts, continuity)
    return built if plan.mode != "sequence" else Built(*in_plan_order(built.chunks, built.groups))


def _assembled(
    plan: Plan,
    plain: Mapping[str, Chunk],
    groups: dict[str, Group],
    facts: Mapping[str, GroupFacts],
    continuity: Continuity,
) -> Built:
    """The chunks in plan order, each with what keeps its answer.

    A group that others are paired with is taken apart before these.
    """
    pieces: dict[str, list[Chunk]] = {}
    for name in sorted(facts, key=lambda name: len(facts[name].lineage)):
        group, known = groups[name], facts[name]
        assert isinstance(group, ForEach)
        if not known.dynamic:
            paired = pair_chunks(group, pieces[group.over]) if group.paired else None
            pieces[name] = piece_chunks(group, known.items or ()) if paired is None else paired
            groups[name] = replace(group, members=tuple(chunk.id for chunk in pieces[name]))
    chunks: dict[str, Chunk] = {}
    for spec in plan.chunks:
        group = groups.get(spec.id)
        if isinstance(group, Reduce):
            own: Sequence[Chunk] = (group.last,)
        else:
            own = pieces.get(spec.id, ()) if group is not None else (plain[spec.id],)
        chunks |= {chunk.id: chunk for chunk in with_keepers(own, continuity.kept.get(spec.id, ()))}
    return Built(chunks, groups)


def _for_each(prototype: Chunk, spec: ChunkSpec, facts: GroupFacts, *, plan: Plan, continuity: Continuity) -> ForEach:
    assert spec.for_each is not None
    return ForEach(
        id=spec.id,
        prototype=replace(_carrying(prototype, spec, continuity, previous=""), group=spec.id),
        members=None,
        over=spec.for_each.chunk or "",
        paired=bool(facts.lineage),
        labelled=facts.labelled,
        on_missing=spec.on_missing or "skip",
        in_order=plan.mode == "sequence",
        what=facts.what,
        kept=continuity.kept.get(spec.id, ()),
        of_text=facts.kind in ("text", "files"),
    )


def _reduce(chunk: Chunk, last: Chunk, spec: ChunkSpec) -> Reduce:
    assert spec.reduce is not None
    over = spec.reduce.chunk
    upstream = tuple(dict.fromkeys((*last.upstream, over)))
    return Reduce(
        id=spec.id,
        prototype=replace(chunk, merges=True, group=spec.id),
        last=replace(
            last, merges=True, upstream=upstream, on_missing={**last.on_missing, over: spec.on_missing or "gap"}
        ),
        over=over,
        max_tokens=spec.reduce.max_tokens,
    )


def _carrying(chunk: Chunk, spec: ChunkSpec, continuity: Continuity, *, previous: str) -> Chunk:
    if spec.carry is None:
        return chunk
    tail_tokens = spec.carry.tail_tokens or 0
    carry = Carry(tail_tokens=tail_tokens, previous=previous if tail_tokens else "", kept=continuity.told.get(spec.id))
    return replace(chunk, carry=carry)


def _shown_whole(draft: ChunkDraft) -> frozenset[str]:
    """The entries whose answers a prompt shows from beginning to end."""
    references = draft.prompt.template.references if draft.prompt is not None else ()
    return frozenset(each.key for each in references if each.namespace == "chunks" and each.max_tokens is None)


def _chunk(
    plan: Plan,
    spec: ChunkSpec,
    prompt: TemplateDraft,
    facts: Mapping[str, GroupFacts],
    seen: Counter[str],
    form: AnswerForm | None,
    may: Hands,
) -> Chunk:
    references = tuple(dict.fromkeys(each.key for each in prompt.template.references if each.namespace == "chunks"))
    upstream = tuple(dict.fromkeys((*references, *spec.depends_on)))
    recipe = _recipe(plan, spec, prompt.located.text, form, may)
    seen[recipe] += 1
    return Chunk(
        id=spec.id,
        template=prompt.template,
        references=references,
        upstream=upstream,
        after=(),
        on_missing={name: _on_missing(spec, is_group=name in facts) for name in upstream},
        model=spec.model or plan.model,
        fallback_model=spec.fallback_model or plan.fallback_model,
        effort=spec.effort or plan.effort,
        complexity=spec.complexity or plan.complexity or "medium",
        timeout_s=_timeout_s(plan, spec),
        timeout_given=(spec.timeout_s or (plan.timeout_s if spec.complexity is None else None)) is not None,
        max_attempts=spec.max_attempts or plan.max_attempts or DEFAULT_ATTEMPTS,
        reuse=spec.reuse or plan.reuse or ("never" if may.tooling else "always"),
        occurrence=seen[recipe] - 1,
        accounts=accounts_of(spec.account, plan.account),
        recipe=recipe,
        output_schema=form.sent if form is not None else None,
        form=form,
        expect=spec.expect,
        tooling=may.tooling,
        memory=may.memory,
        isolation=spec.isolation or plan.isolation or "fresh",
    )


def _form(draft: ChunkDraft, facts: GroupFacts | None) -> AnswerForm | None:
    """The form of the chunk's answers; a field with the name of the key column has to name the row."""
    form = draft.form
    if form is None or facts is None or not form.each_row:
        return form
    properties: Mapping[str, Any] = form.schema.get("properties", {})
    if facts.key not in properties:
        return form
    named = {**properties[facts.key], "description": prompt_text("record-key")}
    return replace(form, key=facts.key, schema={**form.schema, "properties": {**properties, facts.key: named}})


def _on_missing(spec: ChunkSpec, *, is_group: bool) -> OnMissing:
    return spec.on_missing or ("gap" if is_group else "skip")


def _timeout_s(plan: Plan, spec: ChunkSpec) -> float:
    """The chunk's seconds, else its size class, else the plan's seconds, else the plan's size class."""
    if spec.timeout_s is not None:
        return spec.timeout_s
    if spec.complexity is not None:
        return TIMEOUT_S[spec.complexity]
    return plan.timeout_s if plan.timeout_s is not None else TIMEOUT_S[plan.complexity or "medium"]


def _recipe(plan: Plan, spec: ChunkSpec, prompt: str, form: AnswerForm | None, may: Hands) -> str:
    shape: list[object] = [prompt, spec.template, spec.model or plan.model, spec.effort or plan.effort]
    if form is not None:
        shape.append(form.schema)
    if may.tooling is not None:
        shape.append([*may.tooling.tools, may.tooling.name])
    if may.memory:
        shape.append(may.memory)
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()
