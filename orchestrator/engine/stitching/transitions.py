"""Sentences that lead from one answer to the next, each written by a call of its own once both are there. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

from orchestrator.plan.accounts import accounts_of
from orchestrator.plan.build import DEFAULT_ATTEMPTS
from orchestrator.plan.model import TIMEOUT_S, Plan
from orchestrator.plan.template import compile_template
from orchestrator.plan.tokens import head_tokens, tail_tokens
from orchestrator.plan.values import Answer
from orchestrator.plan.workload import Chunk
from orchestrator.prompt_texts import fill, prompt_text

SHOWN_TOKENS = 200
"""Of each of the two answers (`cl100k_base`): a transition depends on what is near."""

NONE = "NONE"
"""What a call answers when no sentence is needed."""


def transition_id(at: int) -> str:
    """The chunk that leads to the answer at this place of the result, from 1."""
    return f"transition.{at}"


def transition_chunks(plan: Plan, parts: Mapping[str, str]) -> list[Chunk]:
    """A chunk for each two answers that follow each other; `parts` are those of the result, by id and in order."""
    prompts = [
        fill(
            prompt_text("transition"),
            {
                "before": str(Answer(before, tail_tokens(parts[before], SHOWN_TOKENS))),
                "after": str(Answer(after, head_tokens(parts[after], SHOWN_TOKENS))),
            },
        )
        for before, after in pairwise(parts)
    ]
    return [_chunk(plan, at, prompt) for at, prompt in enumerate(prompts, 1)]


def _chunk(plan: Plan, at: int, prompt: str) -> Chunk:
    return Chunk(
        id=transition_id(at),
        template=compile_template(prompt, literal=True),
        references=(),
        upstream=(),
        after=(),
        on_missing={},
        model=plan.model,
        fallback_model=plan.fallback_model,
        effort=plan.effort,
        complexity="simple",
        timeout_s=TIMEOUT_S["simple"],
        max_attempts=plan.max_attempts or DEFAULT_ATTEMPTS,
        reuse=plan.reuse or "always",
        accounts=accounts_of(plan.account),
        occurrence=0,
        recipe=hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest(),
        order=(len(plan.chunks), 1000, at),
        isolation=plan.isolation or "fresh",
    )


def with_transitions(ids: Sequence[str], answers: Mapping[str, str]) -> tuple[str, ...]:
    """The chunks of a result with the transitions that there are between them."""
    found: list[str] = []
    for at, chunk_id in enumerate(ids):
        bridge = transition_id(at)
        if at and answers.get(bridge, NONE).strip(" .\n\"'").upper() != NONE:
            found.append(bridge)
        found.append(chunk_id)
    return tuple(found)
