"""Plans with groups: what their pieces are, what is refused and how, and what the estimate makes of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.advice import notes, window_problems
from orchestrator.plan.estimate import estimate_workload
from orchestrator.plan.load import load_plan, select
from orchestrator.plan.workload import ForEach, Reduce, Workload

BOOK = "# One\n\nAlpha beta.\n\n# Two\n\nGamma delta.\n"
TABLE = 'key,subject\nT1,late\nT2,"lost, again"\nT3,\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a book, a table and some files."""
    (tmp_path / "book.md").write_text(BOOK)
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "t.jsonl").write_text('{"id": 1, "tags": ["a"]}\n{"id": 2, "tags": []}\n')
    (tmp_path / "src").mkdir()
    for name in ("b.py", "a.py"):
        (tmp_path / "src" / name).write_text(f"# {name}\n")
    return tmp_path


INPUTS: dict[str, Any] = {
    "book": "book.md",
    "names": ["x", "y", "z"],
    "code": {"files": "src/*.py"},
    "t": {"rows": "t.csv", "key": "key"},
    "lines": {"rows": "t.jsonl"},
}


def load(folder: Path, *chunks: dict[str, Any], **more: Any) -> Workload:
    return load_plan({"inputs": INPUTS, "chunks": list(chunks), **more}, base_dir=folder)


def each(over: Any, prompt: str = "{{ item.text }}", **more: Any) -> dict[str, Any]:
    return {"id": "part", "for_each": over, "prompt": prompt, **more}


def items(work: Workload, group: str = "part") -> list[Any]:
    """The items of a group, in order."""
    found = work.groups[group]
    assert isinstance(found, ForEach)
    assert found.members is not None
    return [work.chunks[name].item for name in found.members]


def test_pieces_of_a_text(folder: Path) -> None:
    """A text is cut as asked; the pieces know their place, and joined they are the text."""
    work = load(folder, each({"input": "book", "split": "headings", "level": 1, "overlap_tokens": 2}))
    one, two = items(work)
    assert one.text + two.text == BOOK
    assert (one.index, one.count, two.index) == (1, 2, 2)
    assert (one.previous_tail, two.next_head) == ("", "")
    assert one.next_head
    assert two.previous_tail
    assert one.text.endswith(two.previous_tail)
    group = work.groups["part"]
    assert isinstance(group, ForEach)
    assert (group.members, group.labelled) == (("part[1]", "part[2]"), False)
    chunk = work.chunks["part[2]"]
    assert (chunk.group, chunk.order, chunk.occurrence) == ("part", (0, 2), 0)
    assert chunk.recipe == group.prototype.recipe


def test_files_items_and_rows(folder: Path) -> None:
    """Files are one piece each in order of their names, items and rows too; a batch puts several in one prompt."""
    files = load(folder, each({"input": "code"}))
    assert [(item.source, item.text) for item in items(files)] == [
        ("src/a.py", "# a.py\n"),
        ("src/b.py", "# b.py\n"),
    ]
    assert "src/a.py" in files.files
    names = load(folder, each({"input": "names", "batch": 2}))
    assert [(item.source, item.text, item.count) for item in items(names)] == [("x, y", "x\ny", 2), ("z", "z", 2)]
    assert [item.text for item in items(load(folder, each(["p", "q"])))] == ["p", "q"]
    rows = items(load(folder, each({"input": "t"}, "{{ item.row.subject }}")))
    assert [(item.source, item.row["subject"]) for item in rows] == [("T1", "late"), ("T2", "lost, again"), ("T3", "")]
    assert rows[1].text == '{"key": "T2", "subject": "lost, again"}'
    nested = items(load(folder, each({"input": "lines"}, "{{ item.row.tags }}")))
    assert (nested[0].row, nested[0].source) == ({"id": 1, "tags": '["a"]'}, "1")
    split = load(folder, each({"input": "code", "split": "lines", "max_tokens": 50}))
    assert [item.source for item in items(split)] == ["src/a.py", "src/b.py"]


def test_inputs_of_several_things_in_a_prompt(folder: Path) -> None:
    """Rows stand one a line and can be looped over; files stand under their names."""
    work = load(folder, {"id": "a", "prompt": "{{ inputs.code }}{% for row in inputs.t %}{{ row }}{% endfor %}"})
    assert work.inputs["code"].text == "src/a.py:\n# a.py\n\n\nsrc/b.py:\n# b.py\n"
    assert work.inputs["t"].text.splitlines()[0] == '{"key": "T1", "subject": "late"}'


