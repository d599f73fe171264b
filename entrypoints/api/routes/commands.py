"""One POST route per command (R10-R29)."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response

from entrypoints.api import examples
from entrypoints.api.dependencies import ADesk, AnIdempotencyKey, mark_replayed
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.request_body import ABody, described, fields_of
from subscription.commands import COMMANDS, Command, read_command
from subscription.refusals import Code, Refused, RefusedError
from subscription.timeline import Answer

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["Commands"])

# A command is named by its Idempotency-Key, and only simulations say when it is given.
_NOT_IN_BODIES = ("id", "expects", "at")

_ANY = (
    ApiCode.IDEMPOTENCY_KEY_MISSING,
    ApiCode.INVALID_IDEMPOTENCY_KEY,
    ApiCode.MALFORMED_JSON,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.BODY_TOO_LARGE,
    Code.INVALID_ARGUMENT,
    Code.COMMAND_ID_REUSED,
    Code.SUBSCRIPTION_NOT_FOUND,
    Code.SUBSCRIPTION_ENDED,
    Code.NOT_YET_STARTED,
    ApiCode.WORKFLOW_LOST,
    ApiCode.WORKFLOW_PAUSED,
    ApiCode.NO_ANSWER,
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
"""The operation of each command; its path is the command's name in kebab-case."""
REFUSALS: dict[str, tuple[Code, ...]] = {
    "switch_to_paid": (
        Code.ALREADY_PAID,
        Code.CANCELLATION_RESERVED,
        Code.DATE_IN_THE_PAST,
        Code.DATE_TOO_LATE,
        Code.PLAN_NOT_SOLD,
        Code.TOO_MANY_MEMBERS,
    ),
    "change_renewal_option": (Code.NOT_YET_PAID, Code.PLAN_NOT_SOLD, Code.TOO_MANY_MEMBERS),
    "upgrade": (
        Code.NOT_YET_PAID,
        Code.NOT_AN_UPGRADE,
        Code.LOWERED_BY_UPGRADE,
        Code.PLAN_NOT_SOLD,
        Code.TOO_MANY_MEMBERS,
        Code.TERMS_NOT_AGREED,
    ),
    "cancel": (
        Code.SWITCH_RESERVED,
        Code.CONFIRMATION_DIFFERS,
        Code.DATE_IN_THE_PAST,
        Code.DATE_TOO_LATE,
    ),
    "withdraw_reservation": (Code.NOTHING_RESERVED,),
    "rename_account": (Code.NAME_TAKEN, Code.NAME_UNCHANGED, Code.RENAMED_TOO_RECENTLY),
    "check_domain": (Code.NO_PROOF_AWAITED,),
}
"""What each command may be refused with, beside what any may."""


def _asking(name: str) -> Callable[..., Awaitable[Answer]]:
    async def ask(
        subscription_id: str, desk: ADesk, key: AnIdempotencyKey, body: ABody, response: Response
    ) -> Answer:
        argument: dict[str, Any] = {**fields_of(body, apart_from=_NOT_IN_BODIES), "id": key}
        # What cannot be read is refused here, without troubling the workflow.
        command = read_command(name, argument, without=_NOT_IN_BODIES)
        if isinstance(command, Refused):
            raise RefusedError(command)
        replayed = await desk.was_accepted(subscription_id, key)
        answer = await desk.command(subscription_id, name, argument)
        mark_replayed(response, replayed)
        return answer

    return ask


def _add(name: str, command: type[Command]) -> None:
    router.add_api_route(
        f"/{name.replace('_', '-')}",
        _asking(name),
        methods=["POST"],
        name=OPERATIONS[name],
        response_model=Answer,
        responses={**examples.shown("command"), **responses(*_ANY, *REFUSALS[name])},
        openapi_extra=described(command, examples.COMMANDS[name], without=_NOT_IN_BODIES),
        summary=command.title,
        description="Sent again under its `Idempotency-Key` an accepted command gives the first answer again "
        "and does nothing, for at least 30 days; a refused one is judged anew (R22). `by` says who asks.",
    )


for _name, _command in COMMANDS.items():
    _add(_name, _command)
