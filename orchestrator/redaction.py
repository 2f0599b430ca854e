"""Taking secrets out of texts that are shown or kept: error messages, what a program said on stderr, evidence. Pure.

Answers are never passed through here: an answer is what was asked for, and is stored and shown as it came.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast
from urllib.parse import quote, unquote, urlsplit

REDACTED = "[redacted]"

MIN_SECRET_CHARS = 8
"""A shorter value is no key, and taking it out would take words like `true` out of every message."""

MIN_CUT_CHARS = 4
"""A text that was cut at its beginning may begin with the end of a secret; a shorter rest gives nothing away."""

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PAT|CREDENTIALS?)(?:_|$)", re.IGNORECASE
)
_HEADERS_NAME = "ANTHROPIC_CUSTOM_HEADERS"
"""Holds lines of `Name: value`; each value may be a key."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(://)[^/\s:@\"']+:[^/\s@\"']+@"), rf"\1{REDACTED}@"),
    (
        re.compile(
            r"\b((?:proxy-)?authorization|x-api-key|api[_-]key)(\\?[\"']?\s*[:=]\s*\\?[\"']?)"
            r"(?:(?:basic|bearer|token)\s+)?[^\s\"'\\,;]+",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"\b(bearer|basic)(\s+)(?=[^\s\"']*\d)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1\2{REDACTED}"),
    (re.compile(r"\bsk-ant-[A-Za-z0-9_-]+|\bsk-(?=[\w-]{0,200}\d)[\w-]{20,}"), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}"), REDACTED),
    (re.compile(r"\bAIza[\w-]{35}|\bxox[abeprs]-[\w-]{10,}|\bya29\.[\w.-]{20,}"), REDACTED),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), REDACTED),
    (re.compile(r"(-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----)[A-Za-z0-9+/=\s\\]+"), rf"\1{REDACTED}"),
)
"""What a secret looks like wherever it came from: logins in URLs, headers, keys of services that a message may
speak of, JSON web tokens, private keys. The digit keeps "bearer authentication" a phrase."""


class Redactor:
    """Takes known secrets, and whatever looks like one, out of texts. Immutable.

    Without `secrets` it knows looks alone. A secret is found as it is, in JSON, percent-encoded and, as of a basic
    login, in base64.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = frozenset(each for each in secrets if len(each) >= MIN_SECRET_CHARS)
        written = {form for each in self._secrets for form in _forms(each)}
        longest_first = sorted(written, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """`text` with each secret replaced by `REDACTED`. The cost is linear."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def tail(self, text: str) -> str:
        """As `text`, for the end of a longer text: it may begin inside a secret."""
        for secret in self._secrets:
            for start in range(1, len(secret) - MIN_CUT_CHARS + 1):
                if text.startswith(secret[start:]):
                    return self.text(REDACTED + text[len(secret) - start :])
        return self.text(text)

    def value(self, value: object) -> object:
        """A value of JSON with every text in it redacted, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value).items()
            return {self.value(key): self.value(each) for key, each in items}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in cast("list[object]", value)]
        return value


def secrets_of(environment: Mapping[str, str]) -> Iterator[str]:
    """The values in an environment that nobody may see: of variables named like a key, and logins inside URLs."""
    for name, value in environment.items():
        if _SECRET_NAME.search(name):
            yield value.strip()
        elif name == _HEADERS_NAME:
            yield from (line.partition(":")[2].strip() for line in value.splitlines())
        elif "://" in value and "@" in value:
            yield from _logins_of(value)


def _logins_of(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        name, word = parts.username or "", parts.password or ""
    except ValueError:
        return
    if word:
        yield from (word, unquote(word), f"{name}:{word}")


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    if ":" in secret:
        yield base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode("ascii")


LOOKS_ALONE = Redactor()
"""For texts of whoever is not known: takes out what looks like a secret."""
