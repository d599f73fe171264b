"""Activities that provision a subscription and issue domain tokens (R5, R9, R12)."""

import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from temporalio import activity

from activities import metrics
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres import (
    account_name_repository,
    notice_outbox,
    recorded_subscription,
    recorded_timeline,
    subscription_repository,
)
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner, wanted_workspace
from subscription.account import AccountKind
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
from subscription.confirmations import confirmations
from subscription.decide import start_trial
from subscription.events import TrialStarted
from subscription.price_needs import needed_versions, price_needs
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import Request, name_taken_refusal, parse_request, too_many_trials_refusal
from subscription.state import Subscription, provisioning
from subscription.timeline import timeline_entry
from subscription.validation import parse_strict


class ProvisioningActivities:
    """`allow_simulation` permits a start at a simulated time. Never set it in production."""

    def __init__(
        self, pool: Pool, workspaces: WorkspaceProvisioner, emails: NoticeEmails, *, allow_simulation: bool
    ) -> None:
        self._pool = pool
        self._workspaces = workspaces
        self._emails = emails
        self._allow_simulation = allow_simulation

    @activity.defn
    async def provision_subscription(self, input: ProvisionInput) -> ProvisionResult:
        """Provision the subscription in one transaction.

        If it is already recorded, return the recorded state, to a retry as well as to a restarted workflow.
        """
        try:
            provisioned = await self._provision(input)
        except RefusalError as error:
            return RequestRefused(refused=error.refused)
        await self._workspaces.put(wanted_workspace(provisioned.state))
        return provisioned

    async def _provision(self, input: ProvisionInput) -> Provisioned:
        async with self._pool.acquire() as connection, connection.transaction():
            await subscription_repository.lock_subscription_id(connection, input.subscription_id)
            book = await load_price_book(connection)
            state = await recorded_subscription.snapshot(connection, input.subscription_id)
            if state is not None:
                return await _existing(connection, state, book, input.request)
            request = self._validate(input, book)
            state, started = await self._start(connection, request, input, book)
        metrics.count_recorded_events(input.subscription_id, 1, (started,))
        return Provisioned(
            state=state,
            timeline=(timeline_entry(started, state),),
            fingerprint=request.fingerprint(),
            book=needed_versions(book, price_needs(state)),
        )

    def _validate(self, input: ProvisionInput, book: PriceBook) -> Request:
        request = parse_request(input.request, book, input.accepted_at)
        if isinstance(request, Refusal):
            raise RefusalError(request)
        if request.simulated_at is not None and not self._allow_simulation:
            raise refusal(RefusalCode.SIMULATION_NOT_ALLOWED, "simulated_at")
        return request

    async def _start(
        self, connection: Connection, request: Request, input: ProvisionInput, book: PriceBook
    ) -> tuple[Subscription, TrialStarted]:
        account = request.account.account
        catalogue = book.in_force(day_of(input.accepted_at))
        assert catalogue is not None, "a request is refused while nothing is on sale"
        if catalogue.trial.per_customer is not None:
            await subscription_repository.lock_customer(connection, request.customer_id)
            trials = await recorded_subscription.count_trials(connection, request.customer_id)
            if refused := too_many_trials_refusal(catalogue, trials):
                raise RefusalError(refused)
        token = secrets.token_hex(16)
        started = start_trial(input.accepted_at, account, request.agreed_terms, catalogue, token)
        requested = provisioning(input.subscription_id, request)
        state = apply(requested, started)
        if not await subscription_repository.insert_subscription(connection, state, request):
            raise refusal(RefusalCode.REQUEST_ID_REUSED, "request_id")
        take_name = (
            account_name_repository.hold_group_name
            if account.kind is AccountKind.GROUP
            else account_name_repository.claim_domain
        )
        if not await take_name(connection, state.subscription_id, account.name):
            raise RefusalError(name_taken_refusal(account.kind))
        await save_contacts(connection, state.subscription_id, request)
        if started.pending_domain:
            await save_domain_token(
                connection, state.subscription_id, started.pending_domain.name, started.pending_domain.token
            )
        issuers = (request.recorded_issuer,)
        await subscription_repository.insert_events(connection, state, 1, (started,), issuers)
        confirmed = confirmations(requested, (started,), book)
        await notice_outbox.queue_confirmations(connection, confirmed, book, self._emails)
        return state, started

    @activity.defn
    async def issue_domain_token(self, input: DomainTokenInput) -> DomainTokenResult:
        """Return the token of a subscription and domain: 128 random bits, stable across calls (R12)."""
        async with self._pool.acquire() as connection, connection.transaction():
            return DomainTokenResult(
                token=await _domain_token(connection, input.subscription_id, input.domain)
            )


async def _existing(
    connection: Connection, state: Subscription, book: PriceBook, request: Mapping[str, Any]
) -> Provisioned:
    if state.state.is_terminal:
        if not await subscription_repository.matches_erased_request(
            connection, state.subscription_id, _fingerprint_of(request)
        ):
            raise refusal(RefusalCode.REQUEST_ID_REUSED, "request_id")
        raise refusal(RefusalCode.SUBSCRIPTION_ENDED)
    return Provisioned(
        state=state,
        timeline=await recorded_timeline.latest_timeline(connection, state.subscription_id),
        fingerprint=await subscription_repository.request_fingerprint(connection, state.subscription_id),
        book=needed_versions(book, price_needs(state)),
    )


def _fingerprint_of(request: Mapping[str, Any]) -> str | None:
    try:
        return parse_strict(Request, dict(request)).fingerprint()
    except ValidationError:
        return None


async def save_contacts(connection: Connection, subscription_id: str, request: Request) -> None:
    """Insert the administrator and the company of a request; existing rows stay unchanged."""
    await connection.execute(
        """
        WITH administrator AS (
            INSERT INTO administrators (subscription_id, admin_id, password_hash) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
        )
        INSERT INTO companies (subscription_id, company_name, company_phone, contact_email)
        VALUES ($1, $4, $5, $6)
        ON CONFLICT DO NOTHING
        """,
        subscription_id,
        request.admin_id,
        request.password_hash,
        request.company_name,
        request.company_phone,
        request.contact_email,
    )


async def _domain_token(connection: Connection, subscription_id: str, domain: str) -> str:
    await save_domain_token(connection, subscription_id, domain, secrets.token_hex(16))
    token: str = await connection.fetchval(
        "SELECT token FROM domain_tokens WHERE subscription_id = $1 AND domain = $2", subscription_id, domain
    )
    return token


async def save_domain_token(connection: Connection, subscription_id: str, domain: str, token: str) -> None:
    """Insert the token of an active subscription and domain; an existing token stays unchanged."""
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
