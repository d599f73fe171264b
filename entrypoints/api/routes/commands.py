"""One POST route per command (R10-R29)."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response

from entrypoints.api import examples
from entrypoints.api.dependencies import ClientDep, IdempotencyKeyDep, mark_replayed
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.request_body import JsonBodyDep, body_schema, require_object
from subscription.commands import COMMANDS, Command, parse_command
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.timeline import Answer

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["Commands"])

# The ID of a command is its Idempotency-Key, and its channel is the API. Only simulations set its time.
_NOT_IN_BODIES = ("id", "channel", "expects", "at")

_ANY = (
    ApiCode.IDEMPOTENCY_KEY_MISSING,
    ApiCode.INVALID_IDEMPOTENCY_KEY,
    ApiCode.MALFORMED_JSON,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.PAYLOAD_TOO_LARGE,
    RefusalCode.INVALID_ARGUMENT,
    RefusalCode.COMMAND_ID_REUSED,
    RefusalCode.SUBSCRIPTION_NOT_FOUND,
    RefusalCode.SUBSCRIPTION_ENDED,
    RefusalCode.NOT_YET_STARTED,
    ApiCode.WORKFLOW_UNAVAILABLE,
    ApiCode.WORKFLOW_PAUSED,
    ApiCode.TIMEOUT,
)
OPERATIONS = {
    "switch_to_paid": "switch_to_paid",
    "change_renewal_option": "change_renewal_option",
    "upgrade": "upgrade_subscription",
    "cancel": "cancel_subscription",
    "withdraw_reservation": "withdraw_reservation",
    "rename_account": "rename_account",
    "check_domain": "check_domain",
}
"""Operation name of each command. The path is the command's name in kebab case."""
REFUSALS: dict[str, tuple[RefusalCode, ...]] = {
    "switch_to_paid": (
        RefusalCode.ALREADY_PAID,
        RefusalCode.CANCELLATION_RESERVED,
        RefusalCode.DATE_IN_THE_PAST,
        RefusalCode.DATE_TOO_LATE,
        RefusalCode.PLAN_NOT_SOLD,
        RefusalCode.TOO_MANY_MEMBERS,
        RefusalCode.MEMBERS_IN_USE,
    ),
    "change_renewal_option": (
        RefusalCode.NOT_YET_PAID,
        RefusalCode.PLAN_NOT_SOLD,
        RefusalCode.TOO_MANY_MEMBERS,
        RefusalCode.MEMBERS_IN_USE,
    ),
    "upgrade": (
        RefusalCode.NOT_YET_PAID,
        RefusalCode.NOT_AN_UPGRADE,
        RefusalCode.LOWERED_BY_UPGRADE,
        RefusalCode.PLAN_NOT_SOLD,
        RefusalCode.TOO_MANY_MEMBERS,
        RefusalCode.TERMS_NOT_AGREED,
    ),
    "cancel": (
        RefusalCode.SWITCH_RESERVED,
        RefusalCode.CONFIRMATION_DIFFERS,
        RefusalCode.DATE_IN_THE_PAST,
        RefusalCode.DATE_TOO_LATE,
    ),
    "withdraw_reservation": (RefusalCode.NOTHING_RESERVED,),
    "rename_account": (RefusalCode.NAME_TAKEN, RefusalCode.NAME_UNCHANGED, RefusalCode.RENAMED_TOO_RECENTLY),
    "check_domain": (RefusalCode.NO_PROOF_AWAITED,),
}
"""Refusal codes of each command, in addition to those of all commands."""


def _command_route(name: str) -> Callable[..., Awaitable[Answer]]:
    async def send_command(
        subscription_id: str, client: ClientDep, key: IdempotencyKeyDep, body: JsonBodyDep, response: Response
    ) -> Answer:
        argument: dict[str, Any] = {**require_object(body, apart_from=_NOT_IN_BODIES), "id": key}
        command = parse_command(name, argument, without=_NOT_IN_BODIES)
        if isinstance(command, Refusal):
            raise RefusalError(command)
        replayed = await client.was_accepted(subscription_id, key)
        answer = await client.send(subscription_id, command)
        mark_replayed(response, replayed)
        return answer

    return send_command


def _add(name: str, command: type[Command]) -> None:
    router.add_api_route(
        f"/{name.replace('_', '-')}",
        _command_route(name),
        methods=["POST"],
        name=OPERATIONS[name],
        response_model=Answer,
        responses={**examples.example_response("command"), **responses(*_ANY, *REFUSALS[name])},
        openapi_extra=body_schema(command, examples.COMMANDS[name], without=_NOT_IN_BODIES),
        summary=command.title,
        description="Repeating the `Idempotency-Key` of an accepted command returns the original response "
        "and has no further effect, for at least 30 days. A refused command is validated again (R22). `by` "
        "is the name of the person or system that issues the command.",
    )


for _name, _command in COMMANDS.items():
    _add(_name, _command)
