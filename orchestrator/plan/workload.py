"""What a run is made of: every text read, every reference resolved, ready to schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.plan.model import Complexity, OnMissing, Plan, StitchFormat
    from orchestrator.plan.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One chunk, resolved.

    `references` are the chunks whose answers the prompt renders, `upstream` those and what `depends_on` adds,
    `after` the order-only edges of `mode: sequence`. `on_missing` has an entry for each upstream chunk. `occurrence`
    counts the chunks earlier in the plan with the same unrendered prompt and settings. `recipe` is the SHA-256 of the
    unrendered prompt and the settings that shape an answer.
    """

    id: str
    template: Template
    references: tuple[str, ...]
    upstream: tuple[str, ...]
    after: tuple[str, ...]
    on_missing: Mapping[str, OnMissing]
    model: str | None
    fallback_model: str | None
    effort: str | None
    complexity: Complexity
    timeout_s: float
    max_attempts: int
    reuse: str
    occurrence: int
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputText:
    """An input as read. `sha256` is of its UTF-8 text; `given` says where it came from: plan, file, stdin or set.

    `text` is what a prompt renders (items one a line); `path` is set when it was read from a file.
    """

    name: str
    text: str
    items: tuple[str, ...]
    sha256: str
    given: str
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A plan that can run: chunks in plan order, shared context, inputs, and where the result goes.

    `source` is the plan's own text (a JSON text when it was given as a dict). `files` maps every file that was read,
    the plan file apart, to the SHA-256 of its bytes. `stitch_chunks` are the chunk ids of the result, in order;
    `output` is the file the plan names (absolute), or None when it names none.
    """

    plan: Plan
    name: str
    path: Path | None
    root: Path
    source: str
    context: str
    chunks: Mapping[str, Chunk]
    inputs: Mapping[str, InputText]
    stitch_chunks: tuple[str, ...]
    stitch_format: StitchFormat
    stitch_template: Template | None
    output: Path | None
    files: Mapping[str, str] = field(default_factory=dict[str, str])
