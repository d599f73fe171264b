"""Activities that provision a subscription and issue domain tokens (R5, R9, R12)."""

import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from temporalio import activity

from activities import metrics
from adapters.postgres import subscription_repository
from adapters.postgres.catalogue_repository import load_price_book
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner, wanted_workspace
from subscription.activity_contracts import (
    DomainTokenInput,
    DomainTokenResult,
    Provisioned,
    ProvisionInput,
    ProvisionResult,
    RequestRefused,
)
from subscription.apply import apply
from subscription.business_calendar import day_of
from subscription.catalogue import PriceBook
from subscription.decide import start_trial
from subscription.events import TrialStarted
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import Request, name_taken_refusal, parse_request
from subscription.state import Subscription, provisioning
from subscription.timeline import timeline_entry
from subscription.validation import parse_strict


class ProvisioningActivities:
    """`allow_simulation`: whether lives may begin at another time; never where customers are served."""

    def __init__(self, pool: Pool, workspaces: WorkspaceProvisioner, *, allow_simulation: bool) -> None:
        self._pool = pool
        self._workspaces = workspaces
        self._allow_simulation = allow_simulation

    @activity.defn
    async def provision_subscription(self, wanted: ProvisionInput) -> ProvisionResult:
        """Everything at once or nothing, in one transaction.

        What is recorded already is the truth, for a retry as for a workflow that is started anew.
        """
        try:
            provisioned = await self._provision(wanted)
        except RefusalError as refusal:
            return RequestRefused(refused=refusal.refused)
        await self._workspaces.put(wanted_workspace(provisioned.state))
        return provisioned

    async def _provision(self, wanted: ProvisionInput) -> Provisioned:
        async with self._pool.acquire() as connection, connection.transaction():
            await subscription_repository.lock_subscription_id(connection, wanted.subscription_id)
            book = await load_price_book(connection)
            state = await subscription_repository.snapshot(connection, wanted.subscription_id)
            if state is not None:
                return await _existing(connection, state, book, wanted.request)
            request = self._judged(wanted, book)
            state, started = await _start(connection, request, wanted, book)
        metrics.recorded(wanted.subscription_id, 1, (started,))
        return Provisioned(
            state=state,
            timeline=(timeline_entry(started, state),),
            fingerprint=request.fingerprint(),
            catalogues=book.versions,
        )

    def _judged(self, wanted: ProvisionInput, book: PriceBook) -> Request:
        request = parse_request(wanted.request, book, wanted.accepted_at)
        if isinstance(request, Refusal):
            raise RefusalError(request)
        if request.simulated_at is not None and not self._allow_simulation:
            raise refusal(RefusalCode.SIMULATION_NOT_ALLOWED, "simulated_at")
        return request

    @activity.defn
    async def issue_domain_token(self, wanted: DomainTokenInput) -> DomainTokenResult:
        """The secret of one subscription and domain: 128 random bits, the same however often asked (R12)."""
        async with self._pool.acquire() as connection, connection.transaction():
            return DomainTokenResult(
                token=await _domain_token(connection, wanted.subscription_id, wanted.domain)
            )


async def _existing(
    connection: Connection, state: Subscription, book: PriceBook, sent: Mapping[str, Any]
) -> Provisioned:
    if state.state.over:
        if not await subscription_repository.was_requested_so(
            connection, state.subscription_id, _fingerprint(sent)
        ):
            raise refusal(RefusalCode.REQUEST_ID_REUSED, "request_id")
        raise refusal(RefusalCode.SUBSCRIPTION_ENDED)
    return Provisioned(
        state=state,
        timeline=await subscription_repository.latest_timeline(connection, state.subscription_id),
        fingerprint=await subscription_repository.request_fingerprint(connection, state.subscription_id),
        catalogues=book.versions,
    )


def _fingerprint(sent: Mapping[str, Any]) -> str | None:
    try:
        return parse_strict(Request, dict(sent)).fingerprint()
    except ValidationError:
        return None


async def _start(
    connection: Connection, request: Request, wanted: ProvisionInput, book: PriceBook
) -> tuple[Subscription, TrialStarted]:
    account = request.account.account
    catalogue = book.in_force(day_of(wanted.accepted_at))
    assert catalogue is not None, "a request is refused while nothing is on sale"
    token = secrets.token_hex(16)
    started = start_trial(wanted.accepted_at, account, request.agreed_terms, catalogue, token)
    state = apply(provisioning(wanted.subscription_id, request), started)
    if not await subscription_repository.insert_subscription(connection, state, request):
        raise refusal(RefusalCode.REQUEST_ID_REUSED, "request_id")
    if not await subscription_repository.reserve_name(
        connection, state.subscription_id, account.name, account.kind
    ):
        raise RefusalError(name_taken_refusal(account.kind))
    await save_contacts(connection, state.subscription_id, request)
    if started.claim:
        await save_domain_token(connection, state.subscription_id, started.claim.name, started.claim.token)
    await subscription_repository.insert_events(connection, state, 1, (started,))
    return state, started


async def save_contacts(connection: Connection, subscription_id: str, request: Request) -> None:
    """Keep the administrator and the company of a request; what is there already stays."""
    await connection.execute(
        """
        WITH administrator AS (
            INSERT INTO administrators (subscription_id, admin_id, password_hash) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
        )
        INSERT INTO companies (subscription_id, company_name, company_phone) VALUES ($1, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        subscription_id,
        request.admin_id,
        request.password_hash,
        request.company_name,
        request.company_phone,
    )


async def _domain_token(connection: Connection, subscription_id: str, domain: str) -> str:
    await save_domain_token(connection, subscription_id, domain, secrets.token_hex(16))
    token: str = await connection.fetchval(
        "SELECT token FROM domain_tokens WHERE subscription_id = $1 AND domain = $2", subscription_id, domain
    )
    return token


async def save_domain_token(connection: Connection, subscription_id: str, domain: str, token: str) -> None:
    """Keep the secret of a living subscription and domain; the first one stays."""
    await connection.execute(
        """
        INSERT INTO domain_tokens (subscription_id, domain, token)
        SELECT subscription_id, $2, $3 FROM subscriptions
         WHERE subscription_id = $1 AND state <> 'ERASED' FOR SHARE
        ON CONFLICT DO NOTHING
        """,
        subscription_id,
        domain,
        token,
    )
