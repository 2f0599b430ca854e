"""From an input and a `for_each` to its items: the pieces of a text, files, short texts, rows. Pure, and linear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from orchestrator.plan.loading import Texts
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


def items_of(spec: ForEachSpec, source: InputText | None, texts: Texts) -> tuple[Item, ...]:
    """The items of a `for_each` over an input, or over its own list when there is no `source`; none of an empty text.

    What `texts` knows is not split again. Raises `SplitError` when a text cannot be split as asked.
    """
    if source is None:
        sources: Sequence[Source] = [Source(name=each, text=each) for each in spec.items or ()]
    elif source.kind == "text":
        whole = Source(name="", text=source.text, bom=source.bom)
        return _counted(_pieces(spec, [whole], what=source.name, names=[str(source.path or "")], texts=texts))
    else:
        sources = source.sources
    if spec.split is not None:
        what = spec.input or "the list"
        return _counted(_pieces(spec, sources, what=what, names=[each.name for each in sources], texts=texts))
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
    bom = row is not None and row.bom
    return Item(index=0, count=0, text=text, source=source, row=row.row if row is not None else {}, bom=bom)


def _counted(items: Iterable[Item]) -> tuple[Item, ...]:
    all_of_them = list(items)
    return tuple(replace(item, index=at, count=len(all_of_them)) for at, item in enumerate(all_of_them, 1))


def _pieces(
    spec: ForEachSpec, sources: Sequence[Source], *, what: str, names: Sequence[str], texts: Texts
) -> Iterator[Item]:
    """The pieces of all sources; `names` are file names, which tell the language."""
    from orchestrator.plan.splits import split_all, split_task

    tasks = [
        split_task(spec, source.text, language=_LANGUAGES.get(name.lower().rpartition(".")[2]))
        for source, name in zip(sources, names, strict=True)
    ]
    for source, pieces in zip(sources, split_all(tasks, what=what, texts=texts), strict=True):
        for piece in pieces:
            yield Item(
                index=0,
                count=0,
                text=piece.text,
                source=source.name,
                heading_path=" > ".join(piece.heading_path),
                previous_tail=piece.previous_tail,
                next_head=piece.next_head,
                notes=piece.notes,
                tokens=piece.tokens,
                bom=source.bom and not piece.start,
            )
