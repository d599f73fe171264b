"""Examining a subscription of the record: all that can be amiss with it, and whether lists show that."""

from collections.abc import Sequence

from activities.reconciling import checks, repairs
from activities.reconciling.erased import look_at_erased
from activities.reconciling.living import look_at_living
from activities.reconciling.look import Look, Means, guarded
from activities.reconciling.recorded import Recorded
from activities.reconciling.restoring import restore_people
from activities.reconciling.transcripts import transcript_of


async def examine(means: Means, recorded: Recorded) -> Look:
    look = Look(means.report, recorded.id)
    return await guarded(look, _examine(means, look, recorded))


async def show_attention(means: Means, looks: Sequence[Look]) -> None:
    """Raised on what needs somebody; lowered on what needed somebody at an earlier look and is well now."""
    needed_before = await means.report.needed_somebody([look.subscription_id for look in looks])
    for look in looks:
        if look.still_open:
            reason = ", ".join(sorted({finding.code for finding in look.still_open}))
            await guarded(look, means.workflows.show_attention(look.subscription_id, reason))
        elif look.subscription_id in needed_before:
            await guarded(look, means.workflows.show_attention(look.subscription_id, None))
        if look.subscription_id in needed_before:
            await means.report.close(look.subscription_id, look.still_open)


async def _examine(means: Means, look: Look, recorded: Recorded) -> None:
    now: Recorded | None = recorded
    if recorded.is_erased:
        now = await look_at_erased(means, look, recorded)
    else:
        now = await look_at_living(means, look, recorded)
    if now is not None:
        await _look_at_record(means, look, now)


async def _look_at_record(means: Means, look: Look, recorded: Recorded) -> None:
    for finding in checks.event_findings(recorded):
        await look.says(finding)
    if missing := checks.missing_lines(recorded):
        await look.says(missing, lambda: repairs.insert_missing_lines(means.pool, recorded.id))
    if recorded.snapshot:
        if unexpected := checks.unexpected_lines(recorded, recorded.snapshot.customer_id):
            await look.says(unexpected)
        for finding in checks.charge_findings(recorded, recorded.snapshot, means.book):
            await look.says(finding)
    for finding in checks.adjustment_findings(recorded):
        await look.says(finding)
    if not recorded.is_erased and (lacking := checks.missing_data(recorded)):

        async def restored() -> bool:
            transcript = await transcript_of(means.histories, recorded.id)
            return await restore_people(means.pool, recorded.id, transcript)

        await look.says(lacking, restored)
