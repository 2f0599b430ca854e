"""The JSON Schema of a plan: what an editor needs to complete keys, show their meaning and mark mistakes."""

from __future__ import annotations

from typing import Any

from orchestrator.plan.model import Plan


def json_schema() -> dict[str, Any]:
    """The schema of a plan file as it may be written, short forms included (JSON Schema 2020-12)."""
    schema = Plan.model_json_schema(mode="validation")
    for name, field in Plan.model_fields.items():
        # pydantic leaves the description out where the value is a part of its own.
        schema["properties"][name].setdefault("description", field.description)
    # A plan needs chunks, or a request that the planner makes chunks of.
    schema["anyOf"] = [{"required": [name]} for name in (*schema.pop("required"), "request")]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A plan for orchestrate"}
