"""`worksub list`: predefined lists, and queries in Temporal's query language."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.cli_runner import Cli
from support.polling import wait_for
from support.request_files import fresh

from adapters import attention_copy
from adapters.postgres.pool import create_pool
from starter.filters import NAMED_FILTERS, month_of, week_of
from subscription.business_calendar import KST

from .conftest import Service
from .test_services import NOWHERE


def ids(document: dict[str, Any]) -> list[str]:
    return [each["subscription_id"] for each in document["subscriptions"]]


async def test_every_predefined_list_returns_results(service: Service, cli: Cli) -> None:
    customer, today = fresh("asked"), datetime.now(KST).date()
    first, second = await asyncio.gather(
        service.subscribed(customer_id=customer),
        service.subscribed(customer_id=customer, account={"domain": f"{fresh('asked')}.example"}),
    )
    await cli.run("switch", first, "--date", f"{today + timedelta(days=1)}", "--term", "MONTHLY")
    answers = dict(
        zip(
            NAMED_FILTERS,
            await asyncio.gather(*(cli.json("list", name, "--customer", customer) for name in NAMED_FILTERS)),
            strict=True,
        )
    )
    # Trials end in thirty days, so never this week. A switch for tomorrow may fall in the next week.
    due = [first] if today + timedelta(days=1) < week_of(today)[1] else []
    assert {name: ids(answer) for name, answer in answers.items()} == {
        "trials-ending": [],
        "reservations-due": due,
        "contracts-ending": [],
        "suspended": [],
        "restricted": [second],
        "over-seats": [],
        "needs-attention": [],
    }
    assert {*answers["restricted"]} == {
        *("subscriptions", "missing_in_database", "attention", "total", "next_cursor", "query"),
    }
    assert answers["restricted"]["total"] == 1


async def test_empty_list_shows_filter_and_web_ui_query(service: Service, cli: Cli) -> None:
    first_of_month, first_of_next = month_of(datetime.now(KST).date())
    ending, reserved, attention = await asyncio.gather(
        cli.run("list", "contracts-ending", "--customer", "nobody"),
        cli.run("list", "reservations-due", "--customer", "nobody"),
        cli.run("list", "needs-attention", "--customer", "nobody"),
    )
    assert "No subscriptions found." in ending.out
    assert "Filter: contracts whose last day is in this month." in ending.out
    query = " ".join(ending.out.split("Web UI: ")[1].split())
    assert query == (
        "SubscriptionState = 'ACTIVE' "
        f"AND ContractEndsAt >= '{first_of_month + timedelta(days=1)}T00:00:00+09:00' "
        f"AND ContractEndsAt < '{first_of_next + timedelta(days=1)}T00:00:00+09:00' "
        "AND CustomerId = 'nobody' "
        "AND WorkflowType = 'SubscriptionWorkflow' AND CloseTime IS NULL"
    )
    assert "Web UI" not in reserved.out, "no search attribute contains reservations"
    assert "NeedsAttention = true" in attention.out


async def test_list_shows_attention_reason(
    service: Service, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_copy, "_PAUSE_SECONDS", 0.2)
    customer = fresh("marked")
    marked = await service.subscribed(customer_id=customer)
    handle = service.temporal.get_workflow_handle(f"subscription-{marked}")
    await handle.signal("needs_attention", {"needed": True, "reason": "T-4711"})
    listing = ("list", "needs-attention", "--customer", customer)

    async def is_listed() -> bool:
        return bool((await cli.json(*listing))["total"])

    await wait_for("it is listed", is_listed)
    [attention] = (await cli.json(*listing))["attention"].values()
    assert (attention["kind"], attention["reason"]) == ("OPERATOR", "T-4711")
    since = f"{datetime.fromisoformat(attention['since']):%Y-%m-%d %H:%M} KST"
    shown = " ".join((await cli.run(*listing)).out.split())
    assert f"{marked} needs attention: OPERATOR: T-4711, since {since}" in shown
    assert attention["advice"] in shown

    async with (
        create_pool(service.stack.addresses.worker_url, "worksub_worker", connections=1) as pool,
        attention_copy.run_attention_copy(pool, service.temporal),
    ):
        without_temporal = cli.with_settings(TEMPORAL_ADDRESS=NOWHERE)

        async def is_copied() -> bool:
            return (await without_temporal.json("status", marked))["attention"] is not None

        await wait_for("a worker has copied the reason", is_copied)
        assert (await without_temporal.json("status", marked))["attention"] == attention
        shown = " ".join((await cli.run("status", marked)).out.split())
        assert f"Needs attention OPERATOR: T-4711, since {since}" in shown
        assert attention["advice"] in shown
        await handle.signal("needs_attention", {"needed": False})

        async def is_removed() -> bool:
            return (await cli.json("status", marked))["attention"] is None

        await wait_for("a worker has removed the reason", is_removed)


async def test_unknown_filter_value_is_refused(service: Service, cli: Cli) -> None:
    customer = fresh("filtered")
    subscription_id = await service.subscribed(customer_id=customer, plan="lite")
    filters = ("--customer", customer, "--access", "full", "--plan", "lite")
    assert ids(await cli.json("list", *filters)) == [subscription_id]
    assert ids(await cli.json("list", *filters, "--term", "annual")) == []
    refused = await cli.run("list", "--plan", "basc", "--json")
    assert (refused.code, refused.error["code"], refused.error["field"]) == (1, "INVALID_ARGUMENT", "plan")
    assert refused.error["message"] == "plan: There is no plan basc. Choose one of lite, basic, premium."
    refused = await cli.run("list", "--query", "Plan = 'basc'", "--json")
    assert (refused.code, refused.error["field"]) == (1, "query")
    for option in ("--state", "--access", "--term"):
        misused = await cli.run("list", option, "SUSPNDED", "--json")
        assert (misused.code, misused.error["code"]) == (2, "USAGE")
        assert "'SUSPNDED' is not one of " in misused.error["message"]


async def test_query_is_sent_to_temporal(service: Service, cli: Cli) -> None:
    customer = fresh("queried")
    wanted, _ = await asyncio.gather(
        service.subscribed(customer_id=customer, plan="lite"), service.subscribed(customer_id=customer)
    )
    query = f'CustomerId = "{customer}" AND (Plan = "lite" OR Plan = "premium")'
    found, in_state, table = await asyncio.gather(
        cli.json("list", "--query", query),
        cli.json("list", "--query", query, "--state", "ACTIVE"),
        cli.run("list", "--query", query),
    )
    assert ids(found) == [wanted]
    assert ids(in_state) == []
    assert wanted in table.out


async def test_unparsable_query_is_refused(cli: Cli) -> None:
    result, in_json = await asyncio.gather(
        cli.run("list", "--query", "Plann = 'basic'"), cli.run("list", "--query", "Plan = ", "--json")
    )
    assert result.code == 2
    assert "Temporal cannot read the query: invalid search attribute: Plann." in result.err
    assert (in_json.code, in_json.error["code"], in_json.error["field"]) == (2, "INVALID_QUERY", "query")


@pytest.mark.parametrize(("name", "code"), [("suspended", 0), ("needs-attention", 3)])
async def test_database_lists_work_without_temporal(cli: Cli, name: str, code: int) -> None:
    result = await cli.with_settings(TEMPORAL_ADDRESS=NOWHERE).run("list", name)
    assert result.code == code
    assert (NOWHERE in result.err) is (code == 3)
