"""Facts for the validation of a subscription request, in one SQL statement."""

from typing import NamedTuple

from adapters.postgres.catalogue_repository import PRICE_BOOK_COLUMN, price_book_from_row
from adapters.postgres.read_only_pool import Reader
from subscription.catalogue import PriceBook
from subscription.model import Frozen
from subscription.state import State
from subscription.timeline import RequestAnswer


class RecordedRequest(Frozen):
    """An accepted request; `same` is true if its body equals the body of the present request."""

    same: bool
    answer: RequestAnswer


class RequestContext(NamedTuple):
    """Facts for the validation of a request.

    They are the published prices, the present holder of the account name, and an earlier request with the
    same request ID (idempotency).
    """

    book: PriceBook
    holder: str | None
    earlier: RecordedRequest | None


async def load_request_context(
    reader: Reader, request_id: str | None, name: str | None, fingerprint: str = ""
) -> RequestContext:
    """Load the facts for the validation of a request in one query.

    Without an ID and a name, load only the price book.
    """
    row = await reader.fetchrow(
        f"""
        SELECT {PRICE_BOOK_COLUMN},
               (SELECT subscription_id FROM account_names WHERE name = $2) AS holder,
               subscription_id, trial_ends_at, state,
               CASE WHEN state = 'ERASED' THEN matches_erased_request(subscription_id, $3)
                    ELSE request_fingerprint = $3 END AS same
          FROM (VALUES (1)) AS always LEFT JOIN subscriptions ON request_id = $1
        """,  # noqa: S608 - a constant
        request_id,
        name,
        fingerprint,
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
    return RequestContext(price_book_from_row(row), row["holder"], earlier)
