"""How the help of a command is laid out."""

from __future__ import annotations

AS_IT_STANDS = "\b\n"
"""A paragraph that begins so is printed as it stands."""


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return AS_IT_STANDS + "\n".join(["Examples:", *(f"  {line}" for line in lines)])
