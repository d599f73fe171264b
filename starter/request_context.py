"""Facts for the validation of a subscription request, in one SQL statement."""

from typing import NamedTuple

from adapters.postgres.price_book_repository import PRICE_BOOK_COLUMN, price_book_from_row
from adapters.postgres.read_only_pool import Reader
from subscription.catalogue import PriceBook
from subscription.model import Frozen
from subscription.request import Request
from subscription.state import TRIAL_STATES, State
from subscription.timeline import RequestAnswer


class RecordedRequest(Frozen):
    """An accepted request; `same` is true if its body equals the body of the present request."""

    same: bool
    answer: RequestAnswer


class RequestContext(NamedTuple):
    """Facts for the validation of a request.

    They are the published prices, the present holder of the account name, the number of the customer's
    subscriptions in trial or grace period, and an earlier request with the same request ID (idempotency).
    """

    book: PriceBook
    holder: str | None
    trials: int
    earlier: RecordedRequest | None


async def load_request_context(reader: Reader, request: Request | None) -> RequestContext:
    """Load the facts for the validation of a request in one query; without a request, only the price book."""
    row = await reader.fetchrow(
        f"""
        SELECT {PRICE_BOOK_COLUMN},
               (SELECT subscription_id FROM account_names WHERE name = $2 AND status = 'HELD') AS holder,
               (SELECT count(*) FROM subscriptions
                 WHERE customer_id = $4 AND state = ANY($5::text[])) AS trials,
               subscription_id, trial_ends_at, state,
               CASE WHEN state = 'ERASED' THEN matches_erased_request(subscription_id, $3)
                    ELSE request_fingerprint = $3 END AS same
          FROM (VALUES (1)) AS always LEFT JOIN subscriptions ON request_id = $1
        """,  # noqa: S608 - a constant
        request and request.request_id,
        request and request.account.account.name,
        request.fingerprint() if request else "",
        request and request.customer_id,
        list(TRIAL_STATES),
    )
    assert row is not None
    earlier = row["subscription_id"] and RecordedRequest(
        same=row["same"],
        answer=RequestAnswer(
            subscription_id=row["subscription_id"],
            # The original answer. After erasure the state tells the caller that no data exists any more.
            state=State.ERASED if row["state"] == State.ERASED else State.TRIAL,
            trial_ends_at=row["trial_ends_at"],
        ),
    )
    return RequestContext(price_book_from_row(row), row["holder"], row["trials"], earlier)
