"""The kinds of lives of a subscription, from the request to the deletion of its histories."""

from functools import partial
from typing import Any

from support.polling import gather_all, wait_for
from support.service_env import kst, unique_name
from support.subscription_driver import SubscriptionDriver, has_closed
from temporalio.client import WorkflowHistory

from starter.requests import subscription_id_for
from subscription.ids import WORKFLOW_ID_PREFIX

from .recording_env import START, Scene, kind_of_life

# -- requests that are refused -----------------------------------------------------------------------


@kind_of_life()
async def name_taken_at_the_request(scene: Scene) -> list[WorkflowHistory]:
    first = await scene.house.requested(START)
    body = scene.house.request_body(
        account=first.request["account"], simulated_at=first.request["simulated_at"]
    )
    second = SubscriptionDriver(
        scene.house.client, scene.house.temporal, subscription_id_for(body["request_id"]), body
    )
    await started_by_hand(scene, second.workflow_id, body)
    return await scene.runs_of(second)


@kind_of_life()
async def nonsense_for_a_request(scene: Scene) -> list[WorkflowHistory]:
    ids = [WORKFLOW_ID_PREFIX + unique_name("by-hand"), unique_name("order-of-the-operator")]
    for workflow_id in ids:
        await started_by_hand(scene, workflow_id, {"colour": "red"}, start_signal="withdraw_reservation")
    return [run for each in ids for run in await scene.recorder.runs_of(scene.house.temporal, each)]


async def started_by_hand(scene: Scene, workflow_id: str, argument: object, **options: str) -> None:
    """Start a workflow that comes to nothing, and wait until it has closed."""
    await scene.house.temporal.start_workflow(
        "SubscriptionWorkflow",
        argument,
        id=workflow_id,
        task_queue=scene.house.task_queue,
        start_signal=options.get("start_signal"),
    )
    await has_closed(scene.house.temporal.get_workflow_handle(workflow_id))


# -- the trial ---------------------------------------------------------------------------------------


@kind_of_life()
async def trial_lapses(scene: Scene) -> list[WorkflowHistory]:
    life = await scene.begun()
    await life.runs_to("2027-02-10 09:00")
    await life.runs_to("2027-03-12 09:00")
    await life.has_closed()
    return await scene.runs_of(life)


@kind_of_life()
async def cancelled_in_the_trial(scene: Scene) -> list[WorkflowHistory]:
    life = await scene.begun()
    await life.ends_at("2027-01-11 09:00")
    return await scene.runs_of(life)


@kind_of_life()
async def switch_reserved(scene: Scene) -> list[WorkflowHistory]:
    """Replaced, withdrawn, reserved anew, and it happens."""
    life = await scene.begun()
    await life.asks("switch_to_paid", at=START, date="2027-02-01", term="ANNUAL")
    await life.asks("switch_to_paid", at=START, date="2027-02-03", term="ANNUAL", plan="premium", members=3)
    await life.asks("withdraw_reservation", at=START)
    await life.asks("switch_to_paid", at=START, date="2027-02-05", term="MONTHLY", members=12)
    await life.runs_to("2027-03-02 09:00")
    return await scene.runs_of(life)


@kind_of_life()
async def switched_in_the_grace_period(scene: Scene) -> list[WorkflowHistory]:
    life = await scene.begun()
    await life.runs_to("2027-02-20 09:00")
    await life.asks("switch_to_paid", at="2027-02-20 10:00", date="2027-02-20", term="ANNUAL")
    await life.runs_to("2027-04-02 09:00")
    return await scene.runs_of(life)


# -- contracts ---------------------------------------------------------------------------------------


@kind_of_life()
async def monthly(scene: Scene) -> list[WorkflowHistory]:
    """A renewal option chosen and taken back; a cancellation reserved, withdrawn, reserved, and met."""
    life = await scene.paid("MONTHLY")
    await life.asks("change_renewal_option", at=START, term="ANNUAL")
    await life.asks("change_renewal_option", at=START, term=None)
    await life.runs_to("2027-03-15 09:00")
    await life.asks("cancel", at="2027-03-15 10:00", date="2027-06-01")
    await life.runs_to("2027-04-15 09:00")
    await life.asks("withdraw_reservation", at="2027-04-15 10:00")
    await life.asks("cancel", at="2027-04-15 10:00", date="2027-05-01")
    await life.runs_to("2027-05-02 09:00")
    await life.has_closed()
    return await scene.runs_of(life)


