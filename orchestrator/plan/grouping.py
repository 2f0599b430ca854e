"""What the groups of a plan go over, what is known of them before the run, and whether it all makes sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.plan.draft import ChunkDraft
from orchestrator.plan.itemize import items_of
from orchestrator.plan.loading import Texts
from orchestrator.plan.model import CarrySpec, ForEachSpec
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.report import Report
from orchestrator.plan.workload import Group, InputKind, InputText, Item, Reduce
from orchestrator.plan.yaml_source import YamlPath

Problem = tuple[str, str, str]
"""The key that is wrong (empty for the whole), the message, and the hint."""

_CUTTING = ("split", "level", "max_tokens", "overlap_tokens", "pattern")
_WORDS: dict[InputKind, str] = {"text": "one text", "items": "a list", "files": "files", "rows": "rows"}


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What is known of a `for_each` before the run.

    `items` is None when they are known only once an answer is there, or could not be had. `lineage` are the groups
    that it is paired with, directly or through others, nearest last. `columns` are those of its rows, None when not
    known; `key` is the one that names them; `batched` when a piece holds several. `kind` is that of the input that it
    comes from, None for no input.
    """

    items: tuple[Item, ...] | None = None
    lineage: tuple[str, ...] = ()
    dynamic: bool = False
    columns: frozenset[str] | None = frozenset()
    batched: bool = False
    key: str = ""
    labelled: bool = False
    what: str = ""
    kind: InputKind | None = None


def draft_groups(
    chunks: Sequence[ChunkDraft],
    *,
    inputs: Mapping[str, InputText | None],
    kinds: Mapping[str, InputKind],
    sequence: bool,
    report: Report,
    texts: Texts,
) -> dict[str, GroupFacts]:
    """Every `for_each` by its chunk's id; all that is wrong with one, a `reduce` or a `carry` by itself is reported."""
    drafts = {chunk.id: chunk for chunk in reversed(chunks) if chunk.id is not None}
    groups: dict[str, GroupFacts] = {}
    for chunk in chunks:
        _check_kind(chunk, report)
        if chunk.carry is not None:
            _report_all(_carry_problems(chunk.carry, chunk, sequence=sequence), (*chunk.path, "carry"), report)
        spec = chunk.for_each
        if spec is None:
            continue
        path = (*chunk.path, "for_each")
        problems = list(_for_each_problems(spec, kinds))
        _report_all(problems, path, report)
        if chunk.id is None or spec.chunk is not None:
            continue
        groups[chunk.id] = GroupFacts(columns=None)
        if not problems:
            groups[chunk.id] = _direct(spec, inputs, path, report, texts) or groups[chunk.id]
    for chunk in drafts.values():
        if chunk.kind == "for_each" and chunk.id is not None and chunk.id not in groups:
            _follow(chunk.id, drafts, groups)
    return groups


def _check_kind(chunk: ChunkDraft, report: Report) -> None:
    if chunk.for_each is not None and chunk.reduce is not None:
        message = "a chunk has `for_each` or `reduce`, not both"
        report.at((*chunk.path, "reduce"), message, "merge in a chunk of its own", key=True)


def _report_all(problems: Sequence[Problem] | Iterator[Problem], path: YamlPath, report: Report) -> None:
    for key, message, hint in problems:
        report.at((*path, key) if key else path, message, hint, key=bool(key))


def _for_each_problems(spec: ForEachSpec, kinds: Mapping[str, InputKind]) -> Iterator[Problem]:
    over = [name for name in ("input", "chunk", "items") if getattr(spec, name) is not None]
    if len(over) != 1:
        yield "", "`for_each` goes over exactly one thing", "write {input: NAME}, {chunk: ID} or a list"
    elif spec.chunk is not None:
        for key in (*_CUTTING, "batch"):
            if getattr(spec, key) is not None:
                what = "the pieces of an answer are its elements, sections or list items"
                yield key, f"`{key}` does nothing here: {what}", "leave it out"
    elif spec.input is not None and spec.input not in kinds:
        listed = f"there are {', '.join(list(kinds)[:8])}" if kinds else "there are no inputs"
        yield "input", f"there is no input `{spec.input}`", did_you_mean(spec.input, kinds) or listed
    else:
        yield from _cutting_problems(spec, "items" if spec.input is None else kinds[spec.input])


def _cutting_problems(spec: ForEachSpec, kind: InputKind) -> Iterator[Problem]:
    """What does not fit what the `for_each` goes over."""
    name = f"`{spec.input}` is" if spec.input is not None else "this is"
    if kind in ("items", "rows"):
        for key in _CUTTING:
            if getattr(spec, key) is not None:
                hint = "leave it out; `batch: 20` puts several in one prompt"
                yield key, f"`{key}` is for texts, and {name} {_WORDS[kind]}", hint
        return
    if spec.batch is not None:
        yield "batch", f"`batch` is for items and rows, and {name} {_WORDS[kind]}", "`max_tokens` says how much goes in"
    if spec.split is not None:
        yield from _split_problems(spec, spec.split)
        return
    if kind == "text":
        yield "", f"{name} one text: say how to split it", "such as split: markdown, max_tokens: 3000"
    for key in _CUTTING:
        if kind == "files" and getattr(spec, key) is not None:
            yield key, f"`{key}` needs `split`", "such as split: code; without it each file is one piece"


