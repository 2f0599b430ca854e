"""What a plan says of tools: which there are, and the fields that name them. A leaf of this package."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from orchestrator.plan.part import PlanPart

Tool = Literal["Read", "Grep", "Glob"]

READ_ONLY: tuple[str, ...] = get_args(Tool)
"""The tools of the Claude CLI that change nothing and reach no network (2.1.332 knows no others of that kind)."""


class ToolSettings(PlanPart):
    """What a chunk may do beside answering. Nothing unless it is named here and allowed by the call."""

    tools: Annotated[tuple[Tool, ...], Field(strict=False)] | None = Field(
        default=None,
        description="Tools that the model may use if --allow-tools allows them: Read, Grep, Glob; none when left out.",
    )
    workdir: str | None = Field(
        default=None,
        min_length=1,
        description="Folder that the tools read in and never leave, relative to the plan file; its own when left out.",
    )
    project_memory: bool | None = Field(
        default=None, description="true shows the CLAUDE.md of the workdir to the model, as it stands."
    )
