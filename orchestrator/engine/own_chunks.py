"""Chunks that no entry of the plan asks for, run by the settings that the plan gives to all. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from orchestrator.plan.accounts import accounts_of
from orchestrator.plan.build import DEFAULT_ATTEMPTS
from orchestrator.plan.model import TIMEOUT_S, Complexity, Plan
from orchestrator.plan.template import compile_template
from orchestrator.plan.workload import Chunk


def own_chunk(
    plan: Plan,
    chunk_id: str,
    prompt: str,
    *,
    complexity: Complexity,
    order: tuple[int, ...],
    model: str | None = None,
    output_schema: Mapping[str, Any] | None = None,
) -> Chunk:
    """A chunk of our own with this prompt, taken literally. `model` wins over that of the plan."""
    return Chunk(
        id=chunk_id,
        template=compile_template(prompt, literal=True),
        references=(),
        upstream=(),
        after=(),
        on_missing={},
        model=model or plan.model,
        fallback_model=plan.fallback_model,
        effort=plan.effort,
        complexity=complexity,
        timeout_s=TIMEOUT_S[complexity],
        max_attempts=plan.max_attempts or DEFAULT_ATTEMPTS,
        reuse=plan.reuse or "always",
        accounts=accounts_of(plan.account),
        occurrence=0,
        recipe=hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest(),
        order=order,
        output_schema=output_schema,
        isolation=plan.isolation or "fresh",
    )
