"""Finding files by pattern: what git leaves out is left out, what is no text or outside is refused by name."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from orchestrator.plan.split import SplitError, find_files

TREE = (
    "a.py", "b.md", "src/a.py", "src/b.py", "src/deep/er/c.py", "src/deep/data.txt", "src/.hidden.py", "build/out.py",
    ".git/hooks/x.py", "docs/[x].md", "docs/ä.md",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in TREE:
        write(tmp_path, name)
    return tmp_path


def write(root: Path, name: str, content: str | bytes = "text\n") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def names(patterns: str | list[str], root: Path, *, base: str = ".") -> list[str]:
    return [each.name for each in find_files(patterns, base=root / base, root=root)]


FOUND: dict[str, list[str]] = {
    "*.py": ["a.py"],
    "a.py": ["a.py"],
    "./src/*.py": ["src/a.py", "src/b.py"],
    "src/**/*.py": ["src/a.py", "src/b.py", "src/deep/er/c.py"],
    "**/c.py": ["src/deep/er/c.py"],
    "**/[ab].??": ["a.py", "b.md", "src/a.py", "src/b.py"],
    "src/**": ["src/a.py", "src/b.py", "src/deep/data.txt", "src/deep/er/c.py"],
    "src/*/er/*": ["src/deep/er/c.py"],
    "*/a.py": ["src/a.py"],
    "docs/[[]x].md": ["docs/[x].md"],
    "docs/[!a-z]*.md": ["docs/[x].md", "docs/ä.md"],
    "docs/?.md": ["docs/ä.md"],
}


@pytest.mark.parametrize("pattern", FOUND)
def test_patterns(pattern: str, root: Path) -> None:
    """`*` and `?` stay within a name, `**` is any number of folders; sorted; nothing of version control."""
    assert names(pattern, root) == FOUND[pattern]
    for each in find_files(pattern, base=root, root=root):
        assert each.path == (root / each.name).resolve()


HIDDEN: dict[str, list[str]] = {
    "**": [name for name in sorted(TREE) if "/." not in f"/{name}"],
    "src/.*": ["src/.hidden.py"],
    "src/*.py": ["src/a.py", "src/b.py"],
    "**/.*.py": ["src/.hidden.py"],
    ".*": [".env"],
    ".env": [".env"],
    "*/.cache/*": ["src/.cache/x.py"],
    "**/.cache/**": ["src/.cache/x.py"],
    "src/.cache/**/*.py": ["src/.cache/x.py"],
    "src/.c*/*": ["src/.cache/x.py"],
}


@pytest.mark.parametrize("pattern", HIDDEN)
def test_hidden_names_need_the_dot(pattern: str, root: Path) -> None:
    """A name that begins with a dot, and what is in such a folder, is found when the pattern gives the dot there."""
    for name in (".env", "src/.cache/x.py", "src/.cache/.y.py"):
        write(root, name)
    assert names(pattern, root) == HIDDEN[pattern]


def test_hidden_names_are_told_of(tmp_path: Path) -> None:
    """Where nothing but hidden files would match, the hint says how to name them; `.gitignore` holds for them too."""
    write(tmp_path, "sub/.env")
    with pytest.raises(SplitError) as caught:
        names("sub/*", tmp_path)
    assert "begins with a dot" in caught.value.hint
    write(tmp_path, ".gitignore", ".e*\n")
    with pytest.raises(SplitError) as caught:
        names("sub/.*", tmp_path)
    assert ".gitignore leaves out 'sub/.env'" in caught.value.hint


def test_several_patterns_give_each_file_once(root: Path) -> None:
    """The files of all patterns together are sorted, each is there once."""
    assert names(["src/b.py", "src/*.py", "a.py"], root) == ["a.py", "src/a.py", "src/b.py"]


def test_names_are_relative_to_the_plan(root: Path) -> None:
    """A plan in a folder below the root names what stands beside it, and above it with `..`."""
    assert names("*.py", root, base="src") == ["a.py", "b.py"]
    assert names("../*.md", root, base="src") == ["../b.md"]


IGNORED: list[tuple[dict[str, str], list[str]]] = [
    ({"": "build/\n"}, ["a.py", "src/a.py", "src/b.py", "src/deep/er/c.py"]),
    ({"": "/a.py\nbuild\n.*\n"}, ["src/a.py", "src/b.py", "src/deep/er/c.py"]),
    ({"": "a.py\nbuild\n.*\n"}, ["src/b.py", "src/deep/er/c.py"]),
    ({"": "*.py\n!b.py\n!c.py\n"}, ["src/b.py", "src/deep/er/c.py"]),
    ({"": "*.py\n", "src": "!a.py\n"}, ["src/a.py"]),
    ({"": "build\n.*\n", "src": "/deep\n/a.py\n"}, ["a.py", "src/b.py"]),
    ({"": "build\n.*\nsrc/deep/\n", "src/deep": "!*\n"}, ["a.py", "src/a.py", "src/b.py"]),
    ({"": "build\n.*\nsrc/**/c.py\r\n# a.py\n"}, ["a.py", "src/a.py", "src/b.py"]),
]


@pytest.mark.parametrize(("files", "expected"), IGNORED)
def test_gitignore_is_honoured(files: dict[str, str], expected: list[str], root: Path) -> None:
    """Folders only, anchored, negated and nested rules; nothing comes back out of a folder that is left out."""
    for folder, rules in files.items():
        write(root, f"{folder}/.gitignore".lstrip("/"), rules)
    assert names("**/*.py", root) == expected


def test_rules_above_the_plan_hold(root: Path) -> None:
    """The root's rules hold for a plan further down, also for the very folder that it names."""
    write(root, ".gitignore", "deep/\n")
    assert names("**/*.py", root, base="src") == ["a.py", "b.py"]
    with pytest.raises(SplitError, match=re.escape(".gitignore leaves out 'src/deep'")):
        names("deep/**/*.py", root, base="src")