def _split_problems(spec: ForEachSpec, mode: str) -> Iterator[Problem]:
    from orchestrator.plan.split import SplitError
    from orchestrator.plan.split.patterns import starts_of

    if spec.max_tokens is None and mode in ("markdown", "text", "code"):
        yield "split", f"`split: {mode}` needs `max_tokens`", "such as max_tokens: 3000"
    if spec.level is not None and mode != "headings":
        yield "level", f"`level` goes with `split: headings`, not with `split: {mode}`", "leave it out"
    if spec.pattern is None and mode == "regex":
        yield "split", "`split: regex` needs `pattern`", "such as pattern: '^Chapter'"
    if spec.pattern is not None and mode != "regex":
        yield "pattern", f"`pattern` goes with `split: regex`, not with `split: {mode}`", "leave it out"
    elif spec.pattern is not None:
        try:
            starts_of(spec.pattern, "")
        except SplitError as problem:
            yield "pattern", problem.message, problem.hint


def _carry_problems(carry: CarrySpec, chunk: ChunkDraft, *, sequence: bool) -> Iterator[Problem]:
    kept = [name for name in ("summary", "glossary") if getattr(carry, name) is not None]
    if len(kept) > 1:
        yield (
            "glossary",
            "`carry` keeps a summary or a glossary, not both",
            "`tail_tokens` may stand beside one",
        )
    elif not kept and carry.tail_tokens is None:
        yield "", "`carry` needs one of tail_tokens, summary, glossary", "such as carry: {summary: true}"
    elif not kept and carry.max_tokens is not None:
        yield "max_tokens", "`max_tokens` goes with `summary` and `glossary`", "leave it out"
    if chunk.kind == "reduce":
        yield "", "a `reduce` carries nothing: it has all answers", "leave it out"
    elif chunk.kind == "plain" and not sequence:
        yield "", "`carry` needs a chunk before: `mode: parallel` has none", "use `mode: sequence`, or `for_each`"


def _direct(
    spec: ForEachSpec, inputs: Mapping[str, InputText | None], path: YamlPath, report: Report, texts: Texts
) -> GroupFacts | None:
    """A group over an input or a list, or None when it cannot be had (which was, or is now, reported)."""
    from orchestrator.plan.split import SplitError

    source = inputs.get(spec.input) if spec.input is not None else None
    if spec.input is not None and source is None:
        return None
    try:
        items = items_of(spec, source, texts)
    except SplitError as problem:
        report.at(path, problem.message, problem.hint)
        return None
    if not items:
        report.at(path, f"the input `{spec.input}` is empty: there is nothing to go over", "give it some content")
        return None
    kind: InputKind = source.kind if source is not None else "items"
    batched = (spec.batch or 1) > 1
    columns = frozenset(name for each in (source.sources if source else ()) for name in each.row)
    key, what = source.key if source is not None else "", _what(spec, kind)
    known_kind = kind if source is not None else None
    return GroupFacts(items, (), False, columns, batched, key, kind != "text", what, known_kind)


def _what(spec: ForEachSpec, kind: InputKind) -> str:
    of: dict[Literal["text", "items", "files", "rows"], str] = {
        "text": f"pieces of {spec.input}",
        "items": f"items of {spec.input}" if spec.input else "items",
        "files": f"pieces of the files of {spec.input}" if spec.split else f"files of {spec.input}",
        "rows": f"rows of {spec.input}",
    }
    what = of[kind]
    if spec.batch is not None and spec.batch > 1:
        what = f"batches of {spec.batch} {what}"
    return f"{what}, at most {spec.max_tokens:,} tokens each" if spec.max_tokens is not None else what


def group_words(group: Group) -> str:
    """What a group goes over, for people: `170 pieces of book, at most 3,000 tokens each`, `merges part, …`."""
    if isinstance(group, Reduce):
        return f"merges {group.over}, {group.max_tokens:,} tokens at a time"
    return group.what if group.members is None else f"{len(group.members):,} {group.what}"


def _follow(name: str, drafts: Mapping[str, ChunkDraft], groups: dict[str, GroupFacts]) -> None:
    """The facts of a group over a chunk, and of all groups on the way to what they come from."""
    way: list[str] = []
    over = name
    while over not in groups and over in drafts and drafts[over].kind == "for_each" and over not in way:
        way.append(over)
        spec = drafts[over].for_each
        over = spec.chunk if spec is not None and spec.chunk is not None else ""
    for each in reversed(way):
        before = groups.get(over)
        if before is None:
            known = over in drafts and drafts[over].kind != "for_each"
            # What leads nowhere, or in a circle, is reported as such; nothing else is said of it.
            groups[each] = GroupFacts(
                dynamic=True, columns=frozenset() if known else None, what=f"pieces of the answer of {over}"
            )
        else:
            what = f"one for each of {over}" if before.items is None else f"answers of {over}"
            groups[each] = replace(before, lineage=(*before.lineage, over), what=what)
        over = each
