"""From a stored run back to what it was made of, and to the result that its answers make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.engine.groups import known_from, stored_members
from orchestrator.engine.reviewing.review import repaired
from orchestrator.engine.stitching.provenance import Writer, origins_of, writers_of_line
from orchestrator.engine.stitching.stitch import Stitched, combining, join_prefix, seams_of, stitch, stitch_plainly
from orchestrator.engine.stitching.stitch_json import Combining
from orchestrator.errors import PlanChangedError, PlanError, UsageError
from orchestrator.plan.load import GivenInput, StdinText, load_plan
from orchestrator.plan.loading import Texts
from orchestrator.plan.sampling import part_of
from orchestrator.plan.values import without_marks
from orchestrator.plan.workload import InputText, Workload
from orchestrator.store import ChunkRecord, RunRecord, Store, StoredTexts


def stitch_record(workload: Workload) -> dict[str, Any]:
    """What is kept of a plan so that its result can be put together again without it.

    With a `template`, or a field that tells of the plan's own pieces, it cannot.
    """
    return {
        "chunks": workload.stitch_chunks,
        "format": workload.stitch_format,
        "seams": seams_of(workload),
        "template": workload.stitch_template is not None or workload.plan.stitch.source_field is not None,
        "combine": asdict(combining(workload)),
        "join": workload.plan.stitch.join,
    }


def recall_result(store: Store, run_id: str) -> Stitched | None:
    """The result of a run as its stored answers make it, or None when it has no answer. Nothing is started.

    Raises `UnknownRunError`. A result with a template of its own, or joined as its source was, needs plan and inputs as
    they were: `PlanChangedError`.
    """
    record = store.run(store.resolve(run_id))
    chunks = store.chunks(record.run_id)
    return _stitch_again(store, record, chunks, *_outcomes(store, chunks))


def recall_writers(store: Store, run_id: str, line: int) -> list[Writer] | None:
    """Who wrote a line (from 1) of the result of a run; None when it has no answer. Raises what `recall_result` raises.

    Raises `UsageError` when there is no such line, or nothing is known of it.
    """
    record = store.run(store.resolve(run_id))
    chunks = store.chunks(record.run_id)
    answers, gaps = _outcomes(store, chunks)
    stitched = _stitch_again(store, record, chunks, answers, gaps)
    if stitched is None:
        return None
    origins = store.ask(lambda connection: origins_of(connection, chunks))
    try:
        found = writers_of_line(stitched, line, answers=answers, origins=origins)
    except IndexError:
        lines = len(stitched.text.splitlines())
        raise UsageError(f"the result of run {record.run_id} has {lines:,} lines; name one of them") from None
    if not found:
        made = "JSON is written anew" if stitched.data is not None else "a template put it there"
        raise UsageError(f"nobody knows who wrote line {line:,} of the result of run {record.run_id}: {made}")
    return found


def recall_group(store: Store, run_id: str, name: str) -> str | None:
    """The answers of a `for_each` as a prompt shows them, but without marks; None when the run has no such group.

    Their labels come from the plan: when that changed since, there are none. Raises `UnknownRunError`.
    """
    record = store.run(store.resolve(run_id))
    chunks = store.chunks(record.run_id)
    members = stored_members(name, [chunk.chunk_id for chunk in chunks])
    if members is None:
        return None
    answers, gaps = _outcomes(store, chunks)
    try:
        workload = reload_workload(record, Texts(cache=StoredTexts(store.path)))
    except (PlanChangedError, PlanError):
        return join_prefix(members, answers=answers, gaps=gaps)
    return str(without_marks(known_from(workload, answers=answers, gaps=gaps).value(name)))


def _outcomes(store: Store, chunks: Sequence[ChunkRecord]) -> tuple[dict[str, str], dict[str, str]]:
    """The answers by chunk, repaired where they were, and for all other chunks the reason why there is none."""
    answers: dict[str, str] = {}
    for chunk in chunks:
        answer = store.answer(chunk.answer_id) if chunk.answer_id is not None else None
        if answer is not None:
            answers[chunk.chunk_id] = answer.text
    answers = dict(repaired(answers))
    return answers, {chunk.chunk_id: _reason(chunk) for chunk in chunks if chunk.chunk_id not in answers}


def _stitch_again(
    store: Store,
    record: RunRecord,
    chunks: Sequence[ChunkRecord],
    answers: Mapping[str, str],
    gaps: Mapping[str, str],
) -> Stitched | None:
    if not answers:
        return None
    kept = record.options["stitch"]
    if kept["template"] or kept.get("join"):
        workload = reload_workload(record, Texts(cache=StoredTexts(store.path)))
        return stitch(workload, known_from(workload, answers=answers, gaps=gaps))
    # Runs of earlier versions knew one way to combine, and no seam work.
    return stitch_plainly(
        kept["chunks"],
        kept["format"],
        answers=answers,
        gaps=gaps,
        members=partial(stored_members, ids=[chunk.chunk_id for chunk in chunks]),
        rule=Combining(**kept.get("combine", {})),
        seams=kept.get("seams", ()),
    )


@dataclass(frozen=True, slots=True)
class SeamWork:
    """What the rules changed in a result: as a unified diff against the answers end to end, and edit by edit.

    An edit has `chunk_id`, `rule`, `start` and `end` in the characters of the answer, `removed` and `text`; the blank
    line behind an answer counts with it, from its end on.
    """

    diff: str
    edits: tuple[dict[str, Any], ...]


def recall_seams(store: Store, run_id: str) -> SeamWork | None:
    """The seam work of `recall_result`. Raises what that raises, and `UsageError` for a result that has no seams."""
    from orchestrator.engine.stitching.seams.diff import unified_diff

    stitched = recall_result(store, run_id)
    if stitched is None:
        return None
    joined = stitched.joined
    if joined is None:
        raise UsageError(f"the result of run {run_id} has no seams: it is JSON, or a template puts it together")
    edits: list[dict[str, Any]] = []
    for index, (part, changes) in enumerate(zip(joined.parts, joined.edits, strict=True)):
        shift = len(joined.parts[index - 1].text) if part.kind == "separator" else 0
        edits += [
            {
                "chunk_id": joined.owner(index),
                "rule": edit.rule,
                "start": edit.start + shift,
                "end": edit.end + shift,
                "removed": part.text[edit.start : edit.end],
                "text": edit.text,
            }
            for edit in changes
        ]
    lines = unified_diff(joined, before="answers", after="result")
    return SeamWork(diff="".join(f"{line}\n" for line in lines), edits=tuple(edits))


def reload_workload(record: RunRecord, texts: Texts | None = None) -> Workload:
    """What the run was begun with, selection included, read again from its files.

    Raises `PlanChangedError` when any of it changed since, and `PlanError` when it cannot be read any more.
    """
    kept = record.options
    if record.plan_path is not None and not Path(record.plan_path).exists():
        gone = f"the plan file {record.plan_path} (it is gone)"
        raise PlanChangedError(record.run_id, changed=[gone], command="orchestrate PLAN")
    workload = load_plan(
        _stored_plan(record),
        inputs=given_again(record),
        root=Path(kept["root"]) if kept["root"] else None,
        base_dir=Path(record.base_dir) if record.base_dir else None,
        request_alone=bool(kept.get("planning")),
        texts=texts,
    )
    changed = _changes(record, workload)
    if changed:
        command = f"orchestrate {record.plan_path}" if record.plan_path else "run_plan(…)"
        raise PlanChangedError(record.run_id, changed=changed, command=command)
    only, until = tuple(kept["only"]), tuple(kept["until"])
    return part_of(workload, only=only, until=until, count=kept.get("sample"))


def file_record(path: Path | None) -> dict[str, str] | None:
    """Path and SHA-256 of a file that a plan was made of, to see later whether it changed; None for no file."""
    return None if path is None else {"path": str(path), "sha256": _file_hash(path)}


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _stored_plan(record: RunRecord) -> Path | dict[str, Any]:
    if record.options["is_file"] and record.plan_path is not None:
        return Path(record.plan_path)
    return json.loads(record.source)


def input_record(given: InputText) -> dict[str, Any]:
    """Enough to read the input again: texts that stand nowhere else are kept whole."""
    record: dict[str, Any] = {"given": given.given, "sha256": given.sha256}
    if given.given in ("stdin", "set"):
        record["text"] = given.text
    elif given.paths:
        record["paths"] = [str(path) for path in given.paths]
    elif given.path is not None:
        record["path"] = str(given.path)
    return record


def given_again(record: RunRecord) -> dict[str, GivenInput]:
    """The inputs that the run was given with its call, to be given again."""
    given: dict[str, GivenInput] = {}
    for name, each in record.inputs.items():
        match each["given"]:
            case "file":
                given[name] = Path(each["path"])
            case "files":
                given[name] = tuple(map(Path, each["paths"]))
            case "stdin":
                given[name] = StdinText(each["text"])
            case "set":
                given[name] = each["text"]
            case _:
                pass
    return given


def _changes(record: RunRecord, workload: Workload) -> list[str]:
    """What differs from when the run began: the plan, or files and inputs by name."""
    changed = ["the plan"] if workload.source != record.source else []
    planned_from = record.options.get("planned_from")
    if planned_from and file_record(Path(planned_from["path"])) != planned_from:
        changed.append(planned_from["path"])
    paths = sorted({*record.files, *workload.files})
    changed += [path for path in paths if record.files.get(path) != workload.files.get(path)]
    names = sorted({*record.inputs, *workload.inputs})
    for name in names:
        before, now = record.inputs.get(name), workload.inputs.get(name)
        # What the plan itself names is among the files.
        in_plan = now is not None and now.given == "plan" and now.path is not None
        if not in_plan and (before is None or now is None or before["sha256"] != now.sha256):
            changed.append(f"input {name}")
    return changed


def _reason(chunk: ChunkRecord) -> str:
    """The same words that the run itself puts into a gap."""
    if chunk.status == "failed":
        return chunk.error_type
    return f"skipped since {chunk.because} has no answer" if chunk.status == "skipped" else "not run yet"
