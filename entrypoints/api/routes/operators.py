"""Operator routes: ledger adjustments and reconciliation reports."""

from typing import Annotated

from fastapi import APIRouter, Path, Response, status

from entrypoints.api import examples
from entrypoints.api.dependencies import ClientDep, IdempotencyKeyDep, mark_replayed
from entrypoints.api.pagination import Cursor, Limit, Page, decode_numeric_cursor, encode_cursor
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.request_body import JsonBodyDep, body_schema, require_object
from subscription.adjustment import Adjustment, AdjustmentRequest
from subscription.ids import opaque_id_pattern
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import RefusalCode

router = APIRouter(prefix="/v1", tags=["Operators"])

_NOT_IN_BODIES = ("id", "subscription_id")
_RUN = opaque_id_pattern(max_length=200)


@router.post(
    "/subscriptions/{subscription_id}/adjustments",
    status_code=status.HTTP_201_CREATED,
    responses=responses(
        ApiCode.IDEMPOTENCY_KEY_MISSING,
        ApiCode.INVALID_IDEMPOTENCY_KEY,
        ApiCode.MALFORMED_JSON,
        ApiCode.UNSUPPORTED_MEDIA_TYPE,
        ApiCode.PAYLOAD_TOO_LARGE,
        ApiCode.OPERATORS_ONLY,
        RefusalCode.INVALID_ARGUMENT,
        RefusalCode.SUBSCRIPTION_NOT_FOUND,
        RefusalCode.LINE_NOT_FOUND,
        RefusalCode.ADJUSTED_TOO_MUCH,
        RefusalCode.REVERSED_TOO_MUCH,
        RefusalCode.ADJUSTMENT_ID_REUSED,
        ApiCode.TIMEOUT,
    ),
    openapi_extra=body_schema(AdjustmentRequest, examples.ADJUSTMENT, without=_NOT_IN_BODIES),
    summary="Adjust a ledger line with a compensating line",
    description="The `Idempotency-Key` is the adjustment's ID: at most 40 letters, digits, `.`, `_` or `-`.",
)
async def create_adjustment(
    subscription_id: str, client: ClientDep, key: IdempotencyKeyDep, body: JsonBodyDep, response: Response
) -> Adjustment:
    data = require_object(body, apart_from=_NOT_IN_BODIES)
    replayed = await client.has_adjusted(subscription_id, key)
    adjustment = await client.adjust({**data, "id": key, "subscription_id": subscription_id})
    mark_replayed(response, replayed)
    return adjustment


@router.get(
    "/reconciliations/latest",
    responses=responses(ApiCode.OPERATORS_ONLY, RefusalCode.RECONCILIATION_NOT_FOUND),
    summary="Get the latest reconciliation report",
    description="A reconciliation compares Temporal with the database. The report has its time, the number "
    "of subscriptions that it compared, and the number of its findings.",
)
async def get_latest_reconciliation(client: ClientDep) -> Reconciliation:
    return await client.reconciliation()


@router.get(
    "/reconciliations/{run}",
    responses=responses(
        ApiCode.OPERATORS_ONLY, RefusalCode.RECONCILIATION_NOT_FOUND, RefusalCode.INVALID_ARGUMENT
    ),
    summary="Get a reconciliation report",
    description="The report of the job run with this ID.",
)
async def get_reconciliation(run: Annotated[str, Path(pattern=_RUN)], client: ClientDep) -> Reconciliation:
    return await client.reconciliation(run)


@router.get(
    "/reconciliations/{run}/findings",
    responses=responses(
        ApiCode.OPERATORS_ONLY,
        RefusalCode.RECONCILIATION_NOT_FOUND,
        RefusalCode.INVALID_ARGUMENT,
        ApiCode.INVALID_CURSOR,
    ),
    summary="List the findings of a reconciliation",
    description="Open findings, which need an operator, come before repaired findings.",
)
async def list_reconciliation_findings(
    run: Annotated[str, Path(pattern=_RUN)], client: ClientDep, cursor: Cursor = None, limit: Limit = 200
) -> Page[ReportedFinding]:
    await client.reconciliation(run)
    of = f"findings {run}"
    position = decode_numeric_cursor(of, cursor)
    found = await client.findings(run, skip=position, limit=limit + 1)
    following = encode_cursor(of, str(position + limit)) if len(found) > limit else None
    return Page(items=tuple(found[:limit]), next=following)
