"""The ID argument: a subscription ID, the beginning of one, or an account."""

from typing import TYPE_CHECKING

from entrypoints.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from starter.queries import SubscriptionQueries

_SHOWN = 10


async def only_one(record: "SubscriptionQueries", reference: str) -> str:
    """Return the id that the reference means, or the reference itself where the record knows none.

    Raises `CommandError` with the candidates where the reference fits several subscriptions.
    """
    found = await record.meant_by(reference, limit=_SHOWN + 1)
    if len(found) > 1:
        raise await _ambiguous(record, reference, found)
    return found[0] if found else reference


async def _ambiguous(record: "SubscriptionQueries", reference: str, found: list[str]) -> CommandError:
    listed = await record.listed(found[:_SHOWN])
    number = f"more than {_SHOWN}" if len(found) > _SHOWN else str(len(found))
    return CommandError(
        ExitCode.USAGE,
        "AMBIGUOUS_SUBSCRIPTION",
        f"{reference} fits {number} subscriptions:",
        field="subscription_id",
        problems=[
            {
                "field": each.subscription_id,
                "code": "CANDIDATE",
                "message": f"is {each.account_name or 'erased'} of {each.customer_id}, {each.state}",
            }
            for each in listed
        ],
        advice="Type more of the id, or all of it.",
    )
