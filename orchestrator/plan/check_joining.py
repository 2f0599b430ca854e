"""Whether what a plan wants between its answers can be had there. Pure: it looks at the plan as written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from orchestrator.plan.report import Report
from orchestrator.plan.seams import TEXT_RULES, SeamsSpec


def check_joining(stitch: Mapping[str, Any], report: Report) -> None:
    """Report what is asked for between answers where nothing stands between them."""
    _check_seams(stitch, report)
    if stitch.get("transitions") is True:
        for key in ("template", "join", "files"):
            if stitch.get(key) is not None:
                message = f"`transitions` is for answers with a blank line between them, and here is `{key}`"
                report.at(("stitch", "transitions"), message, "leave one of the two out", key=True)
        if stitch.get("format") in ("json", "jsonl"):
            message = f"`transitions` is for markdown and text, not for `format: {stitch['format']}`"
            report.at(("stitch", "transitions"), message, "leave it out", key=True)


def _check_seams(stitch: Mapping[str, Any], report: Report) -> None:
    seams, wanted = stitch.get("seams"), stitch.get("format", "markdown")
    rules = cast("dict[str, object]", seams) if isinstance(seams, dict) else {"safe": seams}
    on = [name for name, value in rules.items() if value not in (None, False, "none", "keep")]
    if not on:
        return
    if stitch.get("template") is not None:
        message = "`seams` is for answers that are joined, and here a template puts them together"
        report.at(("stitch", "seams"), message, "leave one of the two out", key=True)
    elif stitch.get("join") == "source":
        message = "`seams` is for answers with a blank line between them, and here the source says what stands there"
        report.at(("stitch", "seams"), message, "leave one of the two out", key=True)
    elif wanted in ("json", "jsonl"):
        message = f"`seams` is for markdown and text, not for `format: {wanted}`"
        report.at(("stitch", "seams"), message, "leave it out", key=True)
    elif wanted == "text":
        for name in on:
            if name in SeamsSpec.model_fields and name not in TEXT_RULES:
                report.at(("stitch", "seams", name), f"`{name}` needs `format: markdown`", "leave it out", key=True)
