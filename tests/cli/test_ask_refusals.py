"""What `ask` and plans with a request alone refuse before the planner is paid."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import orchestrate

AT_ONCE = ("--runner", "simulated:latency_s=0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a request, a file that it is about, and a file of the user's own."""
    (tmp_path / "guide.yaml").write_text("request: Write a guide.\ninputs: {lease: lease.md}\n")
    (tmp_path / "lease.md").write_text("Pay the rent.\n")
    (tmp_path / "out.md").write_text("mine\n")
    return tmp_path


def unpaid(folder: Path) -> bool:
    """Whether nothing was ever begun: a run makes the store before its first call."""
    return not (folder / ".orchestrate").exists()


ASK = ("ask", "Guide about the lease", "lease.md")


@pytest.mark.parametrize("line", [ASK, ("guide.yaml",)], ids=["ask", "request plan"])
@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("out.md", "out.md exists and was not written by a run"),
        ("nodir/x.md", "there is no folder"),
        ("lease.md", "lease.md is what the run is made of"),
        ("", "names no file"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_planning(
    line: tuple[str, ...], output: str, says: str, folder: Path
) -> None:
    """Exit 2 before the planner is asked; what stands there stays as it was."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = orchestrate(*line, "-o", output, *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "forced"])
def test_a_request_does_not_become_its_own_result(force: tuple[str, ...], folder: Path) -> None:
    """Not even by force, neither before planning nor after: the planned run is made of it too."""
    for words in (("guide.yaml", "-o", "guide.yaml"), (*ASK[:2], "lease.md", "-o", "lease.md")):
        done = orchestrate(*words, *force, *AT_ONCE, cwd=folder)
        assert done.returncode == 2
        assert "is what the run is made of" in done.stderr
    assert unpaid(folder)


def test_a_default_output_of_the_user_is_refused_before_planning(folder: Path) -> None:
    """Also when no file was named: the result would go where something else stands. --force overwrites it."""
    (folder / "guide.result.md").write_text("mine\n")
    done = orchestrate("guide.yaml", *AT_ONCE, cwd=folder)
    assert done.returncode == 2
    assert unpaid(folder)
    done = orchestrate("guide.yaml", "--force", *AT_ONCE, cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("output", ["", "nodir/p.yaml", "lease.md", "x" * 300 + ".yaml"])
def test_a_plan_file_that_cannot_be_is_refused_before_planning(output: str, folder: Path) -> None:
    """`plan` too looks at its place first."""
    done = orchestrate("plan", "guide.yaml", "-o", output, *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "-o" in done.stderr
    assert unpaid(folder)


@pytest.mark.parametrize("flag", ["--only", "--until", "--redo"])
def test_chunks_that_nobody_knows_yet_cannot_be_named(flag: str, folder: Path) -> None:
    """A choice of chunks is refused while no plan is there, with the way to have one; then it is checked and kept."""
    done = orchestrate("guide.yaml", flag, "answer", *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{flag} names chunks" in done.stderr
    assert "orchestrate plan guide.yaml" in done.stderr
    assert unpaid(folder)
    assert orchestrate("guide.yaml", *AT_ONCE, cwd=folder).returncode == 0
    done = orchestrate("guide.yaml", flag, "foo", *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no chunk 'foo'" in done.stderr
    done = orchestrate("guide.yaml", flag, "answer", *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_sample_of_what_has_no_pieces_is_the_whole(folder: Path) -> None:
    """When no chunk of the planned plan runs for each piece all of it runs, and that is said."""
    done = orchestrate("guide.yaml", "--sample", "2", *AT_ONCE, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "nothing to sample" in done.stdout
    assert (folder / "guide.result.md").is_file()
    assert not (folder / "guide.result.sample.md").exists()


def test_a_sample_of_a_planned_book(folder: Path) -> None:
    """A plan of pieces is sampled, what the whole takes is told, and the command for it is the request's own."""
    (folder / "lease.md").write_text("".join(f"# Part {n}\n\n{'0 1 ' * 20_000}\n\n" for n in range(3)))
    (folder / "guide.yaml").write_text("request: Sum up.\nmodel: claude-haiku-4-5\ninputs: {lease: lease.md}\n")
    done = orchestrate("guide.yaml", "--sample", "2", *AT_ONCE, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "guide.result.sample.md").is_file()
    assert "the whole: " in done.stdout
    assert "orchestrate guide.yaml --runner simulated:latency_s=0" in done.stdout.splitlines()[-1]
