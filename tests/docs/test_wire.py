"""Every row of the table of wire names works with the `temporal` CLI as update, signal or query."""

import pytest
from support.markdown_pages import page, tables
from support.polling import wait_for
from support.service_env import unique_name
from support.shell_recipes import Shell, in_days, named, paid, unverified
from support.subscription_driver import SubscriptionDriver

_TABLES = tables(page("docs/commands.md"))
COMMANDS = {
    row[0]: row[1] for row in next(table for table in _TABLES if table.header == ("name", "argument")).rows
}
QUERIES = [row[:2] for row in next(table for table in _TABLES if table.header[0] == "query").rows]

CAUSED = {
    "switch_to_paid": "SWITCH_RESERVED",
    "change_renewal_option": "RENEWAL_OPTION_CHANGED",
    "upgrade": "UPGRADED",
    "cancel": "CANCELLATION_RESERVED",
    "withdraw_reservation": "RESERVATION_WITHDRAWN",
    "rename_account": "ACCOUNT_RENAMED",
    "check_domain": "DOMAIN_CONFIRMED",
}


async def subscription_ready_for(shell: Shell, command: str) -> SubscriptionDriver:
    """Create a subscription in a state that accepts the command."""
    match command:
        case "change_renewal_option" | "upgrade" | "cancel":
            return await paid(shell)
        case "check_domain":
            return await unverified(shell, f"{unique_name('wire')}.example")
        case "withdraw_reservation":
            subscription = await shell.service_env.requested()
            await subscription.send("switch_to_paid", date=await in_days(subscription, 10), term="MONTHLY")
            return subscription
        case _:
            return await shell.service_env.requested()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("way", ["update execute", "signal"])
async def test_command_works_as_update_and_signal(shell: Shell, way: str, name: str) -> None:
    subscription = await subscription_ready_for(shell, name)
    command = (
        f"temporal workflow {way} --workflow-id subscription-ID --name {name} --input '{COMMANDS[name]}'"
    )
    [printed] = await shell.types([command], await named(subscription))

    async def caused() -> bool:
        return (await subscription.events())[-1] == CAUSED[name]

    if way == "signal":
        await wait_for(f"{name} is in the timeline", caused)
    else:
        assert CAUSED[name] in printed
        assert await caused()


@pytest.mark.parametrize(("name", "argument"), QUERIES)
async def test_query_returns_a_result(shell: Shell, name: str, argument: str) -> None:
    subscription = await paid(shell)
    given = f" --input '{argument}'" if argument else ""
    command = f"temporal workflow query --workflow-id subscription-ID --name {name}{given}"
    [printed] = await shell.types([command], await named(subscription))
    assert "QueryResult" in printed


MISTAKES = {
    """--name cancel --input '[1]'""": "INVALID_ARGUMENT",
    """--name cancel --input '{"date": 20270101}'""": "INVALID_ARGUMENT",
    """--name cancel --input 'nonsense' --input-meta encoding=binary/plain""": "INVALID_ARGUMENT",
    """--name cancel""": "INVALID_ARGUMENT",
    """--name upgrade --input '{"members": 20, "agreed_terms": []}'""": "NOT_YET_PAID",
    """--name cancle --input '{}'""": "UNKNOWN_COMMAND",
}


async def test_update_reports_error_signal_records_it_in_timeline(shell: Shell) -> None:
    subscription = await shell.service_env.requested()
    for number, (typed, code) in enumerate(MISTAKES.items(), start=1):
        update = f"temporal workflow update execute --workflow-id subscription-ID {typed}"
        [output] = await shell.types([update], {"ID": subscription.id}, codes=[1])
        assert f"(type: {code}" in output, typed
        await shell.types(
            [f"temporal workflow signal --workflow-id subscription-ID {typed}"], {"ID": subscription.id}
        )

        async def all_are_refused(number: int = number) -> bool:
            return (await subscription.events()).count("REFUSED") == number

        await wait_for(f"{typed} is refused in the timeline", all_are_refused)
    await subscription.send("rename_account", group=unique_name("goes-on"))
