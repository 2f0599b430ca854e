"""The prompt texts of this package: Markdown files with named placeholders and JSON Schemas, kept out of the code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
_FOLDERS = (_PACKAGE / "prompts", _PACKAGE.parent / "prompts")
"""Where the texts are: inside an installed package, and beside the package in a checkout."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@cache
def prompt_text(name: str) -> str:
    """The text of `prompts/NAME.md` without its one final newline.

    Raises `LookupError` when there is no such text, which means that the installation is broken.
    """
    return _read(f"{name}.md").removesuffix("\n")


@cache
def json_text(name: str) -> str:
    """The JSON text of `prompts/NAME.json`, a form that answers must have. Raises `LookupError` like `prompt_text`."""
    return _read(f"{name}.json")


def _read(name: str) -> str:
    for folder in _FOLDERS:
        file = folder / name
        if file.is_file():
            return file.read_bytes().decode("utf-8")
    raise LookupError(f"the prompt text {name} is in neither {_FOLDERS[0]} nor {_FOLDERS[1]}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with each `{name}` of `values` replaced in one pass, so that braces inside a value stay as they are."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
