"""The front door: what `orchestrator` exports is what it says it exports, and what the documentation lists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import orchestrator

ROOT = Path(__file__).parent.parent


def documented_names() -> list[str]:
    section = (ROOT / "docs" / "python.md").read_text(encoding="utf-8").partition("\n## All names\n")[2]
    return re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_every_promised_name_is_there() -> None:
    """Each name in `__all__` can be imported, and none is promised twice."""
    assert len(set(orchestrator.__all__)) == len(orchestrator.__all__) > 0
    assert [name for name in orchestrator.__all__ if getattr(orchestrator, name, None) is None] == []


def test_documented_names_are_the_public_ones() -> None:
    """`docs/python.md` lists exactly `__all__`."""
    assert sorted(documented_names()) == sorted(orchestrator.__all__)


def test_nothing_else_shows() -> None:
    """`dir()` shows the public names and the version, and nothing that happens to be imported."""
    assert sorted(dir(orchestrator)) == sorted([*orchestrator.__all__, "__version__"])


def test_import_is_light() -> None:
    """`import orchestrator` loads neither LangGraph nor the command line."""
    loaded = {name.split(".")[0] for name in modules_after("import orchestrator")}
    assert loaded.isdisjoint({"langgraph", "langchain_core", "langsmith", "tiktoken", "typer", "rich"})


def test_every_name_loads_without_the_pipeline() -> None:
    """Even using the functions' names does not load LangGraph; only a run does."""
    loaded = {
        name.split(".")[0] for name in modules_after("from orchestrator import run_plan, arun_plan, astream_plan")
    }
    assert loaded.isdisjoint({"langgraph", "langchain_core", "langsmith", "typer", "rich"})
