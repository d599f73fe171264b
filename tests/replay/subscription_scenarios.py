"""Scenarios of a subscription, from the request to the deletion of its histories."""

from functools import partial
from typing import Any

from support.polling import gather_all, wait_for
from support.service_env import kst, unique_name
from support.subscription_driver import SubscriptionDriver, has_closed
from temporalio.client import WorkflowHistory

from starter.requests import subscription_id_for
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.timeline import TimelineEntry

from .recording_env import START, Scene, replay_scenario

# -- requests that are refused -----------------------------------------------------------------------


@replay_scenario()
async def name_taken_at_the_request(scene: Scene) -> list[WorkflowHistory]:
    first = await scene.service_env.requested(START)
    body = scene.service_env.request_body(
        account=first.request["account"], simulated_at=first.request["simulated_at"]
    )
    second = SubscriptionDriver(
        scene.service_env.client, scene.service_env.temporal, subscription_id_for(body["request_id"]), body
    )
    await started_by_hand(scene, second.workflow_id, body)
    return await scene.runs_of(second)


@replay_scenario()
async def nonsense_for_a_request(scene: Scene) -> list[WorkflowHistory]:
    ids = [WORKFLOW_ID_PREFIX + unique_name("by-hand"), unique_name("order-of-the-operator")]
    for workflow_id in ids:
        await started_by_hand(scene, workflow_id, {"colour": "red"}, start_signal="withdraw_reservation")
    return [run for each in ids for run in await scene.recorder.runs_of(scene.service_env.temporal, each)]


async def started_by_hand(scene: Scene, workflow_id: str, argument: object, **options: str) -> None:
    """Start a workflow that is rejected, and wait until it has closed."""
    await scene.service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        argument,
        id=workflow_id,
        task_queue=scene.service_env.task_queue,
        start_signal=options.get("start_signal"),
    )
    await has_closed(scene.service_env.temporal.get_workflow_handle(workflow_id))


# -- the trial ---------------------------------------------------------------------------------------


@replay_scenario()
async def trial_lapses(scene: Scene) -> list[WorkflowHistory]:
    subscription = await scene.begun()
    await subscription.runs_to("2027-02-10 09:00")
    await subscription.runs_to("2027-03-12 09:00")
    await subscription.has_closed()
    return await scene.runs_of(subscription)


@replay_scenario()
async def cancelled_in_the_trial(scene: Scene) -> list[WorkflowHistory]:
    subscription = await scene.begun()
    await subscription.ends_at("2027-01-11 09:00")
    return await scene.runs_of(subscription)


@replay_scenario()
async def switch_reserved(scene: Scene) -> list[WorkflowHistory]:
    """Reserve a switch, replace it, withdraw it, reserve it again and execute it."""
    subscription = await scene.begun()
    await subscription.send("switch_to_paid", at=START, date="2027-02-01", term="ANNUAL")
    await subscription.send(
        "switch_to_paid", at=START, date="2027-02-03", term="ANNUAL", plan="premium", members=3
    )
    await subscription.send("withdraw_reservation", at=START)
    await subscription.send("switch_to_paid", at=START, date="2027-02-05", term="MONTHLY", members=12)
    await subscription.runs_to("2027-03-02 09:00")
    return await scene.runs_of(subscription)


@replay_scenario()
async def switched_in_the_grace_period(scene: Scene) -> list[WorkflowHistory]:
    subscription = await scene.begun()
    await subscription.runs_to("2027-02-20 09:00")
    await subscription.send("switch_to_paid", at="2027-02-20 10:00", date="2027-02-20", term="ANNUAL")
    await subscription.runs_to("2027-04-02 09:00")
    return await scene.runs_of(subscription)


# -- contracts ---------------------------------------------------------------------------------------


@replay_scenario()
async def monthly(scene: Scene) -> list[WorkflowHistory]:
    """Choose and clear a renewal option; reserve, withdraw and reserve a cancellation, and reach its date."""
    subscription = await scene.paid("MONTHLY")
    await subscription.send("change_renewal_option", at=START, term="ANNUAL")
    await subscription.send("change_renewal_option", at=START, term=None)
    await subscription.runs_to("2027-03-15 09:00")
    await subscription.send("cancel", at="2027-03-15 10:00", date="2027-06-01")
    await subscription.runs_to("2027-04-15 09:00")
    await subscription.send("withdraw_reservation", at="2027-04-15 10:00")
    await subscription.send("cancel", at="2027-04-15 10:00", date="2027-05-01")
    await subscription.runs_to("2027-05-02 09:00")
    await subscription.has_closed()
    return await scene.runs_of(subscription)


@replay_scenario()
async def annual_cancelled_early(scene: Scene) -> list[WorkflowHistory]:
    """Renewed on a lower plan after a year, then cancelled immediately: repayment and fee are due."""
    subscription = await scene.paid("ANNUAL")
    await subscription.send("change_renewal_option", at=START, term="ANNUAL", plan="lite", members=5)
    await subscription.runs_to("2028-03-15 09:00")
    await subscription.ends_at("2028-03-15 10:00")
    return await scene.runs_of(subscription)


