"""Planner answers that split inputs and merge answers, and what fits one call."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.planner.by_rule import GOOD_PIECES
from orchestrator.engine.planner.fit import MAX_PIECES, check_planned, room_tokens
from orchestrator.engine.planner.form import MAX_PROMPT_CHARS, PLACEHOLDER
from orchestrator.engine.planner.planner import as_template, plan_from_answer, planner_task
from orchestrator.engine.render import Known, input_values, render_prompt
from orchestrator.plan.load import load_plan
from orchestrator.plan.template import compile_template
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import ForEach, InputKind, Reduce, Workload
from orchestrator.plan.yaml_source import plan_to_yaml
from orchestrator.runners.smallest import smallest_instance
from tests.engine.test_planner import GROUPED, work

SMALL_MODEL = "claude-haiku-4-5"
"""A model whose window is small enough to exceed it in a short test: 200,000 tokens."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with inputs of every kind."""
    (tmp_path / "book.md").write_text("# Book\n\n## One\n\nFirst part.\n\n## Two\n\nSecond part.\n")
    (tmp_path / "rows.csv").write_text("id,text\n" + "".join(f"{at},Ticket {at}\n" for at in range(5)))
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(f"def {name}(): ...\n")
    return tmp_path


INPUTS: dict[str, Any] = {
    "book": "book.md",
    "rows": {"rows": "rows.csv", "key": "id"},
    "code": {"files": "*.py"},
    "cities": ["Ulm", "Ems", "Hof"],
}


def request(folder: Path, inputs: dict[str, Any] = INPUTS, **fields: Any) -> Workload:
    return load_plan(
        {"name": "p", "request": "Explain.", "inputs": inputs, **fields}, base_dir=folder, request_alone=True
    )


def kinds_of(of: Workload) -> dict[str, InputKind]:
    return {name: each.kind for name, each in of.inputs.items()}


def checked(answer: Any, of: Workload, folder: Path) -> Workload | list[str]:
    """What becomes of an answer to a request, in the way that a run takes."""
    base = {"name": of.name, **of.plan.model_dump(mode="json", exclude_unset=True, exclude={"chunks"})}
    found = plan_from_answer(json.dumps(answer), base=base, inputs=kinds_of(of))
    if isinstance(found, list):
        return found
    return check_planned(found.plan, strategy=found.strategy, inputs={}, base_dir=folder)


def loaded(answer: Any, of: Workload, folder: Path) -> Workload:
    found = checked(answer, of, folder)
    assert isinstance(found, Workload), found
    return found


def refused(answer: Any, of: Workload, folder: Path) -> str:
    found = checked(answer, of, folder)
    assert isinstance(found, list)
    return "\n".join(found)


def parallel(*chunks: dict[str, Any]) -> dict[str, Any]:
    return {"strategy": "parallel", "reason": "Apart.", "chunks": list(chunks)}


def over(name: str, prompt: str = "Look at it.", **pieces: Any) -> dict[str, Any]:
    return parallel({"id": "part", "prompt": prompt, "for_each": {"input": name, **pieces}})


def prompts(workload: Workload) -> list[str]:
    """The prompts of the pieces, in order."""
    known = Known({}, {}, workload.chunks, workload.groups, lambda name: None)
    values = input_values(workload)
    chunks = [chunk for chunk in workload.chunks.values() if chunk.item is not None and chunk.item.text is not None]
    return [render_prompt(chunk, workload, inputs=values, known=known) for chunk in chunks]


def test_groups_are_written_down_plainly() -> None:
    """`for_each` and `reduce` stand in the plan as a person writes them, what was left out filled in."""
    found = work(GROUPED)
    chunks = {chunk["id"]: chunk for chunk in found.plan["chunks"]}
    assert chunks["clause"]["for_each"] == {"input": "lease", "split": "markdown", "max_tokens": 500}
    assert chunks["city"]["for_each"] == {"input": "cities", "batch": 2}
    assert chunks["check"]["for_each"] == {"chunk": "clause"}
    assert chunks["all"]["reduce"] == {"chunk": "check", "max_tokens": 2000}
    assert chunks["last"]["reduce"]["chunk"] == "idea"
    text = plan_to_yaml(found.plan)
    assert "    for_each:\n      input: lease\n      split: markdown\n      max_tokens: 500\n" in text
    workload = load_plan(found.plan)
    assert {name for name, group in workload.groups.items() if isinstance(group, Reduce)} == {"all", "last"}
    paired = workload.groups["check"]
    assert isinstance(paired, ForEach)
    assert (paired.paired, paired.over) == (True, "clause")


def test_pieces_of_a_sequence_run_at_once() -> None:
    """Pieces are not put one after the other because the planner calls its chunks a sequence; what they need holds."""
    found = work({**GROUPED, "strategy": "sequence"})
    assert "mode" not in found.plan
    workload = load_plan(found.plan)
    assert [chunk.after for chunk in workload.chunks.values() if chunk.group == "city"] == [(), ()]


