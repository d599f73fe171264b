"""The recorded state of a subscription."""

from adapters.postgres.read_only_pool import Reader
from subscription.state import TRIAL_STATES, Subscription


async def count_trials(reader: Reader, customer_id: str) -> int:
    """Return the number of a customer's subscriptions in trial or grace period, by their recorded states."""
    trials: int = await reader.fetchval(
        "SELECT count(*) FROM subscriptions WHERE customer_id = $1 AND state = ANY($2::text[])",
        customer_id,
        list(TRIAL_STATES),
    )
    return trials


async def snapshot(
    reader: Reader, subscription_id: str, customer_id: str | None = None
) -> Subscription | None:
    """Return the last recorded state; with `customer_id`, only of a subscription of this customer."""
    document = await reader.fetchval(
        """
        SELECT snapshot FROM subscriptions
         WHERE subscription_id = $1 AND ($2::text IS NULL OR customer_id = $2)
        """,
        subscription_id,
        customer_id,
    )
    return Subscription.model_validate_json(document) if document else None
