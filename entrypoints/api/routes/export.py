"""Export of one subscription (R37)."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from entrypoints.api.dependencies import ApiKeyDep, ServiceDep
from entrypoints.api.problem_details import responses
from entrypoints.http.download_response import ARCHIVE_TYPE, archive_response
from subscription.refusals import RefusalCode

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["Queries"])

_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A zip archive with JSON and CSV files, and `manifest.json` with the size and the "
        "SHA-256 of each (docs/export.md). A response that ends without its last chunk is incomplete.",
        "headers": {
            "Content-Disposition": {
                "description": "The suggested file name.",
                "schema": {"type": "string", "examples": ['attachment; filename="subscription-….zip"']},
            }
        },
        "content": {ARCHIVE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={**_ARCHIVE, **responses(RefusalCode.SUBSCRIPTION_NOT_FOUND, RefusalCode.DATA_ERASED)},
    summary="Export all data of a subscription",
    description="All data that the service keeps, from one database snapshot, until the erasure. At most 5 "
    "exports of a subscription a minute, and 2 of a customer at a time.",
)
async def export_subscription(subscription_id: str, key: ApiKeyDep, service: ServiceDep) -> Response:
    archive = service.exports.archive(subscription_id, key.caller.customer_id)
    return await archive_response(archive, subscription_id)
