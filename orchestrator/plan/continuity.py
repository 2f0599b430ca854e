"""What chunks are told of all that came before them, and the calls that keep it. Pure.

A keeper is a chunk of its own, called `ch6.summary` or `part[3].glossary`: it is asked to put one answer into what was
kept before, and what it writes is told to the chunks that come after.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import get_args

from orchestrator.plan.grouping import GroupFacts
from orchestrator.plan.model import CarrySpec, Plan
from orchestrator.plan.template import Template, compile_template
from orchestrator.plan.workload import Chunk, ForEach, Group, Keeping, Kept, KeptKind, PiecesKept
from orchestrator.prompt_texts import prompt_text

MAX_TOKENS: dict[KeptKind, int] = {"summary": 600, "glossary": 800}
"""Tokens (`cl100k_base`) that is taken when a plan names none: about 450 words of prose, a hundred lines of terms."""

_LAST = 10**6 - 1
"""Puts a keeper behind all that belongs to the chunk whose answer it keeps."""


@dataclass(slots=True)
class Continuity:
    """By entry of the plan: what its chunk, or the first of its pieces, is told, and what is kept of its answers."""

    told: dict[str, Kept] = field(default_factory=dict[str, Kept])
    kept: dict[str, tuple[PiecesKept, ...]] = field(default_factory=dict[str, tuple[PiecesKept, ...]])

    def keep(self, name: str, kept: PiecesKept) -> None:
        """The answers of this entry are kept."""
        self.kept[name] = (*self.kept.get(name, ()), kept)


def follow(plan: Plan, *, facts: Mapping[str, GroupFacts], shown: Mapping[str, Collection[str]]) -> Continuity:
    """Who is told what, and which answers have to be kept for that. `shown` has what each prompt shows whole.

    An answer is kept when a later entry is told of it that does not show it anyway. In `mode: sequence` one summary and
    one glossary go through the whole plan; else each group has its own.
    """
    found = Continuity()
    for kind in get_args(KeptKind):
        asked = {spec.id: kept for spec in plan.chunks if (kept := _asked(spec.carry, kind)) is not None}
        if plan.mode == "sequence" and asked:
            _follow_sequence(plan, asked, facts=facts, shown=shown, found=found)
            continue
        for name, kept in asked.items():
            found.told[name] = kept
            found.keep(name, PiecesKept(so_far=kept, last=False))
    return found


def _asked(carry: CarrySpec | None, kind: KeptKind) -> Kept | None:
    if carry is None or not getattr(carry, kind):
        return None
    return Kept(kind=kind, max_tokens=carry.max_tokens or MAX_TOKENS[kind])


def _follow_sequence(
    plan: Plan,
    asked: Mapping[str, Kept],
    *,
    facts: Mapping[str, GroupFacts],
    shown: Mapping[str, Collection[str]],
    found: Continuity,
) -> None:
    """One kind, along the whole plan; its budget is the largest that is asked for."""
    showing = Counter(name for reader in asked for name in shown.get(reader, ()))
    so_far = max(asked.values(), key=lambda kept: kept.max_tokens)
    readers_left = len(asked)
    for spec in plan.chunks:
        if spec.id in asked:
            found.told[spec.id] = replace(asked[spec.id], keeper=so_far.keeper)
            readers_left -= 1
        needed = readers_left > showing[spec.id]
        if needed or (spec.id in asked and spec.id in facts):
            found.keep(spec.id, PiecesKept(so_far=so_far, last=needed))
        if needed:
            so_far = replace(so_far, keeper=_last_keeper(spec.id, so_far.kind, facts.get(spec.id)))


def _last_keeper(name: str, kind: KeptKind, facts: GroupFacts | None) -> str:
    """The keeper of the last answer of an entry; the group itself while its pieces are not known."""
    if facts is None:
        return keeper_id(name, kind)
    return name if facts.dynamic else keeper_id(f"{name}[{len(facts.items or ())}]", kind)


def keeper_id(chunk_id: str, kind: KeptKind) -> str:
    """The chunk that keeps the answer of this one."""
    return f"{chunk_id}.{kind}"


def with_keepers(chunks: Sequence[Chunk], kept: Sequence[PiecesKept]) -> list[Chunk]:
    """The chunks of one entry, in order, each followed by those that keep its answer."""
    found = list(chunks)
    for each in kept:
        so_far = each.so_far
        for chunk in chunks if each.last else chunks[:-1]:
            found.append(_keeper(chunk, so_far))
            so_far = replace(so_far, keeper=found[-1].id)
    return sorted(found, key=lambda chunk: chunk.order)


def _keeper(of: Chunk, so_far: Kept) -> Chunk:
    """Asked with the settings of the chunk whose answer it keeps, and of nothing else of it."""
    return Chunk(
        id=keeper_id(of.id, so_far.kind),
        template=_template(so_far.kind),
        references=(),
        upstream=(of.id,),
        after=(),
        on_missing={of.id: "gap"},
        model=of.model,
        fallback_model=of.fallback_model,
        effort=of.effort,
        complexity=of.complexity,
        timeout_s=of.timeout_s,
        max_attempts=of.max_attempts,
        reuse=of.reuse,
        accounts=of.accounts,
        occurrence=0,
        recipe=_recipe(so_far.kind, so_far.max_tokens, of.model, of.effort),
        order=(*of.order, *([0] if len(of.order) < 2 else []), _LAST),
        keeping=Keeping(of=of.id, so_far=so_far),
        isolation=of.isolation,
    )


def keeper_recipes(group: Group) -> set[str]:
    """The recipes of the keepers that a group will have."""
    made_from = group.prototype
    kept = group.kept if isinstance(group, ForEach) else ()
    return {_recipe(each.so_far.kind, each.so_far.max_tokens, made_from.model, made_from.effort) for each in kept}


@cache
def _template(kind: KeptKind) -> Template:
    """The prompt as it stands: it is filled by name, not as a template."""
    return compile_template(prompt_text(f"keep-{kind}"), literal=True)


@cache
def _recipe(kind: KeptKind, max_tokens: int, model: str | None, effort: str | None) -> str:
    shape = [prompt_text(f"keep-{kind}"), max_tokens, model, effort]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()
