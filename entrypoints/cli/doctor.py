"""`worksub doctor`: check every dependency and report what to do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import asyncpg
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from adapters.postgres.catalogue_repository import load_price_book
from adapters.postgres.migrate import migrations
from adapters.postgres.pool import CONNECT_ERRORS, DatabaseError, Pool, create_pool
from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.executions import _LATELY, is_worked_on
from adapters.temporal.search_attributes import missing_search_attributes
from entrypoints.cli.clock_skew import postgresqls_clock, temporals_clock
from entrypoints.cli.database_logins import logins, signed_in
from entrypoints.cli.worker_versions import idle_version
from starter.schedules import list_schedules
from subscription.business_calendar import day_of
from subscription.model import Frozen

_AN_HOUR = timedelta(hours=1)
_A_WEEK = timedelta(days=7)
_CLOCKS_MAY_DIFFER = timedelta(seconds=1)
_FAILED = ("FAILED", "TERMINATED", "TIMED_OUT", "CANCELED")


class CheckStatus(StrEnum):
    OK = "OK"
    NOTE = "NOTE"
    """Neither well nor ill: good to know."""
    MISSING = "MISSING"
    WRONG = "WRONG"
    UNREACHABLE = "UNREACHABLE"


class CheckResult(Frozen):
    """One thing that was looked at; `text` says how it is, or what to do."""

    what: str
    verdict: CheckStatus
    text: str


async def temporal_findings(client: Client) -> AsyncIterator[CheckResult]:
    """How Temporal is. What depends on something that is amiss is not looked at."""
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
    except RuntimeError:  # how the SDK says that nobody answers
        yield CheckResult(
            what="Temporal",
            verdict=CheckStatus.UNREACHABLE,
            text=f"{address} does not answer. Start it (`worksub dev` runs one), or check TEMPORAL_ADDRESS.",
        )
        return
    yield CheckResult(what="Temporal", verdict=CheckStatus.OK, text=f"{address} answers.")
    yield CheckResult(what="namespace", verdict=CheckStatus.OK, text=f"{client.namespace} is there.")
    yield await _temporals_clock(client)
    yield await _search_attributes(client)
    yield await _schedules(client)
    yield await _worker(client)
    yield await _test_clocks(client)


async def database_findings(url: str, address: str) -> AsyncIterator[CheckResult]:
    """How PostgreSQL is. What depends on something that is amiss is not looked at."""
    try:
        async with create_pool(url, "worksub_reader", connections=1) as pool:
            yield CheckResult(what="PostgreSQL", verdict=CheckStatus.OK, text=f"{address} answers.")
            yield _clock("PostgreSQL's clock", await postgresqls_clock(pool))
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


async def _temporals_clock(client: Client) -> CheckResult:
    what = "Temporal's clock"
    try:
        return _clock(what, await temporals_clock(client))
    except (RPCError, TimeoutError) as error:
        reason = error.message if isinstance(error, RPCError) else "no answer"
        return CheckResult(
            what=what, verdict=CheckStatus.NOTE, text=f"It cannot be read from here ({reason})."
        )


def _clock(what: str, ahead: timedelta) -> CheckResult:
    seconds = abs(ahead).total_seconds()
    if abs(ahead) <= _CLOCKS_MAY_DIFFER:
        return CheckResult(what=what, verdict=CheckStatus.OK, text="It agrees with this machine's.")
    text = (
        f"It is {seconds:,.1f} s {'ahead of' if ahead > timedelta(0) else 'behind'} this machine's: "
        "let one time service (NTP) set the clocks of all machines."
    )
    return CheckResult(what=what, verdict=CheckStatus.WRONG, text=text)


async def _search_attributes(client: Client) -> CheckResult:
    missing = await missing_search_attributes(client)
    if missing:
        text = f"{', '.join(missing)} are not registered: run `worksub setup`."
        return CheckResult(what="search attributes", verdict=CheckStatus.MISSING, text=text)
    return CheckResult(what="search attributes", verdict=CheckStatus.OK, text="All are registered.")


async def _schedules(client: Client) -> CheckResult:
    found = await list_schedules(client)
    missing = [each.name for each in found if not each.applied]
    if missing:
        text = f"{', '.join(missing)} are not applied: run `worksub schedules apply`."
        return CheckResult(what="schedules", verdict=CheckStatus.MISSING, text=text)
    failed = [each.name for each in found if each.last_run and each.last_run.status in _FAILED]
    if failed:
        text = f"The last run of {', '.join(failed)} failed: look at it in Temporal's Web UI."
        return CheckResult(what="schedules", verdict=CheckStatus.MISSING, text=text)
    paused = [each.name for each in found if each.paused]
    if paused:
        text = f"{', '.join(paused)} are paused: `worksub schedules resume NAME` lets them run again."
        return CheckResult(what="schedules", verdict=CheckStatus.NOTE, text=text)
    return CheckResult(what="schedules", verdict=CheckStatus.OK, text=f"All {len(found)} are applied.")


async def _worker(client: Client) -> CheckResult:
    if await is_worked_on(client):
        if advice := await idle_version(client, datetime.now(UTC) - _LATELY):
            return CheckResult(what="worker", verdict=CheckStatus.MISSING, text=advice)
        return CheckResult(
            what="worker", verdict=CheckStatus.OK, text=f"One works on task queue {TASK_QUEUE}."
        )
    text = f"None works on task queue {TASK_QUEUE}: run `worksub worker`."
    return CheckResult(what="worker", verdict=CheckStatus.MISSING, text=text)


async def _test_clocks(client: Client) -> CheckResult:
    # Asked of a workflow that is not there: a server that can do it looks for it, others refuse first.
    nobody = client.get_workflow_handle("worksub-doctor")
    skipper = TimeSkipper(client, config=TimeSkippingConfig(max_session_skip_count=1))
    try:
        await skipper.fast_forward(nobody, timedelta(seconds=1))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            text = "`worksub clock` can move a subscription's own clock."
            return CheckResult(what="test clocks", verdict=CheckStatus.OK, text=text)
    text = (
        "This server has none, as is right where customers are served; `worksub clock` needs `worksub dev`."
    )
    return CheckResult(what="test clocks", verdict=CheckStatus.NOTE, text=text)


async def _migrations(pool: Pool) -> CheckResult:
    applied = {row["name"] for row in await pool.fetch("SELECT name FROM schema_migrations")}
    missing = [migration.name for migration in migrations() if migration.name not in applied]
    if missing:
        text = f"{', '.join(missing)} must still be applied: run `worksub setup`."
        return CheckResult(what="migrations", verdict=CheckStatus.MISSING, text=text)
    return CheckResult(what="migrations", verdict=CheckStatus.OK, text=f"All {len(applied)} are applied.")


async def _logins(pool: Pool) -> CheckResult:
    what = "logins"
    found = await signed_in(pool)
    if too_much := [each for each in found if each.excess]:
        words = "; ".join(each.text for each in too_much)
        text = f"{words}: give it one that is a member of its own role alone."
        dangerous = any(each.is_dangerous for each in too_much)
        return CheckResult(what=what, verdict=CheckStatus.WRONG if dangerous else CheckStatus.NOTE, text=text)
    text = f"{'; '.join(each.text for each in found)}: none may do more than it needs."
    return CheckResult(what=what, verdict=CheckStatus.OK, text=text)


async def _limits(pool: Pool) -> CheckResult:
    """Report logins that can take all connections, hold locks for ever or fill the disk."""
    if lacking := [text for each in await logins(pool) if (text := each.text)]:
        text = f"{'; '.join(lacking)}: docs/deployment.md, Logins, has the statements that set them."
        return CheckResult(what="login limits", verdict=CheckStatus.NOTE, text=text)
    text = "Each login has a limit of connections and time limits."
    return CheckResult(what="login limits", verdict=CheckStatus.OK, text=text)


async def _catalogue(pool: Pool) -> CheckResult:
    book = await load_price_book(pool)
    catalogue = book.in_force(day_of(datetime.now(UTC)))
    if catalogue:
        text = f"Version {catalogue.version} is in force since {catalogue.effective_from}."
        return CheckResult(what="catalogue", verdict=CheckStatus.OK, text=text)
    if book.versions:
        first = book.versions[0]
        text = f"Nothing is on sale before {first.effective_from}, when version {first.version} begins."
    else:
        text = "None is published: run `worksub setup`."
    return CheckResult(what="catalogue", verdict=CheckStatus.MISSING, text=text)


async def _notices(pool: Pool) -> CheckResult:
    """No reason to call the service ill, for it lives on: notes, for somebody to look at."""
    row = await pool.fetchrow(
        """
        SELECT count(*) FILTER (WHERE state = 'GIVEN_UP' AND settled_at > $1) AS given_up,
               count(*) FILTER (WHERE state = 'WAITING' AND last_error IS NOT NULL) AS waiting,
               min(last_error) FILTER (WHERE state = 'WAITING') AS reason
          FROM notices
         WHERE state IN ('GIVEN_UP', 'WAITING')
        """,
        datetime.now(UTC) - _A_WEEK,
    )
    assert row is not None
    said = []
    if row["waiting"]:
        said.append(f"Waiting to be sent: {row['waiting']:,} ({row['reason']}).")
    if row["given_up"]:
        said.append(
            f"Given up in the last 7 days: {row['given_up']:,}; "
            "`worksub notices list --state GIVEN_UP` says why."
        )
    verdict = CheckStatus.NOTE if said else CheckStatus.OK
    return CheckResult(what="notices", verdict=verdict, text=" ".join(said) or "All could be sent.")


async def _webhooks(pool: Pool) -> CheckResult:
    """Report events that wait for too long or are parked, of endpoints that are not paused on purpose."""
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
    said = []
    if row["late"]:
        said.append(f"Waiting for more than an hour: {row['late']:,}.")
    if row["parked"]:
        said.append(f"Parked after three days: {row['parked']:,}.")
    if not said:
        return CheckResult(what="webhooks", verdict=CheckStatus.OK, text="Everybody has been told.")
    text = " ".join([*said, "`worksub webhooks list` says whose; `replay ENDPOINT` tries the parked again."])
    return CheckResult(what="webhooks", verdict=CheckStatus.NOTE, text=text)
