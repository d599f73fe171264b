"""Check of a release before its workers start: each open run replays, or is reported with the reason."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.polling import wait_for
from support.scenario_builder import KNOWN_BOOK
from support.service_env import ServiceEnv

from starter.replay import replay
from subscription.model import Frozen
from workflows import activity_stubs
from workflows.activity_calls import execute_until_success

Stub = Callable[[Frozen], Awaitable[Any]]

START = "2027-01-10 09:00"


async def careless(stub: Stub, argument: Frozen, *more: Any, **options: Any) -> Any:
    await execute_until_success(activity_stubs.get_price_book, KNOWN_BOOK)
    return await execute_until_success(stub, argument, *more, **options)


async def test_running_workflows_replay_or_are_named_with_reason(
    service_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, paid = await service_env.requested(START), await service_env.paid(START)
    # The switch ends the run of the request; this command is in the next run.
    await paid.send("change_renewal_option", at="2027-01-12 09:00", term="ANNUAL")
    both = f"WorkflowId IN ('{trial.workflow_id}', '{paid.workflow_id}') AND ExecutionStatus = 'Running'"

    async def listed() -> bool:
        return len([run async for run in service_env.temporal.list_workflows(both)]) == 2

    await wait_for("both are listed", listed)
    looked: list[int] = []
    as_it_is = await replay(service_env.temporal, both, on_progress=looked.append)
    assert (as_it_is.replayed, as_it_is.failed, looked) == (2, (), [1, 2])
    assert (await replay(service_env.temporal, both, limit=1)).replayed == 1

    monkeypatch.setattr("workflows.lifecycle.execute_until_success", careless)
    # The subscription in its trial has received no command, so the edit does not affect its history.
    edited = await replay(service_env.temporal, both)
    assert edited.replayed == 1
    [failed] = edited.failed
    assert failed.workflow_id == paid.workflow_id
    assert failed.reason.startswith("[TMPRL1100] Nondeterminism error: Activity type of scheduled event")
