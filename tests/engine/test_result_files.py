"""One result for each source file: whole files, gaps beside them, and never over what is not ours."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Failure, FailureClass, OutputExistsError, OutputWriteError, Request, SimulatedRunner
from orchestrator.events import RunFinished, RunStitched
from orchestrator.store import open_store
from tests.engine.runs import Story, play, play_on

PLAN: dict[str, Any] = {
    "name": "p",
    "inputs": {"docs": {"files": "docs/**/*.md"}},
    "chunks": [
        {
            "id": "part",
            "for_each": {"input": "docs", "split": "regex", "pattern": "^# "},
            "prompt": "{{ item.source }} {{ item.text }}",
        }
    ],
    "stitch": {"join": "source", "files": "de/{{ item.source | replace('docs/', '') }}"},
}
SOURCES = {
    "docs/a.md": b"\xef\xbb\xbf# One\r\n\r\n# Two\r\n",
    "docs/b.md": b"# Three\n",
    "docs/deep/c.md": b"# Four\n\n\n",
    "docs/empty.md": b"",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of documents."""
    for name, content in SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


class Upper(SimulatedRunner):
    """Writes the piece in capitals; fails for good where it is told to."""

    def __init__(self, *failing: str) -> None:
        super().__init__(latency_s=0)
        self._failing = failing

    async def run(self, request: Request, *, on_progress: Any) -> Any:
        """The answer follows from the prompt alone."""
        if request.chunk_id in self._failing:
            return Failure(error_type=FailureClass.REFUSAL, message="no")
        self._answers[request.chunk_id] = request.prompt.partition(" ")[2].upper()
        return await super().run(request, on_progress=on_progress)


def run(folder: Path, *failing: str, plan: dict[str, Any] = PLAN, **options: Any) -> Story:
    """Run the plan to its end."""
    return asyncio.run(play(plan, folder, **({"runner": Upper(*failing)} | options)))


def written(folder: Path) -> dict[str, bytes]:
    """What stands under the folder of the results."""
    return {
        path.relative_to(folder / "de").as_posix(): path.read_bytes()
        for path in sorted((folder / "de").rglob("*"))
        if path.is_file()
    }


ALL = {
    "a.md": b"\xef\xbb\xbf# ONE\r\n\r\n# TWO\r\n",
    "b.md": b"# THREE\n",
    "deep/c.md": b"# FOUR\n\n\n",
    "empty.md": b"",
}


def test_each_source_has_its_result(folder: Path) -> None:
    """Folders are made, byte order marks and line ends kept, no other file is written; the result tells them."""
    story = run(folder)
    assert written(folder) == ALL
    assert {source: path.relative_to(folder).as_posix() for source, path in story.result.files.items()} == {
        name: name.replace("docs/", "de/") for name in SOURCES
    }
    assert (story.result.status, story.result.output) == ("complete", None)
    assert story.result.text == "\ufeff# ONE\r\n\r\n# TWO\r\n\n# THREE\n\n# FOUR\n\n\n"
    told = story.only(RunStitched)
    assert (told.path, told.files, told.gaps) == (f"{folder}/de/", 4, ())
    assert open_store(folder / "store.db").run(story.result.run_id).result_path == f"{folder}/de/"
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"store.db"}


def test_blank_lines_join_unless_more_is_asked_for_and_whole_files_are_pieces_too(folder: Path) -> None:
    """Answers stand as they came where nobody asked for more."""
    cut = {"input": "docs", "split": "regex", "pattern": "^# "}
    plan = PLAN | {
        "chunks": [PLAN["chunks"][0] | {"for_each": cut}],
        "stitch": {"files": PLAN["stitch"]["files"]},
    }
    run(folder, plan=plan)
    assert written(folder)["a.md"] == b"# ONE\r\n\r\n\n\n# TWO\r\n"
    (folder / "docs" / "empty.md").unlink()
    whole = PLAN | {"chunks": [PLAN["chunks"][0] | {"for_each": {"input": "docs"}}]}
    run(folder, plan=whole)
    assert written(folder) == ALL


