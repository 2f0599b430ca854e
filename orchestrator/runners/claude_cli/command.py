"""How the CLI is called: arguments, environment and the line that carries the prompt. Pure.

Every fact about flags and variables was seen in 2.1.328 and 2.1.330.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.prompt_texts import prompt_text
from orchestrator.runners.base import FailureClass, Request

PASSED_ON = frozenset(
    {
        "PATH",
        "HOME",
        "CLAUDE_CONFIG_DIR",
        "TMPDIR",
        "LANG",
        "LANGUAGE",
        "TZ",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CLAUDE_CODE_CLIENT_CERT",
        "CLAUDE_CODE_CLIENT_KEY",
        "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_CUSTOM_HEADERS",
    }
)
"""Variables of ours that the CLI gets. An allow-list: an inherited key silently wins over a login [public issue 91777],
and variables of a surrounding session (`CLAUDECODE`, `CLAUDE_CODE_*`) change what it does."""

PASSED_ON_PREFIXES = ("LC_",)

PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "CLAUDE_CODE_USE_BEDROCK": ("AWS_", "ANTHROPIC_BEDROCK_", "CLAUDE_CODE_SKIP_BEDROCK_AUTH"),
    "CLAUDE_CODE_USE_VERTEX": (
        "ANTHROPIC_VERTEX_",
        "VERTEX_REGION_",
        "CLOUD_ML_REGION",
        "CLOUDSDK_",
        "GOOGLE_",
        "GCLOUD_PROJECT",
        "CLAUDE_CODE_SKIP_VERTEX_AUTH",
    ),
}
"""Switches for other providers, each with the variables (or their beginnings) that are passed on only with it."""

MODEL_NAMES = ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_", "ANTHROPIC_SMALL_FAST_MODEL")
"""Those providers name models in their own way, so these go along with either switch."""

OUR_SETTINGS: Mapping[str, str] = {
    # `@path` in a prompt reads local files into the request with all tools off; no flag stops it.
    "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
    # Attempts are counted in one place, ours; 401 and 429 would be retried ten times inside, for minutes.
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "DISABLE_UPDATES": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}

START_SHIM = ("/bin/sh", "-c", 'read -r _ && exec "$@"', "orchestrate")
"""Started in front of the CLI: it waits for one line, and runs the CLI only then. When we die before the group is
recorded, its stdin ends and it exits; `read` takes no byte beyond the line."""

START_LINE = b"go\n"

NEVER_READ = (
    ".git/**",
    ".orchestrate/**",
    ".claude/**",
    ".ssh/**",
    ".aws/**",
    ".env",
    ".env.*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    "*.pem",
    "*.key",
    "id_rsa*",
    "id_ed25519*",
)
"""What no tool reads even inside a working folder, at any depth: keys, and answers of other runs. Patterns as in
`.gitignore`. A rule for `Read` holds for `Grep` and `Glob` too: they leave such files out (2.1.332)."""

MAX_SCHEMA_BYTES = 120_000
"""An argument ends at 128 KiB on Linux, its final NUL included; the schema is the only long one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the installed CLI knows beyond the flags without which we do not work."""

    partial_messages: bool = True
    no_session_persistence: bool = True
    fallback_model: bool = True
    effort: bool = True
    json_schema: bool = True


def arguments(request: Request, *, system_prompt_file: Path, features: Features) -> list[str]:
    """The lean flags: some 1.8 kB of request beyond the prompt, where `-p` alone sends 50 kB.

    With tools, the CLI itself keeps reads inside the folder that it runs in: `Read`, `Grep` and `Glob` of an absolute
    path, of `..`, of `~`, and through a symbolic link that leads out are denied and told in `permission_denials`; a
    recursive search follows no link; a hard link is read, since nothing tells it from a file. No settings are read, so
    neither `permissions` nor `hooks` of the folder's `.claude` count, and no CLAUDE.md is shown (2.1.332).
    Nothing of the prompt is among them, since arguments show in `ps` and end at 128 KiB on Linux. With `--json-schema`
    the request offers one tool, `StructuredOutput`, although `--tools` is empty (2.1.328, 2.1.330).
    """
    flags = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
    if features.partial_messages:
        flags.append("--include-partial-messages")
    flags += ["--tools", ",".join(request.tools), "--system-prompt-file", str(system_prompt_file)]
    if request.tools:
        flags += ["--disallowedTools", ",".join(f"Read({pattern})" for pattern in NEVER_READ)]
    flags += ["--setting-sources", "", "--strict-mcp-config"]
    if features.no_session_persistence:
        flags.append("--no-session-persistence")
    if request.model:
        flags += ["--model", request.model]
    if request.fallback_model and features.fallback_model:
        flags += ["--fallback-model", request.fallback_model]
    if request.effort and features.effort:
        flags += ["--effort", request.effort]
    if request.output_schema is not None:
        flags += ["--json-schema", schema_text(request.output_schema)]
    return flags


def schema_text(schema: Mapping[str, Any]) -> str:
    """The schema as the argument of `--json-schema`: compact JSON, ASCII only."""
    return json.dumps(schema, separators=(",", ":"))


def refused_schema(schema: Mapping[str, Any] | None, *, features: Features) -> tuple[FailureClass, str] | None:
    """Why a request with this schema cannot be made at all, or None when it can."""
    if schema is None:
        return None
    if not features.json_schema:
        return FailureClass.ENVIRONMENT, "this Claude CLI does not know --json-schema"
    size = len(schema_text(schema))
    if size > MAX_SCHEMA_BYTES:
        return FailureClass.INVALID_REQUEST, f"the JSON schema takes {size:,} bytes of at most {MAX_SCHEMA_BYTES:,}"
    return None


def shimmed(command: Sequence[str]) -> list[str]:
    """The command behind the shim that waits for `START_LINE`."""
    return [*START_SHIM, *command]


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the CLI gets of `environment`, and our settings."""
    prefixes = PASSED_ON_PREFIXES
    for switch, names in PROVIDERS.items():
        if environment.get(switch):
            prefixes += (switch, *names, *MODEL_NAMES)
    passed = {name: value for name, value in environment.items() if name in PASSED_ON or name.startswith(prefixes)}
    return {**passed, **OUR_SETTINGS}


CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
"""Each of them wins over the login of a `CLAUDE_CONFIG_DIR`, without a word (2.1.332)."""

_CREDENTIAL_HEADER = re.compile(r"^\s*(?:authorization|x-api-key)\s*:", re.IGNORECASE | re.MULTILINE)


def account_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What of `environment` there is for an account whose login is kept in `folder`: nothing that would pay instead."""
    left = {
        name: value
        for name, value in environment.items()
        if name not in CREDENTIALS and not name.startswith(tuple(PROVIDERS))
    }
    if _CREDENTIAL_HEADER.search(left.get("ANTHROPIC_CUSTOM_HEADERS", "")):
        del left["ANTHROPIC_CUSTOM_HEADERS"]
    return {**left, "CLAUDE_CONFIG_DIR": str(folder)}


def prompt_line(prompt: str) -> bytes:
    """The prompt as one line of stream-json input, behind our constant first line.

    In `text` input mode a truncated prompt would be run and paid; a cut line is not. The first line keeps a prompt
    that begins with a known slash command from being taken for one (`/clear` never reaches the model). ASCII only, so
    that no line separator of Unicode and no half surrogate pair stands in it.
    """
    content = f"{prompt_text('first-line')}\n{prompt}"
    return json.dumps({"type": "user", "message": {"role": "user", "content": content}}).encode("ascii") + b"\n"
