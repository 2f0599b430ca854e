"""Who wrote what of a result, and whether the answers can be had back from it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import SimulatedRunner
from orchestrator.engine.recall import recall_writers
from orchestrator.engine.stitching.provenance import rebuild_answers, result_map
from orchestrator.engine.stitching.stitch import stitch_plainly
from orchestrator.store import open_store
from tests.engine.runs import play

RULES = (
    *("newlines", "unicode", "chatter", "overlap", "repeated_heading", "duplicate_headings", "headings", "numbering"),
    *("tables", "labels", "lists", "closing", "toc"),
)

FRAGMENTS = st.sampled_from(
    [
        "# One\n",
        "## Two\n\n",
        "```sh\ncode\n",
        "```\n",
        "text[^1]\n\n[^1]: note\n",
        "| a |\n|---|\n| b |\n",
        "1. first\n2. second\n",
        "Sure, here is it:\n\n",
        "e\u0301 and \r\n",
        "plain words\n\n",
        "",
        "\u05e9\u05dc\u05d5\u05dd  \n",
    ]
)
ANSWERS = st.lists(st.lists(FRAGMENTS, max_size=6).map("".join), min_size=1, max_size=6)


@settings(deadline=None, max_examples=300)
@given(ANSWERS, st.sets(st.sampled_from(RULES)))
def test_from_result_and_map_alone_the_answers_can_be_rebuilt(texts: list[str], rules: set[str]) -> None:
    """Exactly, whatever rules worked on the seams; the spans follow each other and cover the result."""
    answers = {f"c{at}": text for at, text in enumerate(texts)}
    stitched = stitch_plainly(list(answers), "markdown", answers=answers, gaps={}, members=lambda _: None, seams=rules)
    told = json.loads(json.dumps(result_map(stitched, answers=answers, origins={}, gaps={})))
    assert rebuild_answers(stitched.text, told["spans"]) == {name: text for name, text in answers.items() if text}
    ends = [0, *(span["end"] for span in told["spans"])]
    assert [span["start"] for span in told["spans"]] == ends[:-1]
    assert ends[-1] == len(stitched.text)


PLAN: dict[str, Any] = {
    "name": "p",
    "chunks": [{"id": "a", "prompt": "A."}, {"id": "b", "prompt": "B."}, {"id": "c", "prompt": "C."}],
    "stitch": {"expect": {"contains": "END"}},
    "review": {"repair": "c"},
}
ANSWERED = {"a": "## A\n\n```sh\ncode", "b": "## B\n\nText b.", "c": "## C", "c.repair1": "## C\n\nEND"}
RESULT = "## A\n\n```sh\ncode\n```\n\n## B\n\nText b.\n\n## C\n\nEND"


def test_the_map_beside_a_result_names_each_call(tmp_path: Path) -> None:
    """Run, attempt, session, model, cost and fingerprint of each; a repair and a reused answer say who gave them."""
    output = tmp_path / "out.md"
    runner = SimulatedRunner(latency_s=0, answers=ANSWERED)
    first = asyncio.run(play(PLAN, tmp_path, runner=runner, output=output)).result
    assert output.read_text() == RESULT
    told = json.loads((tmp_path / "out.md.map.json").read_text())
    assert (told["run_id"], told["result"]) == (first.run_id, "out.md")
    assert told["result_sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert sorted(told["chunks"]) == ["a", "b", "c"]
    assert told["chunks"]["c"]["answered_by"] == "c.repair1"
    call = told["chunks"]["a"]
    assert (call["answered_by"], call["run_id"], call["attempt"], call["model"]) == ("a", first.run_id, 1, "simulated")
    assert call["session_id"]
    assert call["cost_usd"] > 0
    assert len(call["fingerprint"]) == 64
    assert next(span for span in told["spans"] if "rule" in span)["rule"] == "closing"
    second = asyncio.run(play(PLAN, tmp_path, runner=SimulatedRunner(latency_s=0), output=output)).result
    told = json.loads((tmp_path / "out.md.map.json").read_text())
    assert told["run_id"] == second.run_id
    assert told["chunks"]["a"]["run_id"] == first.run_id


def test_a_line_is_traced_to_the_chunk_that_wrote_it(tmp_path: Path) -> None:
    """By its number in the result: the chunk and the line of its answer, the rule that put it in, or neither."""
    asyncio.run(play(PLAN, tmp_path, runner=SimulatedRunner(latency_s=0, answers=ANSWERED)))
    store = open_store(tmp_path / "store.db")
    told = {at: recall_writers(store, "last", at) or [] for at in range(1, len(RESULT.splitlines()) + 1)}
    shown = [
        [(each.kind, each.chunk_id, each.rule, each.first_line) for each in told[at]] for at in (1, 4, 5, 6, 9, 13)
    ]
    assert shown[0] == [("answer", "a", "", 1)]
    assert shown[1] == [("answer", "a", "", 4)]
    assert [(kind, rule) for kind, _, rule, _ in shown[2]] == [("separator", "closing")] or shown[2][0][2] == "closing"
    assert shown[3][0][0] == "separator"
    assert shown[4] == [("answer", "b", "", 3)]
    assert shown[5] == [("answer", "c", "", 3)]
    (last,) = told[13]
    assert last.origin is not None
    assert last.origin.answered_by == "c.repair1"


def test_gaps_are_named_in_the_map(tmp_path: Path) -> None:
    """An incomplete result has a map with the gap at its place and the reason; a complete one takes it away."""
    output = tmp_path / "out.md"
    plan = {"name": "p", "chunks": [{"id": "a", "prompt": "A.", "expect": {"contains": "x"}, "max_attempts": 1}]}
    plan["chunks"].append({"id": "b", "prompt": "B."})
    runner = SimulatedRunner(latency_s=0, answers={"a": "no", "b": "yes"})
    asyncio.run(play(plan, tmp_path, runner=runner, output=output))
    told = json.loads((tmp_path / "out.incomplete.md.map.json").read_text())
    assert told["gaps"] == {"a": "rejected"}
    assert [(span["kind"], span.get("chunk_id")) for span in told["spans"]] == [
        ("gap", "a"),
        ("separator", None),
        ("answer", "b"),
    ]
    runner = SimulatedRunner(latency_s=0, answers={"a": "x"})
    asyncio.run(play(plan, tmp_path, runner=runner, output=output))
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.md", "out.md.map.json"]


def test_a_template_places_answers_and_json_does_not(tmp_path: Path) -> None:
    """Of a template's result the answers that stand there whole are mapped; of JSON the calls alone."""
    (tmp_path / "t.jinja").write_text("Title\n\n{{ chunks.b }}\nand {{ chunks.a }}!\n")
    chunks = [{"id": "a", "prompt": "A."}, {"id": "b", "prompt": "B."}]
    output = tmp_path / "out.md"
    plan = {"name": "p", "chunks": chunks, "stitch": {"template": "t.jinja"}}
    runner = SimulatedRunner(latency_s=0, answers={"a": "Alpha", "b": "Beta"})
    asyncio.run(play(plan, tmp_path, runner=runner, output=output))
    told = json.loads((tmp_path / "out.md.map.json").read_text())
    text = output.read_text()
    assert [(each["chunk_id"], text[each["start"] : each["end"]]) for each in told["spans"]] == [
        ("b", "Beta"),
        ("a", "Alpha"),
    ]
    plan = {"name": "q", "chunks": chunks, "stitch": {"format": "json"}}
    asyncio.run(play(plan, tmp_path, runner=runner, output=tmp_path / "out.json"))
    told = json.loads((tmp_path / "out.json.map.json").read_text())
    assert (told["spans"], sorted(told["chunks"])) == ([], ["a", "b"])