@kind_of_life()
async def annual_cancelled_early(scene: Scene) -> list[WorkflowHistory]:
    """Renewed on a lower plan after a year, then cancelled at once: repayment and fee are due."""
    life = await scene.paid("ANNUAL")
    await life.asks("change_renewal_option", at=START, term="ANNUAL", plan="lite", members=5)
    await life.runs_to("2028-03-15 09:00")
    await life.ends_at("2028-03-15 10:00")
    return await scene.runs_of(life)


@kind_of_life()
async def annual_to_the_day_after(scene: Scene) -> list[WorkflowHistory]:
    life = await scene.paid("ANNUAL")
    await life.asks("cancel", at="2027-06-01 09:00", date="2028-01-10")
    await life.runs_to("2028-01-11 09:00")
    await life.has_closed()
    return await scene.runs_of(life)


@kind_of_life()
async def upgraded(scene: Scene) -> list[WorkflowHistory]:
    """In members, plan and term, with a renewal option that is raised with them."""
    life = await scene.paid("MONTHLY", plan="lite")
    await life.asks("upgrade", at=START, members=12)
    await life.asks("change_renewal_option", at=START, term="MONTHLY", plan="basic", members=11)
    await life.runs_to("2027-02-04 09:00")
    await life.asks("upgrade", at="2027-02-04 10:00", plan="premium", members=20)
    await life.runs_to("2027-03-14 09:00")
    await life.asks("upgrade", at="2027-03-14 10:00", term="ANNUAL")
    await life.runs_to("2027-04-02 09:00")
    return await scene.runs_of(life)


@kind_of_life(compared=False)
async def ten_years(scene: Scene) -> list[WorkflowHistory]:
    life = await scene.paid("ANNUAL")
    await life.asks("change_renewal_option", at=START, term="ANNUAL")
    await life.runs_to("2033-02-15 09:00")
    await life.asks("change_renewal_option", at="2033-02-15 10:00", term=None)
    await life.runs_to("2037-01-15 09:00")
    return await scene.runs_of(life)


@kind_of_life()
async def late(scene: Scene) -> list[WorkflowHistory]:
    """Nothing ran for months: what was missed is done at once, in due order, before what is asked."""
    life = await scene.begun()
    await life.asks("switch_to_paid", at=START, date="2027-02-01", term="MONTHLY")
    await life.asks("change_renewal_option", at="2027-08-20 09:00", term="ANNUAL")
    await life.asks("cancel", at="2027-08-20 09:00", date="2027-10-01")
    await life.passes_to("2027-12-24 09:00")
    await life.has_closed()
    return await scene.runs_of(life)


# -- names and domains -------------------------------------------------------------------------------


@kind_of_life()
async def domain_proved_by_a_scheduled_look(scene: Scene) -> list[WorkflowHistory]:
    life = await scene.begun(account={"domain": f"{unique_name('owned')}.example"})
    await life.runs_to("2027-01-10 09:17")
    [proof] = (await life.status()).proofs
    scene.house.dns.publish_txt(proof.txt_name, proof.txt_value)
    await life.runs_to("2027-01-10 10:30")
    return await scene.runs_of(life)


@kind_of_life(compared=False)
async def domain_unproved_for_days(scene: Scene) -> list[WorkflowHistory]:
    """Looked at every five minutes, hourly, daily; it switches to paid, asks, and is cancelled unproved."""
    life = await scene.begun(account={"domain": f"{unique_name('never-owned')}.example"})
    await life.runs_to("2027-01-14 09:30")
    await life.asks("switch_to_paid", at="2027-01-14 10:00", date="2027-01-14", term="MONTHLY")
    await life.asks("check_domain", at="2027-01-14 10:00")
    await life.ends_at("2027-01-14 11:00")
    return await scene.runs_of(life)