def test_only_what_changed_is_written_again(folder: Path) -> None:
    """A file that would hold the same has its old time stamp; so does a tool that looks at them."""
    run(folder)
    for path in (folder / "de").rglob("*.md"):
        os.utime(path, (1, 1))
    (folder / "docs" / "b.md").write_text("# Five\n")
    story = run(folder)
    assert story.started == ["part[3]"]
    assert written(folder) == ALL | {"b.md": b"# FIVE\n"}
    assert [path.name for path in sorted((folder / "de").rglob("*.md")) if path.stat().st_mtime > 1] == ["b.md"]


def test_a_file_with_a_gap_stands_beside_where_it_belongs(folder: Path) -> None:
    """Complete ones are written as they are; once the gap is closed its file takes the place."""
    story = run(folder, "part[2]")
    assert written(folder) == {name: ALL[name] for name in ("b.md", "deep/c.md", "empty.md")} | {
        "a.incomplete.md": b"\xef\xbb\xbf# ONE\r\n\r\n[missing: part[2], refusal]\r\n"
    }
    assert story.result.files["docs/a.md"] == folder / "de" / "a.incomplete.md"
    assert story.result.status == "partial"
    run(folder)
    assert written(folder) == ALL


def test_a_complete_result_outlives_a_later_gap(folder: Path) -> None:
    """The earlier file stays beside the incomplete one."""
    run(folder)
    (folder / "docs" / "a.md").write_text("# New\n# Newer\n")
    run(folder, "part[1]")
    assert written(folder)["a.md"] == ALL["a.md"]
    assert written(folder)["a.incomplete.md"] == b"[missing: part[1], refusal]\n# NEWER\n"


def test_what_a_stopped_run_did_not_come_to_has_no_file(folder: Path) -> None:
    """Resuming it writes the rest."""
    story = run(folder, max_concurrency=1, max_cost_usd=0.00001)
    assert story.result.status == "stopped"
    assert sorted(written(folder)) == ["a.incomplete.md", "empty.md"]
    assert sorted(story.result.files) == ["docs/a.md", "docs/empty.md"]
    asyncio.run(play_on(story.result.run_id, folder, runner=Upper(), max_cost_usd=1.0))
    assert written(folder) == ALL


def test_resuming_a_complete_run_writes_what_is_gone(folder: Path) -> None:
    """And asks nothing."""
    story = run(folder)
    (folder / "de" / "b.md").unlink()
    resumed = asyncio.run(play_on(story.result.run_id, folder, runner=Upper()))
    assert (resumed.started, written(folder)) == ([], ALL)


@pytest.mark.parametrize("place", ["b.md", "deep/c.incomplete.md"])
def test_what_we_did_not_write_is_refused_before_anything_is_paid(place: str, folder: Path) -> None:
    """Also where only an incomplete result would stand; `force` overwrites it."""
    theirs = folder / "de" / place
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    runner = Upper()
    with pytest.raises(OutputExistsError, match="--force") as caught:
        run(folder, runner=runner)
    assert caught.value.path == theirs
    assert (runner.requests, theirs.read_text()) == ([], "mine")
    run(folder, force=True)
    assert written(folder)["b.md"] == ALL["b.md"]


class Paid(Upper):
    """The same words, from a runner of another kind."""

    kind = "paid"


def test_made_up_files_do_not_replace_paid_ones(folder: Path) -> None:
    """The first is named with its runner, the others are counted; nothing is asked; the other way round it goes."""
    run(folder)
    run(folder, runner=Paid())
    trial = Upper()
    with pytest.raises(OutputExistsError, match=r"a\.md holds .* the runner paid \(and .* 3 more\)"):
        run(folder, runner=trial)
    assert (trial.requests, written(folder)) == ([], ALL)
    run(folder, runner=trial, force=True)
    assert trial.requests == []


def test_what_was_edited_since_is_refused_and_counted(folder: Path) -> None:
    """The message names one and says how many more there are."""
    run(folder)
    for name in ("a.md", "b.md"):
        (folder / "de" / name).write_text("edited by hand")
    with pytest.raises(OutputExistsError, match=r"a\.md .*\(and so it is with 1 more\)"):
        run(folder)
    assert written(folder)["b.md"] == b"edited by hand"


