"""Whether everything a plan refers to is there, and can be had in some order. Pure: it looks at drafts alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from orchestrator.plan.draft import ChunkDraft, Located, TemplateDraft
from orchestrator.plan.grouping import GroupFacts
from orchestrator.plan.naming import Member, Reference, did_you_mean, place_of
from orchestrator.plan.report import Report
from orchestrator.plan.yaml_source import YamlPath

_MAX_CYCLES = 20
"""Cycles told at once: each search for one goes over the whole graph."""


@dataclass(frozen=True, slots=True)
class Names:
    """What there is to refer to. `lists` are the inputs that can be looped over, `groups` the chunks with pieces."""

    chunks: Collection[str]
    inputs: Collection[str]
    lists: Collection[str]
    request: bool
    groups: Mapping[str, GroupFacts] = field(default_factory=dict[str, GroupFacts])


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
    for draft in (chunk.prompt, chunk.final):
        if draft is not None:
            _check_use(chunk, draft, report)
            yield from _template_edges(draft, names, report, chunk=chunk)
    needed = list(chunk.depends_on)
    if chunk.for_each is not None and chunk.for_each.chunk is not None:
        needed.append(((*chunk.path, "for_each", "chunk"), chunk.for_each.chunk))
    if chunk.reduce is not None:
        path, over = (*chunk.path, "reduce", "chunk"), chunk.reduce.chunk
        needed.append((path, over))
        if over in names.chunks and over not in names.groups and over != chunk.id:
            report.at(path, f"`{over}` is one answer: there is nothing to merge", f"write {{{{ chunks.{over} }}}}")
    for path, name in needed:
        if name in names.chunks:
            yield Edge(name, path)
        else:
            near = _near(name, "chunks", names.chunks, "inputs", names.inputs)
            report.at(path, f"there is no chunk `{name}`", near)


def _check_use(chunk: ChunkDraft, draft: TemplateDraft, report: Report) -> None:
    """Report a prompt of a group that says nothing of what it is about: it would be asked again and again."""
    if chunk.kind == "plain":
        return
    space, example = ("item", "item.text") if chunk.kind == "for_each" else ("parts", "parts")
    used = any(reference.namespace == space for reference in draft.template.references)
    if used or (not chunk.literal and re.search(rf"\b{space}\b", draft.located.text)):
        return  # A name that is used wrongly is told as such.
    what = "all pieces would get the same prompt" if space == "item" else "it would see none of the answers"
    hint = "leave `template: false` out" if chunk.literal else f"write {{{{ {example} }}}} where it belongs"
    draft.located.report(report, line=1, column=1, message=f"the prompt has no `{example}`: {what}", hint=hint)


def _template_edges(
    draft: TemplateDraft, names: Names, report: Report, *, chunk: ChunkDraft | None = None
) -> Iterator[Edge]:
    for reference in draft.template.references:
        problem = reference_problem(reference, names, chunk=chunk)
        if problem is not None:
            draft.located.report_reference(report, reference, *problem)
        elif reference.namespace == "chunks":
            yield Edge(reference.name, (draft.located, reference))
    for member in draft.template.members:
        problem = _member_problem(member, names)
        if problem is not None:
            column = place_of(draft.located.text, member.line, member.shown, f"{member.variable}.item")
            draft.located.report(report, line=member.line, column=column, message=problem[0], hint=problem[1])


def _member_problem(member: Member, names: Names) -> tuple[str, str] | None:
    if not member.group:
        what = f"`{member.variable}` is a part of a merge and has no `item`"
        return what, f"write {{{{ {member.variable}.text }}}}"
    return _item_problem(member.field, names.groups.get(member.group))


def reference_problem(reference: Reference, names: Names, *, chunk: ChunkDraft | None = None) -> tuple[str, str] | None:
    """Message and hint when a reference, in the prompt of `chunk`, leads nowhere, else None."""
    space, name = reference.namespace, reference.name
    kind = chunk.kind if chunk is not None else "plain"
    if space == "chunks":
        return _chunk_problem(reference, names)
    if space == "inputs":
        if name not in names.inputs:
            return f"there is no input `{name}`", _near(name, "inputs", names.inputs, "chunks", names.chunks)
        if reference.as_list and name not in names.lists:
            return f"the input `{name}` is one text, not a list", "`{items: […]}` makes a list, and so does `[…]`"
    elif space == "request" and not names.request:
        return "the plan has no `request:`", "add it, or leave {{ request }} out"
    elif space == "item":
        if kind != "for_each":
            return "`item` stands only in a chunk with `for_each`", "it is a piece of what that goes over"
        return _item_problem(name, names.groups.get(chunk.id or "") if chunk is not None else None)
    elif space == "parts" and kind != "reduce":
        return "`parts` stands only in a chunk with `reduce`", "it is what that merges"
    return None


def _item_problem(name: str, facts: GroupFacts | None) -> tuple[str, str] | None:
    kind, _, field_name = name.partition(".")
    if facts is None or not field_name:
        return None
    if kind == "chunks" and field_name not in facts.lineage:
        paired = f"there are {', '.join(facts.lineage)}" if facts.lineage else "`for_each: {chunk: …}` pairs them"
        return f"the pieces are not paired with those of `{field_name}`", did_you_mean(
            field_name, facts.lineage
        ) or paired
    if kind == "row" and facts.batched:
        return "a piece holds several rows: it has no columns of its own", "{{ item.text }} has all of them"
    if kind == "row" and facts.columns is not None and field_name not in facts.columns:
        if not facts.columns:
            return "the pieces are no rows and have no columns", "`inputs: {tickets: {rows: tickets.csv}}` reads rows"
        listed = f"there are {', '.join(sorted(facts.columns)[:12])}"
        return f"there is no column `{field_name}`", did_you_mean(field_name, facts.columns) or listed
    return None


def _chunk_problem(reference: Reference, names: Names) -> tuple[str, str] | None:
    name = reference.name
    if name not in names.chunks:
        return f"there is no chunk `{name}`", _near(name, "chunks", names.chunks, "inputs", names.inputs)
    facts = names.groups.get(name)
    if facts is not None:
        return _piece_problem(name, reference.subscript, facts)
    if reference.subscript is not None:
        return f"`{name}` is one chunk, no group: it has no `[{reference.subscript}]`", f"write chunks.{name}"
    if reference.as_list:
        return f"`{name}` is one answer, not a list", "a loop goes over an input that is a list, or over a group"
    return None


def _piece_problem(name: str, subscript: int | str | None, facts: GroupFacts) -> tuple[str, str] | None:
    if subscript is None:
        return None
    if facts.dynamic:
        return f"how many pieces `{name}` has is not known before the run", f"write chunks.{name} for all of them"
    count = len(facts.items) if facts.items is not None else None
    if not isinstance(subscript, int) or subscript < 1 or (count is not None and subscript > count):
        known = f"there are {name}[1] to {name}[{count}]" if count is not None else "pieces are numbered from 1"
        return f"there is no piece `{name}[{subscript}]`", known
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