def test_pieces_stand_where_we_write_them() -> None:
    """What a chunk goes over stands in place of its placeholder, else at the end; braces of the planner are text."""
    chunks = {chunk["id"]: chunk["prompt"] for chunk in work(GROUPED).plan["chunks"]}
    clause = chunks["clause"]
    assert clause.startswith(
        "Explain it. {{ '{' }}{ item.text }} {{ '{' }}{ parts }}\n\nWrite about 50 words.\n\nPart of"
    )
    assert clause.endswith(":\n\n{{ item.text }}")
    assert chunks["check"] == "Is {{ item.text }} right?\n\nInput law:\n\n{{ inputs.law }}"
    assert chunks["all"] == "One text of {{ parts }}!"
    assert chunks["city"] == "Rents in\n\nOf cities:\n\n{{ item.text }}"
    assert chunks["idea"] == "Work it out.\n\nWhat this is about:\n\n{{ item.text }}"
    assert chunks["last"] == "One plan.\n\n{{ chunks.all }}\n\nThe answers to put together:\n\n{{ parts }}"


@given(st.lists(st.sampled_from(["{{ item.text }}", "{{ parts }}", "{{item", "{%", "{{ inputs.b }}", "{", "x"])))
def test_only_we_write_pieces(parts: list[str]) -> None:
    """Whatever a planner writes, the one piece in its template is where the placeholder of its input stands."""
    text = "".join(parts)
    template = compile_template(as_template(text, instead={"inputs.b": "{{ item.text }}"}))
    assert len(template.references) == len(PLACEHOLDER.findall(text))
    assert template.render({"item": {"text": "PIECE"}}) == PLACEHOLDER.sub("PIECE", text)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (
            over("book", split="headings", level=2),
            [
                "Look at it.\n\nPart of book:\n\n# Book",
                "Look at it.\n\nPart of book, under the heading Book:\n\n## Two",
            ],
        ),
        (over("book"), ["Look at it.\n\nPart of book:\n\n# Book\n\n## One"]),
        (over("book", "Of {{ inputs.book }}", split="lines"), ["Of # Book"]),
        (over("code"), ["Look at it.\n\nOf code, a.py:\n\ndef a()", "Look at it.\n\nOf code, b.py:\n\ndef b()"]),
        (over("code", "See {{ inputs.code }}"), ["See a.py:\ndef a()", "See b.py:\ndef b()"]),
        (over("code", split="code"), ["Look at it.\n\nOf code, a.py:\n\ndef a()", "Look at it.\n\nOf code, b.py:"]),
        (over("cities", "Rain in {{ inputs.cities }}?"), ["Rain in Ulm?", "Rain in Ems?", "Rain in Hof?"]),
        (over("rows", batch=3), ['Look at it.\n\nOf rows:\n\n{"id": "0"', 'Look at it.\n\nOf rows:\n\n{"id": "3"']),
    ],
)
def test_every_kind_of_input_is_gone_over(answer: Any, shown: list[str], folder: Path) -> None:
    """Texts, files, items and rows: each call sees its own piece, and which it is."""
    found = prompts(loaded(answer, request(folder), folder))
    assert len(found) == len(shown)
    for prompt, begin in zip(found, shown, strict=True):
        assert prompt.startswith(begin)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (over("rows", split="lines"), "`split` is for texts, and `rows` is rows; leave it out"),
        (over("code", max_tokens=900), "`max_tokens` needs `split`; such as split: code"),
        (over("book", batch=3), "`batch` is for items and rows"),
        (over("book", level=2), "`level` goes with `split: headings`"),
    ],
)
def test_what_a_person_may_not_write_is_refused(answer: Any, complaint: str, folder: Path) -> None:
    """Pieces are checked as in a person's plan, and the planner gets the remedy too."""
    assert complaint in refused(answer, request(folder), folder)


def test_no_call_is_given_more_than_it_takes(folder: Path) -> None:
    """Whatever would exceed the window, whole inputs, pieces or answers, is refused with what to write instead."""
    (folder / "book.md").write_text("word " * 170_000)
    of = request(folder, model=SMALL_MODEL)
    assert room_tokens(SMALL_MODEL) < 170_000
    whole = refused(parallel({"id": "sum", "prompt": "Sum up.", "inputs": ["book"]}), of, folder)
    assert re.search(r"the prompt of chunk sum would have about 17\d,\d{3} tokens, and a call takes 153,333", whole)
    assert 'write "for_each": {"input": "book", "split": "markdown", "max_tokens": 4000} in one chunk' in whole
    single = refused({"strategy": "single", "reason": "Short.", "chunks": []}, of, folder)
    assert single.startswith("`single` cannot answer this: request and inputs together have about 17")
    lengthy = parallel(
        {"id": "part", "prompt": "x", "for_each": {"input": "book", "max_tokens": 400}, "complexity": "complex"},
        {"id": "sum", "prompt": "Sum up.", "depends_on": ["part"]},
    )
    assert "the prompt of chunk sum" in refused(lengthy, of, folder)
    assert "with `reduce` before" in refused(lengthy, of, folder)
    mended = parallel(*lengthy["chunks"][:1], {"id": "sum", "prompt": "Sum up.", "reduce": {"chunk": "part"}})
    assert 400 < len(prompts(loaded(mended, of, folder))) < MAX_PIECES


