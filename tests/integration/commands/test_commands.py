"""Commands as updates: they return their events or a refusal code; an ID is executed only once (R22)."""

from datetime import timedelta
from typing import Any

import pytest
from support.polling import gather_all
from support.service_env import ServiceEnv, kst, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from starter.caller import Caller
from starter.scoped_queries import OperatorsOnlyError
from subscription.commands import COMMANDS
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.state import Access, State
from subscription.timeline import Answer, TimelineEntry

START = "2027-01-10 09:00"


async def test_accepted_command_returns_recorded_state(
    service_env: ServiceEnv,
) -> None:
    """Every command is accepted, and its response equals the recorded state."""
    subscription = await service_env.requested(START)
    trial_commands: dict[str, dict[str, Any]] = {
        "rename_account": {"domain": f"{unique_name('renamed')}.example"},
        "check_domain": {},
        "switch_to_paid": {"date": "2027-01-20", "term": "MONTHLY"},
        "withdraw_reservation": {},
    }
    for command, argument in trial_commands.items():
        await check_recorded_response(subscription, command, argument)
    await check_recorded_response(subscription, "switch_to_paid", {"date": "2027-01-10", "term": "MONTHLY"})
    paid: dict[str, dict[str, Any]] = {
        "change_renewal_option": {"term": "ANNUAL", "members": 20},
        "upgrade": {"plan": "premium", "members": 30, "term": "ANNUAL"},
        "cancel": {"date": "2027-01-10"},
    }
    for command, argument in paid.items():
        await check_recorded_response(subscription, command, argument)
    assert {*trial_commands, *paid} == {*COMMANDS}


