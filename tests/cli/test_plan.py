"""`plan`, `ask` and a plan with a request alone, as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator.cli.asked_files import with_files
from orchestrator.cli.display.planned import tree_lines
from orchestrator.cli.plan import is_words, name_of
from tests.cli.command import command, environment, orchestrate
from tests.cli.terminal import Terminal
from tests.equipment.fake_claude import FakeClaude

AT_ONCE = ("--runner", "simulated:latency_s=0")
KEY = {"ANTHROPIC_API_KEY": "made-up"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a request and a file that it is about."""
    (tmp_path / "guide.yaml").write_text("request: Write a guide.\ninputs: {lease: lease.md}\n")
    (tmp_path / "lease.md").write_text("Pay the rent.\n")
    return tmp_path


def test_plan_writes_a_plan_that_runs(folder: Path) -> None:
    """`plan FILE` says strategy, reason, chunks, estimate and command, and the command it names runs."""
    done = orchestrate("plan", "guide.yaml", *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    *_, planned, chunk, estimate, last = done.stdout.splitlines()
    assert planned == "planned as single (one call, not split): simulated"
    assert chunk == "  answer"
    assert estimate.startswith("estimate, nothing reused: 1 call, ")
    assert last == "Wrote guide.planned.yaml. To run it: orchestrate guide.planned.yaml"
    written = (folder / "guide.planned.yaml").read_text()
    assert written.startswith("# Planned as single: simulated\nname: guide\nrequest: Write a guide.\n")
    assert orchestrate("check", "guide.planned.yaml", cwd=folder).returncode == 0
    ran = orchestrate("guide.planned.yaml", *AT_ONCE, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert (folder / "guide.result.md").is_file()


def test_plan_overwrites_nothing(folder: Path) -> None:
    """A file that is there is left alone, and nothing is asked; -o chooses another, - is stdout."""
    (folder / "guide.planned.yaml").write_text("mine")
    done = orchestrate("plan", "guide.yaml", *AT_ONCE, cwd=folder)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert not (folder / ".orchestrate").exists()
    assert orchestrate("plan", "guide.yaml", *AT_ONCE, "-o", "other.yaml", cwd=folder).returncode == 0
    assert (folder / "other.yaml").is_file()
    shown = orchestrate("plan", "guide.yaml", *AT_ONCE, "-o", "-", cwd=folder)
    assert shown.stdout == (folder / "other.yaml").read_text()
    assert (folder / "guide.planned.yaml").read_text() == "mine"


def test_a_plan_elsewhere_would_lose_its_files(folder: Path) -> None:
    """-o in another folder is refused when the plan's paths lead nowhere from there, before anything is asked."""
    (folder / "sub").mkdir()
    done = orchestrate("plan", "guide.yaml", *AT_ONCE, "-o", "sub/p.yaml", cwd=folder)
    assert done.returncode == 2
    assert "write it beside guide.yaml" in done.stderr
    assert not (folder / ".orchestrate").exists()


def test_plan_from_words(folder: Path) -> None:
    """Words are a request; the file is named after them, and inputs stay inputs."""
    account = ("--account", "spare=logins/spare")
    done = orchestrate("plan", "Explain this lease to me!", "--input", "lease=lease.md", *AT_ONCE, *account, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "Wrote explain-this-lease-to-me.planned.yaml. "
        "To run it: orchestrate explain-this-lease-to-me.planned.yaml --input lease=lease.md "
        "--account spare=logins/spare"
    )
    assert "{{ inputs.lease }}" in (folder / "explain-this-lease-to-me.planned.yaml").read_text()


def test_one_word_is_a_file(folder: Path) -> None:
    """One word without blanks is never a request."""
    done = orchestrate("plan", "summarise", *AT_ONCE, cwd=folder)
    assert done.returncode == 2
    assert "no plan file summarise" in done.stderr


def test_a_plan_with_chunks_is_not_planned(folder: Path) -> None:
    """A plan that has chunks is told to be run."""
    (folder / "whole.yaml").write_text("chunks: [{id: a, prompt: x}]\n")
    done = orchestrate("plan", "whole.yaml", *AT_ONCE, cwd=folder)
    assert done.returncode == 2
    assert "`orchestrate whole.yaml` runs it" in done.stderr


def test_ask_does_it_in_one_line(folder: Path) -> None:
    """Words and files in, the result in the file that was asked for, the reason shown on the way."""
    (folder / "Old Lease (2).md").write_text("Older.\n")
    files = ("lease.md", "Old Lease (2).md")
    done = orchestrate("ask", "Explain this contract to a tenant", *files, "-o", "out.md", *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "planned as single (one call, not split): simulated" in done.stdout
    assert (folder / "out.md").read_text().startswith("## Answer")
    record = json.loads(orchestrate("status", "--json", cwd=folder).stdout)
    assert record["name"] == "explain-this-contract-to-a"
    again = orchestrate("ask", "Explain this contract to a tenant", *files, "-o", "-", *AT_ONCE, cwd=folder)
    assert again.stdout == (folder / "out.md").read_text()
    assert again.stderr.count("nothing to ask: 1 answer reused") == 2


def test_ask_about_a_book_that_no_call_takes(folder: Path) -> None:
    """A text beyond the window is shown as a plan of pieces and a merge, and runs to one result, offline too."""
    (folder / "book.md").write_text("".join(f"# Part {n}\n\n{'0 1 ' * 20_000}\n\n" for n in range(9)))
    done = orchestrate("ask", "Summarise this book", "book.md", "-o", "out.md", *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    _, _, after = done.stdout.partition("planned as dag (parts that build on each other), 2 chunks: It does not fit")
    _, part, whole, *_ = after.splitlines()
    assert re.fullmatch(r"  part  Each part of book: \d+ pieces of book, at most 4,000 tokens each", part)
    assert whole == "  └─ whole  All parts of book together: merges part, 16,000 tokens at a time"
    assert (folder / "out.md").read_text().startswith("## Whole")


def test_a_plan_of_pieces_is_written_for_review(folder: Path) -> None:
    """The written plan says plainly what goes over what, and runs as it stands."""
    (folder / "lease.md").write_text("".join(f"# Part {n}\n\n{'0 1 ' * 20_000}\n\n" for n in range(3)))
    (folder / "guide.yaml").write_text("request: Sum up.\nmodel: claude-haiku-4-5\ninputs: {lease: lease.md}\n")
    done = orchestrate("plan", "guide.yaml", *AT_ONCE, cwd=folder)
    told = [line for line in done.stderr.splitlines() if not line.startswith("reading guide.planned.yaml: ")]
    assert (done.returncode, told) == (0, [])
    written = (folder / "guide.planned.yaml").read_text()
    assert "\n    for_each:\n      input: lease\n      split: markdown\n      max_tokens: 4000\n" in written
    assert "\n    reduce:\n      chunk: part\n      max_tokens: 16000\n" in written
    assert orchestrate("check", "guide.planned.yaml", cwd=folder).returncode == 0
    assert orchestrate("guide.planned.yaml", *AT_ONCE, cwd=folder).returncode == 0
    assert (folder / "guide.result.md").read_text().startswith("## Whole")


def test_files_that_are_asked_about(folder: Path) -> None:
    """Few files are an input each; more than three of one kind, and a folder, are one; names are never taken twice."""
    for name in ("a.py", "b.py", "c.py", "D.PY", "src/x.py", "src/deep/y.py", "src/left.out", "src/.env", "src/.x/y"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n")
    (folder / "src" / ".gitignore").write_text("left.out\n")
    python = tuple(folder / name for name in ("a.py", "b.py", "c.py", "D.PY"))
    lease = folder / "lease.md"
    assert with_files([*python[:3], lease], {}) == {"a": python[0], "b": python[1], "c": python[2], "lease": lease}
    found = with_files([python[0], lease, *python[1:], folder / "src"], {"lease": "mine", "src": "mine"})
    assert found == {
        "lease": "mine",
        "src": "mine",
        "py_files": python,
        "lease_2": lease,
        "src_2": tuple((folder / "src" / name).resolve() for name in ("deep/y.py", "x.py")),
    }


def test_a_folder_is_asked_about(folder: Path) -> None:
    """A folder reaches the call with its files under their names; one with other than texts is refused by name."""
    (folder / "src").mkdir()
    (folder / "src" / "a.py").write_text("A = 1\n")
    assert orchestrate("ask", "Review all of this", "src", "-o", "out.md", *AT_ONCE, cwd=folder).returncode == 0
    (folder / "src" / "logo.png").write_bytes(b"\x89PNG\xff\0")
    (folder / "src" / "z.bin").write_bytes(b"\0")
    done = orchestrate("ask", "Review all of this", "src", "-o", "out.md", *AT_ONCE, cwd=folder)
    assert done.returncode == 2
    assert "'logo.png' is not UTF-8" in done.stderr
    assert "; 'z.bin' holds a NUL character in line 1; name the text files alone" in done.stderr
    (folder / "empty").mkdir()
    done = orchestrate("ask", "Review all of this", "empty", "-o", "out.md", *AT_ONCE, cwd=folder)
    assert done.returncode == 2
    assert "matches no file" in done.stderr


def test_ask_without_its_file(folder: Path) -> None:
    """A file that is not there is named, and nothing is asked."""
    done = orchestrate("ask", "Explain this", "nothing.md", *AT_ONCE, cwd=folder)
    assert done.returncode == 2
    assert "no file nothing.md" in done.stderr
    assert not (folder / ".orchestrate").exists()


def test_json_progress_stays_json(folder: Path) -> None:
    """With --progress json every line of stdout is an event, those of planning first; the reason is on stderr."""
    done = orchestrate("guide.yaml", *AT_ONCE, "--progress", "json", cwd=folder)
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    runs = list(dict.fromkeys(event["run_id"] for event in events))
    assert len(runs) == 2
    for run_id in runs:
        own = [event for event in events if event["run_id"] == run_id]
        assert (own[0]["type"], own[-1]["type"]) == ("run_started", "run_finished")
        assert [event["seq"] for event in own] == list(range(len(own)))
    assert "planned as single" in done.stderr


def test_check_of_a_request(folder: Path) -> None:
    """`check` takes a request for what it is, and says that its chunks are not known yet."""
    done = orchestrate("check", "guide.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "no chunks yet: the model plans them" in done.stdout


@pytest.mark.parametrize("words", [("ask", "Explain this lease"), ("plan", "guide.yaml"), ("guide.yaml",)])
def test_without_a_terminal_a_limit_is_needed(words: tuple[str, ...], folder: Path, fake_claude: FakeClaude) -> None:
    """Nobody to ask and no limit: exit 2, and how to give one; --yes alone is no limit."""
    for more in ((), ("--yes",)):
        done = orchestrate(*words, "--claude", str(fake_claude.path), *more, cwd=folder, env=KEY)
        assert done.returncode == 2
        assert "--max-cost" in done.stderr
    assert fake_claude.calls() == []


def test_a_terminal_always_asks_before_planning(folder: Path, fake_claude: FakeClaude) -> None:
    """On a terminal planning asks even when it is cheap; a no pays nothing, and --yes answers."""
    line = command("ask", "Explain this lease", "--claude", str(fake_claude.path))
    with Terminal(line, env=environment(folder, **KEY), cwd=folder) as terminal:
        terminal.read_until("Go on? [y/N] ")
        assert "what the plan then takes comes on top" in terminal.shown
        terminal.type("n\n")
        code, _ = terminal.finish()
    assert code == 4
    assert fake_claude.calls() == []
    with Terminal([*line, "--yes"], env=environment(folder, **KEY), cwd=folder) as terminal:
        code, _ = terminal.finish(timeout_s=60)
    assert code == 1
    assert "Go on?" not in terminal.shown
    assert len(fake_claude.calls()) == 3


def test_a_tree_of_chunks() -> None:
    """Each chunk stands once, under the last that it needs; what it needs besides is named."""
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": (), "f": ("d",)}
    assert tree_lines(needs, {"a": "First\x1b[2J", "d": "All"}) == [
        "a  First␛[2J",
        "├─ b",
        "└─ c",
        "   └─ d  All (and after b)",
        "      └─ f",
        "e",
    ]


def test_names_of_requests() -> None:
    """A request is named by its first words, and one word is no request."""
    assert name_of("Compare: three Ways, to store — logs!") == "compare-three-ways-to-store"
    assert name_of("???  !!!") == "request"
    assert name_of("x" * 100 + " y") == "x" * 40
    assert (is_words("two words"), is_words("one"), is_words(" one ")) == (True, False, False)
