"""Secrets are taken out of what is told and kept."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from orchestrator.redaction import LOOKS_ALONE, REDACTED, Redactor, secrets_of

ODD = 'p/ss "w0rd" & more'


@pytest.mark.parametrize(
    "name",
    [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "DB_PASSWORD",
        "gh_pat",
    ],
)
def test_variables_named_like_a_key_are_secret(name: str) -> None:
    """The value of such a variable is in no text any more, wherever it stood."""
    redactor = Redactor(secrets_of({name: "opaque-value-1234"}))
    assert redactor.text("say opaque-value-1234, twice: opaque-value-1234") == f"say {REDACTED}, twice: {REDACTED}"


@pytest.mark.parametrize("name", ["HOME", "KEYBOARD", "MONKEY", "LANG", "TOKENIZERS_PARALLELISM", "SSH_AUTH_SOCK"])
def test_other_variables_are_no_secret(name: str) -> None:
    """What is not named like a key stays in the texts."""
    assert list(secrets_of({name: "/home/somebody"})) == []


def test_short_values_stay() -> None:
    """A value under eight characters is no key: `true` would vanish from every message."""
    assert Redactor(secrets_of({"USE_TOKEN": "true"})).text("it is true") == "it is true"


@pytest.mark.parametrize("written", [ODD, json.dumps(ODD)[1:-1], quote(ODD, safe="")])
def test_a_secret_is_found_however_it_is_written(written: str) -> None:
    """Plain, in JSON and percent-encoded."""
    assert Redactor([ODD]).text(f"<{written}>") == f"<{REDACTED}>"


def test_the_login_of_a_proxy_is_secret() -> None:
    """A password inside a URL is found alone and as a basic login; so is each value of the custom headers."""
    environment = {"HTTPS_PROXY": "http://me:pass%20word1@proxy:3128", "ANTHROPIC_CUSTOM_HEADERS": "X-A: abcdefgh12"}
    redactor = Redactor(secrets_of(environment))
    basic = base64.b64encode(b"me:pass%20word1").decode()
    for told in ("pass%20word1", "pass word1", basic, "abcdefgh12"):
        assert told not in redactor.text(f"it was {told} then")


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("invalid x-api-key: sk-ant-api03-abc_DEF-123", f"invalid x-api-key: {REDACTED}"),
        ("key sk-ant-api03-abc is wrong", f"key {REDACTED} is wrong"),
        ('{"authorization":"Bearer abc.def.ghi"}', f'{{"authorization":"{REDACTED}"}}'),
        ("Authorization: Basic dXNlcjpwYXNz", f"Authorization: {REDACTED}"),
        ("sent Bearer eyJhbGciOi.J9 to it", f"sent Bearer {REDACTED} to it"),
        ("GET https://user:pass@host/x failed", f"GET https://{REDACTED}@host/x failed"),
        ("AKIAIOSFODNN7EXAMPLE is not authorized", f"{REDACTED} is not authorized"),
        ("token ghp_0123456789abcdefghijABCDEFGHIJ012345 expired", f"token {REDACTED} expired"),
        ("key AIzaSyA-0123456789_abcdefghijklmnopqrst bad", f"key {REDACTED} bad"),
        ("sk-proj-0123456789abcdefghij is wrong", f"{REDACTED} is wrong"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.sig-1_x ended", f"jwt {REDACTED} ended"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\n---", f"-----BEGIN RSA PRIVATE KEY-----{REDACTED}---"),
        ("sk-learn-is-a-python-library, a task-force", "sk-learn-is-a-python-library, a task-force"),
        ("eyJ is how they begin", "eyJ is how they begin"),
        ("Failed to authenticate: invalid bearer token", "Failed to authenticate: invalid bearer token"),
        ("use bearer authentication instead", "use bearer authentication instead"),
        ("http://127.0.0.1:8080/v1 at 10:30", "http://127.0.0.1:8080/v1 at 10:30"),
    ],
)
def test_what_looks_like_a_secret_goes_and_the_rest_stays(told: str, left: str) -> None:
    """Keys, bearer tokens, authorization headers and logins in URLs are found unknown; prose about them is left."""
    assert LOOKS_ALONE.text(told) == left
    assert LOOKS_ALONE.text(left) == left


def test_a_text_cut_inside_a_secret_gives_nothing_away() -> None:
    """The end of a log may begin in the middle of a key."""
    redactor = Redactor(["opaque-value-1234"])
    assert redactor.tail("value-1234 was refused") == f"{REDACTED} was refused"
    assert redactor.tail("was refused") == "was refused"


def test_values_of_json_are_cleaned_whole() -> None:
    """Every text in evidence is cleaned, keys included; numbers stay numbers."""
    dirty = {"stderr": "opaque-value-1234", "opaque-value-1234": [1, None, {"a": "x opaque-value-1234"}]}
    assert Redactor(["opaque-value-1234"]).value(dirty) == {
        "stderr": REDACTED,
        REDACTED: [1, None, {"a": f"x {REDACTED}"}],
    }


@pytest.mark.alone
@pytest.mark.parametrize(
    "hostile", ["://a:" * 40_000, "authorization " * 20_000, "bearer " * 40_000, "sk-ant-" * 40_000]
)
def test_long_hostile_texts_take_no_time(hostile: str) -> None:
    """No text makes the patterns slow: 280 kB in under two seconds."""
    began = time.monotonic()
    LOOKS_ALONE.text(hostile)
    assert time.monotonic() - began < 2.0