async def test_r36_command_waits_for_the_members_in_use(
    service_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a command that needs the members in use loads them, without a cache; a failing port is retried."""
    reports: list[int | None] = [None, 11, 10]
    subscription = await service_env.requested(START, members=10)

    async def members_in_use(_: PostgresWorkspaceProvisioner, subscription_id: str) -> int:
        assert subscription_id == subscription.id
        reported = reports.pop(0)
        if reported is None:
            raise ConnectionError("the product is not available")
        return reported

    monkeypatch.setattr(PostgresWorkspaceProvisioner, "members_in_use", members_in_use)
    switch = {"at": START, "term": "ANNUAL"}
    await subscription.send("switch_to_paid", date="2027-01-20", **switch)  # reserved
    refused = await subscription.expect_refusal("switch_to_paid", date="2027-01-10", **switch)
    assert (refused.code, refused.parameters) == (RefusalCode.MEMBERS_IN_USE, {"members": 11})
    await subscription.send("switch_to_paid", date="2027-01-10", **switch)
    await subscription.send("change_renewal_option", at=START, term=None)
    assert reports == []


async def check_recorded_response(
    subscription: SubscriptionDriver, command: str, argument: dict[str, Any]
) -> None:
    before = len(await subscription.client.timeline(subscription.id))
    answer = await subscription.send(command, at=START, **argument)
    timeline, ledger = await subscription.client.timeline(subscription.id), await subscription.ledger()
    assert answer.command == command
    # The domain checks and the erasure that follow a command do not count as its events.
    recorded = [TimelineEntry.model_validate(dict(entry)) for entry in timeline[before:]]
    assert list(answer.events) == recorded[: len(answer.events)]
    assert len(answer.events) == (0 if command == "check_domain" else 1)
    assert all(line in ledger for line in answer.ledger)
    assert answer.state is (answer.events[-1].state if answer.events else State.TRIAL)


async def refusing_subscriptions(service_env: ServiceEnv) -> dict[str, SubscriptionDriver]:
    """Return subscriptions in which every command has a reason for a refusal."""
    trial, reserved, paid = await gather_all(
        [service_env.requested(START), service_env.requested(START), service_env.paid(START, "ANNUAL")]
    )
    await reserved.send("switch_to_paid", at=START, date="2027-01-20", term="MONTHLY")
    return {"trial": trial, "reserved": reserved, "paid": paid, "holder": await service_env.requested(START)}


REFUSALS: list[tuple[str, str, dict[str, Any], RefusalCode]] = [
    ("trial", "switch_to_paid", {"date": "2027-01-09", "term": "ANNUAL"}, RefusalCode.DATE_IN_THE_PAST),
    ("trial", "switch_to_paid", {"date": "2027-03-12", "term": "ANNUAL"}, RefusalCode.DATE_TOO_LATE),
    (
        "trial",
        "switch_to_paid",
        {"date": "2027-01-10", "term": "ANNUAL", "plan": "gold"},
        RefusalCode.PLAN_NOT_SOLD,
    ),
    (
        "trial",
        "switch_to_paid",
        {"date": "2027-01-10", "term": "ANNUAL", "members": 100_001},
        RefusalCode.TOO_MANY_MEMBERS,
    ),
    ("paid", "switch_to_paid", {"date": "2027-01-10", "term": "ANNUAL"}, RefusalCode.ALREADY_PAID),
    ("trial", "change_renewal_option", {"term": "ANNUAL"}, RefusalCode.NOT_YET_PAID),
    ("trial", "upgrade", {"members": 20}, RefusalCode.NOT_YET_PAID),
    ("paid", "upgrade", {"members": 10}, RefusalCode.NOT_AN_UPGRADE),
    ("paid", "upgrade", {"members": 9}, RefusalCode.LOWERED_BY_UPGRADE),
    ("paid", "upgrade", {"members": 20, "agreed_terms": []}, RefusalCode.TERMS_NOT_AGREED),
    ("paid", "cancel", {"date": "2027-01-10", "confirmation": "boss@acme"}, RefusalCode.CONFIRMATION_DIFFERS),
    ("paid", "cancel", {"date": "2028-01-11"}, RefusalCode.DATE_TOO_LATE),
    ("reserved", "cancel", {"date": "2027-01-15"}, RefusalCode.SWITCH_RESERVED),
    ("trial", "withdraw_reservation", {}, RefusalCode.NOTHING_RESERVED),
    ("trial", "rename_account", {"group": "line"}, RefusalCode.INVALID_ARGUMENT),
    ("trial", "check_domain", {}, RefusalCode.NO_PROOF_AWAITED),
]


async def test_refused_command_has_its_code_and_changes_nothing(service_env: ServiceEnv) -> None:
    subscriptions = await refusing_subscriptions(service_env)
    assert {command for _, command, _, _ in REFUSALS} == {*COMMANDS}
    taken = {"group": subscriptions["holder"].request["account"]["group"]}
    same = {"group": subscriptions["trial"].request["account"]["group"]}
    refusals = [
        *REFUSALS,
        ("trial", "rename_account", same, RefusalCode.NAME_UNCHANGED),
        ("trial", "rename_account", taken, RefusalCode.NAME_TAKEN),
    ]
    before = {name: await subscription.events() for name, subscription in subscriptions.items()}
    for name, command, argument, code in refusals:
        refused = await subscriptions[name].expect_refusal(command, at=START, **argument)
        assert refused.code is code, (command, argument)
        assert refused.message
    assert {name: await subscription.events() for name, subscription in subscriptions.items()} == before
    for subscription in subscriptions.values():
        assert await subscription.failed_tasks() == []


async def test_refused_update_adds_no_history_events(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    await subscription.advance_to(START)
    before = len(await subscription.whole_history())
    await gather_all(subscription.expect_refusal("withdraw_reservation", at=START) for _ in range(5))
    assert len(await subscription.whole_history()) == before


async def test_plain_update_fails_with_code_as_error_type(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await subscription.handle.execute_update("withdraw_reservation", {})
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.non_retryable) == (RefusalCode.NOTHING_RESERVED, True)
    assert Refusal.model_validate(cause.details[0]).code is RefusalCode.NOTHING_RESERVED


async def test_unknown_subscription_is_not_found(service_env: ServiceEnv) -> None:
    ghost = SubscriptionDriver(
        service_env.client, service_env.temporal, "no-such-subscription", {"agreed_terms": []}
    )
    for asking in (ghost.send("withdraw_reservation"), ghost.status(), ghost.events(), ghost.ledger()):
        with pytest.raises(RefusalError) as refusal:
            await asking
        assert refusal.value.refused.code is RefusalCode.SUBSCRIPTION_NOT_FOUND


# -- ids (R22) ---------------------------------------------------------------------------------------


async def test_r22_repeated_command_returns_original_response(
    service_env: ServiceEnv,
) -> None:
    """A repeated command has no further effect."""
    subscription = await service_env.paid(START)
    first = await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="once")
    await subscription.send("change_renewal_option", at=START, term="MONTHLY")
    assert await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="once") == first
    assert (await subscription.events()).count("RENEWAL_OPTION_CHANGED") == 2
    renewal = (await subscription.status()).renewal
    assert renewal is not None
    assert renewal.term == "MONTHLY"


async def test_r22_ids_are_known_across_continue_as_new(service_env: ServiceEnv) -> None:
    """The next run returns the original responses, and refuses another command under a used ID.

    A client that has lost its connection repeats an update with the same ID, which is then the command ID.
    """
    subscription = await service_env.paid(START)
    await subscription.is_at_rest_in_run(2)
    by_command = await subscription.send(
        "change_renewal_option", at=START, term="ANNUAL", id="of-the-command"
    )
    argument = {"term": "ANNUAL", "at": at(START)}
    by_update = await subscription.handle.execute_update(
        "change_renewal_option", argument, id="of-the-update"
    )
    await subscription.advance_to("2027-08-01 00:00")  # a run ends with the first event after six months
    await subscription.has_run(3)
    # A simulated command may be repeated with its own time, which has passed.
    again = await gather_all(
        subscription.send("change_renewal_option", at=repeated, term="ANNUAL", id="of-the-command")
        for repeated in (START, "2027-08-01 09:00", "2027-08-02 09:00")
    )
    assert again == [by_command] * 3
    argument["at"] = at("2027-08-02 09:00")
    assert by_update == await subscription.handle.execute_update(
        "change_renewal_option", argument, id="of-the-update"
    )
    for used in ("of-the-command", "of-the-update"):
        refused = await subscription.expect_refusal("upgrade", at="2027-08-02 09:00", members=20, id=used)
        assert refused.code is RefusalCode.COMMAND_ID_REUSED
    assert (await subscription.events()).count("RENEWAL_OPTION_CHANGED") == 2


async def test_r22_original_response_after_workflow_closed(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    confirmation = await subscription.confirmation()
    renewal = await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="renewal")
    argument = {"date": "2027-01-10", "confirmation": confirmation, "id": "the-end"}
    end = await subscription.send("cancel", at=START, **argument)
    assert end.state is State.CANCELED
    await subscription.advance_to(START)
    await subscription.has_closed()
    assert await subscription.send("cancel", at=START, **argument) == end
    assert await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="renewal") == renewal
    assert (
        await subscription.expect_refusal("check_domain", id="something-new")
    ).code is RefusalCode.SUBSCRIPTION_ENDED
    assert (await subscription.events())[-2:] == ["CANCELED", "ERASED"]


async def test_r22_reused_id_is_refused(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="used")
    for command, argument in (
        ("change_renewal_option", {"term": "MONTHLY"}),
        ("upgrade", {"members": 20}),
        ("withdraw_reservation", {}),
    ):
        refused = await subscription.expect_refusal(command, at=START, id="used", **argument)
        assert (refused.code, refused.field) == (RefusalCode.COMMAND_ID_REUSED, "id"), command
    assert (await subscription.status()).members == 10


async def test_r22_reused_id_is_refused_after_workflow_closed(
    service_env: ServiceEnv,
) -> None:
    """Another command under a used command ID is refused."""
    subscription = await service_env.paid(START)
    await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="used")
    await subscription.cancel_and_wait(START)
    refused = await subscription.expect_refusal("upgrade", at=START, id="used", members=20)
    assert refused.code in (RefusalCode.COMMAND_ID_REUSED, RefusalCode.SUBSCRIPTION_ENDED)


async def test_r22_server_compares_update_ids_workflow_the_arguments(
    service_env: ServiceEnv,
) -> None:
    """The behaviour that docs/commands.md describes for clients without the client library."""
    subscription = await service_env.paid(START)
    await subscription.has_run(2)
    handle = subscription.handle

    async def sent(update_id: str, **argument: Any) -> Any:
        term = {"agreed_terms": subscription.request["agreed_terms"]}
        return await handle.execute_update("upgrade", {**argument, **term, "at": at(START)}, id=update_id)

    first = await sent("of-the-update", members=20)
    # Within the run, the server returns the original response without calling the workflow.
    assert await sent("of-the-update", members=30) == first
    assert (await subscription.status()).members == 20
    # With an ID in the argument and another update ID, the workflow compares.
    named = await sent("first", members=21, id="of-the-command")
    assert await sent("second", members=21, id="of-the-command") == named
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await sent("third", members=22, id="of-the-command")
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == RefusalCode.COMMAND_ID_REUSED


def at(moment: str) -> str:
    return kst(moment).isoformat()


async def test_r22_concurrent_calls_with_one_id_run_once(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    argument = {"members": 20, "id": "both"}
    answers = await gather_all(subscription.send("upgrade", at=START, **argument) for _ in range(10))
    assert answers == [answers[0]] * 10
    assert (await subscription.events()).count("UPGRADED") == 1


async def test_r22_concurrent_commands_with_one_id_accept_only_one(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)

    async def send_in_race(members: int) -> Answer | RefusalCode:
        try:
            return await subscription.send("upgrade", at=START, members=members, id="contested")
        except RefusalError as refusal:
            return refusal.refused.code

    answers = await gather_all(send_in_race(members) for members in (20, 21, 22, 23))
    assert answers.count(RefusalCode.COMMAND_ID_REUSED) == 3
    assert (await subscription.events()).count("UPGRADED") == 1


async def test_r22_refused_command_is_decided_again_with_same_id(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    for _ in range(2):
        refused = await subscription.expect_refusal(
            "change_renewal_option", at=START, term="ANNUAL", id="again"
        )
        assert refused.code is RefusalCode.NOT_YET_PAID
    await subscription.send("switch_to_paid", at=START, date="2027-01-10", term="ANNUAL")
    answer = await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="again")
    assert answer.events[0].event == "RENEWAL_OPTION_CHANGED"
    assert await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="again") == answer


async def test_r22_taken_name_is_checked_again_with_same_id(service_env: ServiceEnv) -> None:
    holder, subscription = await gather_all([service_env.requested(START), service_env.requested(START)])
    wanted = holder.request["account"]
    assert (
        await subscription.expect_refusal("rename_account", at=START, id="wish", **wanted)
    ).code is RefusalCode.NAME_TAKEN
    await holder.send("rename_account", at=START, group=unique_name("elsewhere"))
    answer = await subscription.send("rename_account", at=START, id="wish", **wanted)
    assert answer.events[0].event == "ACCOUNT_RENAMED"


async def test_r22_dropped_id_can_be_used_by_a_newer_command(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="reused")
    await subscription.send("change_renewal_option", at="2027-02-12 09:00", term="MONTHLY", id="between")
    newer = {"term": "ANNUAL", "members": 20, "id": "reused"}
    answer = await subscription.send("change_renewal_option", at="2027-02-12 10:00", **newer)
    assert "for 20 members" in answer.message
    assert await subscription.send("change_renewal_option", at="2028-01-12 09:00", **newer) == answer


async def test_r11_switch_with_unverified_domain_reports_restriction(
    service_env: ServiceEnv,
) -> None:
    """Switching to paid is allowed; the response states that use is restricted."""
    subscription = await service_env.requested(
        START, account={"domain": f"{unique_name('unverified')}.example"}
    )
    answer = await subscription.send("switch_to_paid", at=START, date="2027-01-10", term="MONTHLY")
    assert (answer.state, answer.access) == (State.ACTIVE, Access.RESTRICTED)
    assert "restricted" in answer.message


async def test_client_of_other_customer_cannot_reach_workflow(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    other = service_env.client.for_caller(Caller("C-other"))
    for call in (
        other.command(subscription.id, "rename_account", {"group": unique_name("stolen")}),
        other.settle(subscription.id),
        other.advance_clock(subscription.id, await subscription.clock.now() + timedelta(days=1)),
    ):
        with pytest.raises(RefusalError) as refused:
            await call
        assert refused.value.refused.code is RefusalCode.SUBSCRIPTION_NOT_FOUND
    with pytest.raises(OperatorsOnlyError):
        other.clock(subscription.id)
    [entry] = await subscription.client.timeline(subscription.id)
    assert entry.event == "TRIAL_STARTED"
