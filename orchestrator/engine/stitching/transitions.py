"""Sentences that lead from one answer to the next, each written by a call of its own once both are there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from orchestrator.engine.own_chunks import own_chunk
from orchestrator.plan.model import Plan
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
    return [
        own_chunk(plan, transition_id(at), prompt, complexity="simple", order=(len(plan.chunks), 1000, at))
        for at, prompt in enumerate(prompts, 1)
    ]


def with_transitions(ids: Sequence[str], answers: Mapping[str, str]) -> tuple[str, ...]:
    """The chunks of a result with the transitions that there are between them."""
    found: list[str] = []
    for at, chunk_id in enumerate(ids):
        bridge = transition_id(at)
        if at and answers.get(bridge, NONE).strip(" .\n\"'").upper() != NONE:
            found.append(bridge)
        found.append(chunk_id)
    return tuple(found)
