"""Webhook endpoints: create, test, pause, rotate secrets, delete."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response, status
from pydantic import Field, ValidationError

from adapters.webhooks.url_policy import url_problem
from entrypoints.api import dependencies, examples
from entrypoints.api.dependencies import ApiKeyDep, IdempotencyKeyDep, ServiceDep, mark_replayed
from entrypoints.api.event_types import EventKind
from entrypoints.api.pagination import Cursor, Limit, Page, decode_numeric_cursor, make_page, whole
from entrypoints.api.problem_details import MESSAGES, ApiCode, ApiError, responses
from entrypoints.api.request_body import JsonBodyDep, body_schema, require_object
from starter.scoped_webhook_endpoints import ScopedWebhookEndpoints
from starter.webhook_endpoints import Delivery, Endpoint, WebhookEndpointStore
from subscription.ids import opaque_id_pattern
from subscription.model import Frozen, Wire
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.validation import parse_strict, problems_from
from subscription.webhook_events import DeliveryState, EndpointStatus

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["Webhooks"])

_WRITE = (
    ApiCode.IDEMPOTENCY_KEY_MISSING,
    ApiCode.INVALID_IDEMPOTENCY_KEY,
    ApiCode.MALFORMED_JSON,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.PAYLOAD_TOO_LARGE,
    RefusalCode.INVALID_ARGUMENT,
    RefusalCode.COMMAND_ID_REUSED,
)
_ONE = (ApiCode.ENDPOINT_NOT_FOUND,)
_SECRET = frozenset({"secret"})


class NewEndpoint(Wire):
    """Webhook endpoint for the events of one customer. `events` are the event types to send; all by default.

    Operators pass `customer_id`, or omit it for the events of all customers.
    """

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    events: Annotated[tuple[EventKind, ...], Field(strict=False, min_length=1, max_length=100)] | None = None
    customer_id: Annotated[str, Field(pattern=opaque_id_pattern())] | None = None


class Rotation(Wire):
    """Rotation of a secret. The old secret also signs requests for `overlap_hours`."""

    overlap_hours: Annotated[int, Field(ge=0, le=720)] = 24


class Replay(Wire):
    """Events to replay: all parked events, or those of `subscription_id`, starting at `from_sequence`."""

    subscription_id: Annotated[str, Field(max_length=100)] | None = None
    from_sequence: Annotated[int, Field(ge=1, lt=2**31)] | None = None


class Nothing(Wire):
    """Empty body."""


class EndpointSecret(Frozen):
    """Signing secret. It is returned once: `secret` is null if the request is repeated."""

    endpoint_id: str
    secret: str | None


class Queued(Frozen):
    """Number of events that were queued for redelivery."""

    queued: int


async def _scoped_endpoints(service: ServiceDep, key: ApiKeyDep) -> ScopedWebhookEndpoints:
    return ScopedWebhookEndpoints(service.own, key.caller)


EndpointsDep = Annotated[ScopedWebhookEndpoints, Depends(_scoped_endpoints)]


def _read(shape: type[Any], body: Any) -> Any:
    try:
        return parse_strict(shape, require_object(body))
    except ValidationError as error:
        problems = problems_from(error)
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems)) from None


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=responses(*_WRITE, ApiCode.OPERATORS_ONLY, ApiCode.INVALID_URL, ApiCode.TOO_MANY_ENDPOINTS),
    openapi_extra=body_schema(NewEndpoint, examples.NEW_ENDPOINT),
    summary="Create a webhook endpoint",
    description="The endpoint receives events from now on. The secret, which verifies their signatures, is "
    "returned once.",
)
async def create_webhook_endpoint(
    endpoints: EndpointsDep,
    key: ApiKeyDep,
    service: ServiceDep,
    idempotency_key: IdempotencyKeyDep,
    body: JsonBodyDep,
    response: Response,
) -> EndpointSecret:
    parsed: NewEndpoint = _read(NewEndpoint, body)
    own = key.caller.customer_id
    if own is not None and parsed.customer_id not in (None, own):
        raise ApiError(ApiCode.OPERATORS_ONLY, MESSAGES[ApiCode.OPERATORS_ONLY], "customer_id")
    if problem := url_problem(parsed.url, allow_private_targets=service.allow_private_webhook_targets):
        raise ApiError(ApiCode.INVALID_URL, f"The URL {problem}.", "url")
    customer_id = own or parsed.customer_id

    async def create(webhooks: WebhookEndpointStore) -> EndpointSecret:
        await endpoints.check_number(webhooks, customer_id)
        created = await webhooks.add(parsed.url, customer_id, events=parsed.events)
        return EndpointSecret(endpoint_id=created.endpoint_id, secret=created.secret)

    answer, replayed = await endpoints.write(
        idempotency_key, {"create": body}, EndpointSecret, create, secrets=_SECRET
    )
    mark_replayed(response, replayed)
    response.headers["Location"] = f"/v1/webhook-endpoints/{answer.endpoint_id}"
    return answer


@router.get(
    "",
    responses=responses(),
    summary="List webhook endpoints",
    description="Each endpoint has its status and the numbers of queued and parked events.",
)
async def list_webhook_endpoints(endpoints: EndpointsDep) -> Page[Endpoint]:
    return whole(await endpoints.endpoints())


@router.get(
    "/{endpoint_id}",
    responses=responses(*_ONE),
    summary="Get a webhook endpoint",
    description="Its status and the numbers of queued and parked events.",
)
async def get_webhook_endpoint(endpoint_id: str, endpoints: EndpointsDep) -> Endpoint:
    return await endpoints.endpoint(endpoint_id)


@router.delete(
    "/{endpoint_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(*_ONE),
    summary="Delete a webhook endpoint",
    description="No more events are sent to it, and its secrets are deleted. A repeated request returns 404.",
)
async def remove_webhook_endpoint(endpoint_id: str, endpoints: EndpointsDep) -> None:
    await endpoints.endpoint(endpoint_id)
    await endpoints.reading.remove(endpoint_id)


def _add_status(verb: str, status: EndpointStatus, summary: str, description: str) -> None:
    async def change(
        endpoint_id: str,
        endpoints: EndpointsDep,
        idempotency_key: IdempotencyKeyDep,
        body: JsonBodyDep,
        response: Response,
    ) -> Endpoint:
        _read(Nothing, body)

        async def set_status(webhooks: WebhookEndpointStore) -> Endpoint:
            await webhooks.set_status(endpoint_id, status)
            [changed] = [item for item in await webhooks.list() if item.endpoint_id == endpoint_id]
            return changed

        named = {verb: endpoint_id}
        answer, replayed = await endpoints.write(
            idempotency_key, named, Endpoint, set_status, endpoint_id=endpoint_id
        )
        mark_replayed(response, replayed)
        return answer

    router.add_api_route(
        f"/{{endpoint_id}}/{verb}",
        change,
        methods=["POST"],
        name=f"{verb}_webhook_endpoint",
        response_model=Endpoint,
        responses=responses(*_WRITE, *_ONE),
        openapi_extra=body_schema(Nothing, {}),
        summary=summary,
        description=description,
    )


_add_status(
    "pause",
    EndpointStatus.PAUSED,
    "Pause a webhook endpoint",
    "No events are sent to it; they remain queued until the endpoint is resumed.",
)
_add_status(
    "resume",
    EndpointStatus.ENABLED,
    "Resume a webhook endpoint",
    "An endpoint that was paused, or that was disabled after a response 410, receives events again.",
)


@router.post(
    "/{endpoint_id}/rotate-secret",
    responses=responses(*_WRITE, *_ONE),
    openapi_extra=body_schema(Rotation, {"overlap_hours": 24}),
    summary="Rotate the secret of a webhook endpoint",
    description="For `overlap_hours` both secrets sign each request. The new secret is returned once.",
)
async def rotate_webhook_secret(
    endpoint_id: str,
    endpoints: EndpointsDep,
    idempotency_key: IdempotencyKeyDep,
    body: JsonBodyDep,
    response: Response,
) -> EndpointSecret:
    parsed: Rotation = _read(Rotation, body)

    async def rotate(webhooks: WebhookEndpointStore) -> EndpointSecret:
        created = await webhooks.rotate(endpoint_id, timedelta(hours=parsed.overlap_hours))
        return EndpointSecret(endpoint_id=created.endpoint_id, secret=created.secret)

    named = {"rotate": endpoint_id, "body": body}
    answer, replayed = await endpoints.write(
        idempotency_key, named, EndpointSecret, rotate, endpoint_id=endpoint_id, secrets=_SECRET
    )
    mark_replayed(response, replayed)
    return answer


@router.post(
    "/{endpoint_id}/test",
    responses=responses(*_WRITE, *_ONE),
    openapi_extra=body_schema(Nothing, {}),
    summary="Send a test event to a webhook endpoint",
    description="The response is the queued delivery. Its result appears in the list of deliveries.",
)
async def send_test_webhook(
    endpoint_id: str,
    endpoints: EndpointsDep,
    idempotency_key: IdempotencyKeyDep,
    body: JsonBodyDep,
    response: Response,
) -> Delivery:
    _read(Nothing, body)

    async def send(webhooks: WebhookEndpointStore) -> Delivery:
        delivery = await webhooks.delivery(await webhooks.test(endpoint_id))
        assert delivery is not None
        return delivery

    named = {"test": endpoint_id}
    answer, replayed = await endpoints.write(idempotency_key, named, Delivery, send, endpoint_id=endpoint_id)
    mark_replayed(response, replayed)
    return answer


@router.get(
    "/{endpoint_id}/deliveries",
    responses=responses(*_ONE, ApiCode.INVALID_CURSOR, RefusalCode.INVALID_ARGUMENT),
    summary="List the deliveries of a webhook endpoint",
    description="Deliveries in the order in which they were queued, with their attempts and last errors.",
)
async def list_webhook_deliveries(
    endpoint_id: str,
    endpoints: EndpointsDep,
    state: DeliveryState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Delivery]:
    await endpoints.endpoint(endpoint_id)
    of = f"deliveries {endpoint_id}"
    found = await endpoints.reading.deliveries(
        endpoint_id, state=state, after=decode_numeric_cursor(of, cursor), limit=limit + 1
    )
    return make_page(found, limit, of, lambda delivery: str(delivery.number))


@router.post(
    "/{endpoint_id}/replay",
    responses=responses(*_WRITE, *_ONE, RefusalCode.MISSING_FIELD, RefusalCode.SUBSCRIPTION_NOT_FOUND),
    openapi_extra=body_schema(Replay, {"subscription_id": examples.SUBSCRIPTION_ID, "from_sequence": 7}),
    summary="Replay events to a webhook endpoint",
    description="All parked events, or all events of one subscription, delivered or not.",
)
async def replay_webhook_deliveries(
    endpoint_id: str,
    endpoints: EndpointsDep,
    subscriptions: dependencies.ClientDep,
    idempotency_key: IdempotencyKeyDep,
    body: JsonBodyDep,
    response: Response,
) -> Queued:
    parsed: Replay = _read(Replay, body)
    if parsed.subscription_id is None and parsed.from_sequence is not None:
        raise refusal(RefusalCode.MISSING_FIELD, "subscription_id", reason="OF_FROM_SEQUENCE")
    if parsed.subscription_id is not None:
        await subscriptions.check_exists(parsed.subscription_id)

    async def replay(webhooks: WebhookEndpointStore) -> Queued:
        if parsed.subscription_id is None:
            return Queued(queued=await webhooks.replay_parked(endpoint_id))
        return Queued(
            queued=await webhooks.replay_subscription(
                endpoint_id, parsed.subscription_id, parsed.from_sequence or 1
            )
        )

    named = {"replay": endpoint_id, "body": body}
    answer, replayed = await endpoints.write(idempotency_key, named, Queued, replay, endpoint_id=endpoint_id)
    mark_replayed(response, replayed)
    return answer
