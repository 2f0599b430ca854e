"""The inputs of a plan: what it says itself, and what was given with the call instead."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.plan.draft import PlanFiles, mapping, texts_at
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.paths import PathError, read_typed_text
from orchestrator.plan.workload import InputText
from orchestrator.plan.yaml_source import YamlPath

_FORMS = ("file", "text", "items", "required")


@dataclass(frozen=True, slots=True)
class StdinText:
    """A text that was read from standard input."""

    text: str


GivenInput = str | Path | StdinText
"""An input given with the call: the text itself, a file that a person typed, or what came over standard input."""


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
        if len(forms) != 1 and (forms or not spec):
            files.report.at(path, f"`{name}` needs exactly one of {', '.join(_FORMS)}", "keep one", key=True)
            spec = {}
        as_list = "items" in spec
        if name in given:
            inputs[name] = _given(name, given[name], as_list, files)
        else:
            inputs[name] = _declared(name, value, spec, path, files)
    return inputs


def _long_form(value: object) -> dict[str, Any]:
    if value == "required":
        return {"required": True}
    if isinstance(value, str):
        return {"file": value}
    return {"items": value} if isinstance(value, list | tuple) else mapping(value)


def _declared(name: str, value: object, spec: dict[str, Any], path: YamlPath, files: PlanFiles) -> InputText | None:
    if spec.get("required") is True:
        hint = f"--input {name}=FILE or --set {name}=TEXT"
        files.report.at(path, f"the input `{name}` has to be given: {hint}", key=True)
        return None
    named, text = spec.get("file"), spec.get("text")
    if isinstance(named, str) and named:
        found = files.text(named, path if isinstance(value, str) else (*path, "file"))
        return _input(name, found.text, given="plan", path=found.path) if found else None
    if isinstance(text, str):
        return _input(name, text, given="plan")
    items = tuple(each for _, each in texts_at(spec.get("items"), path))
    return _input(name, "\n".join(items), items=items, given="plan") if items else None


def _given(name: str, value: GivenInput, as_list: bool, files: PlanFiles) -> InputText | None:
    """What the call gave. For an input that is a list, each line that is not blank is one item."""
    path = None
    if isinstance(value, Path):
        kind = "file"
        try:
            found = read_typed_text(value)
        except PathError as problem:
            files.report.about_call(f"input `{name}`: {problem.message}", problem.hint)
            return None
        files.note(found)
        text, path = found.text, found.path
    else:
        kind, text = ("stdin", value.text) if isinstance(value, StdinText) else ("set", value)
    if "\0" in text or not _is_text(text):
        files.report.about_call(
            f"input `{name}` holds a NUL character or half a character", "only text can stand in a prompt"
        )
        return None
    if not as_list:
        return _input(name, text, given=kind, path=path)
    items = tuple(line for line in text.splitlines() if line.strip())
    return _input(name, "\n".join(items), items=items, given=kind, path=path)


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _input(name: str, text: str, *, given: str, items: tuple[str, ...] = (), path: Path | None = None) -> InputText:
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return InputText(name=name, text=text, items=items, sha256=digest, given=given, path=path)
