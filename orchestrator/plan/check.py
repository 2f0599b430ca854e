"""Whether everything a plan refers to is there, and can be had in some order. Pure: it looks at drafts alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from orchestrator.plan.draft import ChunkDraft, Located, TemplateDraft
from orchestrator.plan.naming import Reference, did_you_mean
from orchestrator.plan.report import Report
from orchestrator.plan.yaml_source import YamlPath

_MAX_CYCLES = 20
"""Cycles told at once: each search for one goes over the whole graph."""


@dataclass(frozen=True, slots=True)
class Names:
    """What there is to refer to. `lists` are the inputs that can be looped over."""

    chunks: Collection[str]
    inputs: Collection[str]
    lists: Collection[str]
    request: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """That one chunk needs another, and where it says so."""

    needs: str
    place: YamlPath | tuple[Located, Reference]

    def report(self, report: Report, message: str, hint: str = "") -> None:
        """A problem at the place of the edge."""
        if len(self.place) == 2 and isinstance(self.place[0], Located) and isinstance(self.place[1], Reference):
            self.place[0].report_reference(report, self.place[1], message, hint)
        else:
            report.at(self.place, message, hint)  # pyright: ignore[reportArgumentType]


def check_references(
    chunks: Sequence[ChunkDraft],
    *,
    names: Names,
    sequence: bool,
    stitched: Sequence[tuple[YamlPath, str]],
    stitch_template: TemplateDraft | None,
    report: Report,
) -> None:
    """Report every reference to nothing, every id that stands twice, and every cycle."""
    _check_ids(chunks, report)
    order = {chunk.id: at for at, chunk in reversed(list(enumerate(chunks))) if chunk.id is not None}
    graph: dict[str, list[Edge]] = {}
    for at, chunk in enumerate(chunks):
        good: list[Edge] = []
        for edge in _edges(chunk, names, report):
            if edge.needs == chunk.id:
                edge.report(report, f"`{chunk.id}` refers to itself", "a chunk cannot need its own answer")
            elif sequence and order[edge.needs] > at:
                message = f"`{chunk.id}` refers to `{edge.needs}`, which comes later in `mode: sequence`"
                edge.report(report, message, "move it further down, or use `mode: parallel`")
            else:
                good.append(edge)
        if chunk.id is not None and order[chunk.id] == at:
            graph[chunk.id] = good
    _check_cycles(graph, order, report)
    _check_stitch(stitched, stitch_template, names, report)


def _check_ids(chunks: Sequence[ChunkDraft], report: Report) -> None:
    first: dict[str, int] = {}
    for at, chunk in enumerate(chunks):
        if chunk.id is not None and first.setdefault(chunk.id, at) != at:
            message = f"the id `{chunk.id}` stands twice, first in chunks[{first[chunk.id]}]"
            report.at((*chunk.path, "id"), message, "give one of them another id")


def _edges(chunk: ChunkDraft, names: Names, report: Report) -> Iterator[Edge]:
    """The edges that lead to a chunk there is; all else is reported."""
    if chunk.prompt is not None:
        yield from _template_edges(chunk.prompt, names, report)
    for path, needed in chunk.depends_on:
        if needed in names.chunks:
            yield Edge(needed, path)
        else:
            report.at(path, f"there is no chunk `{needed}`", did_you_mean(needed, names.chunks))


def _template_edges(draft: TemplateDraft, names: Names, report: Report) -> Iterator[Edge]:
    for reference in draft.template.references:
        problem = reference_problem(reference, names)
        if problem is not None:
            draft.located.report_reference(report, reference, *problem)
        elif reference.namespace == "chunks":
            yield Edge(reference.name, (draft.located, reference))


def reference_problem(reference: Reference, names: Names) -> tuple[str, str] | None:
    """Message and hint when a reference leads nowhere, else None."""
    space, name = reference.namespace, reference.name
    if space == "chunks":
        return _chunk_problem(reference, names)
    if space == "inputs":
        if name not in names.inputs:
            return f"there is no input `{name}`", _near(name, "inputs", names.inputs, "chunks", names.chunks)
        if reference.as_list and name not in names.lists:
            return f"the input `{name}` is one text, not a list", "`{items: […]}` makes a list, and so does `[…]`"
    elif space == "request" and not names.request:
        return "the plan has no `request:`", "add it, or leave {{ request }} out"
    elif space in ("item", "parts"):
        kind = "for_each" if space == "item" else "reduce"
        return f"`{space}` stands only in a chunk with `{kind}`, which is not in this version yet", ""
    return None


def _chunk_problem(reference: Reference, names: Names) -> tuple[str, str] | None:
    name = reference.name
    if name not in names.chunks:
        return f"there is no chunk `{name}`", _near(name, "chunks", names.chunks, "inputs", names.inputs)
    if reference.subscript is not None:
        return f"`{name}` is one chunk, no group: it has no `[{reference.subscript}]`", f"write chunks.{name}"
    if reference.as_list:
        return f"`{name}` is one answer, not a list", "a loop goes over an input that is a list"
    return None


def _near(name: str, own: str, known: Collection[str], other: str, others: Collection[str]) -> str:
    if name in others:
        return f"did you mean {other}.{name}?"
    listed = (
        f"there are {', '.join(list(known)[:8])}{', …' if len(known) > 8 else ''}" if known else f"there are no {own}"
    )
    return did_you_mean(name, known) or listed


def _check_cycles(graph: Mapping[str, Sequence[Edge]], order: Mapping[str, int], report: Report) -> None:
    """Report each cycle at the reference that closes it, the reference of its first chunk."""
    left = {name: [edge for edge in edges if edge.needs in graph] for name, edges in graph.items()}
    for _ in range(_MAX_CYCLES):
        try:
            TopologicalSorter({name: [edge.needs for edge in edges] for name, edges in left.items()}).prepare()
        except CycleError as error:
            # graphlib names predecessors first; read backwards, each chunk needs the next one.
            found: list[str] = error.args[1][:0:-1]
            start = found.index(min(found, key=order.__getitem__))
            circle = found[start:] + found[:start]
            needed = circle[1] if len(circle) > 1 else circle[0]
            edge = next(edge for edge in left[circle[0]] if edge.needs == needed)
            edge.report(
                report, f"chunks need each other: {_arrows([*circle, circle[0]])}", "one of them has to come first"
            )
            left[circle[0]] = [each for each in left[circle[0]] if each.needs != needed]
        else:
            return


def _arrows(names: Sequence[str]) -> str:
    shown = names if len(names) <= 12 else [*names[:6], f"… {len(names) - 11} more …", *names[-5:]]
    return " -> ".join(shown)


def _check_stitch(
    stitched: Sequence[tuple[YamlPath, str]], template: TemplateDraft | None, names: Names, report: Report
) -> None:
    seen: set[str] = set()
    for path, name in stitched:
        if name not in names.chunks:
            report.at(path, f"there is no chunk `{name}`", did_you_mean(name, names.chunks))
        elif name in seen:
            report.at(path, f"`{name}` stands twice in the result", "name it once")
        seen.add(name)
    if template is not None:
        for _ in _template_edges(template, names, report):
            pass
