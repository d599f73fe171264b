"""Bulk runs: dry run, start, progress, results and control. For operators."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, status
from pydantic import Field, ValidationError

from entrypoints.api import examples
from entrypoints.api.dependencies import ApiKeyDep, ClientDep, ServiceDep
from entrypoints.api.pagination import (
    Cursor,
    Limit,
    Page,
    decode_numeric_cursor,
    encode_cursor,
    make_page,
)
from entrypoints.api.problem_details import MESSAGES, ApiCode, ApiError, responses
from entrypoints.api.request_body import JsonBodyDep, body_schema, require_object
from starter.search import InvalidQueryError
from starter.selection import Selection, parse_selection
from subscription.bulk import (
    DEFAULT_RATE,
    BulkEffect,
    BulkOutcome,
    BulkPreview,
    BulkResult,
    BulkRun,
    Rate,
    RunId,
    parse_bulk_command,
)
from subscription.commands import Command
from subscription.ids import opaque_id_pattern
from subscription.issuer import MAX_NAME, Channel, Issuer
from subscription.model import Frozen, Wire
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.validation import parse_strict, problems_from

T = TypeVar("T", bound=Wire)

router = APIRouter(prefix="/v1/bulk", tags=["Operators"])

MOST_SUBSCRIPTIONS = 2_000
"""The largest list: a dry run of more would not be finished within the time of a response."""

_RunPath = Annotated[str, Path(pattern=opaque_id_pattern())]
_BODY = (
    ApiCode.MALFORMED_JSON,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.PAYLOAD_TOO_LARGE,
    ApiCode.OPERATORS_ONLY,
    ApiCode.INVALID_QUERY,
    ApiCode.TIMEOUT,
    RefusalCode.INVALID_ARGUMENT,
    RefusalCode.UNKNOWN_COMMAND,
    RefusalCode.TOO_MANY_SELECTED,
)
_ONE = responses(ApiCode.OPERATORS_ONLY, RefusalCode.BULK_RUN_NOT_FOUND, RefusalCode.INVALID_ARGUMENT)
_CONTROL = responses(
    ApiCode.OPERATORS_ONLY,
    ApiCode.TIMEOUT,
    RefusalCode.BULK_RUN_NOT_FOUND,
    RefusalCode.BULK_RUN_ENDED,
    RefusalCode.INVALID_ARGUMENT,
)


class BulkDryRunBody(Wire):
    """The command for the selected subscriptions. `argument` has its fields, without `confirmation`."""

    command: str
    argument: dict[str, Any] = Field(default_factory=dict)
    select: Selection


class BulkStartBody(BulkDryRunBody):
    """`preview` is the hash of the dry run, `confirm` its `confirmation`, `id` an ID for the run."""

    preview: Annotated[str, Field(max_length=100)]
    confirm: Annotated[str, Field(max_length=100)] | None = None
    rate: Rate = DEFAULT_RATE
    id: RunId | None = None
    by: Annotated[str, Field(max_length=MAX_NAME)] | None = None


class BulkDryRun(Frozen):
    """The sums of a dry run, and the effect on each subscription."""

    summary: BulkPreview
    effects: tuple[BulkEffect, ...]


@router.post(
    "/dry-run",
    responses=responses(*_BODY),
    openapi_extra=body_schema(BulkDryRunBody, examples.BULK),
    summary="Show the results of a bulk run",
    description="Calculates the result for each selected subscription by the rules. Nothing is started or "
    f"stored. A selection has at most {MOST_SUBSCRIPTIONS:,} subscriptions; `worksub bulk` takes more.",
)
async def dry_run_bulk(client: ClientDep, service: ServiceDep, body: JsonBodyDep) -> BulkDryRun:
    bulk = client.bulk_runs(service.own, most=MOST_SUBSCRIPTIONS)
    wanted = _parse(BulkDryRunBody, body)
    try:
        shown = await bulk.preview(_command(wanted), _selection(body))
    except InvalidQueryError:
        raise ApiError(ApiCode.INVALID_QUERY, MESSAGES[ApiCode.INVALID_QUERY], "select.query") from None
    return BulkDryRun(summary=shown.summary, effects=shown.effects)


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(
        *_BODY,
        RefusalCode.PREVIEW_OUTDATED,
        RefusalCode.CONFIRMATION_DIFFERS,
        RefusalCode.COMMAND_ID_REUSED,
    ),
    openapi_extra=body_schema(BulkStartBody, {**examples.BULK, "preview": "3f9a7c0d12e45b68", "rate": 20}),
    summary="Start a bulk run exactly as its dry run has shown",
    description="`preview` is the hash of the dry run. If anything has changed since, the start is refused "
    "with `PREVIEW_OUTDATED`. The ID of the run is `id`, or the hash. Repeating the start returns the same "
    "run.",
)
async def start_bulk(client: ClientDep, service: ServiceDep, key: ApiKeyDep, body: JsonBodyDep) -> BulkRun:
    bulk = client.bulk_runs(service.own, most=MOST_SUBSCRIPTIONS)
    wanted = _parse(BulkStartBody, body)
    try:
        return await bulk.start(
            _command(wanted),
            _selection(body),
            preview=wanted.preview,
            confirmation=wanted.confirm,
            run_id=wanted.id,
            rate=wanted.rate,
            issued_by=Issuer.of(Channel.BULK, key.label).naming(wanted.by).by,
        )
    except InvalidQueryError:
        raise ApiError(ApiCode.INVALID_QUERY, MESSAGES[ApiCode.INVALID_QUERY], "select.query") from None


@router.get(
    "",
    responses=responses(ApiCode.OPERATORS_ONLY, ApiCode.INVALID_CURSOR, RefusalCode.INVALID_ARGUMENT),
    summary="List the bulk runs",
    description="The latest run comes first. The amounts are the sums of the subscriptions accepted so far.",
)
async def list_bulk_runs(
    client: ClientDep, service: ServiceDep, cursor: Cursor = None, limit: Limit = 50
) -> Page[BulkRun]:
    position = decode_numeric_cursor("bulk", cursor)
    found = await client.bulk_runs(service.own).runs(skip=position, limit=limit + 1)
    following = encode_cursor("bulk", str(position + limit)) if len(found) > limit else None
    return Page(items=tuple(found[:limit]), next=following)


@router.get(
    "/{run_id}",
    responses=_ONE,
    summary="Get a bulk run with its progress",
    description="The state of the run, and the number of subscriptions by outcome.",
)
async def get_bulk_run(run_id: _RunPath, client: ClientDep, service: ServiceDep) -> BulkRun:
    return await client.bulk_runs(service.own).run(run_id)


@router.get(
    "/{run_id}/results",
    responses=responses(
        ApiCode.OPERATORS_ONLY,
        ApiCode.INVALID_CURSOR,
        RefusalCode.BULK_RUN_NOT_FOUND,
        RefusalCode.INVALID_ARGUMENT,
    ),
    summary="List the results of a bulk run",
    description="The results of all subscriptions, in the order of the list.",
)
async def list_bulk_results(
    run_id: _RunPath,
    client: ClientDep,
    service: ServiceDep,
    outcome: BulkOutcome | None = None,
    cursor: Cursor = None,
    limit: Limit = 200,
) -> Page[BulkResult]:
    of = f"results {run_id}"
    found = await client.bulk_runs(service.own).results(
        run_id, outcome=outcome, after=decode_numeric_cursor(of, cursor), limit=limit + 1
    )
    return make_page(found, limit, of, lambda result: str(result.position))


@router.post(
    "/{run_id}/pause",
    responses=_CONTROL,
    summary="Pause a bulk run",
    description="Commands in flight are finished.",
)
async def pause_bulk_run(run_id: _RunPath, client: ClientDep, service: ServiceDep) -> BulkRun:
    return await client.bulk_runs(service.own).pause(run_id)


@router.post(
    "/{run_id}/resume",
    responses=_CONTROL,
    summary="Resume a paused bulk run",
    description="Also restarts a run whose workflow was terminated.",
)
async def resume_bulk_run(run_id: _RunPath, client: ClientDep, service: ServiceDep) -> BulkRun:
    return await client.bulk_runs(service.own).resume(run_id)


@router.post(
    "/{run_id}/stop",
    responses=_CONTROL,
    summary="Stop a bulk run for ever",
    description="The subscriptions without an outcome get no command.",
)
async def stop_bulk_run(run_id: _RunPath, client: ClientDep, service: ServiceDep) -> BulkRun:
    return await client.bulk_runs(service.own).stop(run_id)


def _parse(model: type[T], body: Any) -> T:
    try:
        return parse_strict(model, require_object(body))
    except ValidationError as error:
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems_from(error))) from None


def _command(wanted: BulkDryRunBody) -> Command:
    command = parse_bulk_command(wanted.command, wanted.argument)
    if isinstance(command, Refusal):
        raise RefusalError(command)
    return command


def _selection(body: Mapping[str, Any]) -> Selection:
    return parse_selection(body["select"])
