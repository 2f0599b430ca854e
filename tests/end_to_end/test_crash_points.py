"""A kill between any two steps towards the disk, and in the middle of any write: the run goes on from there.

One run is watched, and its folder copied before each step: what a kill at that moment leaves. Every copy has to be a
store that SQLite puts right. Of those that come to the same, one is gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.forked import Forge
from tests.end_to_end.crashed import STORE, Place, differing, digest_of_files, forge, watched

TEXT_PLAN = """\
name: points
chunks:
  - {id: first, prompt: "One."}
  - {id: second, prompt: "Two {{ chunks.first }}"}
  - {id: third, prompt: "Three {{ chunks.first }}"}
stitch: {chunks: [first, second, third], output: out.md}
limits: {max_concurrency: 2}
"""


ROWS_PLAN = """\
name: rows
inputs: {rows: {items: [red, green]}}
chunks:
  - {id: row, for_each: {input: rows}, fields: {colour: string}, prompt: "{{ item.text }}"}
  - {id: fails, fields: {colour: string}, prompt: "Never."}
stitch: {format: jsonl, output: out.jsonl}
"""
FILES_PLAN = """\
name: files
inputs: {pages: {files: "pages/*.md"}}
chunks:
  - {id: page, for_each: {input: pages}, prompt: "{{ item.text }}"}
stitch: {files: "out/{{ item.source }}"}
"""


@pytest.fixture(scope="module")
def forging() -> Iterator[Forge]:
    made = forge()
    yield made
    made.close()


def test_a_kill_between_any_two_steps(forging: Forge, tmp_path: Path) -> None:
    """Whatever was stored is not asked again, the result is the same to the byte, and nothing is left lying about."""
    place = Place(forging, tmp_path / "work", TEXT_PLAN)
    copies = watched(place, tmp_path / "copies")
    expected = place.files
    assert expected.keys() == {"plan.yaml", "out.md", "out.md.map.json"}
    assert len(copies) > 150
    states = differing(copies, tmp_path / "scratch")
    assert len(states) > 25
    for copy in states:
        place.put_back(copy)
        before = place.answers()
        place.check_whole(before=before, ended=place.go_on(), expected=expected)
        if list(copy.glob(".out.md*")):
            place.put_back(copy)
            place.check_whole(before=before, ended=place.begin(), expected=expected)


@pytest.mark.parametrize("plan", [ROWS_PLAN, FILES_PLAN], ids=["rows", "files"])
def test_a_kill_while_other_files_are_written(forging: Forge, tmp_path: Path, plan: str) -> None:
    """The same for rows that failed, and for one result for each source."""
    place = Place(forging, tmp_path / "work", plan)
    (place.folder / "pages").mkdir()
    for name in ("a", "b"):
        (place.folder / "pages" / f"{name}.md").write_text(f"# {name}\n\nText.\n")
    copies = watched(place, tmp_path / "copies")
    expected = place.files
    code = 1 if "out.failed.jsonl" in expected else 0
    for copy in {digest_of_files(copy): copy for copy in copies if (copy / STORE).exists()}.values():
        place.put_back(copy)
        before = place.answers()
        place.check_whole(before=before, ended=place.go_on(), expected=expected, code=code)
    assert len(expected) > 4
