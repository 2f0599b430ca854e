"""From an input and a `for_each` to its items: the pieces of a text, files, short texts, rows. Pure, and linear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.plan.model import ForEachSpec
from orchestrator.plan.workload import InputText, Item, Source

_LANGUAGES = {
    "py": "python",
    "js": "javascript",
    "ts": "typescript",
    "go": "go",
    "java": "java",
    "kt": "kotlin",
    "scala": "scala",
    "swift": "swift",
}
"""Languages by the end of a file's name, those whose strings of several lines `split: code` knows."""


def items_of(spec: ForEachSpec, source: InputText | None) -> tuple[Item, ...]:
    """The items of a `for_each` over an input, or over its own list when there is no `source`; none of an empty text.

    Raises `SplitError` when a text cannot be split as asked.
    """
    if source is None:
        sources: Sequence[Source] = [Source(name=each, text=each) for each in spec.items or ()]
    elif source.kind == "text":
        return _counted(_pieces(spec, Source(name="", text=source.text), named=str(source.path or "")))
    else:
        sources = source.sources
    if spec.split is not None:
        return _counted(piece for each in sources for piece in _pieces(spec, each, named=each.name))
    if spec.batch is None or spec.batch == 1:
        return _counted(_item(text=each.text, source=each.name, row=each) for each in sources)
    batches = [sources[at : at + spec.batch] for at in range(0, len(sources), spec.batch)]
    return _counted(
        replace(
            _item(text="\n".join(each.text for each in batch), source=", ".join(each.name for each in batch)),
            rows=tuple(each.name for each in batch),
        )
        for batch in batches
    )


def _item(*, text: str, source: str, row: Source | None = None) -> Item:
    return Item(index=0, count=0, text=text, source=source, row=row.row if row is not None else {})


def _counted(items: Iterable[Item]) -> tuple[Item, ...]:
    all_of_them = list(items)
    return tuple(replace(item, index=at, count=len(all_of_them)) for at, item in enumerate(all_of_them, 1))


def _pieces(spec: ForEachSpec, source: Source, *, named: str) -> list[Item]:
    from orchestrator.plan.split import split_text

    assert spec.split is not None, "a text without `split` is a problem"
    pieces = split_text(
        source.text,
        mode=spec.split,
        max_tokens=spec.max_tokens,
        overlap_tokens=spec.overlap_tokens or 0,
        level=spec.level,
        pattern=spec.pattern,
        language=_LANGUAGES.get(named.lower().rpartition(".")[2]),
    )
    return [
        Item(
            index=0,
            count=0,
            text=piece.text,
            source=source.name,
            heading_path=" > ".join(piece.heading_path),
            previous_tail=piece.previous_tail,
            next_head=piece.next_head,
            notes=piece.notes,
        )
        for piece in pieces
    ]