def test_files_that_another_store_wrote_are_ours_after_force(folder: Path) -> None:
    """Even where they held the very same already."""
    run(folder)
    (folder / "store.db").unlink()
    with pytest.raises(OutputExistsError):
        run(folder)
    run(folder, force=True)
    assert run(folder).result.status == "complete"


def test_a_file_changed_while_the_run_goes_is_kept_and_all_others_are_written(folder: Path) -> None:
    """The run ends with the reason; every answer is stored, and a later run puts it right."""

    class Editing(Upper):
        """Somebody writes into the folder meanwhile."""

        async def run(self, request: Request, *, on_progress: Any) -> Any:
            (folder / "de").mkdir(exist_ok=True)
            (folder / "de" / "a.md").write_text("mine")
            return await super().run(request, on_progress=on_progress)

    told: list[Any] = []
    with pytest.raises(OutputWriteError, match="changed while the run went on"):
        run(folder, runner=Editing(), on_event=told.append)
    assert "changed while the run went on" in next(each for each in told if isinstance(each, RunFinished)).reason
    assert written(folder) == ALL | {"a.md": b"mine"}
    (folder / "de" / "a.md").unlink()
    assert run(folder).started == []
    assert written(folder) == ALL


def test_a_place_where_nothing_can_be_written_is_refused_first(folder: Path) -> None:
    """Here a file stands where a folder is wanted."""
    (folder / "de").write_text("a file")
    runner = Upper()
    with pytest.raises(Exception, match="cannot be written"):
        run(folder, runner=runner)
    assert runner.requests == []


def test_the_call_may_want_one_file_or_none(folder: Path) -> None:
    """Then there are no others, also when the run is resumed."""
    one = run(folder, output=folder / "one.md")
    assert (one.result.output, one.result.files) == (folder / "one.md", {})
    assert (folder / "one.md").read_bytes().decode() == one.result.text
    none = run(folder, output="-")
    assert (none.result.output, none.result.files) == (None, {})
    asyncio.run(play_on(one.result.run_id, folder, runner=Upper()))
    asyncio.run(play_on(none.result.run_id, folder, runner=Upper()))
    assert not (folder / "de").exists()


def test_a_sample_and_a_selection_write_no_result_files(folder: Path) -> None:
    """A fragment is never taken for the whole, not even a sample that happens to be all there is."""
    chosen: list[dict[str, Any]] = [{"sample": 1}, {"sample": 99}, {"only": ["part[1]"]}]
    assert [run(folder, **options).result.files for options in chosen] == [{}, {}, {}]
    assert not (folder / "de").exists()
    assert len(run(folder, only=["part"]).result.files) == 4


def test_a_review_that_is_not_content_marks_the_files_it_speaks_of(tmp_path: Path) -> None:
    """What was found in a piece and not put right makes its file incomplete; the others are not."""
    (tmp_path / "docs").mkdir()
    for name in ("a", "b"):
        (tmp_path / "docs" / f"{name}.md").write_text(f"Text {name}.\n")
    plan: dict[str, Any] = {
        "name": "p",
        "inputs": {"docs": {"files": "docs/*.md"}},
        "chunks": [{"id": "de", "for_each": {"input": "docs"}, "prompt": "Translate {{ item.text }}"}],
        "stitch": {"files": "de/{{ item.source }}"},
        "review": {"rubric": "Good German.", "rounds": 0},
    }
    judged = {"verdict": "fail", "problems": [{"part": "de[2]", "problem": "Clumsy."}]}
    runner = SimulatedRunner(latency_s=0, answers={"review.1": json.dumps(judged)})
    result = asyncio.run(play(plan, tmp_path, runner=runner)).result
    assert result.status == "partial"
    written = sorted(path.relative_to(tmp_path / "de").as_posix() for path in (tmp_path / "de").rglob("*.md"))
    assert written == ["docs/a.md", "docs/b.incomplete.md"]
