"""The planner on the real CLI against the stand-in API: what it is asked, and what comes of every kind of answer."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.planner.planner import answer_schema
from orchestrator.plan.prices import price_table
from orchestrator.plan.tokens import count_tokens
from tests.end_to_end.command import Command, Outcome
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiResponse, StandInApi, answer, error, structured

REQUEST = "Explain this contract to a tenant"
PLANNER = "Plan the work that this request asks for"
MEND = "An earlier plan for this request cannot be run"

GOOD: dict[str, Any] = {
    "strategy": "parallel",
    "reason": "Rights and duties can be explained apart.",
    "chunks": [
        {"id": "rights", "title": "Rights", "prompt": "CHUNK-RIGHTS {{ inputs.lease }} {{ braces }} {% raw %}"},
        {"id": "duties", "title": "Duties", "prompt": "CHUNK-DUTIES", "inputs": ["lease"], "words": 200},
    ],
    "stitch": ["rights", "duties"],
}
CYCLE = {
    **GOOD,
    "chunks": [
        {**GOOD["chunks"][0], "depends_on": ["duties"]},
        {**GOOD["chunks"][1], "depends_on": ["rights"]},
    ],
}
OVER_SPLIT = {**GOOD, "chunks": [{"id": f"line_{n}", "prompt": f"CHUNK-{n}"} for n in range(60)], "stitch": []}


@pytest.fixture
def cli(tmp_path: Path, claude_binary: Path, standin_api: StandInApi, isolated_home: Path) -> Command:
    """The command in a folder with a contract of some length."""
    clauses = "".join(f"Clause {number}: the tenant pays on day {number}.\n" for number in range(400))
    (tmp_path / "lease.md").write_text(clauses)
    standin_api.when("CHUNK-RIGHTS", answer("The rights."))
    standin_api.when("CHUNK-DUTIES", answer("The duties."))
    return Command(tmp_path, cli_environment(standin_api, isolated_home), claude=claude_binary)


def ask(cli: Command) -> Outcome:
    return cli.run("ask", REQUEST, "lease.md", "-o", "out.md", "--max-cost", "1", "--progress", "json")


def test_a_good_plan(cli: Command, standin_api: StandInApi) -> None:
    """The planner is offered its schema as the one tool and sees the head of the file; the chunks get neither tool nor
    anything but their own prompts, and the result is theirs.
    """
    standin_api.when(PLANNER, structured(GOOD))
    done = ask(cli)
    assert done.exit_code == 0, done.stderr
    assert (cli.folder / "out.md").read_text() == "The rights.\n\nThe duties."
    planner, *chunks = standin_api.requests
    assert [(tool["name"], tool["input_schema"]) for tool in planner.tools] == [("StructuredOutput", answer_schema())]
    assert "Clause 3:" in planner.prompt
    assert "Clause 60:" not in planner.prompt
    assert planner.system.startswith("You plan how a request is answered")
    assert [chunk.tools for chunk in chunks] == [[], []]
    (rights,) = standin_api.requests_for("CHUNK-RIGHTS")
    (duties,) = standin_api.requests_for("CHUNK-DUTIES")
    assert "Clause 399:" in rights.prompt
    assert rights.prompt.endswith("{{ braces }} {% raw %}")
    assert "Write about 200 words." in duties.prompt
    assert "planned as parallel" in done.stderr
    assert "Rights and duties can be explained apart." in done.stderr


def test_the_result_has_a_place_before_the_planner_is_paid(cli: Command, standin_api: StandInApi) -> None:
    """A file of somebody's own, or a folder that is not there, is refused while nothing was asked."""
    standin_api.when(PLANNER, structured(GOOD))
    (cli.folder / "out.md").write_text("mine")
    for place in ("out.md", "nodir/x.md"):
        done = cli.run("ask", REQUEST, "lease.md", "-o", place, "--max-cost", "1")
        assert (done.exit_code, done.stdout) == (2, "")
    assert standin_api.requests == []
    assert (cli.folder / "out.md").read_text() == "mine"
    assert cli.run("ask", REQUEST, "lease.md", "-o", "out.md", "--force", "--max-cost", "1").exit_code == 0
    assert (cli.folder / "out.md").read_text() == "The rights.\n\nThe duties."


@pytest.mark.parametrize(("limit_usd", "most_calls"), [(0.5, 2), (1.0, 4)], ids=["small", "large"])
def test_answers_far_dearer_than_foreseen(
    limit_usd: float, most_calls: int, cli: Command, standin_api: StandInApi
) -> None:
    """Twenty pieces on a fresh store, four at once, each many times dearer than estimated: a limit that is small beside
    the estimate is exceeded by less than one of them; for another the four that began at once are the last.
    """
    (cli.folder / "rows.csv").write_text("id,text\n" + "".join(f"{at},Row {at}\n" for at in range(20)))
    (cli.folder / "rows.yaml").write_text(
        "model: sonnet\ninputs: {rows: {rows: rows.csv, key: id}}\n"
        "chunks: [{id: row, complexity: simple, for_each: {input: rows}, prompt: 'CHUNK-ROW {{ item.row.text }}'}]\n"
    )
    standin_api.when("CHUNK-ROW", lambda request: answer("Dear.", input_tokens=100, output_tokens=40_000, delay_s=0.2))
    done = cli.run("rows.yaml", "--max-cost", str(limit_usd), "-j", "4", "--progress", "json")
    assert done.exit_code == 4, done.stderr
    *_, finished = done.events
    each = finished["cost_usd"] / finished["succeeded"]
    assert each > 0.4
    assert limit_usd <= finished["cost_usd"] <= most_calls * each + 1e-6


