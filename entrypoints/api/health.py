"""Liveness and readiness of the API, for load balancers; needs no API key."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter, Response
from temporalio.service import RPCError

from adapters.postgres.pool import DATABASE_ERRORS
from entrypoints.api.dependencies import ServiceDep
from entrypoints.api.problem_details import ApiCode, only_responses
from subscription.model import Frozen

router = APIRouter(tags=["Health"])

_PROBLEMS = only_responses(ApiCode.METHOD_NOT_ALLOWED)
_PATIENCE_SECONDS = 3.0


class Health(Frozen):
    """`problems` says what does not answer, and why. `warnings` do not make a process unready."""

    well: bool
    problems: dict[str, str]
    warnings: dict[str, str]


@router.get(
    "/healthz",
    summary="Whether the process lives",
    description="It says nothing of PostgreSQL and Temporal.",
    responses=_PROBLEMS,
)
async def get_liveness() -> Health:
    return Health(well=True, problems={}, warnings={})


@router.get(
    "/readyz",
    summary="Whether it can answer",
    description="503 while PostgreSQL or Temporal does not answer. An OpenID Connect issuer that does not "
    "answer is a warning.",
    responses={503: {"model": Health}, **_PROBLEMS},
)
async def get_readiness(service: ServiceDep, response: Response) -> Health:
    temporal, database = await asyncio.gather(
        _problem_of(service.temporal.service_client.check_health()),
        _problem_of(service.reading.fetchval("SELECT 1")),
    )
    found = {"Temporal": temporal, "PostgreSQL": database}
    problems = {what: problem for what, problem in found.items() if problem}
    response.status_code = 503 if problems else 200
    # Without the issuer, API keys and sessions still work, and no other process reaches it either. If
    # processes became unready, a load balancer would turn an outage of sign-ins into one of everything.
    issuer = service.issuer.problem if service.issuer else None
    return Health(well=not problems, problems=problems, warnings={"issuer": issuer} if issuer else {})


async def _problem_of(attempt: Awaitable[Any]) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await attempt
    except (RPCError, RuntimeError, *DATABASE_ERRORS) as error:
        return f"it does not answer ({type(error).__name__})"
    return None
