"""The plan that size alone suggests for inputs that do not fit one call: each part by itself, then all together. Pure.

The planner is offered it as the default of its answer, and a runner that makes up its answers gives it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.engine.planner.form import MAX_BATCH, MAX_PIECE_TOKENS, MAX_PROMPT_CHARS, PIECE_TOKENS
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import InputText
from orchestrator.prompt_texts import fill, prompt_text

GOOD_PIECES = 500
"""Pieces of one input that are still a good plan; of a larger input the pieces are larger."""


def large_inputs(inputs: Sequence[InputText], *, sizes: Mapping[str, int], room: int) -> list[InputText]:
    """The largest inputs, as many as have to be split for the others to fit `room` tokens together."""
    left = sum(sizes[each.name] for each in inputs)
    large: list[InputText] = []
    for each in sorted(inputs, key=lambda one: sizes[one.name], reverse=True):
        if left <= room:
            break
        large.append(each)
        left -= sizes[each.name]
    return [each for each in inputs if each in large]


def plan_by_rule(
    request: str, large: Sequence[InputText], others: Sequence[str], *, sizes: Mapping[str, int], room: int
) -> dict[str, Any] | None:
    """A planner's answer that goes over the `large` inputs and gives the `others` whole to the last chunks.

    None when nothing is large, or the request is longer than a planner's prompt may be.
    """
    part = fill(prompt_text("planner-by-rule-part"), {"request": request})
    whole = fill(prompt_text("planner-by-rule-whole"), {"request": request})
    if not large or max(len(part), len(whole)) > MAX_PROMPT_CHARS:
        return None
    chunks: list[dict[str, Any]] = []
    for at, each in enumerate(large, 1):
        number = f"_{at}" if len(large) > 1 else ""
        pieces = _pieces(each, tokens=sizes[each.name], room=room)
        chunks += [
            {"id": f"part{number}", "title": f"Each part of {each.name}", "prompt": part, "for_each": pieces},
            {
                "id": f"whole{number}",
                "title": f"All parts of {each.name} together",
                "prompt": whole,
                "reduce": {"chunk": f"part{number}"},
                "inputs": list(others),
                "complexity": "complex",
            },
        ]
    return {
        "strategy": "dag",
        "reason": prompt_text("planner-by-rule-reason"),
        "chunks": chunks,
        "stitch": [chunk["id"] for chunk in chunks if "reduce" in chunk],
    }


def _pieces(each: InputText, *, tokens: int, room: int) -> dict[str, Any]:
    size = min(MAX_PIECE_TOKENS, max(PIECE_TOKENS, math.ceil(tokens / GOOD_PIECES)))
    if each.kind in ("items", "rows"):
        batch = max(1, min(MAX_BATCH, size * len(each.sources) // max(1, tokens)))
        return {"input": each.name, "batch": batch}
    if each.kind == "files" and max(count_tokens(source.text) for source in each.sources) <= room // 2:
        return {"input": each.name}
    return {"input": each.name, "split": "markdown" if each.kind == "text" else "text", "max_tokens": size}
