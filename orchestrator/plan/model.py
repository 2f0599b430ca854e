"""The plan as a person writes it: validated, immutable, every field described (the description is the editor's hover).

This module knows the form of a plan, not its world: it reads no file. `load.py` reads files and reports places;
`workload.py` is what a run is made of.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Complexity = Literal["simple", "medium", "complex"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
OnMissing = Literal["skip", "gap"]
Mode = Literal["parallel", "sequence"]
StitchFormat = Literal["markdown", "text", "json", "jsonl"]

TIMEOUT_S: dict[Complexity, float] = {"simple": 120.0, "medium": 300.0, "complex": 600.0}
"""Seconds for one attempt of each size class."""

ID_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
MODEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,199}$"
REUSE_PATTERN = r"^(always|never|[1-9][0-9]{0,5}[smhd])$"

ChunkId = Annotated[str, Field(pattern=ID_PATTERN)]
ModelName = Annotated[str, Field(pattern=MODEL_PATTERN)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]


class PlanPart(BaseModel):
    """Base of every part: unknown keys are refused, values keep their YAML type, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileText(PlanPart):
    """A text that stands in a file."""

    file: str = Field(
        min_length=1, description="Path of a UTF-8 text file, relative to the plan file, inside its folder."
    )


def _short_context(value: Any) -> Any:
    return [cast("object", value)] if isinstance(value, str | dict) else value


def _short_input(value: Any) -> Any:
    if value == "required":
        return {"required": True}
    if isinstance(value, str):
        return {"file": value}
    if isinstance(value, list):
        return {"items": cast("list[object]", value)}
    return value


class InputSpec(PlanPart):
    """A named text. Exactly one of `file`, `text`, `items` and `required` is given.

    Short forms: a string is `{file: …}`, a list is `{items: […]}`, the word `required` is `{required: true}`.
    """

    file: str | None = Field(
        default=None, min_length=1, description="Path of a UTF-8 text file, relative to the plan file."
    )
    text: str | None = Field(default=None, description="The text itself.")
    items: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None, min_length=1, description="Several short texts; in a prompt they render one a line."
    )
    required: Literal[True] | None = Field(
        default=None, description="The text must come from the command line: --input NAME=FILE or --set NAME=TEXT."
    )


class SharedSettings(PlanPart):
    """Settings that a plan gives to all its chunks and a chunk may override."""

    model: ModelName | None = Field(
        default=None, description="Model alias or full name; the CLI's default when left out."
    )
    fallback_model: ModelName | None = Field(
        default=None, description="Model the CLI falls back to when the first is overloaded."
    )
    effort: Effort | None = Field(
        default=None, description="How hard the model thinks; the CLI's default when left out."
    )
    complexity: Complexity | None = Field(
        default=None, description="Size class: simple 120 s, medium 300 s (the default), complex 600 s for an attempt."
    )
    timeout_s: PositiveSeconds | None = Field(
        default=None, description="Seconds for one attempt; wins over `complexity`."
    )
    max_attempts: int | None = Field(
        default=None, ge=1, le=20, description="Attempts for a chunk, the first included; 3 when left out."
    )
    reuse: str | None = Field(
        default=None,
        pattern=REUSE_PATTERN,
        description="When a stored answer may be used again: always (the default), never, or up to an age such as 24h.",
    )


class ChunkSpec(SharedSettings):
    """One sub-prompt as written in a plan."""

    id: ChunkId = Field(description="Name of the chunk: a small letter, then small letters, digits and underscores.")
    prompt: str | FileText = Field(description="What is asked; a jinja2 template, or {file: …} to read it from a file.")
    template: bool = Field(
        default=True, description="false takes the prompt literally, for prompts that contain braces."
    )
    depends_on: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="Chunks that must have an answer first, beside those the prompt refers to."
    )
    on_missing: OnMissing | None = Field(
        default=None,
        description="When something it refers to failed: skip it too (the default), or go on with a visible gap.",
    )


class StitchSpec(PlanPart):
    """How the answers become one result."""

    format: StitchFormat = Field(default="markdown", description="markdown, text, json or jsonl.")
    chunks: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None,
        min_length=1,
        description="Which answers, in which order; by default all that no other chunk refers to.",
    )
    template: str | None = Field(default=None, min_length=1, description="A jinja2 template file for the whole result.")
    output: str | None = Field(
        default=None, min_length=1, description="Result file; by default <name>.result.<ext> in the current folder."
    )


class Limits(PlanPart):
    """Bounds of a run."""

    max_concurrency: int = Field(default=4, ge=1, le=256, description="Chunks under way at once.")
    max_cost_usd: float | None = Field(default=None, gt=0, description="US dollars; nothing new starts beyond.")
    max_wall_s: float | None = Field(
        default=None, gt=0, description="Seconds of running time; nothing new starts beyond."
    )
    max_same_failure: int = Field(
        default=5, ge=1, description="Stop after so many chunks in a row failed for the same permanent reason."
    )


class Plan(SharedSettings):
    """A whole plan. Immutable; all references are checked by `load_plan`."""

    version: Literal[1] = Field(default=1, description="Version of this format.")
    name: str | None = Field(
        default=None,
        pattern=r"^[^\x00-\x1f/\\]{1,100}$",
        description="Name of the plan; by default the stem of its file.",
    )
    request: str | None = Field(default=None, description="The request as a whole; in prompts it is {{ request }}.")
    mode: Mode = Field(
        default="parallel", description="parallel: as dependencies allow. sequence: in plan order, one after the other."
    )
    context: Annotated[
        tuple[str | FileText, ...],
        BeforeValidator(_short_context, json_schema_input_type=str | FileText | list[str | FileText]),
        Field(strict=False),
    ] = Field(
        default=(),
        description="Text that is the same for all chunks: the system prompt. A string, {file: …}, or a list of both.",
    )
    inputs: dict[
        ChunkId, Annotated[InputSpec, BeforeValidator(_short_input, json_schema_input_type=InputSpec | str | list[str])]
    ] = Field(default_factory=dict, description="Named texts for the prompts.")
    chunks: Annotated[tuple[ChunkSpec, ...], Field(strict=False)] = Field(min_length=1, description="The sub-prompts.")
    stitch: StitchSpec = Field(default_factory=StitchSpec, description="How the answers become one result.")
    limits: Limits = Field(default_factory=Limits, description="Bounds of a run.")


LATER: dict[str, dict[str, str]] = {
    "plan": {"tools": "tools", "account": "accounts", "isolation": "process reuse", "workdir": "tools"},
    "chunk": {
        "for_each": "running a chunk for each piece",
        "reduce": "merging many answers",
        "carry": "carrying text along a sequence",
        "expect": "checks on answers",
        "output_schema": "structured answers",
        "fields": "structured answers",
        "batch": "several rows in one prompt",
        "workdir": "tools",
        "account": "accounts",
        "isolation": "process reuse",
        "tools": "tools",
    },
    "input": {"files": "inputs of many files", "rows": "inputs of rows", "key": "inputs of rows"},
    "stitch": {"seams": "seam work", "join": "joining by source", "files": "one result per file"},
}
"""Keys of the format that this version refuses by name, each with what it is for."""
