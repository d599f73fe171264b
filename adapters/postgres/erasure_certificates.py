"""The certificates of an erasure: of the database, and of the workflow histories."""

import json
from typing import Literal

import asyncpg

from adapters.postgres.pool import Connection, Pool
from subscription.erasure_certificate import ErasureCertificate

ErasedPart = Literal["DATABASE", "HISTORIES"]


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
