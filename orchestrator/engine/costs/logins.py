"""Which logins pay for a run, and for how many calls. Pure."""

from __future__ import annotations

from typing import Any

from orchestrator.engine.costs.forecast import Forecast
from orchestrator.plan.accounts import USUAL
from orchestrator.plan.estimate import Estimate
from orchestrator.plan.payers import accounts_used, first_payers
from orchestrator.runners.base import RunnerInfo


def told_logins(info: RunnerInfo, estimate: Estimate, forecast: Forecast) -> dict[str, Any]:
    """`login` and `logins` of `run_estimated`. Without named accounts it is the login alone, in its own words."""
    payers = first_payers(forecast.ahead, (name for name in estimate.chunks if name not in forecast.reusable))
    logins = [
        {"account": account, "login": info.logins.get(account, info.login), "calls": len(payers.get(account, ()))}
        for account in accounts_used(forecast.ahead)
    ]
    if not any(each["account"] for each in logins):
        return {"login": info.login, "logins": tuple(logins)}
    return {"login": ", ".join(map(_words, logins)), "logins": tuple(logins)}


def _words(login: dict[str, Any]) -> str:
    """`account work (subscription login (max) of …) for 12 calls`."""
    name = f"account {login['account'] or USUAL}"
    who = f"{name} ({login['login']})" if login["login"] else name
    calls = login["calls"]
    return f"{who} for {calls} call{'' if calls == 1 else 's'}" if calls else f"{who} if another is at its limit"
