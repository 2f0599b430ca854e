"""Files of a result: whole or not at all, and never over what is not ours."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from orchestrator.engine.stitching.output import PartialFile, check_output, incomplete_path, sha256_of, write_atomically
from orchestrator.errors import OutputExistsError, UsageError

IDS = ["a", "b", "c"]


def check(path: Path, *known: str, writer: str = "claude", runner: str = "claude", force: bool = False) -> None:
    """Check an output of which runs of the runner `writer` wrote contents with these hashes."""
    check_output(path, writers=lambda _: dict.fromkeys(known, writer), runner=runner, force=force)


def test_a_file_that_we_did_not_write_is_refused(tmp_path: Path) -> None:
    """Unknown, or edited since; the incomplete result beside it counts too. `force` allows it."""
    path = tmp_path / "guide.md"
    check(path)
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="--force"):
        check(path)
    check(path, sha256_of(b"mine"))
    with pytest.raises(OutputExistsError):
        check(path, sha256_of(b"what a run wrote"))
    check(path, force=True)
    path.unlink()
    incomplete_path(path).write_text("mine")
    with pytest.raises(OutputExistsError, match=r"guide\.incomplete\.md"):
        check(path)


def test_made_up_text_never_replaces_what_was_paid_for(tmp_path: Path) -> None:
    """Nor a growing file of a run that was paid for; made-up text gives way to both, and to more of its kind."""
    path = tmp_path / "guide.md"
    path.write_text("answer")
    for known in (sha256_of(b"answer"), ""):
        with pytest.raises(OutputExistsError, match=r"guide\.md holds the result of a run with the Claude CLI"):
            check(path, known, runner="simulated")
        check(path, known, runner="simulated", force=True)
        check(path, known, writer="simulated", runner="simulated")
        check(path, known, writer="simulated", runner="claude")
        check(path, known, writer="my_runner", runner="claude")
    with pytest.raises(OutputExistsError, match="the runner my_runner"):
        check(path, "", writer="my_runner", runner="simulated")


@pytest.mark.parametrize(
    "name",
    [
        "rows.incomplete.jsonl",
        "rows.partial.jsonl",
        "rows.jsonl.map.json",
        "rows.incomplete.jsonl.map.json",
        "rows.failed.jsonl",
    ],
)
def test_nor_does_it_replace_what_stands_beside_a_result(name: str, tmp_path: Path) -> None:
    """Whatever a paid run left of a result: with gaps, growing, its map, the rows that failed."""
    (tmp_path / name).write_text("paid")

    def check_as(runner: str) -> None:
        known = {sha256_of(b"paid"): "claude"}
        check_output(tmp_path / "rows.jsonl", writers=lambda _: known, runner=runner, force=False, failed_rows=True)

    check_as("claude")
    with pytest.raises(OutputExistsError, match=f"{re.escape(name)} holds the result of a run with the Claude CLI"):
        check_as("simulated")


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    """A folder, or a folder that is not there."""
    with pytest.raises(UsageError, match="is a folder"):
        check(tmp_path)
    with pytest.raises(UsageError, match=r"no place for a file \(`-o -` writes to stdout\)"):
        check(Path(f"/proc/{os.getpid()}/guide.md"))
    with pytest.raises(UsageError, match="there is no folder"):
        check(tmp_path / "no" / "guide.md")
    for length in (236, 300):
        with pytest.raises(UsageError, match="too long"):
            check(tmp_path / f"{'a' * length}.md")
    os.mkfifo(tmp_path / "fifo.md")
    with pytest.raises(UsageError, match="no regular file"):
        check(tmp_path / "fifo.md", force=True)


def test_a_failed_write_leaves_the_earlier_file_and_nothing_beside_it(tmp_path: Path) -> None:
    """Here the target turned into a folder meanwhile."""
    path = tmp_path / "guide.md"
    write_atomically(path, b"first", run_id="r1")
    assert path.read_bytes() == b"first"
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=r"guide\.md"):
        write_atomically(path, b"second", run_id="r1")
    assert [each.name for each in tmp_path.iterdir()] == ["guide.md"]


def test_the_partial_file_is_the_finished_prefix_in_order(tmp_path: Path) -> None:
    """A chunk that ended early waits for those before it; a gap counts as ended."""
    partial = PartialFile(tmp_path / "guide.partial.md")
    partial.update(IDS, answers={"c": "C"}, gaps={})
    assert not partial.path.exists()
    partial.update(IDS, answers={"a": "A", "c": "C"}, gaps={})
    assert partial.path.read_text() == "A"
    partial.update(IDS, answers={"a": "A", "c": "C"}, gaps={"b": "refusal"})
    assert partial.path.read_text() == "A\n\n[missing: b, refusal]\n\nC"
    partial.remove()
    assert not partial.path.exists()


def test_a_partial_file_that_cannot_be_written_hurts_nobody(tmp_path: Path) -> None:
    """It is a convenience."""
    partial = PartialFile(tmp_path / "no" / "guide.partial.md")
    partial.update(IDS, answers={"a": "A"}, gaps={})
    partial.remove()
    assert list(tmp_path.iterdir()) == []
