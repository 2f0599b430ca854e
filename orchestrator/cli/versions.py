"""Versions of what is installed."""

from __future__ import annotations


def installed_version(name: str) -> str | None:
    """The version of a distribution, or None when it is not installed (our own may run from a checkout)."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
