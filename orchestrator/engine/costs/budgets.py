"""All that a run may use only so much of, and is counted attempt by attempt: money and tokens. Pure."""

from __future__ import annotations

from orchestrator.engine.costs.budget import Budget, shown_usd
from orchestrator.engine.policy import cost_told, tokens_told
from orchestrator.runners.base import Failure, Reply


class Budgets:
    """The budgets of one process of a run. A chunk starts when it fits into each."""

    def __init__(self, *, money: Budget, tokens: Budget) -> None:
        self._money = money
        self._tokens = tokens

    @property
    def reached(self) -> str:
        """The limit that is used up, in words that end with what to do; empty while there is some of each left."""
        money, tokens = self._money, self._tokens
        if money.limit is not None and money.spent >= money.limit:
            return f"the cost limit of {shown_usd(money.limit)} is reached; raise it with --max-cost"
        if tokens.limit is not None and tokens.spent >= tokens.limit:
            return f"the limit of {tokens.limit:,.0f} tokens is reached; raise it with --max-tokens"
        return ""

    def may_start(self, chunk_id: str) -> bool:
        """Whether what is reserved for the chunk fits into each budget, or nothing is in flight and some is left."""
        return self._money.may_start(chunk_id) and self._tokens.may_start(chunk_id)

    def reserve(self, chunk_id: str) -> None:
        """An attempt of the chunk starts."""
        self._money.reserve(chunk_id)
        self._tokens.reserve(chunk_id)

    def release(self, chunk_id: str) -> None:
        """The attempt does not start after all."""
        self._money.release(chunk_id)
        self._tokens.release(chunk_id)

    def settle(self, chunk_id: str, outcome: Reply | Failure) -> float:
        """The attempt is over. Returns its charge in US dollars."""
        answered = isinstance(outcome, Reply)
        self._tokens.settle(chunk_id, amount=tokens_told(outcome), answered=answered)
        return self._money.settle(chunk_id, amount=cost_told(outcome), answered=answered)
