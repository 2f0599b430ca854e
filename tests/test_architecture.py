"""The house keeps its plan: who may import whom, where each library lives, and how big a module may grow.

Every rule reads the source as syntax trees, so an import inside a function counts like one at the top. Each rule is
tried twice: on the project, and on a small wrong project that it has to object to.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "orchestrator"
MAX_MODULE_LINES = 320
MAX_FUNCTION_LINES = 60
MAX_TEXT_WORDS = 80
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "types"}

LEAVES = ("errors", "events", "prompt_texts", "redaction")
ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "events": (),
    "prompt_texts": ("errors",),
    "redaction": (),
    "plan": LEAVES,
    "runners": LEAVES,
    "store": LEAVES,
    "engine": (*LEAVES, "plan", "store", "runners.base"),
    "opening": (*LEAVES, "plan", "store", "engine"),
    "binding": (*LEAVES, "plan", "store", "runners", "engine", "opening"),
    "call_options": (*LEAVES, "plan", "opening"),
    "planning": (*LEAVES, "plan", "store", "runners.base", "engine", "opening", "binding"),
    "following": (*LEAVES, "plan", "store", "engine", "opening", "binding", "planning"),
    "recalling": (*LEAVES, "store", "engine", "opening"),
    "forecasting": (*LEAVES, "plan", "store", "runners.base", "engine", "opening", "binding", "following"),
    "api": (
        *LEAVES,
        "plan",
        "store",
        "runners",
        "engine",
        "opening",
        "binding",
        "call_options",
        "planning",
        "following",
        "forecasting",
        "recalling",
    ),
    "cli": (*LEAVES, "plan", "store", "runners.base", "runners.choose", "api"),
    "__main__": ("cli",),
    "__init__": (*LEAVES, "plan", "store", "runners", "engine", "planning", "api"),
}
"""For each room, the rooms (or single modules) that it may use. Its own room is always allowed."""

SPAWNERS = {
    "create_subprocess_exec",
    "create_subprocess_shell",
    "posix_spawn",
    "posix_spawnp",
    "fork",
    "forkpty",
    "popen",
}
SPAWNING_HOME = f"{PACKAGE}/runners/claude_cli/"
PYDANTIC_HOME = f"{PACKAGE}/plan/"


@dataclass(frozen=True)
class Import:
    """One import of one name: the dotted `target`, where it stands, and whether only the type checker sees it."""

    target: str
    line: int
    typing_only: bool


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name without the package, its path for messages, text, tree and imports."""

    name: str
    path: str
    text: str
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def room(self) -> str:
        return self.name.split(".")[0]


Rule = Callable[[list[Module]], Iterator[str]]


def read_modules(root: Path) -> list[Module]:
    """All modules of the package under `root`, sorted by path."""
    paths = sorted((root / PACKAGE).rglob("*.py"))
    return [read_module(path, root=root) for path in paths]


@functools.cache
def own_modules() -> list[Module]:
    """Those of this project, read once for all rules."""
    return read_modules(ROOT)


def read_module(path: Path, *, root: Path) -> Module:
    inside = path.relative_to(root / PACKAGE)
    parts = inside.with_suffix("").parts
    if len(parts) > 1 and parts[-1] == "__init__":
        parts = parts[:-1]
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    package = [PACKAGE, *inside.parts[:-1]]
    found = tuple(find_imports(tree, package=package))
    return Module(name=".".join(parts), path=f"{PACKAGE}/{inside.as_posix()}", text=text, tree=tree, imports=found)