def test_pairs_and_open_groups(folder: Path) -> None:
    """A group over a group has as many pieces, a group over an answer as many as there will be."""
    chunks = [
        each({"input": "t"}, "{{ item.source }}"),
        {"id": "fix", "for_each": {"chunk": "part"}, "prompt": "{{ item.chunks.part }}{{ item.row.subject }}"},
        {"id": "all", "prompt": "{{ chunks.fix }}"},
        {"id": "sec", "for_each": {"chunk": "all"}, "prompt": "{{ item.text }}"},
        {"id": "sum", "reduce": {"chunk": "sec", "max_tokens": 900}, "prompt": "{{ parts }}"},
    ]
    work = load(folder, *chunks)
    assert list(work.chunks) == [f"{name}[{at}]" for name in ("part", "fix") for at in (1, 2, 3)] + ["all", "sum"]
    fixed = work.chunks["fix[2]"]
    assert (fixed.upstream, fixed.on_missing) == (("part[2]",), {"part[2]": "skip"})
    assert work.chunks["all"].on_missing == {"fix": "gap"}
    assert work.groups["sec"].members is None  # pyright: ignore
    merge = work.groups["sum"]
    assert isinstance(merge, Reduce)
    assert merge.last.on_missing == {"sec": "gap"}
    assert work.stitch_chunks == ("sum",)


def test_an_inserted_piece_changes_no_other(folder: Path) -> None:
    """What shapes the answer of a piece is its own text: not its number, not how many there are."""
    before = load(folder, each({"input": "book", "split": "headings", "level": 1}))
    (folder / "book.md").write_text("# Zero\n\nNew.\n\n" + BOOK)
    after = load(folder, each({"input": "book", "split": "headings", "level": 1}))
    old, new = before.chunks["part[2]"], after.chunks["part[3]"]
    assert (old.item.text, old.recipe, old.occurrence) == (new.item.text, new.recipe, new.occurrence)  # pyright: ignore


