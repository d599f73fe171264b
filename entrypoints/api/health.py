"""Liveness and readiness probes of the API, for load balancers; they need no API key."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Literal

from fastapi import APIRouter, Response
from temporalio.service import RPCError

from adapters.postgres.pool import DATABASE_ERRORS
from entrypoints.api.dependencies import ServiceDep
from entrypoints.api.problem_details import ApiCode, only_responses
from subscription.model import Frozen

router = APIRouter(tags=["Health"])

_PROBLEMS = only_responses(ApiCode.METHOD_NOT_ALLOWED)
_TIMEOUT_SECONDS = 3.0

HealthStatus = Literal["ok", "unavailable"]


class Health(Frozen):
    """Health of the process. `checks` has `ok` or the failure reason of each dependency.

    `warnings` do not make a process unready.
    """

    status: HealthStatus
    checks: dict[str, str]
    warnings: dict[str, str]


@router.get(
    "/healthz",
    summary="Liveness probe",
    description="200 while the process runs. PostgreSQL and Temporal are not checked.",
    responses=_PROBLEMS,
)
async def get_liveness() -> Health:
    return Health(status="ok", checks={}, warnings={})


@router.get(
    "/readyz",
    summary="Readiness probe",
    description="503 while PostgreSQL or Temporal is unavailable. An unavailable OpenID Connect issuer is a "
    "warning.",
    responses={503: {"model": Health}, **_PROBLEMS},
)
async def get_readiness(service: ServiceDep, response: Response) -> Health:
    temporal, database = await asyncio.gather(
        _check(service.temporal.service_client.check_health()),
        _check(service.reading.fetchval("SELECT 1")),
    )
    checks = {"temporal": temporal, "postgresql": database}
    ready = set(checks.values()) == {"ok"}
    response.status_code = 200 if ready else 503
    # An unavailable issuer is only a warning: API keys and existing sessions still work, and other processes
    # cannot reach the issuer either. If all processes became unready, the load balancer would stop all
    # traffic, and not only sign-ins.
    issuer = service.issuer.problem if service.issuer else None
    return Health(
        status="ok" if ready else "unavailable",
        checks=checks,
        warnings={"issuer": issuer} if issuer else {},
    )


async def _check(attempt: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await attempt
    except (RPCError, RuntimeError, *DATABASE_ERRORS) as error:
        return f"no response ({type(error).__name__})"
    return "ok"