def test_single_says_why(cli: Command, standin_api: StandInApi) -> None:
    """A planner that says not to split is believed: one call with the request and the file, and the reason is told."""
    standin_api.when(PLANNER, structured({"strategy": "single", "reason": "It is one page.", "chunks": []}))
    done = ask(cli)
    assert done.exit_code == 0, done.stderr
    assert "planned as single (one call, not split): It is one page." in done.stderr
    _, asked = standin_api.requests
    assert asked.prompt.startswith(REQUEST)
    assert "Clause 399:" in asked.prompt


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [(CYCLE, "in a circle"), (OVER_SPLIT, "60 chunks are too many"), ({**GOOD, "stitch": ["x"]}, "not in the plan")],
    ids=["cyclic", "over-split", "unknown reference"],
)
def test_a_wrong_plan_is_mended(wrong: dict[str, Any], complaint: str, cli: Command, standin_api: StandInApi) -> None:
    """A plan that does not hold together is sent back once with what is wrong, and the mended one runs."""
    standin_api.when(PLANNER, structured(wrong))
    standin_api.when(MEND, structured(GOOD))
    done = ask(cli)
    assert done.exit_code == 0, done.stderr
    assert done.ids("chunk_succeeded")[:2] == ["plan", "plan_mended_1"]
    (mend,) = standin_api.requests_for(MEND)
    assert complaint in mend.prompt
    assert [tool["name"] for tool in mend.tools] == ["StructuredOutput"]
    assert (cli.folder / "out.md").read_text() == "The rights.\n\nThe duties."


@pytest.mark.parametrize(
    "first",
    [structured(json.dumps(GOOD)[:200]), answer("I would split it into two parts.")],
    ids=["truncated", "prose"],
)
def test_a_broken_answer_is_asked_for_again(first: ApiResponse, cli: Command, standin_api: StandInApi) -> None:
    """JSON that breaks off, or prose, is asked for again in the same call; the right answer makes the plan."""
    standin_api.when(PLANNER, first, structured(GOOD))
    done = ask(cli)
    assert done.exit_code == 0, done.stderr
    assert len(standin_api.requests_for(PLANNER)) == 2
    assert (cli.folder / "out.md").read_text() == "The rights.\n\nThe duties."


def test_wrong_to_the_end(cli: Command, standin_api: StandInApi) -> None:
    """Two mends, then exit 1 with the reasons. Nothing of the plan was started, and a second try pays nothing."""
    standin_api.when(PLANNER, structured(CYCLE))
    for paid in (3, 3):
        done = ask(cli)
        assert done.exit_code == 1
        assert "in a circle" in done.stderr
        assert len(standin_api.requests) == paid
    assert len(standin_api.requests_for(PLANNER)) == len(standin_api.requests)
    assert not (cli.folder / "out.md").exists()


def test_prose_to_the_end(cli: Command, standin_api: StandInApi) -> None:
    """A planner that never gives the form fails like any chunk: exit 1, no chunk started."""
    standin_api.when(PLANNER, answer("I would rather not."))
    done = ask(cli)
    assert done.exit_code == 1
    assert done.ids("chunk_failed") == ["plan"]
    assert "structured output" in done.stderr
    assert "prompt" not in done.stderr, "nobody but us wrote it"
    assert standin_api.requests_for("CHUNK-") == []


def test_a_written_plan_asks_no_planner(cli: Command, standin_api: StandInApi) -> None:
    """`plan` asks once and writes; running what it wrote, and planning the same again, ask the planner nothing."""
    standin_api.when(PLANNER, structured(GOOD))
    (cli.folder / "guide.yaml").write_text(f"request: {REQUEST}\ninputs: {{lease: lease.md}}\n")
    done = cli.run("plan", "guide.yaml", "--max-cost", "1")
    assert done.exit_code == 0, done.stderr
    assert "planned as parallel" in done.stdout
    ran = cli.run("guide.planned.yaml")
    assert ran.exit_code == 0, ran.stderr
    assert (cli.folder / "guide.result.md").read_text() == "The rights.\n\nThe duties."
    again = cli.run("guide.yaml", "--max-cost", "1", "-o", "-")
    assert (again.exit_code, again.stdout) == (0, "The rights.\n\nThe duties.")
    assert len(standin_api.requests) == 3


