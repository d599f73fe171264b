"""Models, tables and SQL statements of both baselines.

This module imports neither Temporal nor DBOS, so that no process loads both.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

SCHEMA = """
CREATE TABLE account_names (name text PRIMARY KEY, subscription_id text NOT NULL);
CREATE TABLE accounts (
    subscription_id text PRIMARY KEY, customer_id text NOT NULL, region text NOT NULL, platform text NOT NULL,
    plan text NOT NULL, members integer NOT NULL, company_name text NOT NULL, company_phone text NOT NULL
);
CREATE TABLE agreements (
    subscription_id text NOT NULL, term_id text NOT NULL, term_version text NOT NULL,
    PRIMARY KEY (subscription_id, term_id)
);
CREATE TABLE administrators (
    subscription_id text PRIMARY KEY, admin_id text NOT NULL, password_hash text NOT NULL
);
CREATE TABLE workspaces (subscription_id text PRIMARY KEY, name text NOT NULL, plan text NOT NULL);
CREATE TABLE subscriptions (
    subscription_id text PRIMARY KEY, customer_id text NOT NULL, state text NOT NULL,
    since timestamptz NOT NULL
);
CREATE TABLE service_fees (
    subscription_id text NOT NULL, first_day timestamptz NOT NULL, end_day timestamptz NOT NULL,
    amount bigint NOT NULL, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, first_day)
);
"""

CONNECTIONS = 10
"""The pool size of each baseline, the same as that of worksub."""
TRIAL = timedelta(days=30)
PRICES = {"lite": 3000, "basic": 6000, "premium": 10000}


@dataclass
class Agreement:
    id: str
    version: str


@dataclass
class Request:
    subscription_id: str
    customer_id: str
    region: str
    platform: str
    plan: str
    members: int
    agreed_terms: list[Agreement]
    account: str
    admin_id: str
    password_hash: str
    company_name: str
    company_phone: str


@dataclass
class Start:
    """A request; `paid_from` is the start of the current month after a continue-as-new.

    `seconds_ahead` is the offset of the workflow's clock, so that a month can end at any time of a benchmark.
    """

    request: Request
    paid_from: datetime | None = None
    seconds_ahead: float = 0.0


@dataclass
class TrialStarted:
    subscription_id: str
    trial_ends_at: datetime


@dataclass
class Switch:
    at: datetime


@dataclass
class Fact:
    """The state of a subscription, and the time since when it has this state."""

    subscription_id: str
    customer_id: str
    state: str
    since: datetime


@dataclass
class ServiceFee:
    subscription_id: str
    first_day: datetime
    end_day: datetime
    amount: int


class NameTakenError(Exception):
    """Another subscription holds the name."""


class Tables:
    """The SQL of the steps. Each method is idempotent and has one or two statements."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def take_name(self, request: Request) -> None:
        await self._pool.execute(
            "INSERT INTO account_names VALUES ($1, $2) ON CONFLICT DO NOTHING",
            request.account,
            request.subscription_id,
        )
        holder = await self._pool.fetchval(
            "SELECT subscription_id FROM account_names WHERE name = $1", request.account
        )
        if holder != request.subscription_id:
            raise NameTakenError("That name is taken.")

    async def create_account(self, request: Request) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO accounts VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                request.subscription_id,
                request.customer_id,
                request.region,
                request.platform,
                request.plan,
                request.members,
                request.company_name,
                request.company_phone,
            )
            await connection.executemany(
                "INSERT INTO agreements VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [(request.subscription_id, term.id, term.version) for term in request.agreed_terms],
            )

    async def create_administrator(self, request: Request) -> None:
        await self._pool.execute(
            "INSERT INTO administrators VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            request.subscription_id,
            request.admin_id,
            request.password_hash,
        )

    async def create_workspace(self, request: Request) -> None:
        await self._pool.execute(
            "INSERT INTO workspaces VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            request.subscription_id,
            request.account,
            request.plan,
        )

    async def record(self, fact: Fact) -> None:
        await self._pool.execute(
            """
            INSERT INTO subscriptions VALUES ($1, $2, $3, $4)
            ON CONFLICT (subscription_id) DO UPDATE SET state = EXCLUDED.state, since = EXCLUDED.since
            """,
            fact.subscription_id,
            fact.customer_id,
            fact.state,
            fact.since,
        )

    async def post_service_fee(self, fee: ServiceFee) -> None:
        await self._pool.execute(
            "INSERT INTO service_fees VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            fee.subscription_id,
            fee.first_day,
            fee.end_day,
            fee.amount,
        )
