"""Edits compose, and a diff of them is a diff."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.stitching.seams.diff import unified_diff
from orchestrator.engine.stitching.seams.edits import Edit, Joined, Part, apply, compose


@st.composite
def edits_of(draw: st.DrawFn, text: str, rule: str) -> list[Edit]:
    """Some edits of a text, in order."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pairs = zip(places[::2], places[1::2], strict=False)
    return [Edit(start, end, draw(st.text("xyz\n", max_size=3)), rule) for start, end in pairs]


@given(st.data(), st.text("ab\n", max_size=20))
def test_composed_edits_do_what_both_do(data: st.DataObject, text: str) -> None:
    """In order and without overlap, expressed in characters of the original."""
    first = data.draw(edits_of(text, "one"))
    between = apply(first, text)
    second = data.draw(edits_of(between, "two"))
    both = compose(first, second, between=between)
    assert apply(both, text) == apply(second, between)
    assert all(one.end <= other.start for one, other in itertools.pairwise(both))
    assert {edit.rule for edit in both} <= {"one", "two", "one, two", "two, one"}


def test_edits_that_touch_no_common_character_keep_their_rules() -> None:
    """So the diff names each."""
    assert compose([Edit(0, 2, "###", "a")], [Edit(4, 5, "3", "b")], between="### 1 x") == (
        Edit(0, 2, "###", "a"),
        Edit(3, 4, "3", "b"),
    )


@given(st.data(), st.lists(st.text("ab\r\n", max_size=30), min_size=1, max_size=4))
def test_a_diff_leads_from_the_answers_to_the_result(data: st.DataObject, texts: list[str]) -> None:
    """Without what it adds it has the answers' lines, without what it removes the result's, each at its number."""
    parts = tuple(Part("answer", f"c{at}", text) for at, text in enumerate(texts))
    done = Joined(parts, tuple(tuple(data.draw(edits_of(text, "r"))) for text in texts))
    lines = list(unified_diff(done, before="a", after="b"))
    for mark, whole, at in (("-", done.plain, 1), ("+", done.text, 2)):
        expected = whole.split("\n")
        number = 0
        for line in lines[2:]:
            if line.startswith("@@"):
                start, _, count = line.split()[at][1:].partition(",")
                number = int(start) - (count != "0")
            elif line[:1] in (" ", mark):
                assert line[1:] == expected[number]
                number += 1
    assert bool(lines) == (done.plain != done.text)


def test_patch_takes_the_diff(tmp_path: Path) -> None:
    """The program of that name makes the result of the answers."""
    answer = "".join(f"line {at}\n" for at in range(40))
    done = Joined(
        (Part("answer", "a", answer + "end"),),
        ((Edit(0, 0, "new\n", "x"), Edit(len(answer), len(answer) + 3, "END", "y")),),
    )
    lines = list(unified_diff(done, before="answers", after="result"))
    assert [line.rpartition("@@ ")[2] for line in lines if line.startswith("@@")] == ["a: x", "a: y"]
    patch = shutil.which("patch")
    assert patch is not None, "a system without patch"
    (tmp_path / "answers").write_text(done.plain)
    subprocess.run(
        [patch, "-s", "answers"], input="".join(f"{each}\n" for each in lines), cwd=tmp_path, text=True, check=True
    )
    assert (tmp_path / "answers").read_text() == done.text
