"""Bulk runs: the dry run shows each result, and the run carries out exactly that, once."""

from typing import Any

import pytest
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver

from activities.bulk import BulkActivities
from adapters.postgres.bulk_runs import NewBulkRun, insert_run, record_outcome
from starter.bulk import BulkRuns, DryRun
from starter.selection import Selection
from subscription.bulk import (
    BULK_WORKFLOW_PREFIX,
    BulkOutcome,
    BulkRun,
    BulkState,
    SendBulkCommand,
    argument_of,
    parse_bulk_command,
)
from subscription.commands import Command
from subscription.issuer import Channel
from subscription.refusals import Refusal, RefusalCode, RefusalError

ANNUAL = 60_000
"""The monthly fee in KRW of ten members on the plan basic with an annual contract: 10 × 6,000."""


def command(name: str, **argument: Any) -> Command:
    parsed = parse_bulk_command(name, argument)
    assert not isinstance(parsed, Refusal), parsed
    return parsed


def those(*subscriptions: SubscriptionDriver | str) -> Selection:
    return Selection(ids=tuple(each if isinstance(each, str) else each.id for each in subscriptions))


async def ended(bulk: BulkRuns, run_id: str) -> BulkRun:
    async def run() -> BulkRun | None:
        found = await bulk.run(run_id)
        return found if found.state.has_ended else None

    found = await wait_for("the end of the bulk run", run)
    assert found is not None
    return found


async def started(bulk: BulkRuns, dry_run: DryRun, selection: Selection, **options: Any) -> BulkRun:
    return await bulk.start(dry_run.command, selection, preview=dry_run.summary.preview, **options)


@pytest.fixture
def bulk(service_env: ServiceEnv) -> BulkRuns:
    return service_env.client.bulk_runs(service_env.owner)


async def requested(service_env: ServiceEnv, number: int) -> list[SubscriptionDriver]:
    return await gather_all(service_env.requested() for _ in range(number))


async def test_bulk_run_does_exactly_what_its_dry_run_shows(service_env: ServiceEnv, bulk: BulkRuns) -> None:
    """Accepted with the monthly fee, refused with the code, each once, in the timeline as BULK."""
    paid, *trials = await requested(service_env, 4)
    today = await paid.today()
    await paid.send("switch_to_paid", date=f"{today}", term="MONTHLY")
    switch, selection = (
        command("switch_to_paid", date=f"{today}", term="ANNUAL"),
        those(paid, *trials, "none"),
    )

    dry_run = await bulk.preview(switch, selection)

    effects = {effect.subscription_id: effect for effect in dry_run.effects}
    assert {id: effect.code for id, effect in effects.items() if effect.code} == {
        paid.id: RefusalCode.ALREADY_PAID,
        "none": RefusalCode.SUBSCRIPTION_NOT_FOUND,
    }
    assert {effects[trial.id].monthly_after for trial in trials} == {ANNUAL}
    assert (dry_run.summary.accepted, dry_run.summary.monthly_before, dry_run.summary.monthly_after) == (
        3,
        0,
        3 * ANNUAL,
    )
    assert all([await trial.status() for trial in trials])
    run = await started(bulk, dry_run, selection, rate=100, issued_by="Kim")
    again = await started(bulk, dry_run, selection)
    assert again.run_id == run.run_id == dry_run.summary.preview

    finished = await ended(bulk, run.run_id)
    assert (finished.state, finished.accepted, finished.refused, finished.waiting) == (
        BulkState.COMPLETED,
        3,
        2,
        0,
    )
    assert finished.monthly_after == dry_run.summary.monthly_after
    results = {result.subscription_id: result for result in await bulk.results(run.run_id)}
    assert {id: (result.outcome, result.code) for id, result in results.items()} == {
        **{trial.id: (BulkOutcome.ACCEPTED, None) for trial in trials},
        paid.id: (BulkOutcome.REFUSED, RefusalCode.ALREADY_PAID),
        "none": (BulkOutcome.REFUSED, RefusalCode.SUBSCRIPTION_NOT_FOUND),
    }
    assert [result.position for result in await bulk.results(run.run_id, after=2, limit=2)] == [3, 4]
    # A repeated activity does not change a stored outcome.
    await record_outcome(service_env.pool, run.run_id, 1, BulkOutcome.UNANSWERED, "TIMEOUT")
    assert await bulk.results(run.run_id) == [*results.values()]
    history = await service_env.temporal.get_workflow_handle(
        f"{BULK_WORKFLOW_PREFIX}{run.run_id}"
    ).fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    assert sorted(
        (task.priority.priority_key, task.priority.fairness_key)
        for task in scheduled
        if task.activity_type.name == "send_bulk_command"
    ) == sorted((5, trial.request["customer_id"]) for trial in trials)
    for trial in trials:
        entries = await service_env.client.timeline(trial.id)
        assert [(entry.channel, entry.by) for entry in entries if entry.event == "SWITCHED_TO_PAID"] == [
            (Channel.BULK, "Kim")
        ]