@kind_of_life()
async def renamed(scene: Scene) -> list[WorkflowHistory]:
    """To a group; to a domain that is held, replaced, withdrawn, held again and proved when asked."""
    life = await scene.begun()
    await life.asks("rename_account", at=START, group=unique_name("renamed"))
    status = await life.status()
    assert status.account is not None
    await life.runs_to("2027-01-12 09:00")
    for account in (
        {"domain": f"{unique_name('held')}.example"},
        {"domain": f"{unique_name('held')}.example"},
        {"group": status.account.partition("@")[2]},
        {"domain": f"{unique_name('held')}.example"},
    ):
        await life.asks("rename_account", at="2027-01-12 10:00", **account)
        await life.client.settle(life.id)  # a domain is looked at straight away
    [proof] = (await life.status()).proofs
    scene.house.dns.publish_cname(proof.cname_name, proof.cname_target)
    await life.asks("check_domain", at="2027-01-12 10:02")
    return await scene.runs_of(life)


@kind_of_life(compared=False)
async def left_with_everything_pending(scene: Scene) -> list[WorkflowHistory]:
    """On a domain that is not proved, with another one held and a switch reserved.

    The run after the rename looks for the proof either before it accepts the switch or after that.
    """
    life = await scene.begun(account={"domain": f"{unique_name('pending')}.example"})
    await life.runs_to("2027-01-10 09:01")
    await life.asks("rename_account", at="2027-01-10 09:02", domain=f"{unique_name('pending')}.example")
    await life.asks("switch_to_paid", at="2027-01-10 09:02", date="2027-02-01", term="ANNUAL")
    return await scene.runs_of(life)


@kind_of_life()
async def name_taken_at_a_rename(scene: Scene) -> list[WorkflowHistory]:
    holder = await scene.house.requested(START)
    life = await scene.begun()
    await life.refused("rename_account", at=START, **holder.request["account"])
    await life.asks("rename_account", at=START, group=unique_name("free"))
    await life.client.settle(life.id)  # in the run that begins then
    return await scene.runs_of(life)


# -- what is asked -----------------------------------------------------------------------------------


@kind_of_life()
async def sent_again(scene: Scene) -> list[WorkflowHistory]:
    """Commands with ids: sent again, sent again as other ones, and new ones once they are forgotten."""
    life = await scene.begun()
    switch = {"date": "2027-01-10", "term": "MONTHLY", "id": "switch", "by": "a clerk"}
    await life.asks("switch_to_paid", at=START, **switch)
    await life.asks("change_renewal_option", at=START, term="ANNUAL", id="option")
    await life.handle.execute_update("switch_to_paid", {**switch, "at": kst(START).isoformat()})
    await life.refused("change_renewal_option", at=START, term="MONTHLY", id="option")
    await life.runs_to("2027-02-20 09:00")
    await life.asks("switch_to_paid", at=START, **switch)
    for name in ("another", "option"):
        await life.asks("change_renewal_option", at="2027-02-20 10:00", term="MONTHLY", id=name)
    return await scene.runs_of(life)


@kind_of_life()
async def refused_by_the_newest_catalogue(scene: Scene) -> list[WorkflowHistory]:
    """Only the newest catalogue can refuse a plan, so it is read before the refusal."""
    life = await scene.paid("MONTHLY")
    await life.refused("upgrade", at=START, plan="gold")
    await life.asks("upgrade", at=START, plan="premium")
    return await scene.runs_of(life)


@kind_of_life()
async def signals(scene: Scene) -> list[WorkflowHistory]:
    """Commands as signals, good ones and bad ones, known and unknown."""
    life = await scene.begun()
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
        await life.handle.signal(name, argument)
        await wait_for(f"{name} has come to something", partial(knows_of, life, number))
    for needed in (True, False):
        await life.handle.signal("needs_attention", {"needed": needed})
        await life.client.settle(life.id)
    return await scene.runs_of(life)


async def knows_of(life: SubscriptionDriver, events: int) -> bool:
    """Whether the workflow itself, and not only the record, knows of so many events."""
    return len(await life.handle.query("timeline")) == events


@kind_of_life(compared=False)
async def many_at_once(scene: Scene) -> list[WorkflowHistory]:
    life = await scene.paid("MONTHLY")
    choices = [
        life.asks("change_renewal_option", at=START, term="ANNUAL", members=number, id=f"choice-{number}")
        for number in range(1, 21)
    ]
    await gather_all([*choices, *(life.client.settle(life.id) for _ in range(5))])
    await life.runs_to("2027-02-12 09:00")
    return await scene.runs_of(life)
