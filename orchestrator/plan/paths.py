"""Reading the files that a plan names, and those that a person types: regular files of text, of bounded size.

What a plan names stays inside its root, symbolic links followed: a plan may come from somebody else.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator.plan.naming import did_you_mean

MAX_TEXT_BYTES = 32_000_000
"""Bytes of one text file: ten times what the largest window holds."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class PathError(Exception):
    """A file cannot be used. `hint` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file as read: its text with newlines as they stand, the SHA-256 of its bytes, and its real path.

    `bom`: the file begins with a byte order mark, which is no part of the text.
    """

    text: str
    sha256: str
    path: Path
    bom: bool = False


def read_plan_text(named: str, *, base: Path, root: Path) -> TextFile:
    """The text file that a plan names, relative to `base` and inside `root`. Raises `PathError`.

    No device, pipe or socket is ever opened, and a link that is changed meanwhile does not lead outside.
    """
    path = inside_root(named, base=base, root=root)
    _check_kind(path, named)
    return _text_of(_open_below(root.resolve(), path, named), named, path)


def read_typed_text(path: Path) -> TextFile:
    """The text file that a person typed; it may stand anywhere. Raises `PathError`."""
    return decode_text(*read_bytes(path, limit=MAX_TEXT_BYTES), named=str(path))


def read_bytes(path: Path, *, limit: int) -> tuple[bytes, Path]:
    """Content and real path of a regular file of at most `limit` bytes. Raises `PathError`."""
    named = str(path)
    real = _resolve(path, named)
    _check_kind(real, named)
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(named, error) from error
    return _content(descriptor, named, limit), real


def inside_root(named: str, *, base: Path, root: Path) -> Path:
    """The real path, existing or not, of what a plan names. Raises `PathError` when it leaves `root`."""
    outside = f"move it inside, or name a wider folder with --root (it is {root} now)"
    if Path(named).is_absolute() or named.startswith("~"):
        raise PathError(f"{named!r} is not relative to the plan file", hint=f"write a relative path; {outside}")
    path = _resolve(base / named, named)
    if not path.is_relative_to(root.resolve()):
        raise PathError(f"{named!r} leads out of the plan's folder", hint=outside)
    return path


def decode_text(content: bytes, path: Path, *, named: str) -> TextFile:
    """The text of a file's bytes, without a byte order mark. Raises `PathError` unless it is UTF-8 without NUL."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"{named!r} is not UTF-8: byte 0x{content[error.start]:02x} in line {line}"
        raise PathError(message, hint="save it as UTF-8; only text can stand in a prompt") from None
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise PathError(f"{named!r} holds a NUL character in line {line}", hint="only text can stand in a prompt")
    return TextFile(text, hashlib.sha256(content).hexdigest(), path, bom=content.startswith(codecs.BOM_UTF8))


def _text_of(descriptor: int, named: str, path: Path) -> TextFile:
    return decode_text(_content(descriptor, named, MAX_TEXT_BYTES), path, named=named)


def _resolve(path: Path, named: str) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(named, error) from error


def _check_kind(path: Path, named: str) -> None:
    """Raises `PathError` unless `path` is a regular file; looks before opening, which a device might notice."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _unreadable(named, error, near=path) from error
    _refuse_kind(mode, named)


def _refuse_kind(mode: int, named: str) -> None:
    if not stat.S_ISREG(mode):
        kind = next((word for test, word in _KINDS if test(mode)), "no regular file")
        hint = (
            "name a file in it" if stat.S_ISDIR(mode) else "name a regular file; `--input NAME=-` reads standard input"
        )
        raise PathError(f"{named!r} is {kind}, not a text file", hint=hint)


def _open_below(root: Path, path: Path, named: str) -> int:
    """Opens a real path step by step, so that no link made since it was resolved is followed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder = os.open(root, flags | os.O_DIRECTORY)
        for step in path.relative_to(root).parts[:-1]:
            try:
                inner = os.open(step, flags | os.O_DIRECTORY, dir_fd=folder)
            finally:
                os.close(folder)
            folder = inner
        try:
            return os.open(path.name, flags | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unreadable(named, error) from error


def _content(descriptor: int, named: str, limit: int) -> bytes:
    """All of an open file, which is closed."""
    too_large = PathError(f"{named!r} is larger than {limit // 1_000_000} MB", hint="split it, or name less of it")
    try:
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            _refuse_kind(facts.st_mode, named)
            if facts.st_size > limit:
                raise too_large
            content = file.read(limit + 1)
    except OSError as error:
        raise _unreadable(named, error) from error
    if len(content) > limit:
        raise too_large
    return content


def _unreadable(named: str, error: Exception, near: Path | None = None) -> PathError:
    if isinstance(error, FileNotFoundError):
        return PathError(f"there is no file {named!r}", hint=_neighbour(near) if near else "")
    if isinstance(error, RuntimeError):
        return PathError(f"{named!r} is a link that leads to itself")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return PathError(f"{named!r} cannot be read: {reason}")


def _neighbour(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())[:1000]
    except OSError:
        return f"there is no folder {path.parent.name!r} either" if not path.parent.exists() else ""
    return did_you_mean(path.name, names)