@replay_scenario()
async def annual_to_the_day_after(scene: Scene) -> list[WorkflowHistory]:
    subscription = await scene.paid("ANNUAL")
    await subscription.send("cancel", at="2027-06-01 09:00", date="2028-01-10")
    await subscription.runs_to("2028-01-11 09:00")
    await subscription.has_closed()
    return await scene.runs_of(subscription)


@replay_scenario()
async def upgraded(scene: Scene) -> list[WorkflowHistory]:
    """Upgraded in members, plan and term, with a renewal option that is raised with them."""
    subscription = await scene.paid("MONTHLY", plan="lite")
    await subscription.send("upgrade", at=START, members=12)
    await subscription.send("change_renewal_option", at=START, term="MONTHLY", plan="basic", members=11)
    await subscription.runs_to("2027-02-04 09:00")
    await subscription.send("upgrade", at="2027-02-04 10:00", plan="premium", members=20)
    await subscription.runs_to("2027-03-14 09:00")
    await subscription.send("upgrade", at="2027-03-14 10:00", term="ANNUAL")
    await subscription.runs_to("2027-04-02 09:00")
    return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def ten_years(scene: Scene) -> list[WorkflowHistory]:
    subscription = await scene.paid("ANNUAL")
    await subscription.send("change_renewal_option", at=START, term="ANNUAL")
    await subscription.runs_to("2033-02-15 09:00")
    await subscription.send("change_renewal_option", at="2033-02-15 10:00", term=None)
    await subscription.runs_to("2037-01-15 09:00")
    return await scene.runs_of(subscription)


@replay_scenario()
async def late(scene: Scene) -> list[WorkflowHistory]:
    """No worker ran for months: missed deadlines are processed in due order before the next command."""
    subscription = await scene.begun()
    await subscription.send("switch_to_paid", at=START, date="2027-02-01", term="MONTHLY")
    await subscription.send("change_renewal_option", at="2027-08-20 09:00", term="ANNUAL")
    await subscription.send("cancel", at="2027-08-20 09:00", date="2027-10-01")
    await subscription.advance_to("2027-12-24 09:00")
    await subscription.has_closed()
    return await scene.runs_of(subscription)


# -- names and domains -------------------------------------------------------------------------------


@replay_scenario()
async def domain_verified_by_a_scheduled_look(scene: Scene) -> list[WorkflowHistory]:
    subscription = await scene.begun(account={"domain": f"{unique_name('owned')}.example"})
    await subscription.runs_to("2027-01-10 09:17")
    [proof] = (await subscription.status()).proofs
    scene.service_env.dns.publish_txt(proof.txt_name, proof.txt_value)
    await subscription.runs_to("2027-01-10 10:30")
    return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def domain_unverified_for_days(scene: Scene) -> list[WorkflowHistory]:
    """Check a domain every five minutes, hourly and daily; switch to paid; cancel it unverified."""
    subscription = await scene.begun(account={"domain": f"{unique_name('never-owned')}.example"})
    await subscription.runs_to("2027-01-14 09:30")
    await subscription.send("switch_to_paid", at="2027-01-14 10:00", date="2027-01-14", term="MONTHLY")
    await subscription.send("check_domain", at="2027-01-14 10:00")
    await subscription.ends_at("2027-01-14 11:00")
    return await scene.runs_of(subscription)


@replay_scenario()
async def renamed(scene: Scene) -> list[WorkflowHistory]:
    """Rename to a group; reserve a domain, replace it, withdraw it, reserve it again and verify it."""
    subscription = await scene.begun()
    await subscription.send("rename_account", at=START, group=unique_name("renamed"))
    status = await subscription.status()
    assert status.account is not None
    await subscription.runs_to("2027-01-12 09:00")
    for account in (
        {"domain": f"{unique_name('held')}.example"},
        {"domain": f"{unique_name('held')}.example"},
        {"group": status.account.partition("@")[2]},
        {"domain": f"{unique_name('held')}.example"},
    ):
        await subscription.send("rename_account", at="2027-01-12 10:00", **account)
        await subscription.client.settle(subscription.id)  # a domain is checked immediately
    [proof] = (await subscription.status()).proofs
    scene.service_env.dns.publish_cname(proof.cname_name, proof.cname_target)
    await subscription.send("check_domain", at="2027-01-12 10:02")
    return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def left_with_everything_pending(scene: Scene) -> list[WorkflowHistory]:
    """End with an unverified domain, another domain reserved and a switch reserved.

    The run after the rename checks the domain either before or after it accepts the switch.
    """
    subscription = await scene.begun(account={"domain": f"{unique_name('pending')}.example"})
    await subscription.runs_to("2027-01-10 09:01")
    await subscription.send(
        "rename_account", at="2027-01-10 09:02", domain=f"{unique_name('pending')}.example"
    )
    await subscription.send("switch_to_paid", at="2027-01-10 09:02", date="2027-02-01", term="ANNUAL")
    return await scene.runs_of(subscription)


