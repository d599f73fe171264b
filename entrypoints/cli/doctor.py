"""`worksub doctor`: check every dependency and report what to do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import asyncpg
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from adapters.postgres.catalogue_repository import price_book
from adapters.postgres.migrate import migrations
from adapters.postgres.pool import UNREACHABLE, DatabaseError, Pool, connected
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


class Verdict(StrEnum):
    OK = "OK"
    NOTE = "NOTE"
    """Neither well nor ill: good to know."""
    MISSING = "MISSING"
    WRONG = "WRONG"
    UNREACHABLE = "UNREACHABLE"


class Finding(Frozen):
    """One thing that was looked at; `text` says how it is, or what to do."""

    what: str
    verdict: Verdict
    text: str


async def temporal_findings(client: Client) -> AsyncIterator[Finding]:
    """How Temporal is. What depends on something that is amiss is not looked at."""
    address = client.service_client.config.target_host
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        yield Finding(what="Temporal", verdict=Verdict.OK, text=f"{address} answers.")
        yield Finding(
            what="namespace",
            verdict=Verdict.MISSING,
            text=f"{client.namespace} cannot be used: {error.message}. Check TEMPORAL_NAMESPACE and the "
            "credentials, or create the namespace.",
        )
        return
    except RuntimeError:  # how the SDK says that nobody answers
        yield Finding(
            what="Temporal",
            verdict=Verdict.UNREACHABLE,
            text=f"{address} does not answer. Start it (`worksub dev` runs one), or check TEMPORAL_ADDRESS.",
        )
        return
    yield Finding(what="Temporal", verdict=Verdict.OK, text=f"{address} answers.")
    yield Finding(what="namespace", verdict=Verdict.OK, text=f"{client.namespace} is there.")
    yield await _temporals_clock(client)
    yield await _search_attributes(client)
    yield await _schedules(client)
    yield await _worker(client)
    yield await _test_clocks(client)


async def database_findings(url: str, address: str) -> AsyncIterator[Finding]:
    """How PostgreSQL is. What depends on something that is amiss is not looked at."""
    try:
        async with connected(url, "worksub_reader", connections=1) as pool:
            yield Finding(what="PostgreSQL", verdict=Verdict.OK, text=f"{address} answers.")
            yield _clock("PostgreSQL's clock", await postgresqls_clock(pool))
            yield await _migrations(pool)
            yield await _logins(pool)
            yield await _limits(pool)
            yield await _catalogue(pool)
            yield await _notices(pool)
            yield await _webhooks(pool)
    except DatabaseError as error:
        yield Finding(what="PostgreSQL", verdict=Verdict.MISSING, text=str(error))
    except asyncpg.UndefinedTableError as error:
        text = f"The database is not set up yet ({error}): run `worksub setup`."
        yield Finding(what="migrations", verdict=Verdict.MISSING, text=text)
    except UNREACHABLE as error:
        yield Finding(
            what="PostgreSQL",
            verdict=Verdict.UNREACHABLE,
            text=f"{address} does not answer ({error}). Start it (`worksub dev` runs one), or check "
            "DATABASE_URL.",
        )


async def _temporals_clock(client: Client) -> Finding:
    what = "Temporal's clock"
    try:
        return _clock(what, await temporals_clock(client))
    except (RPCError, TimeoutError) as error:
        reason = error.message if isinstance(error, RPCError) else "no answer"
        return Finding(what=what, verdict=Verdict.NOTE, text=f"It cannot be read from here ({reason}).")


def _clock(what: str, ahead: timedelta) -> Finding:
    seconds = abs(ahead).total_seconds()
    if abs(ahead) <= _CLOCKS_MAY_DIFFER:
        return Finding(what=what, verdict=Verdict.OK, text="It agrees with this machine's.")
    text = (
        f"It is {seconds:,.1f} s {'ahead of' if ahead > timedelta(0) else 'behind'} this machine's: "
        "let one time service (NTP) set the clocks of all machines."
    )
    return Finding(what=what, verdict=Verdict.WRONG, text=text)


async def _search_attributes(client: Client) -> Finding:
    missing = await missing_search_attributes(client)
    if missing:
        text = f"{', '.join(missing)} are not registered: run `worksub setup`."
        return Finding(what="search attributes", verdict=Verdict.MISSING, text=text)
    return Finding(what="search attributes", verdict=Verdict.OK, text="All are registered.")


async def _schedules(client: Client) -> Finding:
    found = await list_schedules(client)
    missing = [each.name for each in found if not each.applied]
    if missing:
        text = f"{', '.join(missing)} are not applied: run `worksub schedules apply`."
        return Finding(what="schedules", verdict=Verdict.MISSING, text=text)
    failed = [each.name for each in found if each.last_run and each.last_run.status in _FAILED]
    if failed:
        text = f"The last run of {', '.join(failed)} failed: look at it in Temporal's Web UI."
        return Finding(what="schedules", verdict=Verdict.MISSING, text=text)
    paused = [each.name for each in found if each.paused]
    if paused:
        text = f"{', '.join(paused)} are paused: `worksub schedules resume NAME` lets them run again."
        return Finding(what="schedules", verdict=Verdict.NOTE, text=text)
    return Finding(what="schedules", verdict=Verdict.OK, text=f"All {len(found)} are applied.")


async def _worker(client: Client) -> Finding:
    if await is_worked_on(client):
        if advice := await idle_version(client, datetime.now(UTC) - _LATELY):
            return Finding(what="worker", verdict=Verdict.MISSING, text=advice)
        return Finding(what="worker", verdict=Verdict.OK, text=f"One works on task queue {TASK_QUEUE}.")
    text = f"None works on task queue {TASK_QUEUE}: run `worksub worker`."
    return Finding(what="worker", verdict=Verdict.MISSING, text=text)


async def _test_clocks(client: Client) -> Finding:
    # Asked of a workflow that is not there: a server that can do it looks for it, others refuse first.
    nobody = client.get_workflow_handle("worksub-doctor")
    skipper = TimeSkipper(client, config=TimeSkippingConfig(max_session_skip_count=1))
    try:
        await skipper.fast_forward(nobody, timedelta(seconds=1))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            text = "`worksub clock` can move a subscription's own clock."
            return Finding(what="test clocks", verdict=Verdict.OK, text=text)
    text = (
        "This server has none, as is right where customers are served; `worksub clock` needs `worksub dev`."
    )
    return Finding(what="test clocks", verdict=Verdict.NOTE, text=text)


async def _migrations(pool: Pool) -> Finding:
    applied = {row["name"] for row in await pool.fetch("SELECT name FROM schema_migrations")}
    missing = [migration.name for migration in migrations() if migration.name not in applied]
    if missing:
        text = f"{', '.join(missing)} must still be applied: run `worksub setup`."
        return Finding(what="migrations", verdict=Verdict.MISSING, text=text)
    return Finding(what="migrations", verdict=Verdict.OK, text=f"All {len(applied)} are applied.")


async def _logins(pool: Pool) -> Finding:
    what = "logins"
    found = await signed_in(pool)
    if too_much := [each for each in found if each.excess]:
        words = "; ".join(each.text for each in too_much)
        text = f"{words}: give it one that is a member of its own role alone."
        dangerous = any(each.is_dangerous for each in too_much)
        return Finding(what=what, verdict=Verdict.WRONG if dangerous else Verdict.NOTE, text=text)
    text = f"{'; '.join(each.text for each in found)}: none may do more than it needs."
    return Finding(what=what, verdict=Verdict.OK, text=text)


async def _limits(pool: Pool) -> Finding:
    """Report logins that can take all connections, hold locks for ever or fill the disk."""
    if lacking := [text for each in await logins(pool) if (text := each.text)]:
        text = f"{'; '.join(lacking)}: docs/deployment.md, Logins, has the statements that set them."
        return Finding(what="login limits", verdict=Verdict.NOTE, text=text)
    text = "Each login has a limit of connections and time limits."
    return Finding(what="login limits", verdict=Verdict.OK, text=text)


async def _catalogue(pool: Pool) -> Finding:
    book = await price_book(pool)
    catalogue = book.in_force(day_of(datetime.now(UTC)))
    if catalogue:
        text = f"Version {catalogue.version} is in force since {catalogue.effective_from}."
        return Finding(what="catalogue", verdict=Verdict.OK, text=text)
    if book.versions:
        first = book.versions[0]
        text = f"Nothing is on sale before {first.effective_from}, when version {first.version} begins."
    else:
        text = "None is published: run `worksub setup`."
    return Finding(what="catalogue", verdict=Verdict.MISSING, text=text)


async def _notices(pool: Pool) -> Finding:
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
    verdict = Verdict.NOTE if said else Verdict.OK
    return Finding(what="notices", verdict=verdict, text=" ".join(said) or "All could be sent.")


async def _webhooks(pool: Pool) -> Finding:
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
        return Finding(what="webhooks", verdict=Verdict.OK, text="Everybody has been told.")
    text = " ".join([*said, "`worksub webhooks list` says whose; `replay ENDPOINT` tries the parked again."])
    return Finding(what="webhooks", verdict=Verdict.NOTE, text=text)
