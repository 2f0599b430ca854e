"""Fixtures over the equipment; `tests/conftest.py` makes them known to every test."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.equipment.fake_claude import FakeClaude
from tests.equipment.standin_api import StandInApi


@pytest.fixture
def standin_api() -> Iterator[StandInApi]:
    """A running stand-in Messages API; script it with `when()`."""
    with StandInApi() as api:
        yield api


@pytest.fixture(scope="session")
def claude_binary() -> Path:
    """The real CLI that `claude-agent-sdk` bundles. Its absence is a failure: much is tested on it alone."""
    return bundled_claude()


def bundled_claude() -> Path:
    """The binary in the installed `claude-agent-sdk`; fails when it is not there."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        pytest.fail("the real CLI is missing; install the extra: pip install -e '.[claude,dev]'")
    binary = Path(spec.origin).parent / "_bundled" / "claude"
    if not binary.is_file():
        pytest.fail(f"{binary} is missing; reinstall: pip install --force-reinstall claude-agent-sdk")
    return binary


@pytest.fixture
def isolated_home(tmp_path: Path) -> Path:
    """An empty home folder, so that nothing of the person who runs the tests reaches the CLI."""
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def fake_claude(tmp_path: Path) -> FakeClaude:
    """A stand-in `claude` in a folder of its own; by default it answers like a healthy CLI."""
    folder = tmp_path / "fake"
    folder.mkdir()
    return FakeClaude(folder)


def cli_environment(api: StandInApi, home: Path) -> dict[str, str]:
    """All that the real CLI needs to talk to the stand-in API and to nothing else."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_API_KEY": "sk-ant-made-up",
        "ANTHROPIC_BASE_URL": api.url,
    }
