"""A standard stream that is closed is as good as /dev/null, but for what somebody waits for from it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import command, environment, orchestrate
from tests.cli.test_run import AT_ONCE, PLAN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the plan `plan.yaml`."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def with_streams(redirection: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command from a shell, with this redirection."""
    return subprocess.run(
        ["sh", "-c", f"{shlex.join(command(*words))} {redirection}"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "output"), [("<&-", "-"), ("2>&-", "-"), (">&-", "guide.md"), ("<&- >&- 2>&-", "guide.md")]
)
def test_run(redirection: str, output: str, folder: Path) -> None:
    """A run comes to its end, and what is not closed gets what it always gets."""
    done = with_streams(redirection, "plan.yaml", *AT_ONCE, "-o", output, folder=folder)
    assert done.returncode == 0, done.stderr
    progress, result = (done.stderr, done.stdout) if output == "-" else (done.stdout, (folder / "guide.md").read_text())
    assert "Traceback" not in done.stderr
    assert ("[3/3]" in progress) is (redirection == "<&-")
    assert "## Why" in result


def test_reading(folder: Path) -> None:
    """Commands whose answer is lost on a closed stdout say so: exit 3."""
    orchestrate("plan.yaml", *AT_ONCE, cwd=folder)
    for words in (("status",), ("status", "--json"), ("show", "last"), ("events", "last"), ("--help",), ("--version",)):
        done = with_streams(">&-", *words, folder=folder)
        assert (done.returncode, done.stdout, done.stderr) == (3, "", "stdout is closed\n"), words


@pytest.mark.parametrize("words", [("plan.yaml", *AT_ONCE), ("plan", "plan.yaml", "--runner", "simulated")])
def test_result_for_a_closed_stdout(words: tuple[str, ...], folder: Path) -> None:
    """A result that would be lost is not paid for: exit 3 before anything starts."""
    (folder / "plan.yaml").write_text(PLAN if "--set" in words else "request: Explain this.\n")
    done = with_streams(">&-", *words, "-o", "-", folder=folder)
    assert (done.returncode, done.stderr) == (3, "stdout is closed; open it, or name a file with -o\n")
    assert "no store" in orchestrate("status", cwd=folder).stderr


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("--version",), ("schema",)])
def test_full_disk(words: tuple[str, ...], folder: Path) -> None:
    """What a full disk does not take is told in one line: exit 3."""
    done = with_streams(">/dev/full", *words, folder=folder)
    assert done.returncode == 3
    assert done.stderr == "stdout could not take the result: No space left on device\n"


def test_error(folder: Path) -> None:
    """An error that cannot be told still decides the exit code."""
    for words in (("missing.yaml",), ("plan.yaml", "--nonsense")):
        assert with_streams("2>&-", *words, folder=folder).returncode == 2


def test_input_from_a_closed_stdin(folder: Path) -> None:
    """An input that was to come from a closed stdin is missing: exit 2, and a message that says so."""
    done = with_streams("<&-", "plan.yaml", "--runner", "simulated", "--input", "topic=-", folder=folder)
    assert done.returncode == 2
    assert "the input 'topic' wants stdin, which is closed" in done.stderr
    assert done.stdout == ""


def test_new_store_on_a_full_disk(folder: Path) -> None:
    """A disk that takes no store is told as such: nothing there is to be moved away."""
    limit = f"ulimit -f 20; PYTHONDONTWRITEBYTECODE=1 exec {shlex.join(command('plan.yaml', *AT_ONCE))}"
    done = subprocess.run(
        ["sh", "-c", limit],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "store.db: disk I/O error; free space there or name another one with --store" in done.stderr
