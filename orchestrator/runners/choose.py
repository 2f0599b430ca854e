"""Where a runner is chosen by name: a new runner is one new file and one line here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.runners.base import Runner

NAMES = ("claude", "simulated")


def choose_runner(
    spec: str,
    *,
    claude: Path | None,
    environment: Mapping[str, str],
    accounts: Mapping[str, Path | None] | None = None,
) -> Runner:
    """The runner that `spec` names: `claude`, `simulated`, or `simulated:latency_s=0.2,speed=10,seed=3`.

    `claude` is the CLI to use instead of the one that is found; `environment` is what the runner may pass on,
    `accounts` has the folders of those that may be asked to pay, None for the usual login.

    Raises `UsageError` for a spec that means nothing.
    """
    name, _, settings = spec.partition(":")
    if name == "claude" and not settings:
        from orchestrator.runners.claude_cli.runner import ClaudeCliRunner

        return ClaudeCliRunner(claude=claude, environment=environment, accounts=accounts)
    if name == "simulated":
        from orchestrator.runners.simulated import SimulatedRunner

        latency_s, speed, seed = _simulated_settings(settings)
        return SimulatedRunner(latency_s=latency_s, speed=speed, seed=seed)
    raise UsageError(f"no runner {spec!r}; there are {', '.join(NAMES)}")


def _simulated_settings(settings: str) -> tuple[float | None, float, int]:
    values: dict[str, float] = {}
    for pair in filter(None, settings.split(",")):
        key, _, value = pair.partition("=")
        try:
            values[key] = float(value)
        except ValueError:
            values[key] = math.nan
        if not math.isfinite(values[key]):
            raise UsageError(f"simulated: {key} needs a number, not {value!r}")
    unknown = sorted(set(values) - {"latency_s", "speed", "seed"})
    if unknown:
        raise UsageError(f"simulated: no setting {unknown[0]!r}; there are latency_s, speed and seed")
    if values.get("speed", 1.0) <= 0 or values.get("latency_s", 0.0) < 0:
        raise UsageError("simulated: speed must be above 0, and latency_s not below 0")
    return values.get("latency_s"), values.get("speed", 1.0), int(values.get("seed", 0))
