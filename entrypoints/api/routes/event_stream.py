"""Server-sent events: a subscription's timeline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from adapters.postgres.pool import DATABASE_ERRORS
from entrypoints.api.app_state import AppState
from entrypoints.api.dependencies import ApiKeyDep, ClientDep, ServiceDep, slot
from entrypoints.api.problem_details import (
    MESSAGES,
    ApiCode,
    ApiError,
    problem_details,
    problem_from_refusal,
    responses,
)
from starter.client import SubscriptionClient
from subscription.refusals import RefusalCode, RefusalError
from subscription.state import State
from subscription.timeline import RecordedEntry

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["Queries"])

CLOSED = "closed"
"""Type of the last event of a stream that ends because its client is no longer authorized."""
_PAGE = 100
_MAX_STREAMS = 20
_EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One server-sent event for each timeline entry: `event` is its type, `id` its number, "
        "`data` the entry. After 15 seconds without an event a keep-alive comment is sent. A stream "
        "whose key is revoked or expires ends with an event `closed` without an ID; its `data` are problem "
        "details (RFC 9457).",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: TRIAL_STARTED\ndata: {"sequence":1,"at":"2026-12-20T10:00:00+09:00",'
                '"event":"TRIAL_STARTED","state":"TRIAL","message":"…","channel":"API","by":"billing system"}'
                "\nid: 1\n\n",
            }
        },
    },
    204: {"description": "The subscription is erased and all entries were delivered. Do not reconnect."},
}


_slot = slot(lambda service: service.streams, _MAX_STREAMS, "open streams")


@router.get(
    "/events",
    dependencies=[Depends(_slot)],
    response_class=StreamingResponse,
    responses={
        **_EVENT_STREAM,
        **responses(RefusalCode.SUBSCRIPTION_NOT_FOUND, RefusalCode.INVALID_ARGUMENT),
    },
    summary="Stream the timeline as server-sent events",
    description="The stream starts at the first entry, or after the entry in the header `Last-Event-ID`, "
    "which browsers send when they reconnect. It ends with the erasure.",
)
async def stream_events(
    subscription_id: str,
    client: ClientDep,
    key: ApiKeyDep,
    service: ServiceDep,
    last_event_id: Annotated[int, Header(alias="Last-Event-ID", ge=0, lt=2**31)] = 0,
) -> Response:
    entries = await client.timeline(subscription_id, after=last_event_id, limit=_PAGE)
    if not entries and (await client.status(subscription_id)).state.is_terminal:
        return Response(status_code=204)
    return StreamingResponse(
        _stream(client, service, key.prefix, subscription_id, last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    client: SubscriptionClient, service: AppState, prefix: str, subscription_id: str, after: int
) -> AsyncIterator[bytes]:
    silent = 0.0
    yield format_sse_event(comment="the timeline", retry=1000)
    while not service.stopping.is_set():
        try:
            entries = await _permitted(client, service, prefix, subscription_id, after)
        except (ApiError, RefusalError) as error:
            yield _closed(error)
            return
        for entry in entries:
            after, silent = entry.sequence, 0.0
            yield format_sse_event(
                data_str=entry.model_dump_json(), event=entry.event, id=str(entry.sequence)
            )
            if entry.state is State.ERASED:
                return
        with suppress(TimeoutError):
            await asyncio.wait_for(service.stopping.wait(), service.stream_poll_seconds)
        silent += service.stream_poll_seconds
        if silent >= service.heartbeat:
            silent = 0.0
            yield format_sse_event(comment="nothing new")


async def _permitted(
    client: SubscriptionClient, service: AppState, prefix: str, subscription_id: str, after: int
) -> list[RecordedEntry]:
    """Return the next entries that the key is authorized to read, or none while the database is unavailable.

    Raises `ApiError` if the key was revoked or has expired, and `RefusalError` if its customer has lost
    the subscription. The authorization is checked after the read, so no entry is sent without it.
    """
    try:
        entries = await client.timeline(subscription_id, after=after, limit=_PAGE)
        in_force = await service.keys.in_force(prefix)
    except DATABASE_ERRORS:
        return []
    if not in_force:
        raise ApiError(ApiCode.UNAUTHENTICATED, MESSAGES[ApiCode.UNAUTHENTICATED])
    return entries


def _closed(error: ApiError | RefusalError) -> bytes:
    """Return the last event of a stream whose client is no longer authorized, with problem details."""
    problem = (
        problem_from_refusal(error.refused)
        if isinstance(error, RefusalError)
        else problem_details(error.code, error.detail)
    )
    return format_sse_event(data_str=problem.model_dump_json(exclude_none=True), event=CLOSED)
