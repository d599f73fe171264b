"""The record of a subscription: state, timeline, certificate."""

import json
from typing import Literal

import asyncpg

from adapters.postgres.pool import Connection, Pool
from adapters.postgres.read_only_pool import Reader
from subscription.state import TRIAL_STATES, Subscription
from subscription.timeline import TIMELINE_KEPT, ErasureCertificate, TimelineEntry

ErasedPart = Literal["DATABASE", "HISTORIES"]


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


TIMELINE_COLUMNS = "sequence, effective_at AS at, event, state, message"
"""Columns of `lifecycle_events` that a `TimelineEntry` is read from."""


async def latest_timeline(connection: Connection, subscription_id: str) -> tuple[TimelineEntry, ...]:
    rows = await connection.fetch(
        f"""
        SELECT {TIMELINE_COLUMNS} FROM lifecycle_events
         WHERE subscription_id = $1 ORDER BY sequence DESC LIMIT $2
        """,  # noqa: S608 - a constant
        subscription_id,
        TIMELINE_KEPT,
    )
    return tuple(TimelineEntry.model_validate(dict(row)) for row in reversed(rows))


async def get_certificate(
    connection: Connection | Pool, subscription_id: str, part: ErasedPart
) -> ErasureCertificate | None:
    row = await connection.fetchrow(
        "SELECT erased_at, rows FROM erasure_certificates WHERE subscription_id = $1 AND part = $2",
        subscription_id,
        part,
    )
    return certificate_from_row(subscription_id, row) if row else None


def certificate_from_row(subscription_id: str, row: asyncpg.Record) -> ErasureCertificate:
    return ErasureCertificate(
        subscription_id=subscription_id, erased_at=row["erased_at"], rows=json.loads(row["rows"])
    )
