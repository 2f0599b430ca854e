"""The documentation tells the truth: names in it exist, and names that exist are in it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from orchestrator.events import Event, EventBase
from orchestrator.plan import model
from orchestrator.plan.values import FILTERS
from orchestrator.runners.base import FailureClass
from tests.cli.command import ROOT, orchestrate

COMMANDS = ("run", "plan", "ask", "resume", "check", "status", "show", "events", "doctor", "schema", "init")
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "examples" / "README.md"])


def kinds_of(part: type[BaseModel]) -> list[type[BaseModel]]:
    """Every part of a plan that is a kind of this one."""
    return [each for below in part.__subclasses__() for each in (below, *kinds_of(below))]


PARTS = kinds_of(model.PlanPart)


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every table row."""
    lines = (line for line in text.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_field_of_a_plan_is_described(part: type[BaseModel]) -> None:
    """Each field of the plan's model has a row in the description of the format, or of the rules for seams."""
    described = {
        name for row in rows(read("plan-format.md") + read("seams.md")) for name in re.findall(r"`(\w+)`", row[0])
    }
    assert set(part.model_fields) <= described


def test_no_field_is_described_that_does_not_exist() -> None:
    """A row whose first cell is one word names a field or a filter that exists."""
    known = {name for part in PARTS for name in part.model_fields} | set(FILTERS)
    described = {found[1] for row in rows(read("plan-format.md")) if (found := re.fullmatch(r"`(\w+)`", row[0]))}
    assert described <= known


def test_every_filter_is_described() -> None:
    """Each filter stands in the description, with its parameters."""
    text = read("plan-format.md")
    assert [name for name, spec in FILTERS.items() if f"`{name}{spec.usage}`" not in text] == []


def test_plans_in_the_description_are_plans() -> None:
    """Every YAML block that shows a plan has a plan's form."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", read("plan-format.md"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        model.Plan.model_validate(yaml.safe_load(block))


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.type)
def test_every_event_is_described(kind: type[EventBase]) -> None:
    """Each kind of event has a row, with exactly its fields, in their order."""
    header = [field.name for field in fields(EventBase)]
    described = {row[0]: re.findall(r"`(\w+)`", row[1]) for row in rows(read("events.md")) if len(row) == 3}
    names = [field.name for field in fields(kind) if field.name not in header]
    assert described[f"`{kind.type}`"] == names


def test_every_failure_class_is_described() -> None:
    """`error_type` can be looked up."""
    text = read("events.md")
    assert [kind.value for kind in FailureClass if f"`{kind.value}`" not in text] == []


def test_every_line_of_the_threat_model_has_a_test() -> None:
    """Each threat names a test that exists."""
    lines = [row for row in rows(read("security.md")) if len(row) == 4 and row[0] not in ("threat", "---")]
    assert len(lines) >= 30
    for threat, done, _, named in lines:
        found = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", named)
        assert found, threat
        assert f"def {found[2]}(" in (ROOT / found[1]).read_text(encoding="utf-8"), named
        assert done, threat


def help_text(*command: str) -> str:
    asked = orchestrate(*command, "--help", cwd=ROOT, env={"COLUMNS": "200", "TERM": "dumb"})
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


def test_every_command_is_described() -> None:
    """The table of commands is what `--help` lists."""
    listed = set(re.findall(r"^[\s│|]*([a-z]+)\s{2,}\S", help_text(), flags=re.MULTILINE))
    section = read("command-line.md").partition("## Commands")[2].partition("\n## ")[0]
    described = {found[1] for row in rows(section) if (found := re.match(r"`(\w+)[ `]", row[0]))}
    assert listed == described


def flags_of(*command: str) -> set[str]:
    """The flags that a command's `--help` lists; without a command, the program's."""
    return set(re.findall(r"(?:^\s*|, | / )(--?[a-z][a-z-]*)", help_text(*command), flags=re.MULTILINE))


def test_flags_and_their_description_agree() -> None:
    """Each flag of any command stands in the description, and no flag stands there that no command has."""
    found = [flags_of(), *(flags_of(command) for command in COMMANDS)]
    assert all("--help" in flags for flags in found)
    existing = set[str]().union(*found) - {"--help", "-h"}
    described = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", read("command-line.md")))
    assert existing <= described
    assert {flag for flag in described if flag.startswith("--")} <= existing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project finds that file."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
