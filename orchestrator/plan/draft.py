"""A plan with its texts read, as far as it makes sense: even a plan of wrong form is checked to its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import ValidationError

from orchestrator.plan.answer_form import AnswerForm
from orchestrator.plan.expecting import ExpectSpec, ReviewSpec
from orchestrator.plan.model import CarrySpec, ForEachSpec, ReduceSpec, short_items
from orchestrator.plan.naming import LITERAL_HINT, Reference, place_of
from orchestrator.plan.part import FileText, PlanPart, TaskText
from orchestrator.plan.paths import PathError, TextFile, inside_root, read_plan_text
from orchestrator.plan.report import Report
from orchestrator.plan.template import Template, read_template
from orchestrator.plan.yaml_source import YamlPath
from orchestrator.prompt_texts import fill, prompt_text

ChunkKind = Literal["plain", "for_each", "reduce"]


@dataclass(frozen=True, slots=True)
class Located:
    """A text of the plan, and where it stands: at a path of the plan, or in the file of that shown name."""

    text: str
    path: YamlPath
    file: str = ""

    def report(self, report: Report, *, line: int, column: int, message: str, hint: str = "") -> None:
        """A problem at a line and column of the text, both from 1."""
        if self.file:
            report.in_file(self.file, self.text, line=line, column=column, message=message, hint=hint)
        else:
            report.in_text(self.path, self.text, line=line, column=column, message=message, hint=hint)

    def report_reference(self, report: Report, reference: Reference, message: str, hint: str = "") -> None:
        """A problem of something the text refers to."""
        name = reference.name
        needles = (reference.shown, f"{reference.namespace}.{name}", name, reference.namespace)
        column = place_of(self.text, reference.line, *[needle for needle in needles if needle])
        self.report(report, line=reference.line, column=column, message=message, hint=hint)


@dataclass(frozen=True, slots=True)
class TemplateDraft:
    """A template with the text it was read from."""

    template: Template
    located: Located


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """What is certain about a chunk. `depends_on` holds ids with their paths.

    `kind` says which it is meant to be; its `for_each`, `reduce`, `carry` or `expect` is None where its form is
    wrong. `final` is the prompt of a last merge of its own, `form` what its answers have to look like.
    """

    path: YamlPath
    id: str | None
    prompt: TemplateDraft | None
    literal: bool
    depends_on: tuple[tuple[YamlPath, str], ...]
    kind: ChunkKind = "plain"
    for_each: ForEachSpec | None = None
    reduce: ReduceSpec | None = None
    carry: CarrySpec | None = None
    expect: ExpectSpec | None = None
    final: TemplateDraft | None = None
    form: AnswerForm | None = None


@dataclass(slots=True)
class PlanFiles:
    """Reads what a plan names, each file once. `hashes` maps every file read to the SHA-256 of its bytes."""

    base: Path
    root: Path
    report: Report
    hashes: dict[str, str] = field(default_factory=dict[str, str])
    _read: dict[str, TextFile | PathError] = field(default_factory=dict[str, "TextFile | PathError"])

    def text(self, named: str, path: YamlPath) -> TextFile | None:
        """The file, or None after a report at `path`."""
        found = self._read.get(named)
        if found is None:
            try:
                found = read_plan_text(named, base=self.base, root=self.root)
                self.note(found)
            except PathError as problem:
                found = problem
            self._read[named] = found
        if isinstance(found, PathError):
            self.report.at(path, found.message, found.hint)
            return None
        return found

    def note(self, file: TextFile) -> None:
        """Remember the hash of a file that was read."""
        self.hashes[self.name_of(file.path)] = file.sha256

    def name_of(self, path: Path) -> str:
        """A real path as it is shown and kept: from the root on, whole when it is outside."""
        root = self.root.resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def shown(self, named: str) -> str:
        """The name of a file in messages."""
        return str(self.base / named)

    def output(self, named: str, path: YamlPath) -> Path | None:
        """The result file that a plan names, or None after a report."""
        try:
            found = inside_root(named, base=self.base, root=self.root)
        except PathError as problem:
            self.report.at(path, problem.message, problem.hint)
            return None
        if found.exists() and not found.is_file():
            self.report.at(path, f"{named!r} is not a file", "name a file for the result")
        if any(isinstance(each, TextFile) and each.path == found for each in self._read.values()):
            self.report.at(path, f"{named!r} is read by this plan", "name another file for the result")
        return found

    def result(self, named: str, *, plan_file: Path | None) -> Path | tuple[str, str]:
        """One of several result files (its real path), or message and hint when it cannot stand there."""
        try:
            found = inside_root(named, base=self.base, root=self.root)
        except PathError as problem:
            return problem.message, problem.hint
        if found.exists() and not found.is_file():
            return f"{named!r} is not a file", "name a file for the result"
        if self.name_of(found) in self.hashes or (plan_file is not None and found == plan_file.resolve()):
            hint = "keep the results apart from what is read, such as de/{{ item.source }} for docs/**/*.md"
            return f"{named!r} is read by this plan", hint
        return found


def mapping(value: object) -> dict[str, Any]:
    """`value` when it is a mapping, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """`value` as a list when it is one, else an empty one."""
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else []


