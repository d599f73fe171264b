"""Every recipe of docs/operations.md works when its commands run verbatim."""

import pytest
from integration.worker.test_temporal_tools import first_task, reset
from support.markdown_pages import page, tables
from support.polling import wait_for
from support.service_env import unique_name
from support.shell_recipes import (
    EVERYDAY,
    RECIPES,
    RECOVERY,
    Shell,
    chapters,
    commands_of,
    has_failed,
    in_days,
    named,
    paid,
    recipe,
    recipes,
    unverified,
)
from support.subscription_driver import SubscriptionDriver

from starter.filters import NAMED_FILTERS

PAGE = page("docs/operations.md")
RECORDED_DIFFERENTLY = "is already recorded with different content"


@recipe("Find due dates and problems")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested(account={"domain": f"{unique_name('amiss')}.example"})
    assert [command.split()[-1] for command in blocks[0]] == list(NAMED_FILTERS)
    printed = dict(zip(NAMED_FILTERS, await shell.types(blocks[0], {}), strict=True))
    assert subscription.id in printed["restricted"]
    assert subscription.id not in printed["suspended"]


@recipe("Find by plan, customer or account")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    by_query, by_customer, by_plan, by_name, counted = await shell.types(blocks[0], await named(subscription))
    assert subscription.id in by_query
    assert subscription.id in by_customer
    assert subscription.id in by_plan
    assert subscription.workflow_id in by_name
    assert counted.startswith("Total: ")


@recipe("Show the status")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    status, metadata, query = await shell.types(blocks[0], await named(subscription))
    assert "MONTHLY" in status
    assert "- **Plan**: basic, 10 members" in metadata
    assert '"state":"ACTIVE"' in query


@recipe("Show past and upcoming events")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    timeline, upcoming, asked_timeline, asked_upcoming = await shell.types(
        blocks[0], await named(subscription)
    )
    for printed in (timeline, asked_timeline):
        assert "SWITCHED_TO_PAID" in printed
    for printed in (upcoming, asked_upcoming):
        assert "SERVICE_FEES_POSTED" in printed


@recipe("Quote a cancellation")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    quote, output = await shell.types(blocks[0], await named(subscription))
    assert "SERVICE_FEE" in quote
    assert '"penalty":0' in output


@recipe("Inspect the workflow")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    await subscription.has_run(2)
    await subscription.send("change_renewal_option", term="ANNUAL")
    described, shown, listed = await shell.types(blocks[0], await named(subscription))
    assert "Pending Activities: 0" in described
    assert "ActivityTaskScheduled" in shown
    assert listed.count(subscription.workflow_id) == 2


@recipe("Switch to paid")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    assert "SWITCH_RESERVED" in (await shell.types(blocks[0], await named(subscription)))[0]


@recipe("Choose the renewal option")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    chosen, none = await shell.types(blocks[0], await named(subscription))
    assert "The next contract will be an annual contract on basic for 5 members" in chosen
    assert "No renewal option is set" in none


@recipe("Upgrade")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    assert "UPGRADED" in (await shell.types(blocks[0], await named(subscription)))[0]
    assert (await subscription.status()).members == 20


@recipe("Export all data")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    assert f"Exported {subscription.id}" in (await shell.types(blocks[0], await named(subscription)))[0]
    recorded = await shell.service_env.client.recorded_state(subscription.id)
    assert recorded.last_export_at is not None


@recipe("Cancel")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    assert "CANCELLATION_RESERVED" in (await shell.types(blocks[0], await named(subscription)))[0]


@recipe("Withdraw a reservation")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    await subscription.send("switch_to_paid", date=await in_days(subscription, 10), term="MONTHLY")
    assert "RESERVATION_WITHDRAWN" in (await shell.types(blocks[0], await named(subscription)))[0]


@recipe("Rename the account")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    assert "ACCOUNT_RENAMED" in (await shell.types(blocks[0], {"ID": subscription.id}))[0]


@recipe("Verify a domain")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    domain = f"{unique_name('verified')}.example"
    subscription = await unverified(shell, domain)
    assert "DOMAIN_CONFIRMED" in (await shell.types(blocks[0], {"ID": subscription.id}))[0]


@recipe("Retry a command")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    first, again = await shell.types(blocks[0], await named(subscription))
    assert first == again
    assert await subscription.events() == ["TRIAL_STARTED", "SWITCH_RESERVED"]


@recipe("Send a signal")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    *signals, timeline = blocks[0]
    await shell.types(signals, await named(subscription))

    async def both_are_done() -> bool:
        return await subscription.events() == ["TRIAL_STARTED", "SWITCH_RESERVED", "REFUSED"]

    await wait_for("both signals are in the timeline", both_are_done)
    assert "There is no such command" in " ".join(
        (await shell.types([timeline], {"ID": subscription.id}))[0].split()
    )


@recipe("Read a refusal")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    nothing, unreadable, queried = await shell.types(blocks[0], {"ID": subscription.id}, codes=[1, 1, 1])
    assert "(type: NOTHING_RESERVED" in nothing
    assert "date: Enter a date such as" in unreadable
    assert "(type: INVALID_ARGUMENT" in unreadable
    assert "INVALID_ARGUMENT: date: Enter a date such as" in queried


@recipe("Process due events now")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    assert "All that was due is done." in (await shell.types(blocks[0], {"ID": subscription.id}))[0]


