"""Classification of Temporal RPC errors, identical for all callers."""

import asyncio
import inspect
from http import HTTPStatus

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal import retry
from adapters.temporal.rpc_errors import Outcome, outcome_of
from entrypoints.api.exception_handlers import add_handlers
from entrypoints.cli.connections import ServiceTargets
from entrypoints.cli.errors import CommandError, ExitCode
from entrypoints.console.access_control import _is_unavailable
from subscription.refusals import RefusalCode

RETRIED = {"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED"}
REFUSED = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "OUT_OF_RANGE"}

WORDED: list[tuple[RPCStatusCode, str, Outcome]] = [
    (RPCStatusCode.UNAVAILABLE, "workflow update was aborted", Outcome.RETRY),
    (RPCStatusCode.UNAVAILABLE, "connection refused", Outcome.OUTAGE),
    (RPCStatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (5 vs. 4)", Outcome.REFUSED),
    (RPCStatusCode.FAILED_PRECONDITION, "workflow is paused", Outcome.OUTAGE),
    (RPCStatusCode.NOT_FOUND, "Namespace elsewhere is not found.", Outcome.OUTAGE),
]


def rpc_error(status: RPCStatusCode, message: str = "what the server said") -> RPCError:
    return RPCError(message, status, b"")


def expected(status: RPCStatusCode) -> Outcome:
    if status.name in RETRIED:
        return Outcome.RETRY
    return Outcome.REFUSED if status.name in REFUSED else Outcome.OUTAGE


@pytest.mark.parametrize("status", RPCStatusCode)
def test_every_status_is_retried_refused_or_an_outage(status: RPCStatusCode) -> None:
    assert outcome_of(rpc_error(status)) is expected(status)


@pytest.mark.parametrize(("status", "message", "outcome"), WORDED)
def test_ambiguous_status_is_classified_by_message(
    status: RPCStatusCode, message: str, outcome: Outcome
) -> None:
    assert outcome_of(rpc_error(status, message)) is outcome


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (RefusalCode.TRY_AGAIN, Outcome.RETRY),
        ("AcceptedUpdateCompletedWorkflow", Outcome.RETRY),
        (RefusalCode.ALREADY_PAID, Outcome.REFUSED),
        (RefusalCode.KEY_UNKNOWN, Outcome.REFUSED),
    ],
)
def test_failed_update_is_classified_by_type(kind: str, outcome: Outcome) -> None:
    assert outcome_of(WorkflowUpdateFailedError(ApplicationError("no", type=kind))) is outcome


@pytest.mark.parametrize("status", RPCStatusCode)
async def test_client_retries_transient_failures(status: RPCStatusCode) -> None:
    tries = 0

    async def call() -> str:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise rpc_error(status)
        return "answered"

    if expected(status) is Outcome.RETRY:
        assert await retry.with_retries(call) == "answered"
    else:
        with pytest.raises(RPCError):
            await retry.with_retries(call)
        assert tries == 1


async def test_failing_workflow_tasks_are_not_retried_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "LONGEST_PAUSE_SECONDS", 0.0)
    tries = 0

    async def call() -> None:
        nonlocal tries
        tries += 1
        raise rpc_error(RPCStatusCode.FAILED_PRECONDITION)

    with pytest.raises(RPCError):
        async with asyncio.timeout(60):
            await retry.with_retries(call)
    assert tries == 10


async def test_retries_end_at_their_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_TIMEOUT_SECONDS", 0.0)

    async def call() -> None:
        raise rpc_error(RPCStatusCode.ABORTED)

    with pytest.raises(RPCError):
        async with asyncio.timeout(5):
            await retry.with_retries(call)


CLI: dict[Outcome, set[str]] = {
    Outcome.RETRY: {"WORKFLOW_STUCK"},
    Outcome.REFUSED: {RefusalCode.SUBSCRIPTION_NOT_FOUND, "TEMPORAL_NOT_USABLE"},
    Outcome.OUTAGE: {"TEMPORAL_UNREACHABLE", "TEMPORAL_NOT_USABLE"},
}


@pytest.mark.parametrize("status", RPCStatusCode)
async def test_cli_api_and_console_classify_errors_alike(status: RPCStatusCode) -> None:
    error, outcome = rpc_error(status), expected(status)
    client = await Client.connect("localhost:7233", lazy=True)
    url = "postgresql://localhost/worksub"
    classified = ServiceTargets(database_url=url, temporal=client, owner_url=url).to_command_error(error)
    assert isinstance(classified, CommandError)
    assert classified.code in CLI[outcome]
    not_found = status is RPCStatusCode.NOT_FOUND
    assert classified.exit_code is (ExitCode.REFUSED if not_found else ExitCode.UNAVAILABLE)
    assert _is_unavailable(error) is (outcome is not Outcome.REFUSED)
    assert await _api_response(error) == (
        HTTPStatus.NOT_FOUND
        if not_found
        else "a fault"
        if outcome is Outcome.REFUSED
        else HTTPStatus.SERVICE_UNAVAILABLE
    )


async def _api_response(error: RPCError) -> int | str:
    api = FastAPI()
    add_handlers(api)
    request = Request({"type": "http", "state": {"request_id": "r"}, "headers": []})
    try:
        answer = api.exception_handlers[RPCError](request, error)
        assert inspect.isawaitable(answer)
        return (await answer).status_code
    except RPCError:
        return "a fault"
