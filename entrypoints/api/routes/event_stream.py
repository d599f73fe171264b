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
from entrypoints.api.dependencies import ApiKeyDep, ClientDep, ServiceDep
from entrypoints.api.problem_details import (
    MESSAGES,
    ApiCode,
    ApiError,
    problem_details,
    problem_from_refusal,
    responses,
)
from starter.scoped_client import ScopedClient
from subscription.refusals import RefusalCode, RefusalError
from subscription.state import State
from subscription.timeline import TimelineEntry

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["Questions"])

CLOSED = "closed"
"""The kind of the last event of a stream that ends because its reader has lost the right to it."""
_LOOK_SECONDS = 1.0
_PAGE = 100
_MOST_STREAMS = 20
_EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One event for each entry: `event` is its kind, `id` its number, `data` the entry as "
        "in the timeline. A comment comes when nothing else has for 15 seconds. A stream "
        "whose key is revoked or expires ends with an event `closed` without an id; its `data` is a problem "
        "document.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: TRIAL_STARTED\ndata: {"sequence":1,"at":"2026-12-20T10:00:00+09:00",'
                '"event":"TRIAL_STARTED","state":"TRIAL","message":"…"}\nid: 1\n\n',
            }
        },
    },
    204: {"description": "The subscription is erased and all of it was told: do not connect again."},
}


async def _stream_slot(service: ServiceDep, key: ApiKeyDep) -> AsyncIterator[None]:
    """Hold one of the key's streams until the response has ended; counted before anything is read."""
    service.streams[key.prefix] += 1
    try:
        if service.streams[key.prefix] > _MOST_STREAMS:
            raise ApiError(
                ApiCode.RATE_LIMITED,
                f"One key listens to {_MOST_STREAMS} streams at most.",
                headers={"Retry-After": "60"},
            )
        yield
    finally:
        service.streams[key.prefix] -= 1


@router.get(
    "/events",
    dependencies=[Depends(_stream_slot)],
    response_class=StreamingResponse,
    responses={
        **_EVENT_STREAM,
        **responses(RefusalCode.SUBSCRIPTION_NOT_FOUND, RefusalCode.INVALID_ARGUMENT),
    },
    summary="The timeline as it happens, as server-sent events",
    description="From the beginning, or after the entry that `Last-Event-ID` names, which browsers send by "
    "themselves. It ends with the erasure.",
)
async def stream_events(
    subscription_id: str,
    desk: ClientDep,
    key: ApiKeyDep,
    service: ServiceDep,
    last_event_id: Annotated[int, Header(alias="Last-Event-ID", ge=0, lt=2**31)] = 0,
) -> Response:
    told = await desk.timeline(subscription_id, after=last_event_id, limit=_PAGE)
    if not told and (await desk.status(subscription_id)).state.over:
        return Response(status_code=204)
    return StreamingResponse(
        _stream(desk, service, key.prefix, subscription_id, last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    desk: ScopedClient, service: AppState, prefix: str, subscription_id: str, after: int
) -> AsyncIterator[bytes]:
    silent = 0.0
    yield format_sse_event(comment="the timeline", retry=1000)
    while not service.stopping.is_set():
        try:
            entries = await _permitted(desk, service, prefix, subscription_id, after)
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
            await asyncio.wait_for(service.stopping.wait(), _LOOK_SECONDS)
        silent += _LOOK_SECONDS
        if silent >= service.heartbeat:
            silent = 0.0
            yield format_sse_event(comment="nothing new")


async def _permitted(
    desk: ScopedClient, service: AppState, prefix: str, subscription_id: str, after: int
) -> list[TimelineEntry]:
    """Return the next entries that the key may read now, or none while the database is away.

    Raises `ApiError` after the key was revoked or has expired, and `RefusalError` after its customer lost
    the subscription. The rights are checked after the read, so that no entry is sent without them.
    """
    try:
        entries = await desk.timeline(subscription_id, after=after, limit=_PAGE)
        in_force = await service.keys.in_force(prefix)
    except DATABASE_ERRORS:
        return []
    if not in_force:
        raise ApiError(ApiCode.UNAUTHENTICATED, MESSAGES[ApiCode.UNAUTHENTICATED])
    return entries


def _closed(error: ApiError | RefusalError) -> bytes:
    """Return the last event of a stream whose reader has lost the right to it; it says why."""
    problem = (
        problem_from_refusal(error.refused)
        if isinstance(error, RefusalError)
        else problem_details(error.code, error.detail)
    )
    return format_sse_event(data_str=problem.model_dump_json(exclude_none=True), event=CLOSED)
