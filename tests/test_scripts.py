"""The scripts set up what they need, once, and stay out of the way afterwards.

Each test gets a checkout of its own. Where it is set up, the installed command is a stand-in that prints what it was
called with; where it is not, `PYTHON` names no interpreter, so that trying to set up is seen as exit 3.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAND_IN = '#!/bin/sh\nprintf "%s\\n" "$PWD" "$@"\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a folder whose name has a space, without .venv."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def set_up(checkout: Path, *parts: str) -> None:
    """Make `.venv` look as `scripts/setup.sh` leaves it."""
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "orchestrate").write_text(STAND_IN, encoding="utf-8")
    (programs / "orchestrate").chmod(0o755)
    stamp = f"{checkout.resolve()}\n{(checkout / 'pyproject.toml').read_text(encoding='utf-8')}"
    for part in parts:
        (checkout / ".venv" / f".setup-{part}").write_text(stamp, encoding="utf-8")


def run(checkout: Path, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call `scripts/run` from `cwd`, with no `claude` on the path."""
    whole = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHON": "/nonexistent/python3", **environment}
    command = [str(checkout / "scripts" / "run"), *arguments]
    return subprocess.run(command, cwd=cwd, env=whole, capture_output=True, text=True, timeout=60, check=False)


def test_unusable_python_is_named(checkout: Path, tmp_path: Path) -> None:
    """Without a Python that is new enough nothing is made, and the message says which one was tried."""
    ran = run(checkout, "--help", cwd=tmp_path)
    assert ran.returncode == 3
    assert "PYTHON=/nonexistent/python3 is not Python 3.11 or newer" in ran.stderr
    assert not (checkout / ".venv").exists()


def test_arguments_and_folder_are_kept(checkout: Path, tmp_path: Path) -> None:
    """The command gets its arguments as they were typed, in the folder where they were typed, and says nothing else."""
    set_up(checkout, "project")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ran = run(checkout, "a plan.yaml", "--runner", "simulated", "", "$HOME", cwd=elsewhere)
    assert ran.returncode == 0
    assert ran.stdout.splitlines() == [str(elsewhere), "a plan.yaml", "--runner", "simulated", "", "$HOME"]
    assert ran.stderr == ""


@pytest.mark.parametrize("change", ["pyproject", "place"])
def test_what_it_was_made_from_matters(change: str, checkout: Path, tmp_path: Path) -> None:
    """A changed pyproject.toml, or a checkout that was moved, is set up again."""
    set_up(checkout, "project")
    if change == "pyproject":
        with (checkout / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write("# changed\n")
    else:
        checkout = checkout.rename(tmp_path / "moved")
    assert run(checkout, "status", cwd=tmp_path).returncode == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan.yaml", "--runner", "simulated"),
        ("run", "--runner=simulated:latency_s=0", "plan.yaml"),
        ("plan.yaml", "--claude", "/opt/claude"),
        ("plan.yaml", "--help"),
        ("check", "plan.yaml"),
        ("status",),
        ("resume", "last"),
        (),
    ],
)
def test_cli_is_not_fetched_for_what_does_not_call_it(
    arguments: tuple[str, ...], checkout: Path, tmp_path: Path
) -> None:
    """Commands that will not call the bundled CLI do not wait for 165 MB."""
    set_up(checkout, "project")
    assert run(checkout, *arguments, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("arguments", [("plan.yaml",), ("run", "plan.yaml"), ("--runner", "claude", "plan.yml")])
def test_cli_is_fetched_when_there_is_no_other(arguments: tuple[str, ...], checkout: Path, tmp_path: Path) -> None:
    """A real run brings the bundled CLI, unless it is there, one is named, or one is on the path."""
    set_up(checkout, "project")
    assert run(checkout, *arguments, cwd=tmp_path).returncode == 3
    assert run(checkout, *arguments, cwd=tmp_path, ORCHESTRATE_CLAUDE="/opt/claude").returncode == 0
    own = tmp_path / "bin"
    own.mkdir()
    (own / "claude").write_text("#!/bin/sh\n", encoding="utf-8")
    (own / "claude").chmod(0o755)
    assert run(checkout, *arguments, cwd=tmp_path, PATH=f"{own}{os.pathsep}/usr/bin:/bin").returncode == 0
    shutil.rmtree(checkout / ".venv")
    set_up(checkout, "project", "claude")
    assert run(checkout, *arguments, cwd=tmp_path).returncode == 0


PYTEST = """#!/bin/sh
echo "pytest $*"
case "$*" in
    "-q tests/test_architecture.py") exit "$CHECKED" ;;
    "-m alone") exit "$ALONE" ;;
    *) exit "$TESTED" ;;
esac
"""
ALONE = "pytest -m alone"
OTHERS = "pytest -m not alone -n auto --maxprocesses 4 --dist worksteal"


@pytest.fixture
def testable(checkout: Path) -> Path:
    """A checkout whose ruff and pyright find nothing, and whose pytest exits as its environment says."""
    set_up(checkout, "project", "dev", "claude")
    for name, text in (("ruff", "#!/bin/sh\n"), ("pyright", "#!/bin/sh\n"), ("pytest", PYTEST)):
        program = checkout / ".venv" / "bin" / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    return checkout


def run_tests(checkout: Path, *arguments: str, **ends: str) -> subprocess.CompletedProcess[str]:
    """Call `scripts/test` where each call of pytest exits with 0 or what `ends` says."""
    environment = {"PATH": "/usr/bin:/bin", "CHECKED": "0", "ALONE": "0", "TESTED": "0", **ends}
    command = [str(checkout / "scripts" / "test"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ({}, 0),
        ({"CHECKED": "1", "ALONE": "2", "TESTED": "3"}, 1),
        ({"ALONE": "2", "TESTED": "3"}, 2),
        ({"ALONE": "2"}, 2),
        ({"TESTED": "3"}, 3),
    ],
)
def test_whatever_fails_is_the_exit_code(ends: dict[str, str], code: int, testable: Path) -> None:
    """What measures time runs first and by itself; the rest runs whatever failed, and the first fault counts."""
    ran = run_tests(testable, **ends)
    assert ran.returncode == code
    assert ran.stdout.splitlines()[-2:] == [ALONE, OTHERS]


def test_arguments_are_those_of_one_plain_pytest(testable: Path) -> None:
    """What is typed reaches pytest as it is, and its exit code is the script's."""
    ran = run_tests(testable, "-k", "resume or not", "-x", ALONE="2", TESTED="3")
    assert ran.returncode == 3
    assert ran.stdout.splitlines()[-1] == "pytest -k resume or not -x"
    assert ALONE not in ran.stdout
