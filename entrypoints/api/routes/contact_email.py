"""The contact email address of a subscription (R8)."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, ValidationError

from adapters.postgres import contact_emails
from entrypoints.api.dependencies import ClientDep, ServiceDep
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.request_body import JsonBodyDep, body_schema, require_object
from subscription.email_address import email_address
from subscription.model import Wire
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.validation import parse_strict, problems_from

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}/contact-email", tags=["Contact email"])


class ContactEmailBody(Wire):
    """The second recipient of notices; null if there is none."""

    contact_email: Annotated[str, AfterValidator(email_address)] | None


@router.get(
    "",
    responses=responses(RefusalCode.SUBSCRIPTION_NOT_FOUND),
    summary="Get the contact email address",
    description="Null if there is none, and after erasure.",
)
async def get_contact_email(subscription_id: str, client: ClientDep, service: ServiceDep) -> ContactEmailBody:
    await client.status(subscription_id)  # raises if the caller has no such subscription
    return ContactEmailBody(contact_email=await contact_emails.contact_email(service.own, subscription_id))


@router.put(
    "",
    responses=responses(
        ApiCode.MALFORMED_JSON,
        ApiCode.UNSUPPORTED_MEDIA_TYPE,
        ApiCode.PAYLOAD_TOO_LARGE,
        RefusalCode.INVALID_ARGUMENT,
        RefusalCode.SUBSCRIPTION_NOT_FOUND,
        RefusalCode.SUBSCRIPTION_ENDED,
    ),
    openapi_extra=body_schema(ContactEmailBody, {"contact_email": "it@acme.example"}),
    summary="Replace the contact email address",
    description="Null removes the address. Repeating the request has no further effect.",
)
async def put_contact_email(
    subscription_id: str, client: ClientDep, service: ServiceDep, body: JsonBodyDep
) -> ContactEmailBody:
    wanted = _parse(body)
    await client.status(subscription_id)
    if not await contact_emails.set_contact_email(service.own, subscription_id, wanted.contact_email):
        raise refusal(RefusalCode.SUBSCRIPTION_ENDED)
    return wanted


def _parse(body: object) -> ContactEmailBody:
    try:
        return parse_strict(ContactEmailBody, require_object(body))
    except ValidationError as error:
        problems = problems_from(error)
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems)) from None