def texts_at(value: object, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    """The texts of a list, with their paths."""
    for at, each in enumerate(listed(value)):
        if isinstance(each, str):
            yield (*path, at), each


def draft_chunks(raw: dict[str, Any], files: PlanFiles) -> list[ChunkDraft]:
    """Every chunk that is a mapping; problems of templates and prompt files are reported."""
    drafts: list[ChunkDraft] = []
    for at, value in enumerate(listed(raw.get("chunks"))):
        chunk, path = mapping(value), ("chunks", at)
        name = chunk.get("id")
        literal = chunk.get("template") is False
        for_each, reduce = chunk.get("for_each"), chunk.get("reduce")
        final = mapping(reduce).get("final_prompt")
        drafts.append(
            ChunkDraft(
                path=path,
                id=name if isinstance(name, str) else None,
                prompt=_template(chunk.get("prompt"), (*path, "prompt"), files, literal=literal),
                literal=literal,
                depends_on=tuple(texts_at(chunk.get("depends_on"), (*path, "depends_on"))),
                kind="for_each" if for_each is not None else "reduce" if reduce is not None else "plain",
                for_each=_part(ForEachSpec, short_items(for_each)),
                reduce=_part(ReduceSpec, reduce),
                carry=_part(CarrySpec, chunk.get("carry")),
                expect=_part(ExpectSpec, chunk.get("expect")),
                final=_template(final, (*path, "reduce", "final_prompt"), files, literal=literal),
            )
        )
    return drafts


_Part = TypeVar("_Part", bound=PlanPart)


def _part(kind: type[_Part], value: object) -> _Part | None:
    """A part of right form; the form of the whole plan is judged elsewhere."""
    try:
        return kind.model_validate(value) if value is not None else None
    except ValidationError:
        return None


def _template(value: object, path: YamlPath, files: PlanFiles, *, literal: bool) -> TemplateDraft | None:
    located = _prompt(value, path, files)
    return read_located(located, files.report, literal=literal) if located else None


def _prompt(value: object, path: YamlPath, files: PlanFiles) -> Located | None:
    if isinstance(value, str):
        located = Located(value, path)
    else:
        if (task := _part(TaskText, value)) is not None:
            return Located(task_prompt(task), path)
        named = value.file if isinstance(value, FileText) else mapping(value).get("file")
        if not isinstance(named, str) or not named:
            return None
        path = (*path, "file")
        found = files.text(named, path)
        if found is None:
            return None
        located = Located(found.text, path, files.shown(named))
    if not located.text.strip():
        files.report.at(path, "the prompt is empty", "write what is asked")
    return located


def task_prompt(task: TaskText) -> str:
    """The template that a task stands for."""
    rule = prompt_text(f"conflicts-{task.conflicts}")
    return fill(prompt_text(f"merge-{task.task}"), {"conflicts": rule})


def read_located(located: Located, report: Report, *, literal: bool = False, own_way_out: str = "") -> TemplateDraft:
    """The template of a text; its problems are reported, with `own_way_out` where `template: false` is none."""
    template, problems = read_template(located.text, literal=literal)
    for problem in problems:
        hint = problem.hint.replace(LITERAL_HINT, own_way_out) if own_way_out else problem.hint
        located.report(report, line=problem.line, column=problem.column, message=problem.message, hint=hint)
    return TemplateDraft(template, located)


def draft_context(raw: dict[str, Any], files: PlanFiles) -> str:
    """The shared context: its parts joined by a blank line."""
    value = raw.get("context")
    parts: list[str] = []
    for at, each in enumerate([value] if isinstance(value, str | dict) else listed(value)):
        path: YamlPath = ("context", at) if isinstance(value, list | tuple) else ("context",)
        named = mapping(each).get("file")
        if isinstance(each, str):
            parts.append(each)
        elif isinstance(named, str) and named and (found := files.text(named, (*path, "file"))):
            parts.append(found.text)
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


@dataclass(frozen=True, slots=True)
class ReviewDraft:
    """What is certain about what the result has to be like. `rubric` is its text, read; "" for none.

    `expects` is True also for an `expect` of the whole that is wrong, and reported as such.
    """

    expects: bool
    expect: ExpectSpec | None
    review: ReviewSpec | None
    rubric: str


def draft_review(raw: dict[str, Any], files: PlanFiles) -> ReviewDraft:
    """The checks of the whole; a rubric that cannot be read is reported."""
    review = _part(ReviewSpec, raw.get("review"))
    rubric = _prompt(review.rubric, ("review", "rubric"), files) if review is not None and review.rubric else None
    expect = mapping(raw.get("stitch")).get("expect")
    return ReviewDraft(
        expects=expect is not None,
        expect=_part(ExpectSpec, expect),
        review=review,
        rubric=rubric.text if rubric is not None else "",
    )
