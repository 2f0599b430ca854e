"""The command line teaches, answers at once, and sends everything to the right command."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cli.refusals import refusal
from orchestrator.cli.words_first import meant, with_command_first
from tests.cli.command import ROOT, command, environment, orchestrate

COMMANDS = ["run", "resume", "check", "status", "show", "events", "doctor", "schema", "init"]
HEAVY = ("pydantic", "jinja2", "rich", "langgraph", "sqlite3", "asyncio", "yaml", "tiktoken")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], ["--help"]),
        (["plan.yaml"], ["run", "plan.yaml"]),
        (["run", "plan.yaml"], ["run", "plan.yaml"]),
        (["--runner", "simulated", "plan.yaml"], ["run", "--runner", "simulated", "plan.yaml"]),
        (["plan.yaml", "--runner", "simulated"], ["run", "plan.yaml", "--runner", "simulated"]),
        (["--runner=simulated", "plan.yaml"], ["run", "--runner=simulated", "plan.yaml"]),
        (["-j", "4", "--yes", "plan.yaml"], ["run", "-j", "4", "--yes", "plan.yaml"]),
        (["--store", "s.db", "status"], ["status", "--store", "s.db"]),
        (["--runner", "status", "plan.yaml"], ["run", "--runner", "status", "plan.yaml"]),
        (["--yes", "resume", "last"], ["resume", "--yes", "last"]),
        (["--", "status"], ["run", "--", "status"]),
        (["./status"], ["run", "./status"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        (["plan.yaml", "--help"], ["run", "plan.yaml", "--help"]),
        (["--yes"], ["run", "--yes"]),
        (["-"], ["run", "-"]),
    ],
)
def test_command_in_front(words: list[str], line: list[str]) -> None:
    """A plan needs no command, and options may stand anywhere; an option's value is never taken for a command."""
    valued = {"--runner", "--store", "-j"}
    assert with_command_first(words, commands=COMMANDS, own_options=("--help", "--version"), valued=valued) == line


def test_meant() -> None:
    """A slip of the finger is recognised, a name of its own is not."""
    assert meant("staus", among=COMMANDS) == "status"
    assert meant("Resume", among=COMMANDS) == "resume"
    assert meant("plan.yaml", among=COMMANDS) is None


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["resume", "last", "--only", "a"], "`orchestrate PLAN --only ID`"),
        (["resume", "last", "--sample=3"], "`orchestrate PLAN --sample N`"),
        (["resume", "last", "--redo", "a"], "`orchestrate PLAN --redo ID`"),
        (["resume", "--set=x=y", "last"], "`orchestrate PLAN --set NAME=TEXT`"),
        (["resume", "last", "--fresh"], "`orchestrate PLAN --fresh`"),
    ],
)
def test_refusal(words: list[str], part: str) -> None:
    """What cannot be had here is refused in words that name what can."""
    assert part in refusal(words)


@pytest.mark.parametrize(
    "words",
    [[], ["run", "p.yaml", "--redo", "a", "--set", "x=--dry-run"], ["resume", "last", "--max-cost", "1"],
     ["run", "--", "--dry-run"]],
)  # fmt: skip
def test_no_refusal(words: list[str]) -> None:
    """Everything else may go on."""
    assert refusal(words) == ""


def test_refused_option_is_a_usage_error(tmp_path: Path) -> None:
    """Exit 2 and the message alone, on stderr."""
    for words in (("--redo", "a", "resume", "last"), ("resume", "last", "--fresh")):
        done = orchestrate(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines() == [refusal(["resume", *words])]


def test_help_teaches(tmp_path: Path) -> None:
    """`--help` lists every command, the exit codes, and lines that can be typed; no word at all asks for it too."""
    shown = orchestrate("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert shown.stderr == ""
    for name in COMMANDS:
        assert f"\n  {name} " in shown.stdout
    assert "orchestrate plan.yaml --runner simulated" in shown.stdout
    assert "130  interrupted; can be resumed" in shown.stdout
    bare = orchestrate(cwd=tmp_path)
    assert (bare.returncode, bare.stdout) == (0, shown.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_has_an_example(name: str, tmp_path: Path) -> None:
    """Each command shows at least one line that can be typed."""
    shown = orchestrate(name, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "Examples:" in shown.stdout
    assert "orchestrate " in shown.stdout.split("Examples:")[1]


def test_version(tmp_path: Path) -> None:
    """`--version` prints name and version."""
    assert orchestrate("--version", cwd=tmp_path).stdout.startswith("orchestrate ")


@pytest.mark.alone
def test_help_is_fast(tmp_path: Path) -> None:
    """`--help` takes less than 0.25 s where `python -c pass` takes 0.03 s; a slower machine gets more."""
    orchestrate("--help", cwd=tmp_path)
    bare_s = best_of_5([sys.executable, "-c", "pass"], cwd=tmp_path)
    help_s = best_of_5(command("--help"), cwd=tmp_path)
    assert help_s < 0.25 * max(1.0, bare_s / 0.03)


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    """What only prints help imports no library that a run needs."""
    code = (
        "import sys\nfrom orchestrator.cli.start import main\n"
        f"sys.argv = ['orchestrate', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    """An option that does not exist: exit 2, the message on stderr alone."""
    done = orchestrate("plan.yaml", "--nonsense", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--nonsense" in done.stderr


def test_init_writes_once(tmp_path: Path) -> None:
    """`init` writes a plan and says what to type next; it never overwrites one."""
    first = orchestrate("init", cwd=tmp_path)
    assert first.returncode == 0
    assert "orchestrate plan.yaml --runner simulated" in first.stdout
    text = (tmp_path / "plan.yaml").read_text()
    again = orchestrate("init", cwd=tmp_path)
    assert again.returncode == 2
    assert "plan.yaml exists" in again.stderr
    assert (tmp_path / "plan.yaml").read_text() == text


def test_help_with_closed_streams(tmp_path: Path) -> None:
    """Closed standard streams do no harm: no file of ours ever takes the place of stdout; the help is lost."""
    script = f"exec <&- >&- 2>&-; {sys.executable} -m orchestrator --help"
    done = subprocess.run(["sh", "-c", script], env=environment(tmp_path), cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 3


def test_reader_of_help_that_leaves(tmp_path: Path) -> None:
    """`orchestrate --help | head -1` prints no traceback."""
    script = f"{sys.executable} -m orchestrator --help | true"
    done = subprocess.run(
        ["sh", "-c", script], env=environment(tmp_path), cwd=tmp_path, timeout=60, check=False, capture_output=True
    )
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def best_of_5(words: list[str], *, cwd: Path) -> float:
    """Seconds of the fastest of five runs, with compiled modules on disk as an installed program has them."""
    took: list[float] = []
    for _ in range(5):
        begun_s = time.perf_counter()
        subprocess.run(words, env=environment(cwd), cwd=cwd, check=True, stdout=subprocess.DEVNULL, timeout=60)
        took.append(time.perf_counter() - begun_s)
    return min(took)


def test_root_is_the_checkout() -> None:
    """The children of these tests run the code that stands here."""
    assert (ROOT / "orchestrator" / "__main__.py").exists()
