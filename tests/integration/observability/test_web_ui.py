"""Texts in Temporal's UI: summaries, current details and descriptions, without personal data."""

import calendar
from datetime import timedelta
from typing import Any

from support.polling import wait_for
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata

from subscription.business_calendar import add_months, first_of_month, start_of
from subscription.commands import COMMANDS

START = "2027-01-10 09:00"


async def summary_of(subscription: SubscriptionDriver, event: HistoryEvent) -> str | None:
    if not event.user_metadata.HasField("summary"):
        return None
    [summary] = await subscription.temporal.data_converter.decode([event.user_metadata.summary], [str])
    return str(summary)


async def summaries(subscription: SubscriptionDriver, *event_types: Any) -> list[str | None]:
    events = [event for event in await subscription.whole_history() if event.event_type in event_types]
    return [await summary_of(subscription, event) for event in events]


async def wait_for_timer(subscription: SubscriptionDriver, what: str) -> None:
    """Wait until the timer has started: if the clock moves earlier, no timer is started."""

    async def sleeps() -> bool:
        return what in await summaries(subscription, EventType.EVENT_TYPE_TIMER_STARTED)

    await wait_for(f"it sleeps until {what}", sleeps)


async def metadata(subscription: SubscriptionDriver) -> WorkflowMetadata:
    answer: WorkflowMetadata = await subscription.handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return answer


async def card(subscription: SubscriptionDriver) -> dict[str, str]:
    """Return the rows of the current details in the UI."""
    lines = (await metadata(subscription)).current_details.splitlines()
    rows = (line.removeprefix("- **").partition("**: ") for line in lines)
    return {name: value for name, _, value in rows}


async def test_workflow_summary_has_customer_and_request(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(members=1)
    described = await subscription.handle.describe()
    assert await described.static_summary() == f"{subscription.request['customer_id']}: basic, 1 member, VPC"


async def test_every_timer_and_activity_has_a_summary(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START, "MONTHLY")
    await wait_for_timer(subscription, "Service fees for January 2027")
    await subscription.advance_to("2027-02-01 00:00")
    await wait_for_timer(subscription, "End of contract period")
    await subscription.advance_to("2027-02-10 00:00")
    await wait_for_timer(subscription, "Service fees for February 2027")
    await subscription.send("cancel", at="2027-02-10 00:00", date="2027-02-20")
    timers = await summaries(subscription, EventType.EVENT_TYPE_TIMER_STARTED)
    # The switch may have arrived before the first timer.
    assert [timer for timer in dict.fromkeys(timers) if timer != "End of trial"] == [
        "Service fees for January 2027",
        "End of contract period",
        "Service fees for February 2027",
        "Reserved cancellation",
    ]
    # Deadlines are recorded by local activities, or by regular activities if that takes long.
    steps = await summaries(
        subscription, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, EventType.EVENT_TYPE_MARKER_RECORDED
    )
    assert [step for step in dict.fromkeys(steps) if step] == [
        "SWITCHED_TO_PAID",
        "SERVICE_FEES_POSTED",
        "CONTRACT_RENEWED",
        "CANCELLATION_RESERVED",
    ]


async def test_current_details_show_state_and_next_deadline(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START, account={"domain": "card.example"})
    await subscription.send("switch_to_paid", at=START, date="2027-01-20", term="ANNUAL", members=12)
    assert await card(subscription) == {
        "Customer": subscription.request["customer_id"],
        "State": "TRIAL",
        "Access": "RESTRICTED, until domain ownership is verified",
        "Plan": "basic, 10 members",
        "Trial ends": "2027-02-09 09:00 KST",
        "Grace ends": "2027-03-11 09:00 KST",
        "Reserved": "Switch to a paid annual contract (basic, 12 members) on 2027-01-20",
        "Next": "Reserved switch to paid, 2027-01-20 00:00 KST",
    }
    await subscription.advance_to("2027-01-20 00:00")
    await subscription.send("change_renewal_option", at="2027-01-21 09:00", term="MONTHLY", members=3)
    await subscription.send("rename_account", at="2027-01-22 09:00", domain="another.example")
    # 9 days of January, from the 20th to the 28th: 9 / 31 × 12 × 6,000.
    await subscription.send("cancel", at="2027-01-29 09:00", date="2027-03-01")
    assert await card(subscription) == {
        "Customer": subscription.request["customer_id"],
        "State": "ACTIVE",
        "Access": "RESTRICTED, until domain ownership is verified",
        "Plan": "basic, 12 members",
        "Contract": "annual, 2027-01-20 to 2028-01-20",
        "Renewal": "monthly contract, same plan, 3 members",
        "Reserved": "Cancellation on 2027-03-01",
        "New name": "a domain, once its ownership is verified",
        "Next": "Service fees for January 2027, 2027-02-01 00:00 KST",
        "Due so far in January 2027": "20,903 KRW",
    }


async def test_amount_due_grows_while_workflow_is_idle(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
    month = add_months(first_of_month(await subscription.today()), 1)
    await subscription.advance_clock_to(start_of(month))
    # No event occurs in these days, so only the query itself can have updated the details.
    await subscription.advance_clock_to(start_of(month) + timedelta(days=5))
    days = calendar.monthrange(month.year, month.month)[1]
    # 5 days of 10 members at 7,200.
    assert (await card(subscription))[f"Due so far in {month:%B %Y}"] == f"{72_000 * 5 // days:,} KRW"


async def test_every_handler_is_described(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    definition = (await metadata(subscription)).definition
    described = {each.name: each.description for each in definition.update_definitions}
    assert {name: described[name] for name in COMMANDS} == {
        name: command.title for name, command in COMMANDS.items()
    }
    ours = [
        each
        for each in (
            *definition.update_definitions,
            *definition.signal_definitions,
            *definition.query_definitions,
        )
        if not each.name.startswith("__")
    ]
    assert [each.name for each in ours if not (each.name and each.description)] == []


async def test_web_ui_texts_contain_no_personal_data(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(
        START, account={"domain": "secret-acme.example"}, admin_id="secret.admin"
    )
    await subscription.send("switch_to_paid", at=START, date=START[:10], term="ANNUAL", by="secret kim")
    await subscription.send(
        "rename_account", at="2027-01-12 09:00", domain="secret-other.example", by="secret kim"
    )
    token = (await subscription.status()).proofs[0].txt_value
    texts = [(await metadata(subscription)).current_details]
    texts += [f"{await summary_of(subscription, event)}" for event in await subscription.whole_history()]
    for secret in ("secret", "Acme Korea", token.partition("=")[2]):
        assert [words for words in texts if secret in words] == []
