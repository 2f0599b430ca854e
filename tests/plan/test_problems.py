"""Problems of a plan: all of them at once, each at its place, in words, with what to do."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlanError, Problem
from orchestrator.plan.load import load_plan


def problems(folder: Path, text: str, **more: Any) -> list[Problem]:
    """The problems of a plan file of that text."""
    path = folder / "p.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        load_plan(path, **more)
    return list(caught.value.problems)


def shown(folder: Path, text: str, **more: Any) -> list[str]:
    """The problems as a person sees them, the folder left out."""
    return [each.render().replace(f"{folder}/", "") for each in problems(folder, text, **more)]


EXACT = {
    "chunks: [{id: a, prompt: x}]\nlimits: {max_concurrency: many}\n": """\
p.yaml:2:27: `max_concurrency` must be a whole number from 1 to 256, not 'many'
    limits: {max_concurrency: many}
                              ^""",
    "chunks: [{id: a, promt: x}]\n": """\
p.yaml:1:18: unknown key `promt`
    chunks: [{id: a, promt: x}]
                     ^
    did you mean prompt?""",
    "mode: paralel\nchunks: [{id: a, prompt: x}]\n": """\
p.yaml:1:7: `mode` must be one of parallel, sequence, not 'paralel'
    mode: paralel
          ^
    did you mean parallel?""",
    "chunks: [{id: My C, prompt: x}]\n": """\
p.yaml:1:15: `id` must be a name of small letters, digits and _, beginning with a letter, at most 64 long, not 'My C'
    chunks: [{id: My C, prompt: x}]
                  ^
    did you mean my_c?""",
    "chunks:\n- id: a\n  prompt: |\n    One.\n\n      Then {{ chunks.outlin }}\n- {id: outline, prompt: x}\n": """\
p.yaml:6:15: there is no chunk `outlin`
          Then {{ chunks.outlin }}
                  ^
    did you mean outline?""",
    'chunks:\n- {id: a, prompt: "é\\t{{ inputs.x }}"}\n': """\
p.yaml:2:26: there is no input `x`
    - {id: a, prompt: "é\\t{{ inputs.x }}"}
                             ^
    there are no inputs""",
    "chunks:\n- id: a\n  isolation: me\n  prompt: x\n": """\
p.yaml:3:14: `isolation` must be one of fresh, reuse, not 'me'
      isolation: me
                 ^""",
    "request: Write a book.\n": """\
p.yaml:1:1: a plan needs `chunks:`
    request: Write a book.
    ^
    `orchestrate plan FILE` lets the model make them from the request""",
    "": """\
p.yaml:1:1: the plan is empty
    the smallest plan is `chunks: [{id: greeting, prompt: Say hello.}]`""",
    "inputs: {diff: required}\nchunks: [{id: a, prompt: '{{ inputs.diff }}'}]\n": """\
p.yaml:1:10: the input `diff` has to be given: --input diff=FILE or --set diff=TEXT
    inputs: {diff: required}
             ^""",
    "chunks:\n- {id: a, prompt: '{{ chunks.c }}'}\n- {id: b, prompt: '{{ chunks.a }}'}\n"
    "- {id: c, prompt: x, depends_on: [b]}\n": """\
p.yaml:2:23: chunks need each other: a -> c -> b -> a
    - {id: a, prompt: '{{ chunks.c }}'}
                          ^
    one of them has to come first""",
}


@pytest.mark.parametrize("text", EXACT, ids=lambda text: text[:30])
def test_problem_as_a_person_sees_it(text: str, tmp_path: Path) -> None:
    """File, line, column, the offending line with a caret under the place, and the way out."""
    assert shown(tmp_path, text) == [EXACT[text]]


def test_all_problems_at_once_in_file_order(tmp_path: Path) -> None:
    """Wrong form, wrong references, missing files and bad templates come together, the plan first, then its files."""
    (tmp_path / "t.md").write_text("line\n{{ chunks.zz }}\n")
    text = """\
limts: 3
inputs: {h: t.md, gone: gone.md, out: ../x.md, both: {file: a, text: b}}
chunks:
  - {id: a, prompt: "{{ chunks.a }}{{ chunks.b[2] }}{{ item.text }}{{ parts }}{{ request }}", timeout_s: -1}
  - {id: b, prompt: {file: t.md}, depends_on: [nope]}
  - {id: b, prompt: "{{ inputs.hh }}{% for x in inputs.h %}{% endfor %}{{ oops"}
  - {id: c, prompt: " "}
