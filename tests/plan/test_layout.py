"""`stitch.join` and `stitch.files`: what they may name, and what is said of all else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.layout import files_to_write
from orchestrator.plan.load import load_plan
from orchestrator.plan.sampling import part_of
from orchestrator.plan.workload import Workload
from tests.cli.command import orchestrate

PLAN = """\
inputs: {docs: {files: "docs/**/*.md"}, names: [x, y], note: note.txt}
chunks:
  - {id: part, for_each: {input: docs, split: markdown, max_tokens: 9}, prompt: "{{ item.text }}"}
  - {id: better, for_each: {chunk: part}, prompt: "{{ item.text }}"}
  - {id: single, prompt: "{{ inputs.note }}", depends_on: [better]}
  - {id: named, for_each: {input: names}, prompt: "{{ item.text }}", depends_on: [better]}
  - {id: sections, for_each: {chunk: single}, prompt: "{{ item.text }}"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of documents, one of them empty."""
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "a.md").write_text("# A\n\nOne paragraph of it.\n\nAnother paragraph of it.\n")
    (tmp_path / "docs" / "deep" / "b.md").write_text("# B\n")
    (tmp_path / "docs" / "empty.md").write_text("")
    (tmp_path / "note.txt").write_text("note")
    return tmp_path


def load(folder: Path, stitch: str, plan: str = PLAN, **more: Any) -> Workload:
    """The workload of the plan with this `stitch`."""
    path = folder / "p.yaml"
    path.write_text(f"{plan}stitch: {stitch}\n", encoding="utf-8")
    return load_plan(path, **more)


def problems(folder: Path, stitch: str, plan: str = PLAN, **more: Any) -> list[str]:
    """What is wrong with it, each with line and column."""
    with pytest.raises(PlanError) as caught:
        load(folder, stitch, plan, **more)
    return [f"{each.line}:{each.column} {each.message}; {each.hint}" for each in caught.value.problems]


def test_every_source_has_a_result_of_its_own(folder: Path) -> None:
    """Also one that has no piece; groups that are paired with the pieces of files will do as well."""
    for group in ("part", "better"):
        found = load(folder, f'{{chunks: [{group}], files: "out/de/{{{{ item.source }}}}"}}').result_files
        assert found is not None
        names = {source: path.relative_to(folder).as_posix() for source, path in found.paths.items()}
        assert names == {each: f"out/de/{each}" for each in ("docs/a.md", "docs/deep/b.md", "docs/empty.md")}
        assert (found.group, found.folder) == (group, folder / "out" / "de")
    renamed = load(folder, "{chunks: [part], files: \"{{ item.source | replace('docs/', 'de/') }}\"}").result_files
    assert renamed is not None
    assert renamed.folder == folder / "de"
    assert load(folder, "{chunks: [part]}").result_files is None


def test_part_of_the_pieces_is_no_file(folder: Path) -> None:
    """A file that a selection or a sample knows a few pieces of would look like a whole one."""
    work = load(folder, '{chunks: [part], files: "de/{{ item.source }}"}')
    assert files_to_write(work) == work.result_files
    assert files_to_write(part_of(work, only=("part",))) == work.result_files
    assert files_to_write(part_of(work, until=("better",))) == work.result_files
    for part in (part_of(work, only=("part[1]",)), part_of(work, only=("single",)), part_of(work, count=1)):
        assert files_to_write(part) is None


REFUSED = {
    "join over one answer": (
        "{join: source, chunks: [part, single]}",
        ["8:39 `single` has no source that it could be joined by; it is for a `for_each` over a text or files; name"],
    ),
    "join over what is not text": (
        "{join: source, chunks: [named, sections]}",
        ["8:33 `named` has no source", "8:40 `sections` has no source"],
    ),
    "join over leaves": ("{join: source}", ["8:16 `named` has no source", "8:16 `sections` has no source"]),
    "another join": ("{join: lines}", ["8:16 `join` must be source, not 'lines'"]),
    "join of JSON": (
        "{join: source, chunks: [part], format: json}",
        ["8:10 `join` is for texts; use `format: markdown`"],
    ),
    "join beside a template": (
        "{join: source, chunks: [part], template: note.txt}",
        ["8:10 `join` and `template` both lay the result out; keep one"],
    ),
    "files of one answer": (
        '{files: "de/{{ item.source }}", chunks: [single]}',
        ["8:50 result files need the pieces of files, and the result is made of `single`; `chunks: [ID]` names"],
    ),
    "files of several": (
        '{files: "de/{{ item.source }}", chunks: [part, better]}',
        ["8:17 result files need the pieces of files, and the result is made of `part`, `better`"],
    ),
    "files of a list": (
        '{files: "de/{{ item.source }}", chunks: [named]}',
        ["8:50 result files need the pieces of files, and the result is made of `named`"],
    ),
    "output and files": (
        '{files: "de/{{ item.source }}", chunks: [part], output: x.md}',
        ["8:57 the result goes to one file or to several; leave `output` out"],
    ),
    "files as JSON": (
        '{files: "de/{{ item.source }}", chunks: [part], format: json}',
        ["8:10 `files` is for texts"],
    ),
    "another name": (
        '{files: "de/{{ item.source }}{{ item.index }}{{ inputs.note }}", chunks: [part]}',
        ["8:41 the name of a result file is made of `item.source` alone", "8:57 the name of a result file"],
    ),
    "no name": ("{files: de.md, chunks: [part]}", ["8:17 all result files would have the same name; such as de/"]),
    "a bad template": ('{files: "de/{{ item.sorce }}", chunks: [part]}', ["8:24 an item has no `sorce`; did you mean"]),
    "outside": (
        '{files: "../{{ item.source }}", chunks: [part]}',
        ["8:17 '../docs/a.md' leads out", "8:17 '../docs/deep/b.md' leads out", "8:17 '../docs/empty.md' leads out"],
    ),
    "over a source": (
        "{files: \"{{ item.source | replace('empty', 'a') }}\", chunks: [part]}",
        ["8:17 'docs/a.md' is read by this plan; keep the results apart", "8:17 'docs/deep/b.md' is read by this plan"],
    ),
    "over the plan": (
        "{files: \"{{ item.source | replace('docs/a.md', 'p.yaml') | replace('docs', 'de') }}\", chunks: [part]}",
        ["8:17 'p.yaml' is read by this plan"],
    ),
    "twice the same": (
        "{files: \"de/{{ item.source | replace('docs/a', 'x') | replace('docs/empty', 'x') }}\", chunks: [part]}",
        ["8:17 'docs/empty.md' and 'docs/a.md' would both be written to 'x.md'; keep the whole of `item.source`"],
    ),
    "incomplete the same": (
        "{files: \"de/{{ item.source | replace('empty', 'a.incomplete') }}\", chunks: [part]}",
        ["8:17 'docs/empty.md' and 'docs/a.md' would both be written to 'a.incomplete.md'"],
    ),
    "one in another": (
        "{files: \"de/{{ item.source | replace('docs/a.md', 'docs/deep') }}\", chunks: [part]}",
        ["8:17 'b.md' would stand in 'deep', which is a result file"],
    ),
    "a folder": (
        "{files: \"{{ item.source | replace('docs/a.md', 'docs/deep') | replace('b.', 'x.') }}\", chunks: [part]}",
        ["8:17 'docs/deep' is not a file; name a file", "8:17 'docs/empty.md' is read"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_laid_out_is_refused_at_its_place(name: str, folder: Path) -> None:
    """With what is wrong and what to write; nothing else is said."""
    stitch, expected = REFUSED[name]
    found = problems(folder, stitch)
    assert len(found) == len(expected), found
    for message, beginning in zip(found, expected, strict=True):
        assert message.startswith(beginning)


def test_results_among_the_sources_are_found_out(folder: Path) -> None:
    """A pattern that finds the results of the last run as well would translate them, for ever deeper."""
    (folder / "de" / "docs").mkdir(parents=True)
    (folder / "de" / "docs" / "a.md").write_text("# A\n")
    (said, *_) = problems(
        folder, '{chunks: [part], files: "de/{{ item.source }}"}', PLAN.replace("docs/**/*.md", "**/*.md")
    )
    assert "'de/docs/a.md' is read by this plan; keep the results apart from what is read" in said


def test_many_sources_with_the_same_problem_are_told_shortly(folder: Path) -> None:
    """Three by name, and how many more."""
    for at in range(9):
        (folder / "docs" / f"c{at}.md").write_text("x")
    found = problems(folder, '{chunks: [part], files: "../{{ item.source }}"}')
    assert len(found) == 4
    assert found[-1].endswith("9 more result files cannot be written; ")


def test_a_link_that_leads_outside_is_no_way_out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also for files that are not there yet."""
    (folder / "de").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    found = problems(folder, '{chunks: [part], files: "de/{{ item.source }}"}')
    assert "leads out of the plan's folder" in found[0]


@pytest.mark.parametrize("key", ['files: "de/{{ item.source }}"', "join: source"])
def test_a_plan_without_chunks_has_no_layout_yet(key: str, folder: Path) -> None:
    """The model decides what the chunks are about; only then can anybody say."""
    (said,) = problems(folder, f"{{{key}}}", "request: Translate it.\n", request_alone=True)
    assert "needs chunks, and the model makes those of this plan; `orchestrate plan` writes" in said


def test_check_tells_the_result_files(folder: Path) -> None:
    """A few of them for people, all of them for programs."""
    (folder / "docs" / "c.md").write_text("# C\n")
    load(folder, '{chunks: [part], files: "de/{{ item.source }}"}')
    told = json.loads(orchestrate("check", "p.yaml", "--json", cwd=folder).stdout)
    assert told["output"] is None
    assert told["files"]["docs/deep/b.md"] == f"{folder}/de/docs/deep/b.md"
    shown = orchestrate("check", "p.yaml", cwd=folder).stdout.splitlines()[-1]
    assert shown.startswith(f"result: 4 files, {folder}/de/docs/a.md, ")
    assert shown.endswith("c.md, " + f"{folder}/de/docs/deep/b.md, … 1 more (markdown: part)")


def test_results_that_would_be_sources_next_time_are_refused_the_first_time(folder: Path) -> None:
    """Before anything is paid for them; a `.gitignore` that leaves them out makes it a good plan."""
    anywhere = PLAN.replace("docs/**/*.md", "**/*.md")
    for plan, names in ((anywhere, "de/{{ item.source }}"), (PLAN, "docs/de/{{ item.source }}")):
        (said,) = problems(folder, f'{{chunks: [part], files: "{names}"}}', plan)
        assert "the pattern of the input would find the result '" in said
        assert "docs/a.md' the next time; name less there, such as docs/**/*.md" in said
        (folder / ".gitignore").write_text("de/\n")
        assert load(folder, f'{{chunks: [part], files: "{names}"}}', plan).result_files is not None
        (folder / ".gitignore").unlink()
    shallow = PLAN.replace("docs/**/*.md", "docs/*.md")
    assert load(folder, '{chunks: [part], files: "docs/de/{{ item.source }}"}', shallow).result_files is not None
    assert problems(folder, "{chunks: [part], files: \"{{ item.source | replace('.md', '.de.md') }}\"}", shallow)