async def shows_attention(subscription: SubscriptionDriver, needed: bool) -> None:
    """Wait until the attention mark is set or cleared."""

    async def shown() -> bool:
        attributes = (await subscription.handle.describe()).typed_search_attributes
        return any(pair.key.name == "NeedsAttention" and pair.value for pair in attributes) is needed

    await wait_for(f"NeedsAttention is {needed}", shown)


@recipe("Mark a subscription for attention")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    mark, listed, take_back = blocks[0]
    await shell.types([mark], {"ID": subscription.id})
    await shows_attention(subscription, True)
    assert subscription.id in (await shell.types([listed], {}))[0]
    await shell.types([take_back], {"ID": subscription.id})
    await shows_attention(subscription, False)


@recipe("Send a command to many subscriptions")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    customer = {"C-1000482": subscription.request["customer_id"]}

    async def is_listed() -> bool:
        found = await shell.service_env.client.find(query=f'CustomerId = "{customer["C-1000482"]}"')
        return bool(found.total)

    await wait_for("Temporal lists the customer's subscription", is_listed)
    dry_run, start, results = blocks[0]
    [shown] = await shell.types([dry_run], customer)
    preview = shown.split("--preview ")[1].split()[0]
    await shell.types([start], {**customer, "HASH": preview})

    async def outcome() -> str:
        [printed] = await shell.types([results], {"HASH": preview})
        return printed if "ACCEPTED" in printed else ""

    assert subscription.id in await wait_for("the outcome of the subscription", outcome)
    assert "RENEWAL_OPTION_CHANGED" in await subscription.events()


@recipe("Verify all unverified domains")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    domain = f"{unique_name('batch')}.example"
    subscription = await unverified(shell, domain)
    counted, started, _ = await shell.types(blocks[0], {})
    assert int(counted.removeprefix("Total: ")) >= 1
    assert "Started batch for job ID" in started

    async def is_verified() -> bool:
        return (await subscription.events())[-1] == "DOMAIN_CONFIRMED"

    await wait_for("the batch has triggered the domain check", is_verified)

    async def is_completed() -> bool:
        return "Completed" in (await shell.types(blocks[0][2:], {}))[0]

    await wait_for("the batch is completed", is_completed)


@recipe("Mark several subscriptions for attention")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscriptions = [await paid(shell, plan="premium") for _ in range(2)]
    mark, listed = blocks[0]
    await shell.types([mark], {})
    for subscription in subscriptions:
        await shows_attention(subscription, True)
        assert subscription.id in (await shell.types([listed], {}))[0]
    await shell.types([mark.replace("true", "false")], {})
    for subscription in subscriptions:
        await shows_attention(subscription, False)


@recipe("Pause a subscription")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    pause, describe, unpause, timeline = blocks[0]
    await shell.types([pause], {"ID": subscription.id})
    assert "Paused" in (await shell.types([describe], {"ID": subscription.id}))[0]
    day = await in_days(subscription, 1)
    switch = f"worksub switch {subscription.id} --date {day} --term MONTHLY --timeout 3 --id paused"
    assert "An operator has paused the subscription" in (await shell.types([switch], {}, codes=[3]))[0]
    assert (
        subscription.id
        in (await shell.types(["worksub list --query 'Plan = \"basic\"' --limit 1000"], {}))[0]
    )
    await shell.types([unpause], {"ID": subscription.id})
    await shell.types([switch.replace("--timeout 3 ", "")], {})
    assert "SWITCH_RESERVED" in (await shell.types([timeline], {"ID": subscription.id}))[0]


@recipe("A workflow cancellation was requested")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    cancel, timeline = blocks[0]
    await shell.types([cancel], {"ID": subscription.id})

    async def is_refused() -> bool:
        return (await subscription.events())[-1] == "REFUSED"

    await wait_for("the refusal is in the timeline", is_refused)
    assert "Send the command cancel" in " ".join(
        (await shell.types([timeline], {"ID": subscription.id}))[0].split()
    )


@recipe("A workflow was terminated")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    await subscription.handle.terminate("by mistake")
    *_, timeline = await shell.types(blocks[0], {"ID": subscription.id})
    assert "SWITCHED_TO_PAID" in timeline
    await wait_for("the new workflow has started", subscription.has_started)
    await subscription.send("upgrade", members=20)


@recipe("A workflow was reset")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    await subscription.send("upgrade", members=20)
    await reset(subscription, await first_task(subscription))
    describe, *restart = blocks[0]

    await has_failed(subscription, RECORDED_DIFFERENTLY)
    assert RECORDED_DIFFERENTLY in (await shell.types([describe], {"ID": subscription.id}))[0]
    await shell.types(restart, {"ID": subscription.id})
    await wait_for("the new workflow has started", subscription.has_started)
    assert await subscription.events() == ["TRIAL_STARTED", "SWITCHED_TO_PAID", "UPGRADED"]
    await subscription.send("upgrade", members=30)


@pytest.mark.parametrize("heading", recipes(*EVERYDAY))
async def test_recipe_works_as_documented(shell: Shell, heading: str) -> None:
    await RECIPES[heading](shell, commands_of(heading))


def test_every_chapter_has_a_test() -> None:
    assert chapters() == [*EVERYDAY, *RECOVERY]


def test_documented_lists_match_the_command() -> None:
    [table] = [table for table in tables(PAGE) if table.header[0] == "name"]
    assert table.column("name") == list(NAMED_FILTERS)