def test_a_file_too_large_for_its_piece(folder: Path) -> None:
    """One file among others that no call takes is told by its chunk, with the way to cut it."""
    (folder / "b.py").write_text("word " * 170_000)
    told = refused(over("code"), request(folder, model=SMALL_MODEL), folder)
    assert told.startswith("a prompt of chunk part would have about 170,")
    assert "`split` and `max_tokens`" in told


def test_too_many_calls_are_refused(folder: Path) -> None:
    """A chunk that comes to thousands of calls is sent back."""
    (folder / "book.md").write_text("A line of it.\n" * 200 * MAX_PIECES)
    told = refused(over("book", split="lines", max_tokens=200), request(folder), folder)
    assert re.search(r"`for_each` of chunk part comes to \d+,\d{3} calls, at most 2,000", told)


def test_the_planner_is_told_what_there_is(folder: Path) -> None:
    """Kind, size and number of each input, headings of a text, names of files, and how much a call takes."""
    (folder / "book.md").write_text("# Book\n\n" + "".join(f"## Part {n}\n\n{'word ' * 30}\n\n" for n in range(40)))
    (folder / "a.py").write_text("# no heading\nx = 1\n" * 200)
    inputs = {**INPUTS, "file": "a.py", "code": {"files": "*.py"}}
    prompt = planner_task(request(folder, inputs)).prompt
    assert re.search(r'<input name="book" kind="text" tokens="\d+" file="book.md" shown="its first 150 tokens"', prompt)
    assert "Its headings (1 of level 1, 40 of level 2):\n# Book\n## Part 0\n" in prompt
    assert "## Part 10\nand 29 more\n" in prompt
    assert prompt.count("Its headings") == 1
    assert re.search(r'name="code" kind="files" tokens="\d+" number="2" shown="names and tokens"', prompt)
    assert re.search(r"\na\.py \d{4}\nb\.py \d\n", prompt)
    assert 'name="rows" kind="rows"' in prompt
    assert 'name="cities" kind="items"' in prompt
    assert "A call takes about 655,600 tokens" in prompt
    assert "Too much for one call" not in prompt
    assert "default" not in planner_task(request(folder, inputs)).schema


def test_the_planner_is_told_what_does_not_fit(folder: Path) -> None:
    """An input beyond the window is named with its size; so are inputs that only together exceed it."""
    (folder / "book.md").write_text("word " * 170_000)
    prompt = planner_task(request(folder, model=SMALL_MODEL)).prompt
    assert "Too much for one call: the input book, 170,001 tokens. Go over it with `for_each`" in prompt
    both = {"one": {"text": "word " * 100_000}, "two": {"text": "word " * 90_000}}
    prompt = planner_task(request(folder, both, model=SMALL_MODEL)).prompt
    assert re.search(r"Too much for one call: all inputs together, 190,00\d tokens.", prompt)


@pytest.mark.parametrize(
    "large",
    [
        {"text": "# One\n\n" + "word " * 170_000},
        {"items": ["word " * 1_000] * 170},
        {"files": "*.py"},
        {"rows": "rows.csv"},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_size_alone_suggests_a_plan(large: dict[str, Any], folder: Path) -> None:
    """What does not fit gets a plan by rule, as the default of the schema: it runs, and its calls all fit."""
    for name in ("a", "b"):
        (folder / f"{name}.py").write_text("word " * 85_000)
    (folder / "rows.csv").write_text("id,text\n" + "".join(f"{at},{'word ' * 1_000}\n" for at in range(170)))
    of = request(folder, {"large": large, "note": {"text": "Be brief."}}, model=SMALL_MODEL)
    schema = planner_task(of).schema
    jsonschema.validate(schema["default"], schema)
    workload = loaded(smallest_instance(schema), of, folder)
    assert [*workload.groups] == ["part", "whole"]
    assert workload.stitch_chunks == ("whole",)
    assert "Explain." in workload.chunks["part[1]"].template.source
    assert 10 < len(prompts(workload)) < 2 * GOOD_PIECES
    assert "{{ inputs.note }}" in workload.chunks["whole"].template.source


def test_several_large_inputs_by_rule(folder: Path) -> None:
    """Of several inputs the largest are split, until the others fit; a request too long for a prompt has no default."""
    inputs = {name: {"text": "word " * size} for name, size in (("a", 160_000), ("b", 200), ("c", 170_000))}
    of = request(folder, inputs, model=SMALL_MODEL)
    default = planner_task(of).schema["default"]
    assert default["stitch"] == ["whole_1", "whole_2"]
    assert [chunk.get("inputs") for chunk in default["chunks"]] == [None, ["b"], None, ["b"]]
    assert loaded(default, of, folder).stitch_chunks == ("whole_1", "whole_2")
    long = load_plan({"request": "x" * MAX_PROMPT_CHARS, "inputs": inputs}, base_dir=folder, request_alone=True)
    assert "default" not in planner_task(replace(long, chunks=of.chunks)).schema
    assert count_tokens(planner_task(of).prompt) < 3_000
