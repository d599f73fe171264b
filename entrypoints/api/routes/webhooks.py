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
from starter.scoped_webhook_endpoints import WebhookDesk
from starter.webhook_endpoints import Delivery, Endpoint, WebhookEndpointStore
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
    ApiCode.BODY_TOO_LARGE,
    RefusalCode.INVALID_ARGUMENT,
    RefusalCode.COMMAND_ID_REUSED,
)
_ONE = (ApiCode.ENDPOINT_NOT_FOUND,)
_SECRET = frozenset({"secret"})


class NewEndpoint(Wire):
    """An endpoint for the events of one customer. `events` are the kinds to send; all if it is left out.

    Operators name the customer, or leave `customer_id` out for the events of all customers.
    """

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    events: Annotated[tuple[EventKind, ...], Field(strict=False, min_length=1, max_length=100)] | None = None
    customer_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")] | None = None


class Rotation(Wire):
    """`overlap_hours` is for how long the old secret signs as well."""

    overlap_hours: Annotated[int, Field(ge=0, le=720)] = 24


class Replay(Wire):
    """Without a subscription, all that is parked; with one, its events, the first of them `from_sequence`."""

    subscription_id: Annotated[str, Field(max_length=100)] | None = None
    from_sequence: Annotated[int, Field(ge=1, lt=2**31)] | None = None


class Nothing(Wire):
    """No field is needed."""


class EndpointSecret(Frozen):
    """A secret, shown in the first answer alone: where the request is sent again, `secret` is null."""

    endpoint_id: str
    secret: str | None


class Queued(Frozen):
    """How many events are queued to be sent again."""

    queued: int


async def _desk_of(service: ServiceDep, key: ApiKeyDep) -> WebhookDesk:
    return WebhookDesk(service.own, key.caller)


ADesk = Annotated[WebhookDesk, Depends(_desk_of)]


def _read(shape: type[Any], body: Any) -> Any:
    try:
        return parse_strict(shape, require_object(body))
    except ValidationError as error:
        problems = problems_from(error)
        raise RefusalError(
            Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems, whole="the body")
        ) from None


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=responses(*_WRITE, ApiCode.INVALID_URL, ApiCode.TOO_MANY_ENDPOINTS),
    openapi_extra=body_schema(NewEndpoint, examples.NEW_ENDPOINT),
    summary="Create a webhook endpoint",
    description="It receives the events from now on. The secret verifies their signatures and is shown once.",
)
async def create_webhook_endpoint(
    desk: ADesk,
    key: ApiKeyDep,
    service: ServiceDep,
    sent: IdempotencyKeyDep,
    body: JsonBodyDep,
    response: Response,
) -> EndpointSecret:
    wanted: NewEndpoint = _read(NewEndpoint, body)
    own = key.caller.customer_id
    if own is not None and wanted.customer_id not in (None, own):
        raise ApiError(ApiCode.OPERATORS_ONLY, MESSAGES[ApiCode.OPERATORS_ONLY], "customer_id")
    if problem := url_problem(wanted.url, anywhere=service.webhooks_anywhere):
        raise ApiError(ApiCode.INVALID_URL, f"The URL {problem}.", "url")
    customer_id = own or wanted.customer_id

    async def create(webhooks: WebhookEndpointStore) -> EndpointSecret:
        await desk.check_number(webhooks, customer_id)
        made = await webhooks.add(wanted.url, customer_id, events=wanted.events)
        return EndpointSecret(endpoint_id=made.endpoint_id, secret=made.secret)

    answer, replayed = await desk.write(sent, {"create": body}, EndpointSecret, create, secrets=_SECRET)
    mark_replayed(response, replayed)
    response.headers["Location"] = f"/v1/webhook-endpoints/{answer.endpoint_id}"
    return answer


@router.get(
    "",
    responses=responses(),
    summary="Webhook endpoints",
    description="Each with its status, and how many events wait for it or are parked.",
)
async def list_webhook_endpoints(desk: ADesk) -> Page[Endpoint]:
    return whole(await desk.endpoints())


@router.get(
    "/{endpoint_id}",
    responses=responses(*_ONE),
    summary="A webhook endpoint",
    description="Its status, and how many events wait for it or are parked.",
)
async def get_webhook_endpoint(endpoint_id: str, desk: ADesk) -> Endpoint:
    return await desk.endpoint(endpoint_id)


@router.delete(
    "/{endpoint_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(*_ONE),
    summary="Remove a webhook endpoint",
    description="Nothing is sent there any more, and its secrets are deleted. Sent again the answer is 404.",
)
async def remove_webhook_endpoint(endpoint_id: str, desk: ADesk) -> None:
    await desk.endpoint(endpoint_id)
    await desk.reading.remove(endpoint_id)


