"""Loading a plan: what it comes to, field by field."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.load import StdinText, load_plan, select
from orchestrator.plan.model import Plan
from orchestrator.plan.workload import Workload

FULL = """\
name: guide
request: A guide.
mode: {mode}
model: sonnet
complexity: simple
timeout_s: 50
context: [Plain words., {{file: style.md}}]
inputs: {{book: book.md, note: {{text: N}}, names: [x, y], diff: required}}
chunks:
  - id: outline
    prompt: "{{{{ request }}}} {{{{ inputs.book }}}}"
    model: haiku
    complexity: complex
  - {{id: a, prompt: "{{{{ chunks.outline }}}} {{{{ chunks.outline | raw }}}}", depends_on: [b], on_missing: gap}}
  - {{id: b, prompt: {{file: b.md}}, timeout_s: 7, max_attempts: 1, reuse: 2h, effort: high}}
stitch: {{output: out.md}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plan with all it names."""
    (tmp_path / "style.md").write_text("British.\n")
    (tmp_path / "book.md").write_bytes(b"Book\r\n")
    (tmp_path / "b.md").write_text("Ask {{ inputs.diff }}\n")
    (tmp_path / "guide.yaml").write_text(FULL.format(mode="parallel"))
    return tmp_path


def load(folder: Path, **more: Any) -> Workload:
    return load_plan(folder / "guide.yaml", inputs={"diff": "D"} | more.pop("inputs", {}), **more)


def small(chunks: list[dict[str, Any]], *, given: Any = None, **more: Any) -> Workload:
    return load_plan({"chunks": chunks, **more}, inputs=given)


def test_everything_is_resolved(folder: Path) -> None:
    """Texts are read, settings are settled, references are known."""
    work = load(folder)
    assert (work.name, work.path, work.root) == ("guide", folder / "guide.yaml", folder)
    assert work.source == (folder / "guide.yaml").read_text()
    assert work.context == "Plain words.\n\nBritish."
    assert list(work.chunks) == ["outline", "a", "b"]
    a = work.chunks["a"]
    assert (a.references, a.upstream, a.after) == (("outline",), ("outline", "b"), ())
    assert a.on_missing == {"outline": "gap", "b": "gap"}
    assert (a.model, a.max_attempts, a.reuse, a.effort) == ("sonnet", 3, "always", None)
    b = work.chunks["b"]
    assert (b.max_attempts, b.reuse, b.effort, b.on_missing) == (1, "2h", "high", {})
    assert work.stitch_chunks == ("a",)
    assert work.output == folder / "out.md"
    expected = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("style.md", "book.md", "b.md")
    }
    assert work.files == expected
    assert b.template.render({"inputs": {"diff": "D"}}) == "Ask D\n"


def test_inputs_as_read_and_as_given(folder: Path, tmp_path: Path) -> None:
    """Each input knows its text, its hash and where it came from; the call's own wins over the plan's."""
    typed = tmp_path / "typed.txt"
    typed.write_text("T")
    work = load(folder, inputs={"note": StdinText("S"), "book": typed, "names": "p\n\nq\n"})
    given = {name: (each.text, each.given, each.path) for name, each in work.inputs.items()}
    assert given == {
        "book": ("T", "file", typed),
        "note": ("S", "stdin", None),
        "names": ("p\nq", "set", None),
        "diff": ("D", "set", None),
    }
    assert work.inputs["names"].items == ("p", "q")
    plain = load(folder).inputs
    assert (plain["book"].text, plain["book"].given, plain["book"].path) == ("Book\r\n", "plan", folder / "book.md")
    assert (plain["names"].text, plain["names"].items) == ("x\ny", ("x", "y"))
    assert plain["note"].sha256 == hashlib.sha256(b"N").hexdigest()


def test_several_files_given_for_one_input(tmp_path: Path) -> None:
    """A tuple of paths fills an input of files: each is called by its path from the folder that has them all."""
    files = [tmp_path / name for name in ("src/b.py", "src/deep/a.py")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    chunks = [{"id": "a", "prompt": "{{ inputs.code }}"}]
    work = small(chunks, inputs={"code": {"files": "*.py"}}, given={"code": (*files, files[0])})
    code = work.inputs["code"]
    assert (code.kind, code.given, code.paths) == ("files", "files", tuple(files))
    assert [(each.name, each.text) for each in code.sources] == [("b.py", "b.py"), ("deep/a.py", "a.py")]
    assert {str(file) for file in files} <= set(work.files)
    with pytest.raises(PlanError, match="input `code` takes one text"):
        small(chunks, inputs={"code": "required"}, given={"code": tuple(files)})
    with pytest.raises(PlanError, match="input `code`: there is no file"):
        small(chunks, inputs={"code": {"files": "*.py"}}, given={"code": (files[0], tmp_path / "gone.py")})


TIMES = [
    ({}, {}, 300.0),
    ({"complexity": "complex"}, {}, 600.0),
    ({"complexity": "complex", "timeout_s": 9}, {}, 9.0),
    ({"complexity": "complex", "timeout_s": 9}, {"complexity": "simple"}, 120.0),
    ({"complexity": "complex", "timeout_s": 9}, {"complexity": "simple", "timeout_s": 5}, 5.0),
    ({"timeout_s": 9}, {"timeout_s": 5}, 5.0),
]


@pytest.mark.parametrize(("plan", "chunk", "seconds"), TIMES)
def test_time_limit(plan: dict[str, Any], chunk: dict[str, Any], seconds: float) -> None:
    """The chunk's seconds, else its complexity, else the plan's seconds, else the plan's complexity, else 300 s."""
    work = small([{"id": "a", "prompt": "x", **chunk}], **plan)
    assert work.chunks["a"].timeout_s == seconds


def test_sequence_orders_without_making_dependent(folder: Path) -> None:
    """Each chunk comes after the one before it; the default result counts references alone."""
    chunks = [{"id": name, "prompt": name} for name in "abc"]
    work = small(chunks, mode="sequence")
    assert [each.after for each in work.chunks.values()] == [(), ("a",), ("b",)]
    assert all(each.upstream == () for each in work.chunks.values())
    assert work.stitch_chunks == ("a", "b", "c")


def test_equal_prompts_are_told_apart_by_their_place() -> None:
    """Occurrence counts what has the same unrendered prompt and settings; time limits and ids do not matter."""
    chunks = [
        {"id": "a", "prompt": "Name one."},
        {"id": "b", "prompt": "Name one.", "timeout_s": 5},
        {"id": "c", "prompt": "Name one.", "model": "haiku"},
        {"id": "d", "prompt": "Name one.", "effort": "low"},
        {"id": "e", "prompt": "Name one.", "template": False},
        {"id": "f", "prompt": "Name one."},
    ]
    work = small(chunks)
    assert [each.occurrence for each in work.chunks.values()] == [0, 1, 0, 0, 0, 2]
    assert len({each.recipe for each in work.chunks.values()}) == 4


def test_recipe_does_not_depend_on_other_chunks() -> None:
    """Adding or moving a chunk leaves the recipes of the others alone."""
    first = small([{"id": "a", "prompt": "A"}, {"id": "b", "prompt": "B"}])
    second = small([{"id": "x", "prompt": "X"}, {"id": "b", "prompt": "B"}, {"id": "a", "prompt": "A"}])
    assert all(first.chunks[name].recipe == second.chunks[name].recipe for name in "ab")


def test_default_result_is_what_nothing_refers_to() -> None:
    """`depends_on` counts as a reference; an explicit list wins, and so does what a stitch template names."""
    chunks = [
        {"id": "a", "prompt": "x"},
        {"id": "b", "prompt": "{{ chunks.a }}"},
        {"id": "c", "prompt": "x", "depends_on": ["b"]},
        {"id": "d", "prompt": "x"},
    ]
    assert small(chunks).stitch_chunks == ("c", "d")
    assert small(chunks, stitch={"chunks": ["d", "a"]}).stitch_chunks == ("d", "a")


def test_stitch_template_names_the_result(folder: Path) -> None:
    """Without `stitch.chunks` the result of a template is made of the answers that it refers to, in that order."""
    (folder / "guide.jinja").write_text("{{ chunks.b }} {{ chunks.a }} {{ chunks.b }} {{ name }}")
    chunks = [{"id": name, "prompt": name} for name in "abc"]
    work = load_plan({"chunks": chunks, "stitch": {"template": "guide.jinja"}}, base_dir=folder)
    assert work.stitch_chunks == ("b", "a")
    assert work.stitch_template is not None
    assert work.stitch_template.render({"chunks": {"a": "A", "b": "B"}, "name": "N"}) == "B A B N"


def test_a_dict_and_a_plan_load_like_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to `base_dir`, else to the current folder; a `Plan` gives the same chunks."""
    record = {"inputs": {"book": "book.md"}, "chunks": [{"id": "a", "prompt": "{{ inputs.book }}"}]}
    from_dict = load_plan(record, base_dir=folder)
    monkeypatch.chdir(folder)
    from_plan = load_plan(Plan.model_validate(record))
    assert from_dict.inputs["book"].text == from_plan.inputs["book"].text == "Book\r\n"
    assert from_dict.chunks["a"].recipe == from_plan.chunks["a"].recipe
    assert (from_dict.path, from_dict.name, from_dict.root) == (None, "plan", folder)


def test_literal_prompts_refer_to_nothing() -> None:
    """`template: false` takes braces as they are."""
    chunk = small([{"id": "a", "prompt": "{{ chunks.zz }} {% raw", "template": False}]).chunks["a"]
    assert chunk.template.render({}) == "{{ chunks.zz }} {% raw"
    assert chunk.references == ()


def test_name_is_the_stem_of_the_file(tmp_path: Path) -> None:
    """A plan without a name is called like its file."""
    (tmp_path / "my plan.yaml").write_text("chunks: [{id: a, prompt: x}]")
    assert load_plan(tmp_path / "my plan.yaml").name == "my plan"


def test_root_must_be_a_folder(folder: Path) -> None:
    """A root that is none is a mistake of the call."""
    with pytest.raises(UsageError, match="is not a folder"):
        load(folder, root=folder / "gone")


def test_a_missing_plan_is_a_problem(tmp_path: Path) -> None:
    """So is a folder, and the nearest name is offered."""
    (tmp_path / "guide.yaml").write_text("chunks: []")
    with pytest.raises(PlanError) as caught:
        load_plan(tmp_path / "giude.yaml")
    assert caught.value.problems[0].hint == "did you mean guide.yaml?"
    with pytest.raises(PlanError, match="is a folder"):
        load_plan(tmp_path)


def test_selection_keeps_what_is_needed() -> None:
    """`until` keeps a chunk with all upstream and ends there; `only` makes the result of just the named ones."""
    chunks = [
        {"id": "a", "prompt": "x"},
        {"id": "b", "prompt": "{{ chunks.a }}"},
        {"id": "side", "prompt": "x"},
        {"id": "c", "prompt": "{{ chunks.b }}"},
    ]
    work = small(chunks)
    assert select(work) is work
    until = select(work, until=["b"])
    assert (list(until.chunks), until.stitch_chunks) == (["a", "b"], ("b",))
    only = select(work, only=["c", "a"])
    assert (list(only.chunks), only.stitch_chunks) == (["a", "b", "c"], ("a", "c"))
    with pytest.raises(UsageError, match="there is no chunk 'sid' in plan; did you mean side"):
        select(work, only=["sid"])


def test_selection_in_a_sequence_closes_the_gaps() -> None:
    """A chunk comes after the one before it that stays, and one chunk alone comes after nothing."""
    work = small([{"id": name, "prompt": name} for name in "abcd"], mode="sequence")
    assert [each.after for each in select(work, only=["a", "c", "d"]).chunks.values()] == [(), ("a",), ("c",)]
    assert select(work, only=["c"]).chunks["c"].after == ()


def test_selection_keeps_the_recipe_and_occurrence() -> None:
    """What is left out changes no fingerprint: answers of a part count for the whole."""
    work = small([{"id": name, "prompt": "same"} for name in "abc"])
    assert select(work, only=["c"]).chunks["c"].occurrence == 2
    assert select(work, only=["c"]).chunks["c"].recipe == work.chunks["c"].recipe


def test_selection_of_a_stitched_part() -> None:
    """`until` keeps the order of the plan's own `stitch.chunks`, as far as it goes."""
    chunks = [{"id": name, "prompt": name} for name in "abc"]
    work = small(chunks, stitch={"chunks": ["c", "b", "a"]})
    assert select(work, until=["a", "b"]).stitch_chunks == ("b", "a")


def test_five_thousand_chunks_load_in_seconds(tmp_path: Path) -> None:
    """A generated plan loads in about a second, templates included."""
    lines = [f"- {{id: c{n}, prompt: 'Ask {n} about {{{{ inputs.a }}}}'}}" for n in range(5_000)]
    (tmp_path / "p.yaml").write_text("inputs: {a: {text: x}}\nchunks:\n" + "\n".join(lines))
    start = time.perf_counter()
    work = load_plan(tmp_path / "p.yaml")
    assert time.perf_counter() - start < 8
    assert len(work.chunks) == 5_000
