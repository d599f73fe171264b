"""Commands and queries of one subscription: table output, JSON output and refusals."""

import asyncio
from datetime import datetime, timedelta

import pytest
from support.cli_runner import Cli
from support.paused_workflows import paused
from support.request_files import fresh

from subscription.business_calendar import KST

from .conftest import Service


def in_days(days: int) -> str:
    return (datetime.now(KST) + timedelta(days=days)).date().isoformat()


# -- switch, renewal, upgrade ------------------------------------------------------------------------


async def test_switch_is_reserved_replaced_and_withdrawn(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    reserved = await cli.json("switch", subscription_id, "--date", in_days(9), "--term", "monthly")
    assert reserved["command"] == "switch_to_paid"
    assert [event["event"] for event in reserved["events"]] == ["SWITCH_RESERVED"]
    replaced = await cli.run(
        *("switch", subscription_id, "--date", "tomorrow", "--term", "ANNUAL"),
        *("--plan", "premium", "--members", "12", "--by", "ops@example"),
    )
    assert replaced.code == 0
    assert "annual contract on premium for 12 members is reserved" in replaced.out
    assert f"in place of the one for {in_days(9)}" in replaced.out
    assert "State: TRIAL, access: FULL." in replaced.out
    status = await cli.run("status", subscription_id)
    assert "Switch to a paid annual contract (premium, 12 members) on" in status.out
    withdrawn = await cli.json("withdraw", subscription_id)
    assert [event["event"] for event in withdrawn["events"]] == ["RESERVATION_WITHDRAWN"]
    assert "ops@example, CLI" in (await cli.run("timeline", subscription_id)).out
    timeline = await cli.json("timeline", subscription_id)
    assert [(entry["channel"], entry["by"]) for entry in timeline][1:] == [
        ("CLI", None),
        ("CLI", "ops@example"),
        ("CLI", None),
    ]


async def test_today_is_the_date_of_the_subscription_clock(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    moved = await cli.json("clock", "advance", subscription_id, "3")
    await cli.json("switch", subscription_id, "--date", "today", "--term", "MONTHLY")
    contract = (await service.client.status(subscription_id)).contract
    assert contract is not None
    assert contract.first_day.isoformat() == moved["now"][:10]


async def test_paused_subscription_clock_explains_resume(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    async with paused(service.temporal, subscription_id):
        refused = await cli.run("clock", "advance", subscription_id, "3", "--json")
    assert (refused.code, refused.error["code"]) == (3, "WORKFLOW_PAUSED")


async def test_command_with_same_id_returns_the_same_result(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    arguments = ("switch", subscription_id, "--date", in_days(5), "--term", "ANNUAL", "--id", "switch-1")
    first = await cli.json(*arguments)
    again, other = await asyncio.gather(
        cli.json(*arguments), cli.run("withdraw", subscription_id, "--id", "switch-1", "--json")
    )
    assert again == first
    assert (other.code, other.error["code"]) == (1, "COMMAND_ID_REUSED")
    timeline = await service.client.timeline(subscription_id)
    assert [entry.event for entry in timeline] == ["TRIAL_STARTED", "SWITCH_RESERVED"]


async def test_renewal_option_is_set_and_cleared(service: Service, cli: Cli) -> None:
    subscription_id = await service.paid()
    chosen = await cli.run("renewal", subscription_id, "--term", "ANNUAL", "--plan", "lite", "--members", "3")
    assert "an annual contract on lite for 3 members" in chosen.out
    assert "annual contract, lite, 3 members" in (await cli.run("status", subscription_id)).out
    none = await cli.json("renewal", subscription_id, "--none")
    assert none["events"][0]["event"] == "RENEWAL_OPTION_CHANGED"
    assert (await service.client.status(subscription_id)).renewal is None


async def test_upgrade_agrees_to_current_terms(service: Service, cli: Cli) -> None:
    subscription_id = await service.paid()
    unasked = await cli.run("upgrade", subscription_id, "--plan", "premium", "--json")
    assert (unasked.code, unasked.error["field"]) == (2, "agree")
    terminal = await cli.at_a_terminal("upgrade", subscription_id, "--plan", "premium")
    await terminal.sees("service, version 2026-01")
    await terminal.sees("Type yes or no: ")
    terminal.type("perhaps")
    await terminal.sees("Not agreed, so nothing has changed.")
    assert await terminal.ends() == 1
    terminal = await cli.at_a_terminal("upgrade", subscription_id, "--plan", "premium")
    await terminal.sees("Type yes or no: ")
    terminal.type("yes")
    await terminal.sees("Upgraded to")
    await terminal.sees("premium for 10 members")
    assert await terminal.ends() == 0
    more, lower = await asyncio.gather(
        cli.json("upgrade", subscription_id, "--members", "20", "--agree"),
        cli.run("upgrade", subscription_id, "--plan", "lite", "--agree", "--json"),
    )
    assert more["events"][0]["event"] == "UPGRADED"
    assert (lower.code, lower.error["code"], lower.error["field"]) == (1, "LOWERED_BY_UPGRADE", "plan")


# -- cancel ------------------------------------------------------------------------------------------


async def test_cancellation_requires_the_account_as_confirmation(service: Service, cli: Cli) -> None:
    group = fresh("confirmed")
    subscription_id = await service.paid(account={"group": group})
    unconfirmed, wrong, right = await asyncio.gather(
        cli.run("cancel", subscription_id, "--date", in_days(40), "--json"),
        cli.run("cancel", subscription_id, "--date", in_days(40), "--confirm", "minji"),
        cli.json("cancel", subscription_id, "--date", in_days(40), "--confirm", f"minji@{group}"),
    )
    assert (unconfirmed.code, unconfirmed.error["field"]) == (2, "confirm")
    assert wrong.code == 1
    assert "Type the administrator account" in wrong.err
    assert "worksub status" in wrong.err
    assert [event["event"] for event in right["events"]] == ["CANCELLATION_RESERVED"]


async def test_terminal_does_not_confirm_a_changed_cost(service: Service, cli: Cli) -> None:
    group = fresh("meanwhile")
    subscription_id = await service.paid(account={"group": group})
    terminal = await cli.at_a_terminal("cancel", subscription_id, "--date", "today")
    await terminal.sees(f"type the account (minji@{group}): ")
    await cli.json("upgrade", subscription_id, "--members", "20", "--agree")
    terminal.type(f"minji@{group}")
    await terminal.sees("has changed since the preview")
    assert await terminal.ends() == 1
    assert (await cli.json("status", subscription_id))["state"] == "ACTIVE"


async def test_terminal_shows_cost_and_prompts_for_account(service: Service, cli: Cli) -> None:
    group = fresh("asked")
    subscription_id = await service.paid(account={"group": group})
    for typed, seen, code in (
        ("minji@elsewhere", "Error in confirmation", 1),
        (f"minji@{group}", "Canceled at the customer's request", 0),
    ):
        terminal = await cli.at_a_terminal("cancel", subscription_id, "--date", "today")
        await terminal.sees("including an early-termination charge of")
        await terminal.sees("EARLY_TERMINATION_FEE")
        await terminal.sees("Last export: never.")
        await terminal.sees(f"type the account (minji@{group}): ")
        terminal.type(typed)
        await terminal.sees(seen)
        assert await terminal.ends() == code


async def test_erased_subscription_shows_retained_data(service: Service, cli: Cli) -> None:
    group = fresh("erased")
    subscription_id = await service.paid(account={"group": group})
    arguments = ("cancel", subscription_id, "--date", "today", "--confirm", f"minji@{group}", "--id", "end")
    answer = await cli.json(*arguments)
    assert {line["kind"] for line in answer["ledger"]} == {"EARLY_TERMINATION_FEE"}
    moved, again, status, table, later = await asyncio.gather(
        cli.run("clock", "advance", subscription_id, "1", "--json"),
        cli.json(*arguments),
        cli.json("status", subscription_id),
        cli.run("status", subscription_id),
        cli.run("withdraw", subscription_id, "--json"),
    )
    assert again == answer
    assert (status["state"], status["access"], status["account"]) == ("ERASED", "NONE", None)
    assert status["certificates"][0]["rows"]["administrators"] == 1
    assert "Erasure certificate" in table.out
    assert (later.code, later.error["code"]) == (1, "SUBSCRIPTION_ENDED")
    assert (moved.code, moved.error["code"]) == (1, "SUBSCRIPTION_ENDED")
    assert await cli.json("upcoming", subscription_id) == []


# -- the account and its domain ----------------------------------------------------------------------


async def test_group_name_changes_immediately_and_once_a_day(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    group = fresh("renamed")
    answer = await cli.json("rename", subscription_id, "--group", group)
    assert answer["events"][0]["event"] == "ACCOUNT_RENAMED"
    assert (await service.client.status(subscription_id)).account == f"minji@{group}"
    again = await cli.run("rename", subscription_id, "--group", fresh("again"), "--json")
    assert (again.code, again.error["code"]) == (1, "RENAMED_TOO_RECENTLY")


async def test_verify_domain_record_proves_ownership(service: Service, cli: Cli) -> None:
    domain = f"{fresh('shop')}.example"
    subscription_id = await service.subscribed(account={"domain": domain})
    checked, shown = await asyncio.gather(
        cli.json("verify-domain", subscription_id), cli.run("verify-domain", subscription_id)
    )
    [proof] = checked["proofs"]
    assert (checked["access"], checked["events"]) == ("RESTRICTED", [])
    assert f"  {proof['txt_name']} TXT {proof['txt_value']}\n" in shown.out
    assert f"  {proof['cname_name']} CNAME {proof['cname_target']}\n" in shown.out
    assert "not found yet" in shown.out
    service.stack.dns.publish_cname(proof["cname_name"], proof["cname_target"])
    verified = await cli.run("verify-domain", subscription_id)
    assert "State: TRIAL, access: FULL." in verified.out
    assert "To verify" not in verified.out


# -- queries -----------------------------------------------------------------------------------------


async def test_yearly_charges_are_forecast_quoted_and_explained(service: Service, cli: Cli) -> None:
    subscription_id = await service.paid()
    coming, before = await asyncio.gather(
        cli.json("upcoming", subscription_id), cli.run("ledger", subscription_id)
    )
    assert coming[0]["entry"]["event"] == "SERVICE_FEES_POSTED"
    assert "There are no charges." in before.out
    due = coming[0]["entry"]["at"]
    moved = await cli.json("clock", "run-to", subscription_id, due)
    assert [event["event"] for event in moved["events"]] == ["SERVICE_FEES_POSTED"]
    ledger, table, ahead, quote, quoted, explained = await asyncio.gather(
        cli.json("ledger", subscription_id),
        cli.run("ledger", subscription_id),
        cli.run("upcoming", subscription_id),
        cli.json("quote", subscription_id, "--date", "today"),
        cli.run("quote", subscription_id, "--date", "tomorrow"),
        cli.json("explain", subscription_id),
    )
    assert ledger == coming[0]["ledger"]
    [line] = ledger
    assert f"{line['amount']:,}" in table.out
    assert "CONTRACT_RENEWED" in ahead.out
    assert quote["total"] == sum(each["amount"] for each in quote["ledger"])
    assert "Canceling on" in quoted.out
    assert explained[0]["amount"] == line["amount"]
    short_key = line["key"].removeprefix(f"{subscription_id}/")
    one, none = await asyncio.gather(
        cli.run("explain", subscription_id, short_key), cli.run("explain", subscription_id, "x", "--json")
    )
    assert explained[0]["arithmetic"] in one.out
    assert (none.code, none.error["code"], none.error["field"]) == (1, "LINE_NOT_FOUND", "key")


async def test_switch_and_upgrade_quotes(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed(plan="basic", members=10)
    terms = ("--of", "switch", "--date", "today", "--term", "MONTHLY")
    switch, in_words, early = await asyncio.gather(
        cli.json("quote", subscription_id, *terms),
        cli.run("quote", subscription_id, *terms),
        cli.run("quote", subscription_id, "--of", "upgrade", "--members", "20", "--json"),
    )
    # Basic costs 7,200 per member and month at list price, 6,000 in an annual contract.
    assert (switch["monthly"], switch["monthly_now"], switch["contract"]["term"]) == (72_000, 0, "MONTHLY")
    assert "72,000 KRW per month" in in_words.out
    assert (early.code, early.error["code"]) == (1, "NOT_YET_PAID")
    await cli.json("switch", subscription_id, "--date", "today", "--term", "ANNUAL")
    upgrade, in_words = await asyncio.gather(
        cli.json("quote", subscription_id, "--of", "upgrade", "--members", "20"),
        cli.run("quote", subscription_id, "--of", "upgrade", "--members", "20"),
    )
    assert (upgrade["monthly"], upgrade["monthly_now"]) == (120_000, 60_000)
    assert upgrade["total"] == sum(line["amount"] for line in upgrade["ledger"])
    assert "120,000 KRW per month instead of 60,000 KRW" in in_words.out


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ((), "date"),
        (("--of", "switch", "--date", "today"), "term"),
        (("--of", "upgrade", "--date", "today", "--members", "20"), "date"),
        (("--date", "today", "--members", "20"), "of"),
        (("--of", "renewal", "--date", "today"), "of"),
    ],
)
async def test_conflicting_quote_options_are_refused(cli: Cli, given: tuple[str, ...], field: str) -> None:
    result = await cli.run("quote", "any-id", *given, "--json")
    assert (result.code, result.error["field"]) == (2, field)


async def test_unquotable_date_is_refused_with_the_valid_range(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    result = await cli.run("quote", subscription_id, "--date", "2020-01-01")
    assert result.code == 1
    assert "Choose today, " in result.err


async def test_timeline_lists_events(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    result = await cli.run("timeline", subscription_id)
    assert result.code == 0
    assert "TRIAL_STARTED" in result.out
    assert "The free trial has started" in result.out


async def test_lists_are_paginated(service: Service, cli: Cli) -> None:
    customer = fresh("customer")
    ids = sorted(await asyncio.gather(*(service.subscribed(customer_id=customer) for _ in range(3))))
    first = await cli.json("list", "--customer", customer, "--limit", "2")
    assert [each["subscription_id"] for each in first["subscriptions"]] == ids[:2]
    assert first["next_cursor"] == ids[1]
    rest, table, none = await asyncio.gather(
        cli.json("list", "--customer", customer, "--after", ids[1]),
        cli.run("list", "--customer", customer, "--limit", "2", "--state", "trial"),
        cli.run("list", "--customer", customer, "--state", "ACTIVE"),
    )
    assert [each["subscription_id"] for each in rest["subscriptions"]] == ids[2:]
    assert rest["next_cursor"] is None
    assert ids[0] in table.out
    assert f"There are more: add --after {ids[1]}" in table.out
    assert "No subscriptions found." in none.out


async def test_missing_subscription_is_not_found(cli: Cli) -> None:
    ends = await asyncio.gather(
        *(
            cli.run(*arguments, "--json")
            for arguments in (
                ("status", "nobody"),
                ("cancel", "nobody", "--date", "today", "--confirm", "a@b"),
            )
        )
    )
    for result in ends:
        assert (result.code, result.error["code"]) == (1, "SUBSCRIPTION_NOT_FOUND")


# -- the clock ---------------------------------------------------------------------------------------


async def test_clock_advances_by_hours_or_to_date_never_back(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    moved = await cli.run("clock", "advance", subscription_id, "--days", "30", "--hours", "1")
    assert moved.code == 0
    assert "TRIAL_ENDED" in moved.out
    assert "State: SUSPENDED, access: NONE." in moved.out
    back = await cli.run("clock", "run-to", subscription_id, "2026-01-01", "--json")
    assert (back.code, back.error["code"]) == (1, "CLOCK_PASSED")
    far = await cli.run("clock", "run-to", subscription_id, "9999-01-01", "--json")
    assert (far.code, far.error["field"]) == (2, "target")
    result = await cli.json("clock", "run-to", subscription_id, in_days(90))
    assert result["state"] == "ERASED"
    assert [event["event"] for event in result["events"]] == ["CANCELED", "ERASED"]


async def test_at_a_terminal_the_clock_shows_its_date(service: Service, cli: Cli) -> None:
    subscription_id = await service.paid()
    terminal = await cli.at_a_terminal("clock", "run-to", subscription_id, in_days(100))
    await terminal.sees("100 %")
    await terminal.sees("SERVICE_FEES_POSTED")
    assert await terminal.ends() == 0
