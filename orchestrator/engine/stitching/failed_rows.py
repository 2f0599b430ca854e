"""What failed of a JSON Lines result, as lines that can be read, mended and run again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.plan.json_text import read_json, write_json
from orchestrator.plan.workload import Chunk, Item
from orchestrator.store import ChunkRecord

_TOLD = ("failed", "skipped")


def failed_lines(
    ids: Sequence[str], *, chunks: Mapping[str, Chunk], records: Mapping[str, ChunkRecord], gaps: Mapping[str, str]
) -> str:
    """A line for each of `ids` that failed or was skipped, in order; what has not run yet has not failed.

    It has `chunk_id`, of a piece its `source` and the `row` (of a batch the `rows`), then `error_type` and `reason`.
    """
    lines: list[dict[str, Any]] = []
    for chunk_id in ids:
        record, chunk = records.get(chunk_id), chunks.get(chunk_id)
        item = _material(chunk.item) if chunk is not None and chunk.item is not None else {}
        if record is not None and record.status in _TOLD:
            reason = record.message if record.status == "failed" else f"{record.because} has no answer"
            ended = {"error_type": record.error_type or record.status, "reason": reason}
            lines.append({"chunk_id": chunk_id, **item, **ended})
        elif record is None and chunk_id in gaps:
            lines.append({"chunk_id": chunk_id, "error_type": "skipped", "reason": gaps[chunk_id]})
    return "".join(write_json(line) + "\n" for line in lines)


def _material(item: Item) -> dict[str, Any]:
    text = item.original if item.text is None else item.text
    material: dict[str, Any] = {"source": item.source} if item.source else {}
    if item.rows:
        rows = text.split("\n")
        material["rows"] = [_row(row) for row in rows] if len(rows) == len(item.rows) else list(item.rows)
    elif item.row:
        material["row"] = _row(text)
    return material


def _row(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return text
