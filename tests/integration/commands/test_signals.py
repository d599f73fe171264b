"""Signals: the same commands for operators; refusals are recorded in the timeline."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from support.data_search import found_in_database
from support.malformed_payloads import LONE_SURROGATE, MISFITS, NOT_JSON
from support.polling import PATIENCE_SECONDS, gather_all, wait_for
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from starter.requests import subscription_id_for
from subscription.commands import COMMANDS
from subscription.refusals import RefusalCode
from subscription.state import State

START = "2027-01-10 09:00"
# Signals without a time use the clock, which is a moment after the start.
LATER = "2027-01-10 10:00"


async def signalled(subscription: SubscriptionDriver, name: str, *arguments: Any, events: int) -> list[str]:
    """Send a signal; return the recorded events after it has added this many."""
    before = len(await subscription.events())
    await subscription.handle.signal(name, args=arguments)

    async def recorded() -> list[str]:
        found = await subscription.events()
        return found[before:] if len(found) >= before + events else []

    return await wait_for(f"{name} {arguments} is recorded", recorded)


async def refusal_codes(service_env: ServiceEnv, subscription: SubscriptionDriver) -> list[tuple[str, str]]:
    rows = await service_env.owner.fetch(
        """
        SELECT detail->>'command' AS command, detail->>'code' AS code FROM lifecycle_events
         WHERE subscription_id = $1 AND event = 'REFUSED' ORDER BY sequence
        """,
        subscription.id,
    )
    return [(row["command"], row["code"]) for row in rows]


@asynccontextmanager
async def stays_responsive(subscription: SubscriptionDriver) -> AsyncIterator[None]:
    """Check after the block that the subscription responds and that no workflow task has failed."""
    try:
        yield
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await subscription.send("rename_account", at=LATER, group=unique_name("still-alive"))
        assert [entry.event for entry in answer.events] == ["ACCOUNT_RENAMED"]
        assert await subscription.failed_tasks() == []
    except BaseException:
        # Otherwise it would stay blocked during the other tests.
        await subscription.handle.terminate("a test has failed")
        raise


async def test_every_command_works_as_a_signal(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    today = {"date": "2027-01-10", "at": f"{START}+09:00".replace(" ", "T")}
    at = {"at": today["at"]}
    domain = f"{unique_name('signalled')}.example"
    steps: list[tuple[str, dict[str, Any], list[str]]] = [
        ("rename_account", {"domain": domain, **at}, ["RENAME_HELD"]),
        ("switch_to_paid", {**today, "date": "2027-01-20", "term": "MONTHLY"}, ["SWITCH_RESERVED"]),
        ("withdraw_reservation", at, ["RESERVATION_WITHDRAWN"]),
        ("switch_to_paid", {**today, "term": "MONTHLY"}, ["SWITCHED_TO_PAID"]),
        ("change_renewal_option", {"term": "ANNUAL", **at}, ["RENEWAL_OPTION_CHANGED"]),
        (
            "upgrade",
            {"members": 20, "agreed_terms": subscription.request["agreed_terms"], **at},
            ["UPGRADED"],
        ),
    ]
    for name, argument, events in steps:
        assert await signalled(subscription, name, argument, events=1) == events

    token = (await subscription.status()).proofs[0].txt_value
    service_env.dns.publish_txt(domain, token)
    assert await signalled(subscription, "check_domain", at, events=1) == ["ACCOUNT_RENAMED"]
    assert await subscription.failed_tasks() == []

    confirmation = await subscription.confirmation()
    assert confirmation == f"admin@{domain}"
    events = await signalled(subscription, "cancel", {**today, "confirmation": confirmation}, events=1)
    assert events[0] == "CANCELED"
    await subscription.advance_to(START)
    await subscription.has_closed()


async def test_null_clears_renewal_option_but_missing_value_does_not(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    await subscription.send("change_renewal_option", at=START, term="ANNUAL")
    assert await signalled(subscription, "change_renewal_option", events=1) == ["REFUSED"]
    assert (await subscription.status()).renewal is not None
    assert await signalled(subscription, "change_renewal_option", None, events=1) == [
        "RENEWAL_OPTION_CHANGED"
    ]
    assert (await subscription.status()).renewal is None


MISREAD: dict[str, list[Any]] = {
    "a list": [[1]],
    "a text": ["now"],
    "a number": [5],
    "null": [None],
    "unknown fields": [{"colour": "red"}],
    "wrong types": [{"date": 20270110, "confirmation": ["x"], "id": {}, "by": 5, "at": []}],
    "no argument": [],
    **{f"misfit {number}": [misfit] for number, misfit in enumerate(MISFITS)},
}


async def test_unreadable_signal_is_refused_in_timeline(
    service_env: ServiceEnv,
) -> None:
    """The subscription continues."""

    subscription = await service_env.requested(START)
    async with stays_responsive(subscription):
        for arguments in MISREAD.values():
            await subscription.handle.signal("cancel", args=arguments)
        await subscription.client.settle(subscription.id)
        codes = await refusal_codes(service_env, subscription)
        assert codes == [("cancel", RefusalCode.INVALID_ARGUMENT)] * len(MISREAD)
        assert (await subscription.status()).state is State.TRIAL


async def test_extra_arguments_are_dropped(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    switch = {"date": "2027-01-20", "term": "MONTHLY"}
    async with stays_responsive(subscription):
        await subscription.handle.execute_update("switch_to_paid", args=[switch, "and", ["more"]])
        quote = await subscription.handle.query(
            "quote_cancellation", args=[{"date": "2027-01-10"}, "and", ["more"]]
        )
        assert quote["total"] == 0
        events = await signalled(subscription, "withdraw_reservation", {}, "and", ["more"], events=1)
        assert events == ["RESERVATION_WITHDRAWN"]


async def test_unknown_signal_is_refused_with_any_argument(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    async with stays_responsive(subscription):
        odd: list[list[Any]] = [[], [None], [{"date": "x"}], ["a", ["b"]], ["a", "b", "c"], [LONE_SURROGATE]]
        for arguments in odd:
            await subscription.handle.signal("make_coffee", args=arguments)
        await subscription.client.settle(subscription.id)
        codes = [code for _, code in await refusal_codes(service_env, subscription)]
        assert codes == [RefusalCode.UNKNOWN_COMMAND] * len(odd)


async def test_signal_in_wrong_state_is_refused_with_code(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    wrong = {
        "change_renewal_option": ({"term": "ANNUAL"}, RefusalCode.NOT_YET_PAID),
        "upgrade": ({"members": 20, "agreed_terms": []}, RefusalCode.NOT_YET_PAID),
        "withdraw_reservation": ({}, RefusalCode.NOTHING_RESERVED),
        "check_domain": ({}, RefusalCode.NO_PROOF_AWAITED),
        "rename_account": (subscription.request["account"], RefusalCode.NAME_UNCHANGED),
        "cancel": ({"date": "2027-01-10", "confirmation": "nobody@all"}, RefusalCode.CONFIRMATION_DIFFERS),
        "switch_to_paid": ({"date": "2026-12-31", "term": "ANNUAL"}, RefusalCode.DATE_IN_THE_PAST),
    }
    assert {*wrong} == {*COMMANDS}
    async with stays_responsive(subscription):
        for name, (argument, _) in wrong.items():
            await subscription.handle.signal(name, argument)
        await subscription.client.settle(subscription.id)
        codes = await refusal_codes(service_env, subscription)
        assert codes == [(name, code) for name, (_, code) in wrong.items()]
        entry = (await subscription.client.timeline(subscription.id))[-1]
        assert entry.message.startswith("switch_to_paid was refused: Choose today")


async def test_signal_with_start_is_decided_after_trial_started(
    service_env: ServiceEnv,
) -> None:
    """A signal that is sent with the start (signal-with-start) is decided after the trial has started."""
    body = service_env.request_body()
    subscription = SubscriptionDriver(
        service_env.client, service_env.temporal, subscription_id_for(body["request_id"]), body
    )
    await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        body,
        id=subscription.workflow_id,
        task_queue=service_env.task_queue,
        start_signal="rename_account",
        start_signal_args=[{"group": unique_name("early")}],
    )
    await service_env.client.request(body)
    await subscription.client.settle(subscription.id)
    assert await subscription.events() == ["TRIAL_STARTED", "ACCOUNT_RENAMED"]
    assert await subscription.failed_tasks() == []


async def test_r22_repeated_signal_with_id_runs_once(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    argument = {"term": "ANNUAL", "id": "signalled-twice"}
    assert await signalled(subscription, "change_renewal_option", argument, events=1) == [
        "RENEWAL_OPTION_CHANGED"
    ]
    await subscription.handle.signal("change_renewal_option", argument)
    await subscription.client.settle(subscription.id)
    assert (await subscription.events()).count("RENEWAL_OPTION_CHANGED") == 1
    assert await refusal_codes(service_env, subscription) == []


async def test_concurrent_signals_are_all_recorded(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    before = len(await subscription.events())
    await gather_all(
        subscription.handle.signal("withdraw_reservation", {"by": f"operator {n}"}) for n in range(100)
    )

    async def all_recorded() -> bool:
        return len(await subscription.events()) == before + 100

    await wait_for("all refusals are recorded", all_recorded)
    assert await subscription.failed_tasks() == []


# Personal data in the wrong field must not block the subscription, and must not remain after its erasure.

POISON: dict[str, tuple[str, Any]] = {
    "said by a null character": ("withdraw_reservation", {"by": "a\x00b"}),
    "a rename, said by a null character": ("rename_account", {"group": "poison-by", "by": "a\x00b"}),
    "an id with a null character": ("check_domain", {"id": "a\x00b"}),
    "a field with a null character": ("cancel", {"a\x00b": 1}),
    "a plan with a null character": (
        "switch_to_paid",
        {"date": "2027-01-10", "term": "ANNUAL", "plan": "a\x00b"},
    ),
    "a name with a null character": ("make\x00coffee", {}),
    "a very long name": ("x" * 900, {}),
    "a very long field": ("cancel", {"x" * 1_500_000: 1}),
    "very many fields": ("cancel", {f"f{number}": 1 for number in range(100_000)}),
    "very many wrong terms": ("upgrade", {"members": 20, "agreed_terms": [{}] * 100_000}),
}


async def test_malformed_signal_is_refused_and_workflow_continues(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    async with stays_responsive(subscription):
        for what, (name, argument) in POISON.items():
            assert await signalled(subscription, name, argument, events=1) == ["REFUSED"], what


async def test_r31_malformed_signal_content_is_erased(
    service_env: ServiceEnv,
) -> None:
    """The content of a malformed signal is deleted with the subscription."""
    subscription = await service_env.requested(START)
    typed = "Hong Gildong 010-2345-6789"
    await signalled(subscription, "cancel", {typed: typed}, events=1)
    await signalled(subscription, typed, {}, events=1)
    await subscription.cancel_and_wait(LATER)
    assert await found_in_database(service_env, [typed]) == []


# -- updates and queries -----------------------------------------------------------------------------


async def test_unreadable_or_unknown_update_is_refused(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)

    async def one(name: str, arguments: list[Any], code: RefusalCode) -> None:
        with pytest.raises(WorkflowUpdateFailedError) as failure:
            await subscription.handle.execute_update(name, args=arguments)
        assert isinstance(failure.value.cause, ApplicationError)
        assert failure.value.cause.type == code

    odd: list[list[Any]] = [[], [None], [{}], [NOT_JSON], ["a", ["b"]], [1, 2, 3]]
    async with stays_responsive(subscription):
        await gather_all(
            [
                *(one("cancel", arguments, RefusalCode.INVALID_ARGUMENT) for arguments in MISREAD.values()),
                *(one("make_coffee", arguments, RefusalCode.UNKNOWN_COMMAND) for arguments in odd),
            ]
        )
        assert await subscription.events() == ["TRIAL_STARTED"]


async def test_updates_that_are_no_command_need_no_argument(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    async with stays_responsive(subscription):
        assert (await subscription.handle.execute_update("settle"))["message"] == "All that was due is done."
        assert (await subscription.handle.execute_update("request"))["subscription_id"] == subscription.id
        with pytest.raises(WorkflowQueryFailedError, match=r"date: This field is required|INVALID_ARGUMENT"):
            await subscription.handle.query("quote_cancellation")


async def test_settle_moves_no_real_clock(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    await subscription.handle.execute_update("settle", {"at": "2999-01-01T00:00:00+09:00"})
    assert await subscription.events() == ["TRIAL_STARTED"]


async def test_update_without_command_blocks_nothing(service_env: ServiceEnv) -> None:
    odd: list[list[Any]] = [[], [None], [{}], [["x"]], ["a", "b"], [NOT_JSON]]
    subscription = await service_env.requested(START)
    async with stays_responsive(subscription):
        for name, arguments in itertools.product(("request", "settle"), odd):
            with suppress(WorkflowUpdateFailedError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await subscription.handle.execute_update(name, args=arguments, result_type=RawValue)


async def test_queries_answer_a_plain_handle(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    status = await subscription.handle.query("status")
    assert (status["state"], status["term"]) == ("ACTIVE", "ANNUAL")
    timeline = await subscription.handle.query("timeline")
    assert [entry["event"] for entry in timeline] == ["TRIAL_STARTED", "SWITCHED_TO_PAID"]
    upcoming = await subscription.handle.query("upcoming")
    assert upcoming[0]["entry"]["event"] == "SERVICE_FEES_POSTED"
    assert upcoming[0]["entry"]["at"] == "2027-02-01T00:00:00+09:00"
    quote = await subscription.handle.query("quote_cancellation", {"date": "2027-07-10"})
    assert quote["penalty"] == sum(
        line["amount"] for line in quote["ledger"] if line["kind"] != "SERVICE_FEE"
    )
    assert quote["free_on"] == "2028-01-10"
    for name, extra in (("status", ["x"]), ("timeline", [None]), ("upcoming", [{}, 1])):
        assert await subscription.handle.query(name, args=extra) is not None
    assert await subscription.failed_tasks() == []


async def test_refused_quote_has_reason_and_is_harmless(service_env: ServiceEnv) -> None:
    odd: list[list[Any]] = [[], [None], [5], [{}], [{"date": "soon"}], [{"date": "2027-01-09"}], [NOT_JSON]]
    subscription = await service_env.paid(START)
    async with stays_responsive(subscription):
        for arguments in odd:
            with pytest.raises(WorkflowQueryFailedError, match=r"argument|date|INVALID_ARGUMENT|DATE_"):
                await subscription.handle.query("quote_cancellation", args=arguments)