def _add_status(verb: str, status: EndpointStatus, summary: str, description: str) -> None:
    async def change(
        endpoint_id: str, desk: ADesk, sent: IdempotencyKeyDep, body: JsonBodyDep, response: Response
    ) -> Endpoint:
        _read(Nothing, body)

        async def set_status(webhooks: WebhookEndpointStore) -> Endpoint:
            await webhooks.set_status(endpoint_id, status)
            [changed] = [each for each in await webhooks.list() if each.endpoint_id == endpoint_id]
            return changed

        named = {verb: endpoint_id}
        answer, replayed = await desk.write(sent, named, Endpoint, set_status, endpoint_id=endpoint_id)
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
    "Nothing is sent there; its events wait until it is resumed.",
)
_add_status(
    "resume",
    EndpointStatus.ENABLED,
    "Resume a webhook endpoint",
    "One that was paused, or that its answer 410 has disabled, is sent events again.",
)


@router.post(
    "/{endpoint_id}/rotate-secret",
    responses=responses(*_WRITE, *_ONE),
    openapi_extra=body_schema(Rotation, {"overlap_hours": 24}),
    summary="Make a new secret for a webhook endpoint",
    description="For `overlap_hours` both secrets sign each request. The new one is shown once.",
)
async def rotate_webhook_secret(
    endpoint_id: str, desk: ADesk, sent: IdempotencyKeyDep, body: JsonBodyDep, response: Response
) -> EndpointSecret:
    wanted: Rotation = _read(Rotation, body)

    async def rotate(webhooks: WebhookEndpointStore) -> EndpointSecret:
        made = await webhooks.rotate(endpoint_id, timedelta(hours=wanted.overlap_hours))
        return EndpointSecret(endpoint_id=made.endpoint_id, secret=made.secret)

    named = {"rotate": endpoint_id, "body": body}
    answer, replayed = await desk.write(
        sent, named, EndpointSecret, rotate, endpoint_id=endpoint_id, secrets=_SECRET
    )
    mark_replayed(response, replayed)
    return answer


@router.post(
    "/{endpoint_id}/test",
    responses=responses(*_WRITE, *_ONE),
    openapi_extra=body_schema(Nothing, {}),
    summary="Send a test event to a webhook endpoint",
    description="The answer is the queued delivery; its result is in the list of deliveries a moment later.",
)
async def send_test_webhook(
    endpoint_id: str, desk: ADesk, sent: IdempotencyKeyDep, body: JsonBodyDep, response: Response
) -> Delivery:
    _read(Nothing, body)

    async def send(webhooks: WebhookEndpointStore) -> Delivery:
        delivery = await webhooks.delivery(await webhooks.test(endpoint_id))
        assert delivery is not None
        return delivery

    named = {"test": endpoint_id}
    answer, replayed = await desk.write(sent, named, Delivery, send, endpoint_id=endpoint_id)
    mark_replayed(response, replayed)
    return answer


@router.get(
    "/{endpoint_id}/deliveries",
    responses=responses(*_ONE, ApiCode.INVALID_CURSOR, RefusalCode.INVALID_ARGUMENT),
    summary="The deliveries of a webhook endpoint",
    description="In the order in which they were queued, each with its attempts and its last error.",
)
async def list_webhook_deliveries(
    endpoint_id: str,
    desk: ADesk,
    state: DeliveryState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Delivery]:
    await desk.endpoint(endpoint_id)
    of = f"deliveries {endpoint_id}"
    found = await desk.reading.deliveries(
        endpoint_id, state=state, after=decode_numeric_cursor(of, cursor), limit=limit + 1
    )
    return make_page(found, limit, of, lambda each: str(each.number))


@router.post(
    "/{endpoint_id}/replay",
    responses=responses(*_WRITE, *_ONE, RefusalCode.MISSING_FIELD, RefusalCode.SUBSCRIPTION_NOT_FOUND),
    openapi_extra=body_schema(Replay, {"subscription_id": examples.SUBSCRIPTION_ID, "from_sequence": 7}),
    summary="Send events to a webhook endpoint again",
    description="All that is parked, or all events of one subscription, delivered or not.",
)
async def replay_webhook_deliveries(
    endpoint_id: str,
    desk: ADesk,
    subscriptions: dependencies.ClientDep,
    sent: IdempotencyKeyDep,
    body: JsonBodyDep,
    response: Response,
) -> Queued:
    wanted: Replay = _read(Replay, body)
    if wanted.subscription_id is None and wanted.from_sequence is not None:
        raise refusal(RefusalCode.MISSING_FIELD, "subscription_id", reason="OF_FROM_SEQUENCE")
    if wanted.subscription_id is not None:
        await subscriptions.check_exists(wanted.subscription_id)

    async def replay(webhooks: WebhookEndpointStore) -> Queued:
        if wanted.subscription_id is None:
            return Queued(queued=await webhooks.replay_parked(endpoint_id))
        return Queued(
            queued=await webhooks.replay_subscription(
                endpoint_id, wanted.subscription_id, wanted.from_sequence or 1
            )
        )

    named = {"replay": endpoint_id, "body": body}
    answer, replayed = await desk.write(sent, named, Queued, replay, endpoint_id=endpoint_id)
    mark_replayed(response, replayed)
    return answer