def find_imports(tree: ast.Module, *, package: list[str]) -> Iterator[Import]:
    """Every import statement, and every `import_module("…")` with a literal name."""
    hidden = {id(node) for block in ast.walk(tree) if is_typing_block(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        typing_only = id(node) in hidden
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, typing_only)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{module}.{alias.name}", node.lineno, typing_only)
        elif isinstance(node, ast.Call) and called_name(node) in {"import_module", "__import__"} and node.args:
            yield Import(literal_text(node.args[0]), node.lineno, typing_only)


def literal_text(node: ast.expr) -> str:
    """The string that stands there, or nothing when it is computed."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def called_name(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def own_target(found: Import, names: set[str]) -> str | None:
    """The project's module that an import reaches, without the package's name; None for anything from outside."""
    if found.target != PACKAGE and not found.target.startswith(f"{PACKAGE}."):
        return None
    dotted = found.target.removeprefix(PACKAGE).removeprefix(".")
    while dotted and dotted not in names:
        dotted = dotted.rpartition(".")[0]
    return dotted or "__init__"


def arrows_point_one_way(modules: list[Module]) -> Iterator[str]:
    """Edges → api → engine → runners, store, plan → leaves; nobody imports the package's front door."""
    names = {module.name for module in modules}
    for module in modules:
        allowed = ALLOWED.get(module.room)
        if allowed is None:
            yield f"{module.path}:1: {module.room} is a new room; say in ALLOWED what it may use"
            continue
        for found in module.imports:
            target = own_target(found, names)
            if target is None or target.split(".")[0] == module.room != "__init__":
                continue
            if not any(target == room or target.startswith(f"{room}.") for room in allowed):
                yield f"{module.path}:{found.line}: {module.room} may not use {target}; allowed: {', '.join(allowed)}"


def no_circles(modules: list[Module]) -> Iterator[str]:
    """No module reaches itself through imports, lazy ones included; imports for the type checker alone do not count."""
    names = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        targets = {own_target(found, names) for found in module.imports if not found.typing_only}
        graph[module.name] = {target for target in targets if target is not None and target != module.name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1][::-1]
        first = next(module for module in modules if module.name == circle[0])
        line = next(found.line for found in first.imports if own_target(found, names) == circle[1])
        yield f"{first.path}:{line}: imports in a circle: {' → '.join(circle)}"


def library_homes() -> dict[str, str]:
    """Each outside library's one home, as the messages of ruff's banned-api table name it."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    banned = table["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    homes = {name: re.search(rf"{PACKAGE}/\S+", entry["msg"]) for name, entry in banned.items()}
    assert all(homes.values()), "each message of the banned-api table names the library's home"
    return {"pydantic": PYDANTIC_HOME, **{name: home.group() for name, home in homes.items() if home}}


def libraries_at_home(modules: list[Module]) -> Iterator[str]:
    """Each outside library is imported in its one home alone, and none without a home is imported at all."""
    homes = library_homes()
    for module in modules:
        for found in module.imports:
            library = found.target.split(".")[0]
            home = homes.get(library)
            if not library:
                if module.name != "__init__":
                    yield f"{module.path}:{found.line}: an import by a computed name; write the name out"
            elif library == PACKAGE or (home is None and library in sys.stdlib_module_names):
                continue
            elif home is None:
                yield f"{module.path}:{found.line}: {library} has no home; give it one in the banned-api table"
            elif not module.path.startswith(home) if home.endswith("/") else module.path != home:
                yield f"{module.path}:{found.line}: {library} lives in {home} alone"


def children_start_in_one_place(modules: list[Module]) -> Iterator[str]:
    """Only the runner of the real CLI starts processes."""
    for module in modules:
        if module.path.startswith(SPAWNING_HOME):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and called_name(node) in SPAWNERS:
                yield f"{module.path}:{node.lineno}: {called_name(node)}; processes start in {SPAWNING_HOME} alone"


def sizes_stay_readable(modules: list[Module]) -> Iterator[str]:
    """A module can be read in one sitting, a function on one screen."""
    for module in modules:
        lines = module.text.count("\n")
        if lines > MAX_MODULE_LINES:
            yield f"{module.path}:{lines}: {lines} lines in one module; at most {MAX_MODULE_LINES}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION_LINES:
                    yield f"{module.path}:{node.lineno}: {node.name} has {size} lines; at most {MAX_FUNCTION_LINES}"


def names_say_something(modules: list[Module]) -> Iterator[str]:
    """No module's name invites everything."""
    for module in modules:
        vague = VAGUE_NAMES.intersection(module.name.split("."))
        if vague:
            yield f"{module.path}:1: a module named {vague.pop()} grows without limit; name it after what it does"


def prompts_stand_in_files(modules: list[Module]) -> Iterator[str]:
    """No long text, and none that addresses a model, stands in code outside docstrings; SQL is no prompt."""
    for module in modules:
        docstrings = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
                continue
            words = node.value.split()
            too_long = len(words) > MAX_TEXT_WORDS and "CREATE TABLE" not in node.value
            if too_long or words[:2] == ["You", "are"]:
                yield f"{module.path}:{node.lineno}: a text of {len(words)} words; prompts stand in prompts/"


RULES: list[Rule] = [
    arrows_point_one_way,
    no_circles,
    libraries_at_home,
    children_start_in_one_place,
    sizes_stay_readable,
    names_say_something,
    prompts_stand_in_files,
]

WRONG: list[tuple[Rule, dict[str, str], str]] = [
    (
        arrows_point_one_way,
        {"plan/load.py": "def f():\n    from orchestrator.store import database\n", "store/database.py": ""},
        "orchestrator/plan/load.py:2: plan may not use store.database",
    ),
    (
        arrows_point_one_way,
        {"events.py": "if TYPE_CHECKING:\n    from .plan.model import Plan\n", "plan/model.py": ""},
        "orchestrator/events.py:2: events may not use plan.model",
    ),
    (
        arrows_point_one_way,
        {"engine/run.py": "from ..runners import choose\n", "runners/choose.py": "", "runners/base.py": ""},
        "orchestrator/engine/run.py:1: engine may not use runners.choose",
    ),
    (
        arrows_point_one_way,
        {"cli/app.py": "from orchestrator import run_plan\n"},
        "orchestrator/cli/app.py:1: cli may not use __init__",
    ),
    (arrows_point_one_way, {"web/page.py": ""}, "orchestrator/web/page.py:1: web is a new room"),
    (
        no_circles,
        {"plan/a.py": "import orchestrator.plan.b\n", "plan/b.py": "def f():\n    from orchestrator.plan.a import x\n"},
        "imports in a circle: plan.",
    ),
    (libraries_at_home, {"api.py": "def f():\n    import sqlite3\n"}, "orchestrator/api.py:2: sqlite3 lives in"),
    (
        libraries_at_home,
        {"engine/run.py": "from langgraph.graph import StateGraph\n"},
        "orchestrator/engine/run.py:1: langgraph lives in orchestrator/engine/graph.py alone",
    ),
    (
        libraries_at_home,
        {"api.py": 'importlib.import_module("requests")\n'},
        "api.py:1: requests has no home",
    ),
    (libraries_at_home, {"api.py": "import_module(name)\n"}, "orchestrator/api.py:1: an import by a computed name"),
    (
        children_start_in_one_place,
        {"engine/run.py": "async def f():\n    await asyncio.create_subprocess_exec('ls')\n"},
        "orchestrator/engine/run.py:2: create_subprocess_exec",
    ),
    (sizes_stay_readable, {"api.py": "x = 1\n" * 321}, "orchestrator/api.py:321: 321 lines"),
    (sizes_stay_readable, {"api.py": "def f():\n" + "    x = 1\n" * 60}, "orchestrator/api.py:1: f has 61 lines"),
    (names_say_something, {"plan/utils.py": ""}, "orchestrator/plan/utils.py:1: a module named utils"),
    (
        prompts_stand_in_files,
        {"api.py": "X = 'You are a helpful writer.'\n"},
        "api.py:1: a text of 5 words",
    ),
    (prompts_stand_in_files, {"api.py": f"X = '{'word ' * 81}'\n"}, "orchestrator/api.py:1: a text of 81 words"),
]


def write_project(files: dict[str, str], *, root: Path) -> list[Module]:
    for name, text in files.items():
        path = root / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_modules(root)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_project_keeps_the_rule(rule: Rule) -> None:
    """The project breaks no rule; what is reported names file and line."""
    broken = list(rule(own_modules()))
    assert not broken, "\n".join([rule.__doc__ or "", *broken])


@pytest.mark.parametrize(("rule", "files", "complaint"), WRONG)
def test_rule_objects(rule: Rule, files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    """Each rule finds what it is there to find, and says where."""
    reported = list(rule(write_project(files, root=tmp_path)))
    assert len(reported) == 1
    assert complaint in reported[0]


def test_circles_for_types_alone_are_allowed(tmp_path: Path) -> None:
    """Two modules may name each other's types, as long as only the type checker follows both imports."""
    files = {
        "plan/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from orchestrator.plan.b import B\n",
        "plan/b.py": "from orchestrator.plan.a import A\n",
    }
    assert list(no_circles(write_project(files, root=tmp_path))) == []


def test_all_rooms_are_read() -> None:
    """The rules see the package: every room that they speak of has modules."""
    rooms = {module.room for module in own_modules()}
    assert {"errors", "events", "plan", "runners", "store", "engine", "cli"} <= rooms