REFUSED: dict[str, str] = {
    "*.rs": "matches no file; the folder",
    "scr/*.py": "matches no file; there is no folder 'scr'",
    "/etc/*": "is not relative",
    "~/x/*": "is not relative",
    "../*.py": "leads out of the plan's folder",
    "src/*/../../../*.py": "goes up after a wildcard",
    "": "is not relative",
    ".git/**": "matches no file",
    "src": "matches no file",
}


@pytest.mark.parametrize("pattern", REFUSED)
def test_wrong_patterns_say_what_to_do(pattern: str, root: Path) -> None:
    """A pattern that finds nothing, or leads out of the root, is an error with a hint."""
    with pytest.raises(SplitError, match=re.escape(REFUSED[pattern])) as caught:
        names(pattern, root)
    assert caught.value.hint


def test_what_is_no_text_is_refused_by_name(root: Path) -> None:
    """All files that are no text are named at once, each with what to do."""
    write(root, "src/logo.png", b"\x89PNG\r\n\x00")
    write(root, "src/latin.txt", "ä".encode("latin-1"))
    with pytest.raises(SplitError) as caught:
        names("src/*", root)
    assert [each.message.partition(" ")[0] for each in caught.value.all] == ["'src/latin.txt'", "'src/logo.png'"]
    assert all(".gitignore" in each.hint for each in caught.value.all)


def test_all_that_is_wrong_is_told_at_once(root: Path) -> None:
    """Wrong patterns, links that lead outside, names that are not UTF-8, and files that are no text."""
    (root / "src/out.py").symlink_to("/etc/hostname")
    write(root, "src/deep/bad.txt", b"\0")
    os.close(os.open(os.fsencode(root) + b"/src/\xe4.md", os.O_CREAT))
    with pytest.raises(SplitError) as caught:
        names(["*.rs", "src/**", "../*"], root)
    assert [each.message for each in caught.value.all] == [
        "'*.rs' matches no file",
        "'src/out.py' leads out of the plan's folder",
        "the name 'src/\\xe4.md' is not UTF-8",
        "'..' leads out of the plan's folder",
        "'src/deep/bad.txt' holds a NUL character in line 1",
    ]


def test_links_stay_inside(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link to a file inside is followed, one that leads outside is refused; linked folders are not entered."""
    outside = tmp_path_factory.mktemp("outside")
    write(outside, "secret.py")
    (root / "src/link.py").symlink_to(root / "a.py")
    (root / "src/circle").symlink_to(root / "src")
    assert names("src/**/*.py", root) == [
        "src/a.py", "src/b.py", "src/deep/er/c.py", "src/link.py",
    ]  # fmt: skip
    (root / "src/out.py").symlink_to(outside / "secret.py")
    with pytest.raises(SplitError, match=re.escape("'src/out.py' leads out")):
        names("src/*.py", root)


def test_a_pipe_is_no_file(root: Path) -> None:
    """What is neither file nor folder is passed over, and never opened."""
    os.mkfifo(root / "src/pipe.py")
    assert "src/pipe.py" not in names("src/*.py", root)


def test_many_stars_take_no_time(root: Path) -> None:
    """A pattern of many wildcards does not backtrack without end."""
    write(root, "a" * 200)
    with pytest.raises(SplitError, match="matches no file"):
        names("*a*a*a*a*a*a*a*a*a*a*a*a*b", root)


@pytest.mark.parametrize("seed", range(20))
def test_git_finds_the_same_files(seed: int, tmp_path: Path) -> None:
    """In random folders with random rules, exactly the files that git would add are found."""
    choose = random.Random(seed)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for number in range(25):
        folders = choose.choices(["a", "b", "x", "y"], k=choose.randint(0, 3))
        write(tmp_path, "/".join([*folders, f"{choose.choice('abcde')}{number}.{choose.choice(['py', 'md'])}"]))
    for folder in (tmp_path, *choose.sample(sorted(tmp_path.glob("?/")), 2)):
        rules = [
            choose.choice(["", "", "!"])
            + choose.choice(["", "/", "**/", "x/", "a/**/"])
            + choose.choice(["a", "b*", "*.py", "*", "x", "y", "[!ab]*", "?"])
            + choose.choice(["", "/", "/*", "/**"])
            for _ in range(choose.randint(1, 4))
        ]
        (folder / ".gitignore").write_text("\n".join(rules) + "\n")
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"], cwd=tmp_path, capture_output=True, check=True
    )
    every = [name.decode() for name in listed.stdout.split(b"\0") if name]
    expected = sorted(name for name in every if "/." not in f"/{name}")
    try:
        found = names("**/*", tmp_path)
    except SplitError:
        found = []
    assert found == expected