WRONG: list[tuple[dict[str, Any], str]] = [
    (each({"input": "book"}), "`book` is one text: say how to split it"),
    (each({"input": "book", "split": "markdown"}), "`split: markdown` needs `max_tokens`"),
    (each({"input": "book", "split": "text", "max_tokens": 9, "level": 1}), "`level` goes with `split: headings`"),
    (each({"input": "book", "split": "regex"}), "`split: regex` needs `pattern`"),
    (each({"input": "book", "split": "regex", "pattern": "(a"}), "is no regular expression"),
    (each({"input": "book", "split": "lines", "pattern": "a"}), "`pattern` goes with `split: regex`"),
    (each({"input": "book", "split": "lines", "batch": 2}), "`batch` is for items and rows"),
    (each({"input": "names", "split": "lines"}), "`split` is for texts, and `names` is a list"),
    (each({"input": "code", "max_tokens": 9}), "`max_tokens` needs `split`"),
    (each({"input": "bok", "split": "lines"}), "there is no input `bok`"),
    (each({"input": "book", "chunk": "a"}), "`for_each` goes over exactly one thing"),
    (each({"chunk": "a", "max_tokens": 9}), "`max_tokens` does nothing here"),
    (each({"chunk": "part"}), "`part` refers to itself"),
    (each({"chunk": "nope"}), "there is no chunk `nope`"),
    (each(["x"], "no piece"), "the prompt has no `item.text`: all pieces would get the same prompt"),
    (each(["x"], template=False), "the prompt has no `item.text`"),
    (each(["x"], "{{ item.txt }}"), "an item has no `txt`"),
    (each(["x"], "{{ item.row.a }}"), "the pieces are no rows and have no columns"),
    (each({"input": "t"}, "{{ item.row.subjct }}"), "there is no column `subjct`"),
    (each({"input": "t", "batch": 2}, "{{ item.row.subject }}"), "a piece holds several rows"),
    (each(["x"], "{{ item.chunks.a }}"), "the pieces are not paired with those of `a`"),
    (each(["x"], carry={"tail_tokens": 9, "max_tokens": 99}), "`max_tokens` goes with `summary`"),
    (each(["x"], carry={"summary": True, "glossary": True}), "keeps a summary or a glossary, not both"),
    (each(["x"], carry={}), "`carry` needs one of"),
    ({"id": "b", "prompt": "x", "carry": {"summary": True}}, "`carry` needs a chunk before: "),
    ({"id": "b", "prompt": "x", "carry": {"tail_tokens": 9}}, "`carry` needs a chunk before"),
    ({"id": "b", "prompt": "{{ item.text }}"}, "`item` stands only in a chunk with `for_each`"),
    ({"id": "b", "prompt": "{{ parts }}"}, "`parts` stands only in a chunk with `reduce`"),
    ({"id": "b", "prompt": "{{ parts }}", "reduce": {"chunk": "a", "max_tokens": 500}}, "`a` is one answer: there is"),
    ({"id": "b", "prompt": "x", "reduce": {"chunk": "g", "max_tokens": 500}}, "the prompt has no `parts`"),
    ({"id": "b", "prompt": "{{ parts }}", "reduce": {"chunk": "g"}}, "`max_tokens` is missing"),
    ({"id": "b", "prompt": "{{ chunks.g[3] }}"}, "there is no piece `g[3]`"),
    ({"id": "b", "prompt": "{{ chunks.g[0] }}"}, "there is no piece `g[0]`"),
    (
        {"id": "b", "prompt": "{% for p in chunks.g %}{{ p.body }}{% endfor %}"},
        "`p` is an answer of a group and has no",
    ),
    ({"id": "b", "prompt": "{% for p in chunks.g %}{{ p.item.txt }}{% endfor %}"}, "an item has no `txt`"),
    ({"id": "b", "prompt": "{% for p in chunks.g %}{{ p.item.row.a }}{% endfor %}"}, "the pieces are no rows and have"),
    (
        {"id": "b", "prompt": "{% for p in chunks.g %}{{ p.item.chunks.a }}{% endfor %}"},
        "the pieces are not paired with",
    ),
    ({"id": "b", "prompt": "{% for p in chunks.zz %}{{ p.item.row.a }}{% endfor %}"}, "there is no chunk `zz`"),
    (
        {"id": "b", "prompt": "{% for p in chunks %}{{ p.item.row.a }}{{ p.text }}{% endfor %}"},
        "`chunks` alone cannot be",
    ),
    (
        {
            "id": "b",
            "prompt": "{% for p in parts %}{{ p.item.row.a }}{% endfor %}",
            "reduce": {"chunk": "g", "max_tokens": 500},
        },
        "`p` is a part of a merge and has no `item`",
    ),
    ({"id": "b", "prompt": "{% for p in chunks.a %}{% endfor %}"}, "`a` is one answer, not a list"),
    (each(["x"], reduce={"chunk": "g", "max_tokens": 500}), "a chunk has `for_each` or `reduce`, not both"),
]


