"""Running the job `reconcile`, and reading what it has found."""

from typing import Any

from subscription.reconciliation import ReportedFinding

from .polling import wait_for
from .service_env import ServiceEnv, unique_name
from .subscription_driver import SubscriptionDriver


async def reconciled(house: ServiceEnv, grace_minutes: int = 0) -> dict[str, Any]:
    """The report of a run in this house. Nothing is taken to be still under way, unless there is a grace."""
    report: dict[str, Any] = await house.temporal.execute_workflow(
        "ReconcileWorkflow",
        {"grace_minutes": grace_minutes},
        id=unique_name("reconcile"),
        task_queue=house.task_queue,
    )
    return report


async def found(house: ServiceEnv, grace_minutes: int = 0) -> list[ReportedFinding]:
    """What a run finds now."""
    report = await reconciled(house, grace_minutes)
    findings = await house.client.findings(report["run"])
    assert report["found"] == len(findings)
    assert report["repaired"] == sum(finding.repaired for finding in findings)
    return findings


async def codes(house: ServiceEnv) -> dict[str | None, list[tuple[str, bool]]]:
    """What a run finds of each subscription."""
    by_id: dict[str | None, list[tuple[str, bool]]] = {}
    for finding in await found(house):
        by_id.setdefault(finding.subscription_id, []).append((finding.code.value, finding.repaired))
    return by_id


async def needs_attention(life: SubscriptionDriver) -> bool:
    described = await life.handle.describe()
    shown = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    return bool(shown.get("NeedsAttention"))


async def gets_attention(life: SubscriptionDriver, *, needed: bool = True) -> None:
    async def shown() -> bool:
        return await needs_attention(life) is needed

    await wait_for(f"NeedsAttention is {needed}", shown)
