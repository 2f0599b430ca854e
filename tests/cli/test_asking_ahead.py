"""What is told of a request before and after it is planned: dry runs, samples, what is left, and who planned it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import orchestrate
from tests.equipment.fake_claude import FakeClaude

AT_ONCE = ("--runner", "simulated:latency_s=0")
ASK = ("ask", "Explain this lease", "lease.md", *AT_ONCE)
KEY = {"ANTHROPIC_API_KEY": "made-up"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a short file to ask about."""
    (tmp_path / "lease.md").write_text("Pay the rent.\n")
    return tmp_path


@pytest.mark.parametrize("line", [ASK, ("plan", "Explain this lease", "--input", "lease=lease.md", *AT_ONCE)], ids=str)
def test_a_dry_run_of_what_is_not_planned_yet(line: tuple[str, ...], folder: Path) -> None:
    """It tells what planning takes and that no more is known; nothing is started or written."""
    done = orchestrate(*line, "--dry-run", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("explain-this-lease (planning): 1 call, 0 reused; nothing started\n")
    assert done.stdout.endswith("Its chunks, and what they take, are known only then and come on top.\n")
    told = json.loads(orchestrate(*line, "--dry-run", "--format", "json", cwd=folder).stdout)
    assert (told["planning"], [entry["id"] for entry in told["entries"]]) == (True, ["plan"])
    assert [path.name for path in folder.iterdir()] == ["lease.md"]


def test_a_dry_run_of_what_is_planned_already(folder: Path) -> None:
    """A stored answer of the planner, also that of `plan`, is enough for the whole outlook; not with --fresh."""
    words = ("plan", "Explain this lease", "--input", "lease=lease.md", "-o", "-", *AT_ONCE)
    assert orchestrate(*words, cwd=folder).returncode == 0
    done = orchestrate(*ASK, "--dry-run", cwd=folder)
    assert done.stdout.startswith("explain-this-lease: 1 call, 0 reused; nothing started\nanswer  runs: new")
    assert orchestrate(*ASK, cwd=folder).returncode == 0
    assert "nothing to pay" in orchestrate(*ASK, "--dry-run", cwd=folder).stdout
    assert "runs: asked" in orchestrate(*ASK, "--dry-run", "--redo", "answer", cwd=folder).stdout
    assert "(planning): 1 call" in orchestrate(*ASK, "--dry-run", "--fresh", cwd=folder).stdout
    done = orchestrate(*ASK, "--dry-run", "--only", "foo", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")


def test_format_needs_a_dry_run(folder: Path) -> None:
    """Nothing is asked for a --format alone, by any command that takes it."""
    for line in (ASK, ("plan", "Explain this"), ("resume", "last"), ("run", "lease.md")):
        done = orchestrate(*line, "--format", "json", cwd=folder)
        assert (done.returncode, done.stderr) == (2, "--format goes with --dry-run\n")


def test_ask_takes_a_sample(folder: Path) -> None:
    """A sample of a book runs some pieces of the plan; the command for the whole is the same without --sample, and it
    reuses them.
    """
    (folder / "lease.md").write_text("".join(f"# Part {n}\n\n{'0 1 ' * 20_000}\n\n" for n in range(9)))
    for flag in (("--sample", "2"), ("--sample=2",)):
        done = orchestrate(*ASK, *flag, cwd=folder)
        assert done.returncode == 0, done.stderr
        *_, last = done.stdout.splitlines()
        assert last.endswith(f"orchestrate ask 'Explain this lease' lease.md {' '.join(AT_ONCE)}")
    assert (folder / "explain-this-lease.result.sample.md").is_file()
    done = orchestrate(*ASK, cwd=folder)
    assert "2 answers reused" in done.stdout or "2 reused" in done.stdout


def test_ask_redoes_one_chunk(folder: Path) -> None:
    """A request that was planned has chunks to name."""
    assert orchestrate(*ASK, cwd=folder).returncode == 0
    done = orchestrate(*ASK, "--redo", "answer", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(orchestrate("status", "--json", cwd=folder).stdout)
    assert [(chunk["chunk_id"], chunk["shown_status"]) for chunk in record["chunks"]] == [("answer", "succeeded")]


def test_what_is_left_of_a_run(folder: Path, fake_claude: FakeClaude) -> None:
    """`resume --dry-run` tells what is left and why; nothing is started. Of a complete run nothing is."""
    (folder / "p.yaml").write_text("chunks: [{id: a, prompt: ONE}, {id: b, prompt: TWO}]\n")
    fake_claude.when("TWO", "read_prompt", "init", {"result": {"is_error": True, "api_error_status": 401}})
    claude = ("--claude", str(fake_claude.path))
    assert orchestrate("p.yaml", *claude, "-j", "1", cwd=folder, env=KEY).returncode == 3
    calls = len(fake_claude.calls())
    done = orchestrate("resume", "last", "--dry-run", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    head, first, second, *_ = done.stdout.splitlines()
    assert (head, first) == ("p: 1 call, 1 reused; nothing started", "a  reused")
    assert second.startswith("b  runs: ")
    assert len(fake_claude.calls()) == calls
    fake_claude.when("TWO", "read_prompt", "init", {"text": "fine"}, "result")
    assert orchestrate("resume", "last", *claude, cwd=folder, env=KEY).returncode == 0
    assert "nothing to pay" in orchestrate("resume", "last", "--dry-run", cwd=folder).stdout


def test_who_planned_it_is_told(folder: Path) -> None:
    """`status` of a planned run names the planner's run and what it cost; `show` tells the result of the run itself."""
    assert orchestrate(*ASK, "-o", "out.md", cwd=folder).returncode == 0
    record = json.loads(orchestrate("status", "--json", cwd=folder).stdout)
    planner = json.loads(orchestrate("status", record["planned_by"]["run_id"], "--json", cwd=folder).stdout)
    assert (planner["name"], planner["state"]) == ("explain-this-lease (planning)", "complete")
    assert planner["cost_usd"] == record["planned_by"]["cost_usd"] > 0
    assert planner["planned_by"] is None
    assert f"planned by: run {planner['run_id']}" in orchestrate("status", cwd=folder).stdout
    shown = json.loads(orchestrate("show", "last", "--json", cwd=folder).stdout)
    assert (shown["run_id"], shown["text"]) == (record["run_id"], (folder / "out.md").read_text())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("ask", "lease.md"), 'orchestrate ask "Explain this" lease.md'),
        (("ask", "lease.md", "other file.md"), "\"Explain this\" lease.md 'other file.md'"),
        (("ask", "  "), 'orchestrate ask "'),
        (("plan", "  "), 'orchestrate plan "'),
    ],
)
def test_what_is_no_request(line: tuple[str, ...], says: str, folder: Path) -> None:
    """A file alone, or blanks, are no request: what to write is said, and nothing is spent."""
    done = orchestrate(*line, *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert not (folder / ".orchestrate").exists()


def test_a_missing_limit_is_told_as_it_is_typed(folder: Path, fake_claude: FakeClaude) -> None:
    """The flag is named, not the option of another interface."""
    done = orchestrate("ask", "Explain this", "lease.md", "--claude", str(fake_claude.path), cwd=folder, env=KEY)
    assert done.returncode == 2
    assert "--max-cost USD" in done.stderr
    assert "max_cost_usd" not in done.stderr
