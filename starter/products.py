"""The page *My Product*: a customer's subscriptions, newest first, with cost and next event."""

import contextlib
from collections.abc import Sequence

from pydantic_core import PydanticCustomError

from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.read_only_pool import ReadOnlyPool
from starter.subscription_summary import ACCOUNT_NAME
from subscription.account_names import account_name
from subscription.catalogue import PriceBook
from subscription.deadlines import Deadline, next_deadline
from subscription.due_events import deadline_event
from subscription.model import Frozen
from subscription.state import State, Subscription


class Product(Frozen):
    """A subscription on the page. Money is KRW before VAT.

    `monthly` is the price of a whole month at the present rate; None without a contract. `next` is the next
    event if no command is sent, and `charged` what it will charge; None and 0 after the end.
    """

    state: Subscription
    monthly: int | None
    next: Deadline | None
    charged: int


class ProductPage(Frozen):
    """A page of subscriptions. `next_cursor` is the cursor of the next page; None on the last page.

    `name` is the text that the names of the page contain; empty for all names.
    """

    products: tuple[Product, ...]
    next_cursor: str | None
    name: str = ""


async def list_products(
    pool: ReadOnlyPool, customer_id: str, *, name: str = "", after: str = "", limit: int
) -> ProductPage:
    """Return the customer's live subscriptions with this text in their names, newest first."""
    book = await load_price_book(pool)
    rows = await pool.fetch(
        f"""
        SELECT snapshot FROM subscriptions
         WHERE customer_id = $1 AND state <> 'ERASED'
           AND ($2::text[] = '{{}}' OR EXISTS (
                SELECT FROM unnest($2::text[]) AS part WHERE strpos({ACCOUNT_NAME}, part) > 0))
           AND ($3 = '' OR (started_at, subscription_id) < (
                SELECT started_at, subscription_id FROM subscriptions
                 WHERE subscription_id = $3 AND customer_id = $1))
         ORDER BY started_at DESC, subscription_id DESC LIMIT $4
        """,  # noqa: S608 - a constant
        customer_id,
        _search_terms(name),
        after,
        limit + 1,
    )
    states = [Subscription.model_validate_json(row["snapshot"]) for row in rows]
    return ProductPage(
        products=tuple(_product(state, book) for state in states[:limit]),
        next_cursor=states[limit - 1].subscription_id if len(states) > limit else None,
        name=name,
    )


async def list_erased(pool: ReadOnlyPool, customer_id: str, *, limit: int) -> Sequence[Subscription]:
    """Return the customer's erased subscriptions, the latest first. They have no name any more (R31)."""
    rows = await pool.fetch(
        """
        SELECT snapshot FROM subscriptions WHERE customer_id = $1 AND state = 'ERASED'
         ORDER BY recorded_at DESC, subscription_id DESC LIMIT $2
        """,
        customer_id,
        limit,
    )
    return [Subscription.model_validate_json(row["snapshot"]) for row in rows]


def _search_terms(name: str) -> list[str]:
    """Return the typed text and, for an internationalized domain name, its ASCII form (R4)."""
    typed = name.strip().lower()
    terms = {typed}
    with contextlib.suppress(PydanticCustomError):
        terms.add(account_name(typed))
    return sorted(terms - {""})


def _product(state: Subscription, book: PriceBook) -> Product:
    deadline = next_deadline(state) if state.state is not State.CANCELED else None
    event = deadline_event(state, deadline, book) if deadline else None
    return Product(
        state=state,
        monthly=state.rate.price * state.rate.members if state.contract else None,
        next=deadline,
        charged=sum(line.amount for line in event.lines) if event else 0,
    )
