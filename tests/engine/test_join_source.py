"""`join: source`: what stood between the pieces stands between their answers, to the byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Failure, FailureClass, PlanChangedError, Reply, Request, SimulatedRunner
from orchestrator.api import recall_result
from orchestrator.engine.groups import known_from
from orchestrator.engine.stitching.join_source import rejoin, source_text
from orchestrator.engine.stitching.output import PartialFile
from orchestrator.engine.stitching.stitch import flat_ids, stitch, stitch_frames
from orchestrator.plan.load import load_plan
from orchestrator.plan.split import SplitMode, split_text
from orchestrator.plan.workload import Workload
from tests.engine.runs import play
from tests.plan.split.documents import MODES, fence, mixed_text, table
from tests.plan.split.test_split import ANY_TEXT, MARKED_TEXT

LONG_CELLS = "|a|b|\r\n|-|-|\r\n" + "|words and words|more words|\r\n" * 40


def plan_of(text: str, mode: SplitMode, max_tokens: int) -> dict[str, Any]:
    """A plan that sends each piece of a text away and joins what comes back."""
    cut = {"split": mode, "max_tokens": max_tokens} | ({"pattern": "^[A-Z#]."} if mode == "regex" else {})
    return {
        "name": "p",
        "inputs": {"book": {"text": text}},
        "chunks": [{"id": "part", "for_each": {"input": "book", **cut}, "prompt": "{{ item.text }}"}],
        "stitch": {"join": "source"},
    }


def answered(workload: Workload, translate: Callable[[str], str]) -> dict[str, str]:
    """The answers that a translator gives, by chunk."""
    return {name: translate(source_text(chunk.item)) for name, chunk in workload.chunks.items() if chunk.item}


def joined(workload: Workload, answers: Mapping[str, str], gaps: Mapping[str, str] | None = None) -> str:
    """The result of these answers."""
    return stitch(workload, known_from(workload, answers=answers, gaps=gaps or {})).text


TRANSLATORS: dict[str, Callable[[str], str]] = {
    "as it is": lambda piece: piece,
    "without blank space around": str.strip,
    "with more of it": lambda piece: f"\n\n {piece}\t\n",
}


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT | MARKED_TEXT, st.sampled_from(MODES), st.integers(1, 60), st.sampled_from(sorted(TRANSLATORS)))
def test_a_translation_that_changes_nothing_is_the_source(
    text: str, mode: SplitMode, max_tokens: int, how: str
) -> None:
    """Whatever the text, however it is cut, and whatever blank space the model puts around or leaves out."""
    if text:
        workload = load_plan(plan_of(text, mode, max_tokens))
        assert joined(workload, answered(workload, TRANSLATORS[how])) == text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_documents_with_everything_in_them_come_back(mode: SplitMode, end: str) -> None:
    """Fences and tables that are cut, scripts without blanks, under either line end; a model writes LF alone."""
    text = f"{mixed_text(seed=5)}\n\n{fence(80)}\n\n{table(80)}\n".replace("\r\n", "\n").replace("\n", end)
    for max_tokens in (20, 150, 1_000):
        workload = load_plan(plan_of(text, mode, max_tokens))
        assert joined(workload, answered(workload, lambda piece: piece.replace("\r\n", "\n").strip())) == text


def test_line_ends_are_those_of_the_source_where_it_has_one_kind() -> None:
    """With some LF among them nobody knows better than the model."""
    workload = load_plan(plan_of("a\r\n\r\nb\r\n", "text", 3))
    assert joined(workload, {"part[1]": "A\nA", "part[2]": "B\r\nB"}) == "A\r\nA\r\n\r\nB\r\nB\r\n"
    workload = load_plan(plan_of("a\r\n\r\nb\n", "text", 3))
    assert joined(workload, {"part[1]": "A\nA", "part[2]": "B"}) == "A\nA\r\n\r\nB\n"


def test_a_gap_stands_where_its_piece_stood() -> None:
    """With what is around that, so that a reader sees what is missing."""
    workload = load_plan(plan_of("One.\n\nTwo.\n\n\nThree.\n", "regex", 90))
    text = joined(workload, {"part[1]": "Un.", "part[3]": "Trois."}, {"part[2]": "refusal"})
    assert text == "Un.\n\n[missing: part[2], refusal]\n\n\nTrois.\n"


def test_what_is_blank_stays_as_it_is() -> None:
    """A model that is asked about nothing says that there is nothing; that is no part of a translation."""
    workload = load_plan(plan_of("\n \n", "text", 100))
    assert joined(workload, {"part[1]": "There is no text to translate."}) == "\n \n"


def test_several_files_in_one_result_have_a_blank_line_between(tmp_path: Path) -> None:
    """As many line ends are added as are missing; a byte order mark is kept in front of the whole alone."""
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbf# A\n")
    (tmp_path / "b.md").write_bytes(b"\xef\xbb\xbf# B")
    (tmp_path / "c.md").write_bytes(b"# C\n\n\n")
    (tmp_path / "d.md").write_bytes(b"# D\r\n")
    plan = {
        "inputs": {"docs": {"files": "*.md"}},
        "chunks": [{"id": "part", "for_each": {"input": "docs"}, "prompt": "{{ item.text }}"}],
        "stitch": {"join": "source"},
    }
    workload = load_plan(plan, base_dir=tmp_path)
    answers = answered(workload, lambda piece: piece)
    assert joined(workload, answers) == "\ufeff# A\n\n# B\n\n# C\n\n\n# D\r\n"
    assert joined(workload, answers | {"part[4]": "X\nY"}).endswith("# C\n\n\nX\r\nY\r\n")


def test_pairs_are_joined_by_what_they_began_with(tmp_path: Path) -> None:
    """The last of draft, revise stands in the frame of the first one's piece."""
    plan = plan_of("- a\n- b\n\nText.", "text", 4)
    plan["chunks"].append({"id": "revise", "for_each": {"chunk": "part"}, "prompt": "Better: {{ item.text }}"})
    workload = load_plan(plan, base_dir=tmp_path)
    assert workload.stitch_chunks == ("revise",)
    answers = answered(workload, lambda piece: piece.strip().upper())
    assert joined(workload, answers) == "- A\n- B\n\nTEXT."


