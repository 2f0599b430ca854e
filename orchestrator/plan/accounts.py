"""What a plan says of the accounts that pay. A leaf of this package."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from orchestrator.plan.part import PlanPart

ACCOUNT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

USUAL = "default"
"""The name of the login that calls have where no account is named."""

AccountName = Annotated[str, Field(pattern=ACCOUNT_PATTERN)]


def _short_account(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class AccountSettings(PlanPart):
    """Who pays for a chunk. It shapes no answer."""

    account: (
        Annotated[
            tuple[AccountName, ...],
            BeforeValidator(_short_account, json_schema_input_type=str | list[str]),
            Field(strict=False, min_length=1),
        ]
        | None
    ) = Field(
        default=None,
        description="The account that pays, by the name that you gave it; of a list the next while the first is at its "
        "limit. The login that the CLI finds when left out, which is called default.",
    )


def accounts_of(*given: tuple[str, ...] | None) -> tuple[str, ...]:
    """The accounts that may pay, by the first setting that names any; the usual one has the empty name."""
    named = next((each for each in given if each), (USUAL,))
    return tuple(dict.fromkeys("" if name == USUAL else name for name in named))
