"""How a result is laid out beyond one text after the other: joined like its source, or in one file for each source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.plan.draft import ChunkDraft, Located, PlanFiles, TemplateDraft, listed, read_located, texts_at
from orchestrator.plan.grouping import GroupFacts
from orchestrator.plan.selection import entry_of
from orchestrator.plan.workload import ForEach, InputText, ResultFiles, Workload
from orchestrator.plan.yaml_source import YamlPath

_FILES: YamlPath = ("stitch", "files")
_JOIN: YamlPath = ("stitch", "join")
_NAMED_IN_MESSAGE = 3
_OWN_WAY_OUT = "{{ '{{' }} writes two braces"


@dataclass(frozen=True, slots=True)
class Material:
    """What a plan's layout is judged by: its chunks, groups and inputs as read, and the plan's own file.

    `patterns` are those of each input over files. `to_be_planned`: the model makes the chunks later, and nobody knows
    what they will be about.
    """

    chunks: Sequence[ChunkDraft]
    groups: Mapping[str, GroupFacts]
    inputs: Mapping[str, InputText | None]
    patterns: Mapping[str, Sequence[str]]
    plan_file: Path | None
    to_be_planned: bool


def draft_layout(stitch: Mapping[str, Any], material: Material, files: PlanFiles) -> ResultFiles | None:
    """The result files of a plan, if it names any; all that is wrong with them and with `join` is reported.

    Every file that the plan reads has been read by now: no result may stand in its place.
    """
    join, named = stitch.get("join"), stitch.get("files")
    wants_files = isinstance(named, str) and bool(named)
    if join != "source" and not wants_files:
        return None
    for path, key in ((_JOIN, "join"), (_FILES, "files")):
        if stitch.get(key) is not None:
            _report_rivals(path, key, stitch, files)
    if material.to_be_planned:
        path, key = (_FILES, "files") if wants_files else (_JOIN, "join")
        hint = "`orchestrate plan` writes chunks down to go on from"
        files.report.at(path, f"`{key}` needs chunks, and the model makes those of this plan", hint, key=True)
        return None
    stitched = list(_stitched(stitch, material.chunks))
    if join == "source":
        for path, name in stitched:
            if not _is_over(name, material, ("text", "files")):
                hint = "it is for a `for_each` over a text or files; name that one alone under `chunks:`"
                files.report.at(path, f"`{name}` has no source that it could be joined by", hint)
    if not wants_files:
        return None
    template, names_source = _template(str(named), files)
    over = [name for _, name in stitched if _is_over(name, material, ("files",))]
    if len(stitched) != 1 or not over:
        hint = "`chunks: [ID]` names the one `for_each` over files whose answers they hold"
        listed_names = ", ".join(f"`{name}`" for _, name in stitched[:8]) or "nothing"
        message = f"result files need the pieces of files, and the result is made of {listed_names}"
        files.report.at(stitched[0][0] if len(stitched) == 1 else _FILES, message, hint)
    if not names_source or len(stitched) != 1 or not over:
        return None
    facts, given = material.groups[over[0]], _source_of(over[0], material)
    if facts.items is None or given is None:
        return None
    names = [source.name for source in given.sources]
    paths = _result_paths(template, names, material.plan_file, files)
    if given.given == "plan" and len(paths) == len(names):
        _check_not_found(paths, material.patterns.get(given.name, ()), files)
    return ResultFiles(group=over[0], pieces=len(facts.items), paths=paths, folder=_folder(str(named), paths, files))


def files_to_write(workload: Workload) -> ResultFiles | None:
    """The result files of what runs; None when the plan names none, or when only a part of the pieces runs."""
    wanted = workload.result_files
    group = workload.groups.get(wanted.group) if wanted is not None else None
    if wanted is None or not isinstance(group, ForEach) or workload.stitch_chunks != (wanted.group,):
        return None
    return wanted if len(group.members or ()) == wanted.pieces else None


def _report_rivals(path: YamlPath, key: str, stitch: Mapping[str, Any], files: PlanFiles) -> None:
    """What cannot stand beside the key."""
    if stitch.get("format", "markdown") not in ("markdown", "text"):
        files.report.at(path, f"`{key}` is for texts", "use `format: markdown` or `format: text`", key=True)
    if stitch.get("template") is not None:
        files.report.at(path, f"`{key}` and `template` both lay the result out", "keep one of them", key=True)
    if key == "files" and stitch.get("output") is not None:
        hint = "leave `output` out; -o FILE puts all into one file for once"
        files.report.at(("stitch", "output"), "the result goes to one file or to several", hint, key=True)


def _stitched(stitch: Mapping[str, Any], chunks: Sequence[ChunkDraft]) -> Iterator[tuple[YamlPath, str]]:
    """The ids of the result with their places: those named, else all that no other chunk refers to."""
    if listed(stitch.get("chunks")):
        yield from texts_at(stitch.get("chunks"), ("stitch", "chunks"))
        return
    needed = {name for chunk in chunks for name in _needs(chunk)}
    place = _JOIN if stitch.get("join") is not None else _FILES
    yield from ((place, chunk.id) for chunk in chunks if chunk.id is not None and chunk.id not in needed)


def _needs(chunk: ChunkDraft) -> Iterator[str]:
    for draft in (chunk.prompt, chunk.final):
        if draft is not None:
            yield from (each.name for each in draft.template.references if each.namespace == "chunks")
    yield from (entry_of(name) for _, name in chunk.depends_on)
    for over in (chunk.for_each, chunk.reduce):
        if over is not None and over.chunk is not None:
            yield over.chunk


def _is_over(name: str, material: Material, kinds: Sequence[str]) -> bool:
    """Whether a group comes from an input of these kinds; what is unknown or wrong is reported elsewhere."""
    facts = material.groups.get(name)
    if facts is None:
        return all(chunk.id != name for chunk in material.chunks)
    return facts.kind in kinds or (facts.items is None and not facts.dynamic)


def _source_of(name: str, material: Material) -> InputText | None:
    """The input that a group goes over, itself or through those it is paired with."""
    root = (*material.groups[name].lineage, name)[0]
    spec = next((chunk.for_each for chunk in material.chunks if chunk.id == root), None)
    return material.inputs.get(spec.input) if spec is not None and spec.input is not None else None


def _template(named: str, files: PlanFiles) -> tuple[TemplateDraft, bool]:
    """The template of the names, and whether it makes them of `item.source`, and of nothing else."""
    before = len(files.report.problems)
    template = read_located(Located(named, _FILES), files.report, own_way_out=_OWN_WAY_OUT)
    for reference in template.template.references:
        if (reference.namespace, reference.name) != ("item", "source"):
            message = "the name of a result file is made of `item.source` alone"
            template.located.report_reference(files.report, reference, message, "such as de/{{ item.source }}")
    if not template.template.references and len(files.report.problems) == before:
        message, hint = "all result files would have the same name", "such as de/{{ item.source }}"
        files.report.at(_FILES, message, hint)
    return template, len(files.report.problems) == before


def _result_paths(
    template: TemplateDraft, sources: Sequence[str], plan_file: Path | None, files: PlanFiles
) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    problems: dict[str, tuple[str, str]] = {}
    for source in sources:
        named = template.template.render({"item": {"source": source}})
        found = files.result(named, plan_file=plan_file)
        if isinstance(found, Path):
            paths[source] = found
        else:
            problems[source] = found
    problems |= dict(_collisions(paths))
    for message, hint in list(problems.values())[:_NAMED_IN_MESSAGE]:
        files.report.at(_FILES, message, hint)
    if len(problems) > _NAMED_IN_MESSAGE:
        files.report.at(_FILES, f"{len(problems) - _NAMED_IN_MESSAGE:,} more result files cannot be written")
    return paths


def _check_not_found(paths: Mapping[str, Path], patterns: Sequence[str], files: PlanFiles) -> None:
    """Report a result that the next run would take for a source; one is enough, they all stand together."""
    from orchestrator.plan.split import would_find

    for path in paths.values():
        if would_find(patterns, path, base=files.base, root=files.root):
            hint = "name less there, such as docs/**/*.md, or list the results in .gitignore"
            message = f"the pattern of the input would find the result {files.name_of(path)!r} the next time"
            files.report.at(_FILES, message, hint)
            return


def _collisions(paths: Mapping[str, Path]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The sources whose result would stand where that of another does, complete or not, or in it as in a folder."""
    taken: dict[Path, str] = {}
    for source, path in paths.items():
        places = (path, incomplete_path(path))
        both = next((place for place in places if taken.setdefault(place, source) != source), None)
        if both is not None:
            message = f"{source!r} and {taken[both]!r} would both be written to {both.name!r}"
            yield source, (message, "keep the whole of `item.source` in the name")
    for source, path in paths.items():
        folder = next((each for each in path.parents if each in taken), None)
        if folder is not None:
            yield source, (f"{path.name!r} would stand in {folder.name!r}, which is a result file", "change the name")


def incomplete_path(output: Path) -> Path:
    """Where a result with gaps goes: `guide.md` → `guide.incomplete.md`."""
    return output.with_name(f"{output.stem}.incomplete{output.suffix}")


def _folder(named: str, paths: Mapping[str, Path], files: PlanFiles) -> Path:
    """The folder to name when people ask where the files are: the fixed one in front, else the deepest they share."""
    fixed = named.partition("{")[0].rpartition("/")[0]
    if fixed:
        return (files.base / fixed).resolve()
    return Path(os.path.commonpath([path.parent for path in paths.values()])) if paths else files.base.resolve()