stitch: {chunks: [a, xx, a], template: t.md, output: ../x, seams: safe}
"""
    found = problems(tmp_path, text, inputs={"hx": "x"})
    expected = [
        (0, "the plan has no input `hx`"),
        (1, "unknown key `limts`"),
        (2, "there is no file 'gone.md'"),
        (2, "'../x.md' leads out of the plan's folder"),
        (2, "`both` needs exactly one of file, text, items, files, rows, required"),
        (4, "`a` refers to itself"),
        (4, "`b` is one chunk, no group: it has no `[2]`"),
        (4, "`item` stands only in a chunk with `for_each`"),
        (4, "`parts` stands only in a chunk with `reduce`"),
        (4, "the plan has no `request:`"),
        (4, "`timeout_s` must be a number above 0 and at most 86400, not -1"),
        (5, "there is no chunk `nope`"),
        (6, "the id `b` stands twice"),
        (6, "bad template: "),
        (7, "the prompt is empty"),
        (8, "there is no chunk `xx`"),
        (8, "`a` stands twice in the result"),
        (8, "'../x' leads out of the plan's folder"),
        (8, "`seams` is for answers that are joined, and here a template puts them together"),
        (2, "there is no chunk `zz`"),
    ]
    assert len(found) == len(expected), "\n".join(each.render() for each in found)
    for problem, (line, message) in zip(found, expected, strict=True):
        assert (problem.line, problem.message.startswith(message)) == (line, True), problem.render()
    assert found[-1].file == str(tmp_path / "t.md")
    assert found[-1].source_line == "{{ chunks.zz }}"


def test_sequence_refers_backwards_only(tmp_path: Path) -> None:
    """In `mode: sequence` a reference to a later chunk could never be met."""
    text = "mode: sequence\nchunks:\n- {id: a, prompt: x, depends_on: [b]}\n- {id: b, prompt: '{{ chunks.a }}'}\n"
    (found,) = problems(tmp_path, text)
    assert (found.line, found.column) == (3, 35)
    assert found.message == "`a` refers to `b`, which comes later in `mode: sequence`"


def test_every_cycle_is_told(tmp_path: Path) -> None:
    """Two circles are two problems."""
    chunks = [f"- {{id: {name}, prompt: x, depends_on: [{needs}]}}" for name, needs in ("ab", "ba", "cd", "dc")]
    found = problems(tmp_path, "chunks:\n" + "\n".join(chunks))
    assert [each.message for each in found] == [
        "chunks need each other: a -> b -> a",
        "chunks need each other: c -> d -> c",
    ]


def test_the_other_namespace_is_suggested(tmp_path: Path) -> None:
    """An input referred to as a chunk, or the other way round, is recognised."""
    text = "inputs: {book: {text: x}}\nchunks:\n"
    text += "- {id: a, prompt: '{{ chunks.book }}'}\n- {id: b, prompt: '{{ inputs.a }}'}\n"
    assert [each.hint for each in problems(tmp_path, text)] == ["did you mean inputs.book?", "did you mean chunks.a?"]


def test_a_dict_has_paths_instead_of_lines() -> None:
    """A plan given as a dict is called `<plan>`, and places are dotted paths."""
    with pytest.raises(PlanError) as caught:
        load_plan({"chunks": [{"id": "a", "prompt": "x\n{{ chunks.b }}", "depends_on": ["c"]}], "modell": 1})
    assert [each.render() for each in caught.value.problems] == [
        "<plan>: modell: unknown key `modell`\n    did you mean model?",
        "<plan>: chunks[0].prompt, line 2: there is no chunk `b`\n    there are a",
        "<plan>: chunks[0].depends_on[0]: there is no chunk `c`\n    there are a",
    ]


ODD_DICTS: list[Any] = [
    {1: 2, "chunks": [{"id": "a", "prompt": "x"}]},
    {"chunks": [{"id": "a", "prompt": b"x"}]},
    {"chunks": [{"id": "a", "prompt": "x\0"}]},
    {"chunks": [{"id": "a", "prompt": "x\ud800"}]},
    {"chunks": [{"id": "a", "prompt": {"file": "a\0b"}}]},
    {"chunks": {"a": "x"}},
    {"chunks": [None, 3, [], {}]},
    {"chunks": [{"id": "a", "prompt": "x"}], "inputs": {3: "x", "a": {"items": []}, "b": None, "c": {}}},
    {"chunks": [{"id": "a", "prompt": "x"}], "context": {"file": 3}, "limits": [], "stitch": "x"},
    {"chunks": [{"id": "a", "prompt": "x", "timeout_s": float("nan")}], "limits": {"max_cost_usd": float("inf")}},
]


@pytest.mark.parametrize("plan", ODD_DICTS, ids=repr)
def test_odd_dicts_are_refused(plan: Any) -> None:
    """Whatever a dict holds, the outcome is a `PlanError`."""
    with pytest.raises(PlanError):
        load_plan(plan)


def test_a_dict_that_holds_itself_is_refused() -> None:
    """A circle in the data ends in a problem, not in endless descent."""
    plan: dict[str, Any] = {"chunks": [{"id": "a", "prompt": "x"}]}
    plan["more"] = plan
    with pytest.raises(PlanError, match="unknown key `more`"):
        load_plan(plan)


def test_an_output_over_an_input_is_refused(tmp_path: Path) -> None:
    """A result never replaces what it was made from."""
    (tmp_path / "book.md").write_text("x")
    text = "inputs: {b: book.md}\nchunks: [{id: a, prompt: x}]\nstitch: {output: ./book.md}\n"
    assert [each.message for each in problems(tmp_path, text)] == ["'./book.md' is read by this plan"]


def test_many_problems_are_bounded(tmp_path: Path) -> None:
    """A file of 20,000 wrong chunks is answered in seconds with the first 200 and how many there are."""
    start = time.perf_counter()
    found = problems(tmp_path, "chunks:\n" + "- {id: A, promt: x}\n" * 20_000)
    assert time.perf_counter() - start < 20
    assert len(found) == 201
    assert found[-1].message.endswith("more problems")


GOOD = """\
version: 1
name: guide
request: A guide.
mode: parallel
model: sonnet
complexity: medium
context: [Plain., {file: style.md}]
inputs: {book: book.md, note: {text: N}, names: [x, y]}
chunks:
  - id: outline
    prompt: |
      Outline {{ inputs.book }}
  - {id: part, prompt: "Write {{ chunks.outline | head(100) }}", depends_on: [outline], timeout_s: 30}
  - {id: end, prompt: "{% for n in inputs.names %}{{ n }}{% endfor %}{{ chunks.part }}", on_missing: gap}
