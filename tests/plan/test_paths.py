"""Reading files that a plan names: text inside its root, and nothing else, whatever the path looks like."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from pathlib import Path

import pytest

from orchestrator.plan.paths import MAX_TEXT_BYTES, PathError, _open_below, inside_root, read_plan_text, read_typed_text


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A plan's folder with a good file, a folder, links of all kinds, a pipe and a socket; a secret lies beside it."""
    folder = tmp_path / "plan"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "good.md").write_bytes(b"a\r\nb\rc\n")
    (folder / "sub" / "inner.md").write_text("inner")
    (folder / "bom.md").write_bytes(b"\xef\xbb\xbftext")
    (folder / "latin.md").write_bytes(b"one\ncaf\xe9")
    (folder / "nul.md").write_bytes(b"one\ntwo\0")
    (folder / "to_good").symlink_to("good.md")
    (folder / "to_secret").symlink_to("../secret.txt")
    (folder / "to_outside").symlink_to(tmp_path)
    (folder / "to_zero").symlink_to("/dev/zero")
    (folder / "round").symlink_to("round")
    (folder / "gone_link").symlink_to("gone")
    os.mkfifo(folder / "pipe")
    return folder


def test_bytes_become_text_without_a_change(house: Path) -> None:
    """Newlines stay as they are; the hash is that of the bytes."""
    found = read_plan_text("good.md", base=house, root=house)
    assert found.text == "a\r\nb\rc\n"
    assert found.sha256 == hashlib.sha256(b"a\r\nb\rc\n").hexdigest()
    assert found.path == house / "good.md"


@pytest.mark.parametrize("named", ["to_good", "sub/inner.md", "./sub/../good.md", "sub/../to_good"])
def test_what_stays_inside_is_read(house: Path, named: str) -> None:
    """Links and detours are fine as long as they end inside the root."""
    assert read_plan_text(named, base=house, root=house).text


def test_byte_order_mark_is_kept_out(house: Path) -> None:
    """A byte order mark is no part of a text."""
    assert read_plan_text("bom.md", base=house, root=house).text == "text"


REFUSED = {
    "../secret.txt": "leads out of the plan's folder",
    "sub/../../secret.txt": "leads out of the plan's folder",
    "to_secret": "leads out of the plan's folder",
    "to_outside/secret.txt": "leads out of the plan's folder",
    "to_zero": "leads out of the plan's folder",
    "/etc/hostname": "is not relative to the plan file",
    "~/x": "is not relative to the plan file",
    "sub": "is a folder, not a text file",
    ".": "is a folder, not a text file",
    "pipe": "is a pipe, not a text file",
    "gone.md": "there is no file 'gone.md'",
    "gone_link": "there is no file 'gone_link'",
    "gone/x.md": "there is no file 'gone/x.md'",
    "good.md/x": "cannot be read",
    "round": "",
    "latin.md": "'latin.md' is not UTF-8: byte 0xe9 in line 2",
    "nul.md": "'nul.md' holds a NUL character in line 2",
    "a\0b": "cannot be read",
    "x" * 5_000: "cannot be read",
}


@pytest.mark.parametrize("named", REFUSED)
def test_refused_and_never_waited_for(house: Path, named: str) -> None:
    """What leaves the root or is no text file is refused by name, and a pipe blocks nothing."""
    start = time.perf_counter()
    with pytest.raises(PathError) as caught:
        read_plan_text(named, base=house, root=house)
    assert REFUSED[named] in caught.value.message
    assert time.perf_counter() - start < 2


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is no text file."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        with pytest.raises(PathError, match="is a socket"):
            read_plan_text("s", base=tmp_path, root=tmp_path)


def test_a_wider_root_lets_more_in(house: Path) -> None:
    """With `--root` one level up the same path is read, and what leaves that root is still refused."""
    assert read_plan_text("../secret.txt", base=house, root=house.parent).text == "secret"
    with pytest.raises(PathError):
        read_plan_text("../../x", base=house, root=house.parent)


def test_too_large_is_refused_unread(house: Path) -> None:
    """Size is looked at before content."""
    with (house / "large.md").open("wb") as file:
        file.truncate(MAX_TEXT_BYTES + 1)
    with pytest.raises(PathError, match="larger than 32 MB"):
        read_plan_text("large.md", base=house, root=house)


def test_typed_paths_may_lead_anywhere_but_must_be_text(house: Path) -> None:
    """A person's own path is not bound to a root; devices, pipes and folders are refused all the same."""
    assert read_typed_text(house / ".." / "secret.txt").text == "secret"
    assert read_typed_text(house / "to_secret").text == "secret"
    for path in (house / "pipe", house, Path("/dev/zero"), house / "gone", house / "latin.md", house / "nul.md"):
        with pytest.raises(PathError):
            read_typed_text(path)


def test_a_near_name_is_suggested(house: Path) -> None:
    """A slip in a name is answered with the file that was meant."""
    with pytest.raises(PathError) as caught:
        read_plan_text("god.md", base=house, root=house)
    assert caught.value.hint == "did you mean good.md?"


def test_a_result_may_be_new_but_not_outside(house: Path) -> None:
    """An output need not exist yet; it stays inside the root all the same."""
    assert inside_root("new/result.md", base=house, root=house) == house / "new" / "result.md"
    with pytest.raises(PathError):
        inside_root("to_outside/result.md", base=house, root=house)


def test_a_link_changed_meanwhile_leads_nowhere(house: Path) -> None:
    """A folder that becomes a link to the outside after its path was judged is not followed, nor is such a file."""
    (house.parent / "inner.md").write_text("secret")
    judged = inside_root("sub/inner.md", base=house, root=house)
    (house / "sub").rename(house / "away")
    (house / "sub").symlink_to(house.parent)
    with pytest.raises(PathError):
        _open_below(house, judged, "sub/inner.md")
    judged = inside_root("good.md", base=house, root=house)
    (house / "good.md").unlink()
    (house / "good.md").symlink_to("../secret.txt")
    with pytest.raises(PathError):
        _open_below(house, judged, "good.md")
