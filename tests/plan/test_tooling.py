"""What a plan says of tools: settings, folders, CLAUDE.md, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.workload import Chunk


def load(folder: Path, text: str) -> dict[str, Chunk]:
    """The chunks of a plan file of that text; a piece of a group stands under its own id."""
    path = folder / "p.yaml"
    path.write_text(text)
    return dict(load_plan(path).chunks)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        load(folder, text)
    return [each.render().replace(f"{folder}/", "") for each in caught.value.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "CLAUDE.md").write_text("Tabs, please.\n")
    (tmp_path / "CLAUDE.md").write_text("Spaces, please.\n")
    return tmp_path


def test_a_chunk_overrides_the_plan(folder: Path) -> None:
    """Tools, folder and CLAUDE.md are the chunk's own, else the plan's; an empty list takes the tools away."""
    chunks = load(
        folder,
        """
tools: [Read, Grep, Read]
project_memory: true
chunks:
  - {id: a, prompt: x}
  - {id: b, prompt: x, tools: [Glob], workdir: src}
  - {id: c, prompt: x, tools: [], project_memory: false}
  - {id: d, prompt: "x {{ item.text }}", for_each: [one, two]}
""",
    )
    tools = {name: chunk.tooling.tools if chunk.tooling else () for name, chunk in chunks.items()}
    assert tools == {
        "a": ("Grep", "Read"), "b": ("Glob",), "c": (), "d[1]": ("Grep", "Read"), "d[2]": ("Grep", "Read"),
    }  # fmt: skip
    assert chunks["a"].tooling is not None
    assert chunks["b"].tooling is not None
    assert (chunks["a"].tooling.folder, chunks["a"].tooling.name) == (folder, ".")
    assert (chunks["b"].tooling.folder, chunks["b"].tooling.name) == (folder / "src", "src")
    assert [chunks[name].memory for name in "abc"] == ["Spaces, please.", "Tabs, please.", ""]


def test_nothing_is_reused_by_default_where_tools_are_on(folder: Path) -> None:
    """`never` with tools, `always` without; what the plan or the chunk says wins."""
    chunks = load(
        folder,
        """
chunks:
  - {id: a, prompt: x}
  - {id: b, prompt: x, tools: [Read]}
  - {id: c, prompt: x, tools: [Read], reuse: 24h}
""",
    )
    assert [chunk.reuse for chunk in chunks.values()] == ["always", "never", "24h"]
    assert load(folder, "reuse: always\nchunks: [{id: a, prompt: x, tools: [Read]}]\n")["a"].reuse == "always"


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ("chunks: [{id: a, prompt: x, tools: [Bash]}]", "`tools[0]` must be one of Read, Grep, Glob, not 'Bash'"),
        ("chunks: [{id: a, prompt: x, tools: [read]}]", "did you mean Read?"),
        ("chunks: [{id: a, prompt: x, tools: Read}]", "write [Read]"),
        ("chunks: [{id: a, prompt: x, tools: [Read], workdir: /}]", "'/' is not relative to the plan file"),
        ("chunks: [{id: a, prompt: x, tools: [Read], workdir: ~/x}]", "'~/x' is not relative to the plan file"),
        ("chunks: [{id: a, prompt: x, tools: [Read], workdir: ..}]", "'..' leads out of the plan's folder"),
        ("chunks: [{id: a, prompt: x, tools: [Read], workdir: out}]", "'out' leads out of the plan's folder"),
        ("chunks: [{id: a, prompt: x, tools: [Read], workdir: nowhere}]", "the workdir 'nowhere' is not there"),
        ("chunks: [{id: a, prompt: x, tools: [Read], workdir: p.yaml}]", "the workdir 'p.yaml' is no folder"),
        ("chunks: [{id: a, prompt: x, project_memory: true, workdir: empty}]", "no file 'empty/CLAUDE.md'"),
        ("chunks: [{id: a, prompt: x, project_memory: true, workdir: linked}]", "leads out of the plan's folder"),
        ("chunks: [{id: a, prompt: x, workdir: src}]", "`workdir` is where tools read, and none are named"),
        ("workdir: src\nchunks: [{id: a, prompt: x}]", "`workdir` is where tools read, and none are named"),
    ],
)
def test_what_cannot_be_is_a_problem_at_its_place(folder: Path, plan: str, told: str) -> None:
    """Tools that write or start something, folders that lead out, and settings that would do nothing."""
    (folder / "out").symlink_to("/etc")
    (folder / "empty").mkdir()
    (folder / "linked").mkdir()
    (folder / "linked" / "CLAUDE.md").symlink_to("/etc/hostname")
    (problem,) = problems(folder, plan)
    assert told in problem
    assert problem.startswith("p.yaml:")


def test_recipes_of_plans_without_tools_stay(folder: Path) -> None:
    """What an answer is known by changes only where tools or CLAUDE.md are used."""
    chunks = load(
        folder,
        """
chunks:
  - {id: plain, prompt: x}
  - {id: read, prompt: x, tools: [Read]}
  - {id: sub, prompt: x, tools: [Read], workdir: src}
  - {id: told, prompt: x, project_memory: true}
""",
    )
    recipes = {name: chunk.recipe for name, chunk in chunks.items()}
    assert len(set(recipes.values())) == 4
    assert recipes["plain"] == "64eefbbf46156636288fd48968fef1620849f439d106201c0e291c68dfbdfa36"
