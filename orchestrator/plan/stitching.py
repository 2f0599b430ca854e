"""How a plan says that its answers become one result."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orchestrator.plan.expecting import ExpectSpec
from orchestrator.plan.part import PlanPart
from orchestrator.plan.seams import SeamsSpec, SeamsWord, short_seams

StitchFormat = Literal["markdown", "text", "json", "jsonl"]
Combine = Literal["by_id", "concat", "merge"]
Conflicts = Literal["first", "last", "keep_both", "error"]


class StitchSpec(PlanPart):
    """How the answers become one result."""

    format: StitchFormat = Field(default="markdown", description="markdown, text, json or jsonl.")
    chunks: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None,
        min_length=1,
        description="Which answers, in which order; by default all that no other chunk refers to.",
    )
    template: str | None = Field(default=None, min_length=1, description="A jinja2 template file for the whole result.")
    combine: Combine | None = Field(
        default=None,
        description="With `format: json`: by_id (the default), one object by id; concat, one list; merge, one value.",
    )
    conflicts: Conflicts | None = Field(
        default=None,
        description="With `combine: merge`, where two answers differ: error (the default), first, last or keep_both.",
    )
    source_field: str | None = Field(
        default=None, min_length=1, description="With `format: jsonl`: a field that says where each line comes from."
    )
    output_schema: dict[str, Any] | None = Field(
        default=None, description="JSON Schema (draft 7) of a json result, or of each line of a jsonl result."
    )
    expect: ExpectSpec | None = Field(default=None, description="What the result as a whole has to be like.")
    seams: Annotated[SeamsSpec, BeforeValidator(short_seams, json_schema_input_type=SeamsSpec | SeamsWord)] = Field(
        default_factory=SeamsSpec,
        description="What may change where two answers meet: safe (the default), none, or rules by name.",
    )
    transitions: bool = Field(
        default=False,
        description="One more call between any two answers writes a sentence that leads from one to the next.",
    )
    output: str | None = Field(
        default=None, min_length=1, description="Result file; by default <name>.result.<ext> in the current folder."
    )
    join: Literal["source"] | None = Field(
        default=None,
        description="source: between the answers of a text's pieces stands what stands between the pieces themselves.",
    )
    files: str | None = Field(
        default=None,
        min_length=1,
        description="One result for each file of a `for_each` over files, such as de/{{ item.source }}.",
    )
