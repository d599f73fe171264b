"""`worksub doctor`: check every dependency and report what to do."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import asyncpg
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from adapters.postgres.migrate import migrations
from adapters.postgres.pool import CONNECT_ERRORS, DatabaseError, Pool, create_pool
from adapters.postgres.price_book_repository import load_price_book
from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.search_attributes import missing_search_attributes
from adapters.temporal.task_queue import POLLER_TIMEOUT, is_worked_on
from entrypoints.cli.clock_skew import postgres_clock_offset, temporal_clock_offset
from entrypoints.cli.database_logins import connected_logins, logins
from entrypoints.cli.worker_versions import idle_version
from entrypoints.settings import unknown_settings
from starter.schedules import list_schedules
from starter.subscription_clock import supports_test_clocks
from subscription.business_calendar import day_of
from subscription.model import Frozen

_AN_HOUR = timedelta(hours=1)
_A_WEEK = timedelta(days=7)
_MAX_CLOCK_SKEW = timedelta(seconds=1)
_FAILED = ("FAILED", "TERMINATED", "TIMED_OUT", "CANCELED")


class CheckStatus(StrEnum):
    OK = "OK"
    NOTE = "NOTE"
    """Information; no action is required."""
    MISSING = "MISSING"
    WRONG = "WRONG"
    UNREACHABLE = "UNREACHABLE"


class CheckResult(Frozen):
    """Result of one check; `text` has the result or the action to take."""

    what: str
    verdict: CheckStatus
    text: str


def check_settings(environment: Mapping[str, str]) -> Iterator[CheckResult]:
    """Report variables that no process reads."""
    for text in unknown_settings(environment):
        yield CheckResult(what="settings", verdict=CheckStatus.NOTE, text=text)


async def check_temporal(client: Client) -> AsyncIterator[CheckResult]:
    """Check Temporal. Checks that depend on a failed check are skipped."""
    address = client.service_client.config.target_host
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        yield CheckResult(what="Temporal", verdict=CheckStatus.OK, text=f"{address} answers.")
        yield CheckResult(
            what="namespace",
            verdict=CheckStatus.MISSING,
            text=f"{client.namespace} cannot be used: {error.message}. Check TEMPORAL_NAMESPACE and the "
            "credentials, or create the namespace.",
        )
        return
    except RuntimeError:  # the SDK's error if the connection fails
        yield CheckResult(
            what="Temporal",
            verdict=CheckStatus.UNREACHABLE,
            text=f"{address} does not answer. Start it (`worksub dev` runs one), or check TEMPORAL_ADDRESS.",
        )
        return
    yield CheckResult(what="Temporal", verdict=CheckStatus.OK, text=f"{address} answers.")
    yield CheckResult(what="namespace", verdict=CheckStatus.OK, text=f"{client.namespace} exists.")
    yield await _temporal_clock(client)
    yield await _search_attributes(client)
    yield await _schedules(client)
    yield await _worker(client)
    yield await _test_clocks(client)


async def check_database(url: str, address: str) -> AsyncIterator[CheckResult]:
    """Check PostgreSQL. Checks that depend on a failed check are skipped."""
    try:
        async with create_pool(url, "worksub_reader", connections=1) as pool:
            yield CheckResult(what="PostgreSQL", verdict=CheckStatus.OK, text=f"{address} answers.")
            yield _clock("PostgreSQL's clock", await postgres_clock_offset(pool))
            yield await _migrations(pool)
            yield await _logins(pool)
            yield await _limits(pool)
            yield await _catalogue(pool)
            yield await _notices(pool)
            yield await _webhooks(pool)
    except DatabaseError as error:
        yield CheckResult(what="PostgreSQL", verdict=CheckStatus.MISSING, text=str(error))
    except asyncpg.UndefinedTableError as error:
        text = f"The database is not set up yet ({error}): run `worksub setup`."
        yield CheckResult(what="migrations", verdict=CheckStatus.MISSING, text=text)
    except CONNECT_ERRORS as error:
        yield CheckResult(
            what="PostgreSQL",
            verdict=CheckStatus.UNREACHABLE,
            text=f"{address} does not answer ({error}). Start it (`worksub dev` runs one), or check "
            "DATABASE_URL.",
        )


async def _temporal_clock(client: Client) -> CheckResult:
    what = "Temporal's clock"
    try:
        return _clock(what, await temporal_clock_offset(client))
    except (RPCError, TimeoutError) as error:
        reason = error.message if isinstance(error, RPCError) else "no answer"
        return CheckResult(what=what, verdict=CheckStatus.NOTE, text=f"The clock cannot be read ({reason}).")


def _clock(what: str, offset: timedelta) -> CheckResult:
    seconds = abs(offset).total_seconds()
    if abs(offset) <= _MAX_CLOCK_SKEW:
        return CheckResult(what=what, verdict=CheckStatus.OK, text="In sync with this machine's clock.")
    text = (
        f"{seconds:,.1f} s {'ahead of' if offset > timedelta(0) else 'behind'} this machine's clock: "
        "synchronize the clocks of all machines with NTP."
    )
    return CheckResult(what=what, verdict=CheckStatus.WRONG, text=text)


async def _search_attributes(client: Client) -> CheckResult:
    missing = await missing_search_attributes(client)
    if missing:
        text = f"{', '.join(missing)} are not registered: run `worksub setup`."
        return CheckResult(what="search attributes", verdict=CheckStatus.MISSING, text=text)
    return CheckResult(what="search attributes", verdict=CheckStatus.OK, text="All are registered.")


async def _schedules(client: Client) -> CheckResult:
    schedules = await list_schedules(client)
    missing = [schedule.name for schedule in schedules if not schedule.applied]
    if missing:
        text = f"{', '.join(missing)} are not applied: run `worksub schedules apply`."
        return CheckResult(what="schedules", verdict=CheckStatus.MISSING, text=text)
    failed = [run.name for run in schedules if run.last_run and run.last_run.status in _FAILED]
    if failed:
        text = f"The last run of {', '.join(failed)} failed: see the workflow in Temporal's Web UI."
        return CheckResult(what="schedules", verdict=CheckStatus.MISSING, text=text)
    paused = [schedule.name for schedule in schedules if schedule.paused]
    if paused:
        text = f"{', '.join(paused)} are paused: to resume, run `worksub schedules resume NAME`."
        return CheckResult(what="schedules", verdict=CheckStatus.NOTE, text=text)
    return CheckResult(what="schedules", verdict=CheckStatus.OK, text=f"All {len(schedules)} are applied.")


async def _worker(client: Client) -> CheckResult:
    if await is_worked_on(client):
        if advice := await idle_version(client, datetime.now(UTC) - POLLER_TIMEOUT):
            return CheckResult(what="worker", verdict=CheckStatus.MISSING, text=advice)
        return CheckResult(
            what="worker", verdict=CheckStatus.OK, text=f"A worker polls task queue {TASK_QUEUE}."
        )
    text = f"No worker polls task queue {TASK_QUEUE}: run `worksub worker`."
    return CheckResult(what="worker", verdict=CheckStatus.MISSING, text=text)


async def _test_clocks(client: Client) -> CheckResult:
    if await supports_test_clocks(client):
        text = "`worksub clock` can advance the clock of a subscription."
        return CheckResult(what="test clocks", verdict=CheckStatus.OK, text=text)
    text = "Not supported by this server, as required in production. `worksub clock` needs `worksub dev`."
    return CheckResult(what="test clocks", verdict=CheckStatus.NOTE, text=text)


async def _migrations(pool: Pool) -> CheckResult:
    applied = {row["name"] for row in await pool.fetch("SELECT name FROM schema_migrations")}
    missing = [migration.name for migration in migrations() if migration.name not in applied]
    if missing:
        text = f"{', '.join(missing)} are not applied: run `worksub setup`."
        return CheckResult(what="migrations", verdict=CheckStatus.MISSING, text=text)
    return CheckResult(what="migrations", verdict=CheckStatus.OK, text=f"All {len(applied)} are applied.")


async def _logins(pool: Pool) -> CheckResult:
    what = "logins"
    connected = await connected_logins(pool)
    if privileged := [login for login in connected if login.excess]:
        names = "; ".join(login.text for login in privileged)
        text = f"{names}: use a login that is a member of the role of this process only."
        dangerous = any(login.is_dangerous for login in privileged)
        return CheckResult(what=what, verdict=CheckStatus.WRONG if dangerous else CheckStatus.NOTE, text=text)
    text = f"{'; '.join(login.text for login in connected)}: no excess privileges."
    return CheckResult(what=what, verdict=CheckStatus.OK, text=text)


async def _limits(pool: Pool) -> CheckResult:
    """Report logins that can take all connections, hold locks without limit or fill the disk."""
    if incomplete := [text for login in await logins(pool) if (text := login.text)]:
        text = f"{'; '.join(incomplete)}: see docs/deployment.md, Logins, for the statements that set them."
        return CheckResult(what="login limits", verdict=CheckStatus.NOTE, text=text)
    text = "Each login has a connection limit and timeouts."
    return CheckResult(what="login limits", verdict=CheckStatus.OK, text=text)


async def _catalogue(pool: Pool) -> CheckResult:
    book = await load_price_book(pool)
    catalogue = book.in_force(day_of(datetime.now(UTC)))
    if catalogue:
        text = f"Version {catalogue.version} is in effect since {catalogue.effective_from}."
        return CheckResult(what="catalogue", verdict=CheckStatus.OK, text=text)
    if book.versions:
        first = book.versions[0]
        text = f"No version is in effect before {first.effective_from}, when version {first.version} begins."
    else:
        text = "No version is published: run `worksub setup`."
    return CheckResult(what="catalogue", verdict=CheckStatus.MISSING, text=text)


async def _notices(pool: Pool) -> CheckResult:
    """Report failed and waiting notices as a note, because the service itself still works."""
    row = await pool.fetchrow(
        """
        SELECT count(*) FILTER (WHERE state = 'UNDELIVERABLE' AND completed_at > $1) AS undeliverable,
               count(*) FILTER (WHERE state = 'WAITING' AND last_error IS NOT NULL) AS waiting,
               min(last_error) FILTER (WHERE state = 'WAITING') AS reason
          FROM notices
         WHERE state IN ('UNDELIVERABLE', 'WAITING')
        """,
        datetime.now(UTC) - _A_WEEK,
    )
    assert row is not None
    parts = []
    if row["waiting"]:
        parts.append(f"Waiting to be sent: {row['waiting']:,} ({row['reason']}).")
    if row["undeliverable"]:
        parts.append(
            f"Given up in the last 7 days: {row['undeliverable']:,}. "
            "For the reasons, see `worksub notices list --state UNDELIVERABLE`."
        )
    verdict = CheckStatus.NOTE if parts else CheckStatus.OK
    return CheckResult(
        what="notices", verdict=verdict, text=" ".join(parts) or "No failed or waiting notices."
    )


async def _webhooks(pool: Pool) -> CheckResult:
    """Report late and parked deliveries. Deliveries to paused endpoints do not count as late."""
    row = await pool.fetchrow(
        """
        SELECT count(*) FILTER (WHERE state = 'PARKED') AS parked,
               count(*) FILTER (WHERE state = 'WAITING' AND status = 'ENABLED' AND queued_at < $1) AS late
          FROM webhook_endpoints JOIN webhook_deliveries USING (endpoint_id)
         WHERE removed_at IS NULL AND state IN ('WAITING', 'PARKED') AND sequence IS NOT NULL
        """,
        datetime.now(UTC) - _AN_HOUR,
    )
    assert row is not None
    parts = []
    if row["late"]:
        parts.append(f"Waiting for more than an hour: {row['late']:,}.")
    if row["parked"]:
        parts.append(f"Parked after three days: {row['parked']:,}.")
    if not parts:
        return CheckResult(what="webhooks", verdict=CheckStatus.OK, text="No late or parked deliveries.")
    parts.append(
        "For the endpoints, see `worksub webhooks list`; to retry, run `worksub webhooks replay ENDPOINT`."
    )
    text = " ".join(parts)
    return CheckResult(what="webhooks", verdict=CheckStatus.NOTE, text=text)
