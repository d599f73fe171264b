"""Liveness and readiness probes of the API, for load balancers; they need no API key."""

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
_TIMEOUT_SECONDS = 3.0


class Health(Frozen):
    """`problems` says what does not answer, and why. `warnings` do not make a process unready."""

    well: bool
    problems: dict[str, str]
    warnings: dict[str, str]


@router.get(
    "/healthz",
    summary="Liveness probe",
    description="200 while the process runs. PostgreSQL and Temporal are not checked.",
    responses=_PROBLEMS,
)
async def get_liveness() -> Health:
    return Health(well=True, problems={}, warnings={})


@router.get(
    "/readyz",
    summary="Readiness probe",
    description="503 while PostgreSQL or Temporal is unavailable. An unavailable OpenID Connect issuer is a "
    "warning.",
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
    # An unavailable issuer is only a warning: API keys and existing sessions still work, and other processes
    # cannot reach the issuer either. If all processes became unready, the load balancer would stop all
    # traffic, and not only sign-ins.
    issuer = service.issuer.problem if service.issuer else None
    return Health(well=not problems, problems=problems, warnings={"issuer": issuer} if issuer else {})


async def _problem_of(attempt: Awaitable[Any]) -> str | None:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await attempt
    except (RPCError, RuntimeError, *DATABASE_ERRORS) as error:
        return f"it does not answer ({type(error).__name__})"
    return None