def test_the_partial_file_grows_into_the_same_text(tmp_path: Path) -> None:
    """Byte for byte the beginning of the result, at every moment."""
    text = mixed_text(seed=2).replace("\n", "\r\n")
    workload = load_plan(plan_of(text, "markdown", 60))
    answers = answered(workload, str.strip)
    known = known_from(workload, answers=answers, gaps={})
    ids = flat_ids(workload.stitch_chunks, known.members)
    partial = PartialFile(tmp_path / "p.partial.md", frames=stitch_frames(workload, known, ids))
    for count in range(1, len(ids) + 1):
        partial.update(ids, answers={name: answers[name] for name in ids[:count]}, gaps={})
        assert text.encode().startswith(partial.path.read_bytes())
    assert partial.path.read_bytes() == text.encode()


def test_part_of_the_pieces_has_blank_lines_where_some_are_left_out() -> None:
    """A selection is no source; what goes on without a break still does."""
    workload = load_plan(plan_of("One two. Three four.\n\nFive.\n\nSix.\n", "text", 4))
    known = known_from(workload, answers=answered(workload, str.upper), gaps={})
    ids = flat_ids(workload.stitch_chunks, known.members)
    assert len(ids) == 4
    frames = stitch_frames(workload, known, [ids[0], ids[1], ids[3]])
    parts = [frames[each].around(known.answers[each]) for each in frames]
    assert "".join(parts) == "ONE TWO. THREE FOUR.\n\nSIX.\n"
    frames = stitch_frames(workload, known, [ids[0], ids[2]])
    assert "".join(frames[each].around(known.answers[each]) for each in frames) == "ONE TWO. \n\nFIVE.\n\n"


@pytest.mark.parametrize("text", [LONG_CELLS, mixed_text(seed=9), "no line end at all " * 60, "多" * 400])
def test_halves_are_joined_by_what_stood_between_them(text: str) -> None:
    """Rows of a table by a line end, sentences by a blank, words of some scripts by nothing."""
    pieces = [piece.text for piece in split_text(text, mode="markdown", max_tokens=80)]
    assert len(pieces) > 1
    assert rejoin(pieces, [piece.strip() for piece in pieces]) == text


def test_a_piece_that_proves_too_long_comes_out_whole(tmp_path: Path) -> None:
    """It runs as several, and the table that was cut for that is one table again; the next run reuses it."""
    source = "Before.\n\n" + table(60) + "\n\nAfter.\n"

    class Narrow(SimulatedRunner):
        """Takes prompts of at most 500 characters, and gives them back in capitals."""

        async def run(self, request: Request, *, on_progress: Any) -> Any:
            if len(request.prompt) > 500:
                return Failure(error_type=FailureClass.TOO_LONG, message="prompt is too long")
            reply = await super().run(request, on_progress=on_progress)
            assert isinstance(reply, Reply)
            return replace(reply, text=request.prompt.strip().upper())

    async def scene() -> None:
        runner = Narrow(latency_s=0)
        story = await play(plan_of(source, "markdown", 5000), tmp_path, runner=runner)
        assert story.result.text == source.upper()
        assert story.result.status == "complete"
        assert len(story.started) > 3
        again = await play(plan_of(source, "markdown", 5000), tmp_path, runner=SimulatedRunner(latency_s=0))
        assert (again.started, again.result.text) == ([], source.upper())
        assert recall_result(again.result.run_id, store=tmp_path / "store.db") == source.upper()

    asyncio.run(scene())


def test_a_result_is_recalled_as_long_as_its_source_is_there(tmp_path: Path) -> None:
    """The store has the answers; what stood between the pieces, the source alone has."""
    (tmp_path / "book.md").write_text("# A\n\ntext\n")
    plan = plan_of("x", "text", 3) | {"inputs": {"book": "book.md"}}
    story = asyncio.run(play(plan, tmp_path, runner=SimulatedRunner(latency_s=0)))
    run_id, store = story.result.run_id, tmp_path / "store.db"
    assert recall_result(run_id, store=store) == story.result.text
    (tmp_path / "book.md").write_text("# B\n")
    with pytest.raises(PlanChangedError, match=r"book\.md"):
        recall_result(run_id, store=store)