@replay_scenario(compared=False)
async def domain_lost(scene: Scene) -> list[WorkflowHistory]:
    """Claim a domain that another subscription verifies first: for the account, and for a rename.

    A scheduled check may happen before or after the commands of the same minute.
    """
    domain = f"{unique_name('claimed')}.example"
    owner, loser = [await scene.begun(account={"domain": domain}) for _ in range(2)]
    renaming = await scene.begun()
    await renaming.send("rename_account", at="2027-01-10 09:01", domain=domain)
    [proof] = (await owner.status()).proofs
    scene.service_env.dns.publish_mx(proof.mx_name, proof.mx_exchange)
    await owner.send("check_domain", at="2027-01-10 09:02")
    await loser.send("check_domain", at="2027-01-10 09:03")
    await renaming.send("check_domain", at="2027-01-10 09:03")
    await loser.send("rename_account", at="2027-01-10 09:04", group=unique_name("found"))
    return await scene.runs_of(owner, loser, renaming)


@replay_scenario()
async def name_taken_at_a_rename(scene: Scene) -> list[WorkflowHistory]:
    holder = await scene.service_env.requested(START)
    subscription = await scene.begun()
    await subscription.expect_refusal("rename_account", at=START, **holder.request["account"])
    await subscription.send("rename_account", at=START, group=unique_name("free"))
    await subscription.client.settle(subscription.id)  # in the run that starts then
    return await scene.runs_of(subscription)


# -- commands ----------------------------------------------------------------------------------------


@replay_scenario()
async def sent_again(scene: Scene) -> list[WorkflowHistory]:
    """Commands with IDs: repeated, reused for other commands, and accepted as new after they are dropped."""
    subscription = await scene.begun()
    switch = {"date": "2027-01-10", "term": "MONTHLY", "id": "switch", "by": "a clerk"}
    await subscription.send("switch_to_paid", at=START, **switch)
    await subscription.send("change_renewal_option", at=START, term="ANNUAL", id="option")
    await subscription.handle.execute_update("switch_to_paid", {**switch, "at": kst(START).isoformat()})
    await subscription.expect_refusal("change_renewal_option", at=START, term="MONTHLY", id="option")
    await subscription.runs_to("2027-02-20 09:00")
    await subscription.send("switch_to_paid", at=START, **switch)
    for name in ("another", "option"):
        await subscription.send("change_renewal_option", at="2027-02-20 10:00", term="MONTHLY", id=name)
    return await scene.runs_of(subscription)


@replay_scenario()
async def refused_by_the_newest_catalogue(scene: Scene) -> list[WorkflowHistory]:
    """Only the newest catalogue can refuse a plan, so it is loaded before the refusal."""
    subscription = await scene.paid("MONTHLY")
    await subscription.expect_refusal("upgrade", at=START, plan="gold")
    await subscription.send("upgrade", at=START, plan="premium")
    return await scene.runs_of(subscription)


@replay_scenario()
async def signals(scene: Scene) -> list[WorkflowHistory]:
    """Commands as signals: valid and invalid, known and unknown."""
    subscription = await scene.begun()
    at = {"at": kst(START).isoformat()}
    sent: list[tuple[str, Any]] = [
        ("rename_account", {**at, "group": unique_name("signalled")}),
        ("switch_to_paid", {**at, "date": "2027-02-01", "term": "ANNUAL", "by": "an operator"}),
        ("withdraw_reservation", at),
        ("withdraw_reservation", at),
        ("cancel", {"date": "soon"}),
        ("upgrade", [1, 2, 3]),
        ("change_renewal_option", None),
        ("make_coffee", {}),
    ]
    for number, (name, argument) in enumerate(sent, start=2):
        await subscription.handle.signal(name, argument)
        await wait_for(f"{name} is recorded", partial(knows_of, subscription, number))
    for needed in (True, False):
        await subscription.handle.signal("needs_attention", {"needed": needed})
        await subscription.client.settle(subscription.id)
    return await scene.runs_of(subscription)


async def knows_of(subscription: SubscriptionDriver, events: int) -> bool:
    """Return whether the workflow itself, and not only the database, has this many events."""
    timeline: list[TimelineEntry] = await subscription.handle.query(
        "timeline", result_type=list[TimelineEntry]
    )
    return timeline[-1].sequence == events


@replay_scenario(compared=False)
async def many_at_once(scene: Scene) -> list[WorkflowHistory]:
    subscription = await scene.paid("MONTHLY")
    choices = [
        subscription.send(
            "change_renewal_option", at=START, term="ANNUAL", members=number, id=f"choice-{number}"
        )
        for number in range(1, 21)
    ]
    await gather_all([*choices, *(subscription.client.settle(subscription.id) for _ in range(5))])
    await subscription.runs_to("2027-02-12 09:00")
    return await scene.runs_of(subscription)