stitch: {format: markdown, chunks: [part, end]}
limits: {max_concurrency: 4, max_cost_usd: 5.0}
"""
WORDS = ["{{ ", " }}", "{% ", "%}", "chunks.", "[", "]", "{", "}", ": ", "- ", "\n", "  ", "'", '"', "|", ">", "&a "]
WORDS += ["*a", "!t ", "null", "true", "-1", "1e400", "99999999999999999999", ".nan", "é", "\r", "\t", "\0", "\x85"]
WORDS += ["\ufeff", "#", "---\n"]
VALUES: list[Any] = [None, True, -1, 0, 1.5, "", "x", "{{ chunks.end }}", "{{ a", [], {}, ["x"], {"file": "x"}, "\0"]


def outcome(plan: Any, folder: Path) -> str:
    """Load a plan; anything but a workload or a `PlanError` with readable problems is raised."""
    try:
        load_plan(plan, base_dir=folder)
    except PlanError as error:
        readable = error.problems and all(each.render() and "\n" not in each.message for each in error.problems)
        return "refused" if readable else "refused without words"
    return "loaded"


@pytest.fixture
def stocked(tmp_path: Path) -> Path:
    """A folder with what the good plan names."""
    (tmp_path / "style.md").write_text("S")
    (tmp_path / "book.md").write_text("B")
    return tmp_path


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_of_the_text_never_crash(seed: int, stocked: Path) -> None:
    """1,000 plans a seed, each with a few words cut, doubled or put in: a workload or problems, never a traceback."""
    dice = random.Random(seed)
    path = stocked / "p.yaml"
    seen: set[str] = set()
    for _ in range(1_000):
        text = GOOD
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(text))
            length = dice.choice([0, 0, 1, 3, 20])
            text = text[:at] + dice.choice(["", *WORDS]) + text[at + length :]
        path.write_text(text, encoding="utf-8", newline="")
        seen.add(outcome(path, stocked))
    assert seen == {"loaded", "refused"}


def exchanged(value: Any, dice: random.Random) -> Any:
    """A copy with one value somewhere inside replaced, removed or renamed."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        record: dict[Any, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
        key = dice.choice(list(record))
        inner = record.pop(key)
        kind = dice.random()
        if kind < 0.8:
            record[key] = exchanged(inner, dice)
        elif kind < 0.9:
            record[dice.choice(["x", "for_each", "id", "files", 3])] = inner
        return record
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))  # pyright: ignore[reportUnknownArgumentType]
        return [exchanged(each, dice) if n == at else each for n, each in enumerate(value)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return dice.choice(VALUES)


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_of_the_values_never_crash(seed: int, stocked: Path) -> None:
    """The same for plans given as dicts, 1,000 a seed."""
    from orchestrator.plan.yaml_source import read_yaml

    dice = random.Random(seed)
    good: Any = read_yaml(GOOD.encode(), file="p.yaml").value
    seen: set[str] = set()
    for _ in range(1_000):
        plan: Any = good
        for _ in range(dice.randint(1, 3)):
            plan = exchanged(plan, dice)
        if isinstance(plan, dict):
            seen.add(outcome(plan, stocked))
            path = stocked / "p.yaml"
            if all(isinstance(key, str) for key in plan):  # pyright: ignore[reportUnknownVariableType]
                path.write_text(json.dumps(plan), encoding="utf-8")
                seen.add(outcome(path, stocked))
    assert seen == {"loaded", "refused"}


def test_what_a_loop_asks_of_pieces_is_checked(tmp_path: Path) -> None:
    """A column, or a paired group, that the pieces of a loop lack is told at its place, also in a stitch template."""
    (tmp_path / "t.csv").write_text("subject,key\nlate,T1\n")
    (tmp_path / "all.jinja").write_text(
        "{% for p in chunks.fix %}\n{{ p.item.chunks.prt }}{{ p.item.row.subject }}\n{% endfor %}\n"
    )
    text = """\
inputs: {t: {rows: t.csv}}
chunks:
  - {id: part, for_each: {input: t}, prompt: "{{ item.row.subject }}"}
  - {id: fix, for_each: {chunk: part}, prompt: "{{ item.text }}{{ item.chunks.part }}"}
  - id: all
    prompt: |
      {% for p in chunks.fix %}{% for q in chunks.part %}{{ p.item.row.subjct }}{% endfor %}{% endfor %}
stitch: {template: all.jinja}
"""
    first, second = shown(tmp_path, text)
    assert first.startswith("p.yaml:7:61: there is no column `subjct`\n")
    assert first.endswith("did you mean subject?")
    assert second.startswith("all.jinja:2:4: the pieces are not paired with those of `prt`\n")
    assert second.endswith("did you mean part?")


def test_two_letters_that_changed_places_are_seen_first(tmp_path: Path) -> None:
    """`modle` is `model`, though `mode` has fewer letters that differ."""
    found = problems(tmp_path, "modle: opus\nchunks: [{id: a, prompt: x}]\n")
    assert [each.hint for each in found] == ["did you mean model?"]


def test_an_input_of_the_wrong_form_is_told_once(tmp_path: Path) -> None:
    """What is no mapping needs no advice on what stands in one."""
    found = problems(tmp_path, "inputs: {f: 3, g: null, h: {}}\nchunks: [{id: a, prompt: x}]\n")
    assert [each.message.partition(",")[0] for each in found] == [
        "`f` must be a mapping or a text or a list",
        "`g` must be a mapping or a text or a list",
        "`h` needs exactly one of file",
    ]


def test_a_blank_request_is_told_as_such(tmp_path: Path) -> None:
    """The planner could not do anything with it either."""
    assert [each.hint for each in problems(tmp_path, 'request: "  "\n')] == [
        "the request is blank: say in it what is wanted, and the model makes the chunks"
    ]


def test_a_slip_in_what_the_whole_is_to_be_like_is_told_once(tmp_path: Path) -> None:
    """A `review` of it has something to look for, if only it were written well."""
    text = "chunks: [{id: a, prompt: x}]\nstitch: {expect: {max_wrds: 5}}\nreview: {rounds: 1}\n"
    assert [each.message for each in problems(tmp_path, text)] == ["unknown key `max_wrds`"]
