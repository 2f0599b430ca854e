"""The inputs of a plan: what it says itself, and what was given with the call instead."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.plan.draft import PlanFiles, listed, mapping, texts_at
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.paths import PathError, TextFile, read_typed_text
from orchestrator.plan.workload import InputKind, InputText, Source
from orchestrator.plan.yaml_source import YamlPath

_FORMS = ("file", "text", "items", "files", "rows", "required")


@dataclass(frozen=True, slots=True)
class StdinText:
    """A text that was read from standard input."""

    text: str


GivenInput = str | Path | StdinText | tuple[Path, ...]
"""An input given with the call: the text itself, a file or several that a person typed, or what came over stdin."""


def declared_inputs(given: Mapping[str, GivenInput]) -> dict[str, Any]:
    """How a plan that is made for these inputs declares them: as required, several files as `files`."""
    return {
        name: {"files": [str(path) for path in value]} if isinstance(value, tuple) else "required"
        for name, value in given.items()
    }


def draft_inputs(raw: dict[str, Any], given: Mapping[str, GivenInput], files: PlanFiles) -> dict[str, InputText | None]:
    """Every input the plan declares, by name; None for one that cannot be had, after a report."""
    declared = mapping(raw.get("inputs"))
    for name in given:
        if name not in declared:
            has = f"it has {', '.join(map(str, declared))}" if declared else "it has none"
            files.report.about_call(f"the plan has no input `{name}`", did_you_mean(name, map(str, declared)) or has)
    inputs: dict[str, InputText | None] = {}
    for name, value in declared.items():
        path = ("inputs", name)
        spec = _long_form(value)
        forms = [form for form in _FORMS if form in spec]
        # What is no mapping has the wrong form, and was told so.
        if len(forms) != 1 and (forms or not spec) and _is_mapping(value):
            files.report.at(path, f"`{name}` needs exactly one of {', '.join(_FORMS)}", "keep one", key=True)
            spec = {}
        if "key" in spec and "rows" not in spec:
            files.report.at(
                (*path, "key"), "`key` names the column that names a row: it stands beside `rows`", key=True
            )
        if name in given:
            inputs[name] = _given(name, given[name], spec, files)
        else:
            inputs[name] = _declared(name, value, spec, path, files)
    return inputs


def input_kind(value: object) -> InputKind:
    """What kind of input a plan declares, from its value there."""
    spec = _long_form(value)
    several: tuple[InputKind, ...] = ("items", "files", "rows")
    found: list[InputKind] = [kind for kind in several if kind in spec]
    return found[0] if found else "text"


def patterns_of(value: object) -> list[str]:
    """The patterns of an input over files, from its value in the plan; none of any other."""
    return _texts(_long_form(value).get("files"))


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [each for each in listed(value) if isinstance(each, str)]


def _long_form(value: object) -> dict[str, Any]:
    if value == "required":
        return {"required": True}
    if isinstance(value, str):
        return {"file": value}
    return {"items": value} if isinstance(value, list | tuple) else mapping(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _declared(name: str, value: object, spec: dict[str, Any], path: YamlPath, files: PlanFiles) -> InputText | None:
    if spec.get("required") is True:
        hint = f"--input {name}=FILE or --set {name}=TEXT"
        files.report.at(path, f"the input `{name}` has to be given: {hint}", key=True)
        return None
    named, text, rows = spec.get("file"), spec.get("text"), spec.get("rows")
    if isinstance(named, str) and named:
        found = files.text(named, path if isinstance(value, str) else (*path, "file"))
        return _input(name, found.text, given="plan", path=found.path, bom=found.bom) if found else None
    if isinstance(text, str):
        return _input(name, text, given="plan")
    if "files" in spec:
        return _files(name, spec["files"], (*path, "files"), files)
    if isinstance(rows, str) and rows:
        found = files.text(rows, (*path, "rows"))
        return _rows(name, found.text, spec, files, given="plan", path=found.path) if found else None
    items = tuple(each for _, each in texts_at(spec.get("items"), path))
    return _items(name, items, given="plan") if items else None


def _given(name: str, value: GivenInput, spec: dict[str, Any], files: PlanFiles) -> InputText | None:
    """What the call gave. For an input that is a list, each line that is not blank is one item."""
    path, bom = None, False
    if isinstance(value, tuple):
        return _given_files(name, value, spec, files)
    if isinstance(value, Path):
        kind = "file"
        try:
            found = read_typed_text(value)
        except PathError as problem:
            files.report.about_call(f"input `{name}`: {problem.message}", problem.hint)
            return None
        files.note(found)
        text, path, bom = found.text, found.path, found.bom
    else:
        kind, text = ("stdin", value.text) if isinstance(value, StdinText) else ("set", value)
    if "\0" in text or not _is_text(text):
        files.report.about_call(
            f"input `{name}` holds a NUL character or half a character", "only text can stand in a prompt"
        )
        return None
    if "rows" in spec:
        return _rows(name, text, spec, files, given=kind, path=path)
    if "files" in spec:
        return _sources(
            name, [Source(name=path.name if path else name, text=text, bom=bom)], "files", given=kind, path=path
        )
    if "items" not in spec:
        return _input(name, text, given=kind, path=path, bom=bom)
    return _items(name, tuple(line for line in text.splitlines() if line.strip()), given=kind, path=path)


def _given_files(name: str, paths: tuple[Path, ...], spec: dict[str, Any], files: PlanFiles) -> InputText | None:
    """Several files; each is called by its path from the folder that has them all."""
    if "files" not in spec:
        files.report.about_call(f"input `{name}` takes one text", "declare it with `files` to give it several files")
        return None
    found: list[TextFile] = []
    for path in dict.fromkeys(paths):
        try:
            found.append(read_typed_text(path))
            files.note(found[-1])
        except PathError as problem:
            files.report.about_call(f"input `{name}`: {problem.message}", problem.hint)
    real = tuple(dict.fromkeys(each.path for each in found))
    if len(found) < len(dict.fromkeys(paths)) or not real:
        return None
    texts = {each.path: each.text for each in found}
    top = os.path.commonpath([path.parent for path in real])
    sources = [Source(name=path.relative_to(top).as_posix(), text=texts[path]) for path in real]
    return _sources(name, sources, "files", given="files", paths=real)


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _files(name: str, value: object, path: YamlPath, files: PlanFiles) -> InputText | None:
    """Every file that the patterns find; one that cannot be read is reported by its name."""
    from orchestrator.plan.split import SplitError, find_files

    patterns = _texts(value)
    if not patterns:
        return None
    try:
        found = find_files(patterns, base=files.base, root=files.root)
    except SplitError as problem:
        for each in problem.all:
            files.report.at(path, each.message, each.hint)
        return None
    texts = [(each.name, files.text(each.name, path)) for each in found]
    sources = [Source(name=each, text=text.text, bom=text.bom) for each, text in texts if text is not None]
    return _sources(name, sources, "files", given="plan") if len(sources) == len(texts) else None


def _rows(
    name: str, text: str, spec: dict[str, Any], files: PlanFiles, *, given: str, path: Path | None
) -> InputText | None:
    """The rows of a table. The form is that of the file that the plan names, or of the one given instead."""
    from orchestrator.plan.split import SplitError, read_rows

    named = str(path) if given == "file" else str(spec.get("rows"))
    key = spec.get("key")
    try:
        rows = read_rows(
            text.encode("utf-8"), format=_format_of(named, spec), key=key if isinstance(key, str) else None
        )
    except SplitError as problem:
        for each in problem.all:
            message = f"{named}: line {each.line}: {each.message}" if each.line else f"{named}: {each.message}"
            if given == "plan":
                files.report.at(("inputs", name, "rows"), message, each.hint)
            else:
                files.report.about_call(f"input `{name}`: {message}", each.hint)
        return None
    sources = [Source(name=row.key, text=row.text, row=row.cells) for row in rows]
    return replace(_sources(name, sources, "rows", given=given, path=path), key=key if isinstance(key, str) else "")


def _format_of(named: str, spec: dict[str, Any]) -> str:
    """`csv` or `jsonl` by the end of a name; that of the plan's own file when the name has neither."""
    for each in (named, str(spec.get("rows"))):
        ending = each.lower().rpartition(".")[2]
        if ending in ("csv", "jsonl"):
            return ending
    return named.lower().rpartition(".")[2]


def _sources(
    name: str,
    sources: Sequence[Source],
    kind: InputKind,
    *,
    given: str,
    path: Path | None = None,
    paths: tuple[Path, ...] = (),
) -> InputText:
    if kind == "files":
        text = "\n\n".join(f"{each.name}:\n{each.text}" for each in sources)
        whole = _input(name, text, given=given, path=path, kind=kind, sources=tuple(sources))
        return replace(whole, paths=paths)
    texts = tuple(each.text for each in sources)
    return _input(name, "\n".join(texts), items=texts, given=given, path=path, kind=kind, sources=tuple(sources))


def _items(name: str, items: tuple[str, ...], *, given: str, path: Path | None = None) -> InputText:
    return _sources(name, [Source(name=each, text=each) for each in items], "items", given=given, path=path)


def _input(
    name: str,
    text: str,
    *,
    given: str,
    items: tuple[str, ...] = (),
    path: Path | None = None,
    kind: InputKind = "text",
    sources: tuple[Source, ...] = (),
    bom: bool = False,
) -> InputText:
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return InputText(
        name=name, text=text, items=items, sha256=digest, given=given, path=path, kind=kind, sources=sources, bom=bom
    )
