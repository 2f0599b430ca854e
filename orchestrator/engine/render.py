"""From a chunk and the answers it refers to: its prompt, and the fingerprint of all that shapes its answer. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from orchestrator.plan.values import Answer, Gap, Items, Value
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.prompt_texts import prompt_text

FINGERPRINT_VERSION = 1
"""Part of every fingerprint; raised when what a fingerprint covers changes."""


def system_prompt(workload: Workload) -> str:
    """What all chunks of the run are told: our own few lines, then the plan's `context`."""
    own = prompt_text("system")
    return f"{own}\n\n{workload.context}" if workload.context else own


def input_values(workload: Workload) -> dict[str, Value]:
    """The inputs as templates see them."""
    return {name: Items(each.items) if each.items else each.text for name, each in workload.inputs.items()}


def answer_values(ids: tuple[str, ...], *, answers: Mapping[str, str], gaps: Mapping[str, str]) -> dict[str, Value]:
    """For each id its answer, or the gap that stands there; `gaps` maps ids to reasons."""
    return {
        chunk_id: Answer(chunk_id, answers[chunk_id])
        if chunk_id in answers
        else Gap(chunk_id, gaps.get(chunk_id, "no answer"))
        for chunk_id in ids
    }


def template_values(
    workload: Workload, *, inputs: Mapping[str, Value], chunks: Mapping[str, Value]
) -> dict[str, object]:
    """All namespaces of a template."""
    return {"chunks": chunks, "inputs": inputs, "request": workload.plan.request or "", "name": workload.name}


def fingerprint(chunk: Chunk, *, prompt: str, context: str, runner: str) -> str:
    """SHA-256, in hexadecimal, of all that shapes the chunk's answer, and of nothing else.

    Equal prompts of one plan are told apart by `chunk.occurrence`: ten requests for a name are ten requests.
    """
    shape: list[object] = [
        FINGERPRINT_VERSION,
        runner,
        context,
        chunk.model or "default",
        chunk.effort or "default",
        [],
        None,
        chunk.occurrence,
        prompt,
    ]
    return hashlib.sha256(json.dumps(shape, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