def write_book(file: Path) -> str:
    """A book of 2 MB in chapters, so dense that it has twice the tokens that any model takes; no line stands twice."""
    chance, parts, size = random.Random(7), list[str](), 0
    while size < 2_000_000:
        words = (f"{chance.randrange(10**6)}{chance.choice('éx—')}" for _ in range(1_500))
        parts.append(f"# Chapter {len(parts) + 1}\n\n{' '.join(words)}.\n\n")
        size += len(parts[-1])
    file.write_text("".join(parts))
    return "".join(parts)


WHOLE_BOOK: dict[str, Any] = {
    "strategy": "parallel",
    "reason": "One call reads it all.",
    "chunks": [{"id": "summary", "prompt": "CHUNK-ALL", "inputs": ["book"]}],
}
IN_PIECES: dict[str, Any] = {
    "strategy": "dag",
    "reason": "Notes on each part, then one summary of them.",
    "chunks": [
        {
            "id": "notes",
            "title": "Notes",
            "prompt": "CHUNK-NOTES {{ item.text }} on this part.",
            "for_each": {"input": "book", "split": "markdown", "max_tokens": 90_000},
        },
        {"id": "summary", "title": "Summary", "prompt": "CHUNK-SUMMARY", "reduce": {"chunk": "notes"}, "words": 300},
    ],
    "stitch": ["summary"],
}


def test_a_book_beyond_the_window(cli: Command, standin_api: StandInApi) -> None:
    """A planner that gives a book whole, to a chunk or as `single`, though no call takes it, is told so and what to
    write; its mended plan goes over the book: each byte in one prompt, no prompt beyond the window, and one summary.
    """
    book = write_book(cli.folder / "book.md")
    standin_api.when(PLANNER, structured(WHOLE_BOOK))
    single = {"strategy": "single", "reason": "One call will do.", "chunks": []}
    standin_api.when(MEND, structured(single), structured(IN_PIECES))
    standin_api.when("CHUNK-NOTES", lambda request: answer(f"NOTES-OF-{request.number} A note."))
    standin_api.when("CHUNK-SUMMARY", answer("It is about numbers."))
    done = cli.run(
        "ask", "Summarise this book", "book.md", "-o", "out.md", "--max-cost", "100", "--progress", "json", "-j", "2"
    )
    assert done.exit_code == 0, done.stderr
    assert (cli.folder / "out.md").read_text() == "It is about numbers."
    planner, *mends = standin_api.requests[:3]
    assert "Too much for one call: the input book, " in planner.prompt
    assert "\n# Chapter 1\n" in planner.prompt
    for mend, complaint in zip(mends, ("the prompt of chunk summary would have", "`single` cannot"), strict=True):
        assert complaint in mend.prompt
        assert '"for_each": {"input": "book", "split": "markdown", "max_tokens": 4000}' in mend.prompt
    notes = standin_api.requests_for("CHUNK-NOTES")
    pieces = [request.prompt.partition(":\n\n")[2] for request in notes]
    assert "".join(sorted(pieces, key=book.index)) == book
    assert all(request.prompt.startswith("CHUNK-NOTES {{ item.text }} on this part.\n\nPart of") for request in notes)
    (summary,) = standin_api.requests_for("CHUNK-SUMMARY")
    assert all(f"NOTES-OF-{request.number} " in summary.prompt for request in notes)
    window = price_table().find(None)
    assert window is not None
    assert all(count_tokens(each.prompt) * window.token_factor < window.window for each in standin_api.requests)


def test_many_files_are_gone_over(cli: Command, standin_api: StandInApi) -> None:
    """Many files of one kind are one input that a chunk goes over; resuming has them again from where they are."""
    (cli.folder / "src").mkdir()
    for at in range(5):
        (cli.folder / "src" / f"m{at}.py").write_text(f"# {at}\n" + f"def function_{at}(): return {at}\n" * 40)
    plan = {
        "strategy": "parallel",
        "reason": "Each file by itself.",
        "chunks": [{"id": "review", "prompt": "CHUNK-REVIEW {{ inputs.py_files }}", "for_each": {"input": "py_files"}}],
    }
    standin_api.when(PLANNER, structured(plan))
    standin_api.when("CHUNK-REVIEW", error(401), lambda request: answer(f"Of {request.prompt.split()[1]}"))
    line = ("Review these", "lease.md", *(f"src/m{at}.py" for at in range(5)), "-o", "out.md", "--max-cost", "1")
    stopped = cli.run("ask", *line, "-j", "1")
    assert stopped.exit_code == 3, stopped.stderr
    (planner,) = standin_api.requests_for(PLANNER)
    assert 'name="lease" kind="text"' in planner.prompt
    assert 'name="py_files" kind="files"' in planner.prompt
    assert 'number="5"' in planner.prompt
    assert cli.run("resume", "last").exit_code == 0
    assert (cli.folder / "out.md").read_text() == "\n\n".join(f"Of m{at}.py:" for at in range(5))