async def test_bulk_run_pauses_resumes_and_stops(service_env: ServiceEnv, bulk: BulkRuns) -> None:
    trials = await requested(service_env, 5)
    selection = those(*trials)
    switch = command("switch_to_paid", date=f"{await trials[0].today()}", term="ANNUAL")
    run = await started(bulk, await bulk.preview(switch, selection), selection, rate=1)

    assert (await bulk.pause(run.run_id)).state is BulkState.PAUSED
    assert (await bulk.resume(run.run_id)).state is BulkState.RUNNING
    assert (await bulk.stop(run.run_id)).state is BulkState.STOPPED
    # The workflow ends when the commands in flight have their outcomes.
    await service_env.temporal.get_workflow_handle(f"{BULK_WORKFLOW_PREFIX}{run.run_id}").result()

    stopped = await bulk.run(run.run_id)
    assert stopped.waiting > 0
    for result in await bulk.results(run.run_id):
        sent = result.outcome is BulkOutcome.ACCEPTED
        events = await service_env.client.timeline(result.subscription_id)
        assert ("SWITCHED_TO_PAID" in [entry.event for entry in events]) is sent
    for control in (bulk.pause, bulk.resume, bulk.stop):
        with pytest.raises(RefusalError) as refused:
            await control(run.run_id)
        assert refused.value.refused.code is RefusalCode.BULK_RUN_ENDED


async def test_bulk_cancellation_needs_its_preview_and_its_text(
    service_env: ServiceEnv, bulk: BulkRuns
) -> None:
    """A changed subscription, another text or another body under the same ID start nothing."""
    one, other = await requested(service_env, 2)
    today, selection = f"{await one.today()}", those(one, other)
    cancel = command("cancel", date=today)
    outdated = await bulk.preview(cancel, selection)
    await other.send("rename_account", group=unique_name("renamed"))
    dry_run = await bulk.preview(cancel, selection)

    async def refusal_of(shown: DryRun, **options: Any) -> RefusalCode:
        with pytest.raises(RefusalError) as refused:
            await started(bulk, shown, selection, **options)
        return refused.value.refused.code

    assert await refusal_of(outdated, confirmation="cancel 2") is RefusalCode.PREVIEW_OUTDATED
    assert await refusal_of(dry_run) is RefusalCode.CONFIRMATION_DIFFERS
    assert await refusal_of(dry_run, confirmation="cancel 1") is RefusalCode.CONFIRMATION_DIFFERS
    run = await started(bulk, dry_run, selection, confirmation=dry_run.summary.confirmation, rate=100)
    assert (await ended(bulk, run.run_id)).accepted == 2
    assert await refusal_of(outdated, run_id=run.run_id) is RefusalCode.COMMAND_ID_REUSED
    await gather_all(each.has_closed() for each in (one, other))

    # The worker was killed after the answer, and the account that confirmed it is erased.
    await service_env.owner.execute("UPDATE bulk_items SET outcome = NULL WHERE run_id = $1", run.run_id)
    activities = BulkActivities(service_env.pool, service_env.temporal)
    for position in (1, 2):
        repeated = await activities.send_bulk_command(SendBulkCommand(run_id=run.run_id, position=position))
        assert repeated.outcome is BulkOutcome.ACCEPTED


async def test_command_of_bulk_run_is_refused_after_a_change(service_env: ServiceEnv, bulk: BulkRuns) -> None:
    """A subscription that changes after the start gets nothing that the dry run has not shown."""
    [trial] = await requested(service_env, 1)
    switch = command("switch_to_paid", date=f"{await trial.today()}", term="ANNUAL")
    selection = those(trial)
    dry_run = await bulk.preview(switch, selection)
    stored = NewBulkRun(
        run_id=unique_name("bulk"),
        preview=dry_run.summary.preview,
        command=switch.name,
        argument=argument_of(switch),
        revision=dry_run.revision,
        rate=1,
        issued_by=None,
    )
    await insert_run(service_env.owner, stored, dry_run.effects)
    await trial.send("rename_account", group=unique_name("renamed"))

    run = await started(bulk, dry_run, selection, run_id=stored.run_id)

    await ended(bulk, run.run_id)
    [result] = await bulk.results(run.run_id)
    assert (result.outcome, result.code) == (BulkOutcome.REFUSED, RefusalCode.CHANGED_MEANWHILE)
    assert "SWITCHED_TO_PAID" not in await trial.events()


async def test_bulk_run_has_at_most_its_number_of_subscriptions(service_env: ServiceEnv) -> None:
    bulk = service_env.client.bulk_runs(service_env.owner, most=1)
    cancel = command("cancel", date="2027-01-01")
    assert (await bulk.preview(cancel, those("none"))).summary.subscriptions == 1
    with pytest.raises(RefusalError) as refused:
        await bulk.preview(cancel, those("none", "nothing"))
    assert refused.value.refused.code is RefusalCode.TOO_MANY_SELECTED
