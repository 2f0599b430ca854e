"""What a caller from Python may ask for, and what nobody can have meant."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping

from orchestrator.errors import UsageError
from orchestrator.opening import Options
from orchestrator.plan.accounts import ACCOUNT_PATTERN, USUAL
from orchestrator.plan.amounts import read_span

MAX_CONCURRENCY = 256
"""As for `limits.max_concurrency` in a plan."""


def check_options(options: Options, *, known: Collection[str]) -> None:
    """Refuse what a caller cannot have meant. Raises `UsageError`."""
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(f"there is no option {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    if isinstance(options.get("allow_tools"), str):
        raise UsageError("allow_tools must be a list, such as ['Read', 'Grep']")
    count = options.get("sample")
    if count is not None and (type(count) is not int or count < 1):
        raise UsageError(f"sample must be a whole number above 0, not {count!r}")
    concurrency, tokens = options.get("max_concurrency"), options.get("max_tokens")
    if concurrency is not None and (type(concurrency) is not int or not 1 <= concurrency <= MAX_CONCURRENCY):
        raise UsageError(f"max_concurrency must be a whole number from 1 to {MAX_CONCURRENCY}, not {concurrency!r}")
    if tokens is not None and (type(tokens) is not int or tokens < 1):
        raise UsageError(f"max_tokens must be a whole number above 0, not {tokens!r}")
    accounts: Mapping[str, object] = options.get("accounts") or {}
    for name in accounts:
        if not re.match(ACCOUNT_PATTERN, name) or name == USUAL:
            raise UsageError(f"{name!r} cannot be the name of an account; use letters, digits, '.', '_' and '-'")
    for name in ("max_cost_usd", "max_wall_s", "max_wait"):
        given = read_span(options.get(name)) if name == "max_wait" else options.get(name)
        if given is not None and not (isinstance(given, int | float) and math.isfinite(given) and given > 0):
            raise UsageError(f"{name} must be a number above 0, not {given!r}")
