"""Hostile plans that cannot run: `check` and `run` say why, and nothing starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.house import House
from tests.hostile.refused import REFUSED


@pytest.fixture(scope="module")
def one_house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """One for all: each plan leaves it as it was, and says so."""
    return House(tmp_path_factory.mktemp("house"))


def test_there_are_enough_of_them(tmp_path: Path) -> None:
    """At least 60 plans and 30 canaries."""
    assert len(REFUSED) >= 60
    assert len(House(tmp_path).planted) >= 30


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason_and_nothing_starts(name: str, one_house: House) -> None:
    """Exit 2, the reason on stderr, no start of the CLI, no other program, no store, and no canary anywhere."""
    plan, reason = REFUSED[name]
    house = one_house
    house.told.clear()
    (house.work / "plan.yaml").write_bytes(plan if isinstance(plan, bytes) else plan.encode("utf-8", "surrogatepass"))
    for words in (["check", "plan.yaml"], ["run", "plan.yaml", "--allow-tools", "Read,Grep,Glob", "--yes"]):
        assert house.run(*words, claude=Path("/nowhere/claude")) == 2
        said, problem = house.told[-2:]
        assert (said, problem.startswith("plan.yaml"), "Traceback" in problem) == ("", True, False)
        assert reason in problem
        assert len(problem) < 20_000
        assert all(sign.isprintable() or sign in "\n\t" for sign in problem)
    assert (house.starts, house.started(), house.leaks()) == ("", [], [])
    assert not (house.work / ".orchestrate" / "store.db").exists()
    assert sorted(path.name for path in (house.root / "outside").iterdir()) == [
        "CLAUDE.md", "folder", "rows.csv", "secret.txt", "template.jinja",
    ]  # fmt: skip