@pytest.mark.parametrize(("chunk", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_makes_no_sense_is_refused(folder: Path, chunk: dict[str, Any], message: str) -> None:
    """Each mistake is told once, in words, with something to do about it."""
    others = [{"id": "a", "prompt": "x"}, {"id": "g", "for_each": ["p", "q"], "prompt": "{{ item.text }}"}]
    with pytest.raises(PlanError) as caught:
        load(folder, *others, chunk)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.hint


def test_circles_through_groups_are_told(folder: Path) -> None:
    """Pairs and merges are dependencies like any other."""
    with pytest.raises(PlanError, match="chunks need each other: part -> sum -> part"):
        load(
            folder,
            each({"chunk": "sum"}),
            {"id": "sum", "reduce": {"chunk": "part", "max_tokens": 500}, "prompt": "{{ parts }}"},
        )


def test_a_file_that_is_no_text_and_a_bad_table_are_named(folder: Path) -> None:
    """Both at once, each by the name of its file."""
    (folder / "src" / "c.py").write_bytes(b"\0\1")
    (folder / "t.csv").write_text("key,subject\nT1\n")
    with pytest.raises(PlanError) as caught:
        load(folder, {"id": "a", "prompt": "x"})
    shown = [problem.message for problem in caught.value.problems]
    assert any("src/c.py" in message for message in shown)
    assert any("t.csv: line 2" in message for message in shown)


def test_an_empty_text_has_nothing_to_go_over(folder: Path) -> None:
    """A group without pieces before the run would be a mistake."""
    (folder / "book.md").write_text("")
    with pytest.raises(PlanError, match="the input `book` is empty"):
        load(folder, each({"input": "book", "split": "lines"}))


def test_a_part_of_a_plan_with_groups(folder: Path) -> None:
    """Groups and pieces can be named; what they need stays, the rest goes."""
    chunks = [
        each({"input": "names"}),
        {"id": "fix", "for_each": {"chunk": "part"}, "prompt": "{{ item.text }}"},
        {"id": "sum", "reduce": {"chunk": "fix", "max_tokens": 900}, "prompt": "{{ parts }}"},
        {"id": "sec", "for_each": {"chunk": "sum"}, "prompt": "{{ item.text }}"},
    ]
    work = load(folder, *chunks)
    piece = select(work, only=["fix[2]"])
    assert (list(piece.chunks), piece.stitch_chunks) == (["part[2]", "fix[2]"], ("fix[2]",))
    group = select(work, until=["fix"])
    assert (len(group.chunks), list(group.groups), group.stitch_chunks) == (6, ["part", "fix"], ("fix",))
    assert list(select(work, only=["sec"]).groups) == ["part", "fix", "sum", "sec"]
    with pytest.raises(UsageError, match=r"there are part\[1\] to \[3\]"):
        select(work, only=["part[4]"])
    with pytest.raises(UsageError, match="not known before the run"):
        select(work, only=["sec[1]"])


def test_ten_thousand_rows_load_in_seconds(folder: Path) -> None:
    """So do their pairs, and the estimate of them all."""
    rows = "".join(f"T{at},subject {at}\n" for at in range(10_000))
    (folder / "t.csv").write_text(f"key,subject\n{rows}")
    start = time.perf_counter()
    work = load(
        folder,
        each({"input": "t"}, "{{ item.row.subject }}"),
        {"id": "fix", "for_each": {"chunk": "part"}, "prompt": "{{ item.text }}"},
        {"id": "sum", "reduce": {"chunk": "fix", "max_tokens": 20_000}, "prompt": "{{ parts }}"},
    )
    estimate = estimate_workload(work, max_concurrency=8)
    assert time.perf_counter() - start < 20
    assert len(work.chunks) == 20_001
    assert estimate.calls > 20_300


def test_what_is_not_known_yet_is_guessed(folder: Path) -> None:
    """Six pieces of an answer, and the merges that they will need, under the ids that they will have."""
    chunks = [
        {"id": "a", "prompt": "x"},
        {"id": "sec", "for_each": {"chunk": "a"}, "prompt": "{{ item.text }}"},
        {"id": "sum", "reduce": {"chunk": "sec", "max_tokens": 1600}, "prompt": "{{ parts }}"},
    ]
    estimate = estimate_workload(load(folder, *chunks), max_concurrency=4)
    assert {"sec[1]", "sec[6]", "sum[1.1]", "sum"} <= set(estimate.chunks)
    assert estimate.calls == len(estimate.chunks)


def test_advice(folder: Path) -> None:
    """What would run again and again is said; so is what one call could do."""
    work = load(folder, each({"input": "names"}, "{{ item.text }} of {{ item.count }}"))
    estimate = estimate_workload(work, max_concurrency=4)
    assert notes(work, estimate) == (
        "all of this fits one call to the default model: a plan of one chunk may do",
        "part quotes item.count: adding one piece would run all 3 again",
    )
    assert window_problems(work, estimate) == []


def test_one_call_is_advised_for_a_small_text_in_many_pieces(folder: Path) -> None:
    """Answers that are only there to be merged do not count: one call would not write them. A long text keeps them."""
    chunks = [
        each({"input": "book", "split": "text", "max_tokens": 100}, "{{ item.text }}"),
        {"id": "sum", "reduce": {"chunk": "part", "max_tokens": 2000}, "prompt": "{{ parts }}"},
    ]
    one_call = "all of this fits one call to the default model: a plan of one chunk may do"
    for pages, advised in ((10, True), (400, False)):
        (folder / "book.md").write_text("A sentence of some ten words stands here for us. " * 40 * pages)
        work = load(folder, *chunks)
        assert (one_call in notes(work, estimate_workload(work, max_concurrency=4))) is advised
        pieces = load(folder, chunks[0])
        assert len(pieces.chunks) > 20
        assert one_call not in notes(pieces, estimate_workload(pieces, max_concurrency=4))


def test_a_prompt_that_can_not_fit_is_named(folder: Path) -> None:
    """Only what is certain refuses: the text that is there already, counted low."""
    (folder / "book.md").write_text("word " * 250_000)
    work = load(folder, {"id": "huge", "prompt": "{{ inputs.book }}", "model": "claude-haiku-4-5"})
    (problem,) = window_problems(work, estimate_workload(work, max_concurrency=4))
    assert "the prompt of `huge` has 250,0" in problem.message
