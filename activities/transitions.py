"""Activity that records a transition in one transaction."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import metrics
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres import (
    account_name_repository,
    notice_outbox,
    recorded_subscription,
    subscription_repository,
)
from adapters.postgres.catalogue_repository import newest_revision
from adapters.postgres.command_answers import stored_answer
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.workspace_provisioner import (
    WorkspaceProvisioner,
    members_in_use,
    wanted_workspace,
)
from subscription.account import AccountKind
from subscription.activity_contracts import (
    DomainsLost,
    NameTaken,
    PriceBookOutdated,
    Recorded,
    RecordResult,
    StoredAnswerInput,
    StoredAnswerResult,
    Transition,
)
from subscription.confirmations import begins_contract, confirmations
from subscription.event_documents import EventDocument, event_document
from subscription.events import (
    AccountRenamed,
    DomainConfirmed,
    DomainLost,
    Event,
    RenameHeld,
    RenameWithdrawn,
    ServiceFeesPosted,
    equal_except_private,
)

RECORD_DIVERGED = "RECORD_DIVERGED"


class RecordDivergedError(ApplicationError):
    """The database and the workflow have diverged. Nothing is written until an operator intervenes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type=RECORD_DIVERGED)


class _RollbackWithResultError(Exception):
    """Roll back the transaction and return this result."""

    def __init__(self, result: NameTaken | PriceBookOutdated | DomainsLost) -> None:
        self.result = result


class TransitionActivities:
    def __init__(self, pool: Pool, workspaces: WorkspaceProvisioner, emails: NoticeEmails) -> None:
        self._pool = pool
        self._workspaces = workspaces
        self._emails = emails

    @activity.defn
    async def record_transition(self, transition: Transition) -> RecordResult:
        """Record a transition. Repeating it changes nothing.

        In the same transaction, the confirmations of the events are queued (R34), and the trigger
        `queue_webhooks` on `lifecycle_events` fills the webhook outbox.
        """
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                written = await _record(connection, transition, self._emails)
        except _RollbackWithResultError as rollback:
            return rollback.result
        if written:
            metrics.count_recorded_events(
                transition.subscription_id, transition.first_sequence, transition.events
            )
        if any(not isinstance(event, ServiceFeesPosted) for event in transition.events):
            await self._workspaces.put(wanted_workspace(transition.state))
        return Recorded(events=_documents(transition) if _is_local() else ())

    @activity.defn
    async def get_stored_answer(self, input: StoredAnswerInput) -> StoredAnswerResult:
        """Return the stored answer of the command with this ID (R22)."""
        return await stored_answer(self._pool, input)


async def _record(connection: Connection, transition: Transition, emails: NoticeEmails) -> bool:
    """Write the events; return False if an earlier attempt has already written them."""
    recorded = await subscription_repository.lock_row_and_get_sequence(connection, transition.subscription_id)
    if recorded is None or recorded < transition.first_sequence - 1:
        raise RecordDivergedError(
            f"event {transition.first_sequence} does not follow the recorded event {recorded}"
        )
    if recorded >= transition.first_sequence:
        if await _is_recorded(connection, transition):
            return False
        # An earlier attempt may have used newer prices, and its worker may have died before it reported them.
        await _refuse_outdated(connection, transition)
        raise RecordDivergedError(
            f"event {transition.first_sequence} is already recorded with different content"
        )
    await _refuse_outdated(connection, transition)
    await _refuse_lost(connection, transition)
    await _queue_confirmations(connection, transition, emails)
    await subscription_repository.update_subscription(connection, transition.state)
    for event in transition.events:
        await _change_names(connection, transition.subscription_id, event)
    await subscription_repository.insert_events(
        connection, transition.state, transition.first_sequence, transition.events, transition.issuers
    )
    await _keep_answer(connection, transition)
    return True


async def _queue_confirmations(connection: Connection, transition: Transition, emails: NoticeEmails) -> None:
    """Queue the confirmations of the events; the recorded state is still the one before them (R34)."""
    if all(isinstance(event, ServiceFeesPosted) for event in transition.events):
        return  # Most transitions post service fees only, which have no confirmation.
    before = await recorded_subscription.snapshot(connection, transition.subscription_id)
    assert before is not None
    book, in_use = await load_price_book(connection), 0
    if any(map(begins_contract, transition.events)):
        in_use = await members_in_use(connection, transition.subscription_id)
    confirmed = confirmations(before, transition.events, book, in_use)
    await notice_outbox.queue_confirmations(connection, confirmed, book, emails)


async def _is_recorded(connection: Connection, transition: Transition) -> bool:
    first = transition.events[0]
    recorded = await subscription_repository.recorded_event(
        connection, transition.subscription_id, transition.first_sequence
    )
    return recorded is not None and equal_except_private(recorded, first)


async def _refuse_outdated(connection: Connection, transition: Transition) -> None:
    newest = await newest_revision(connection)
    if newest < transition.revision:
        raise RecordDivergedError(f"the database has fewer than {transition.revision} catalogue versions")
    if newest > transition.revision:
        raise _RollbackWithResultError(PriceBookOutdated())


async def _refuse_lost(connection: Connection, transition: Transition) -> None:
    if transition.claims and (
        lost := await account_name_repository.lost_domains(
            connection, transition.subscription_id, transition.claims
        )
    ):
        raise _RollbackWithResultError(DomainsLost(domains=lost))


async def _change_names(connection: Connection, subscription_id: str, event: Event) -> None:
    """Take and release the account names of an event (R5, R10, R12)."""
    match event:
        case AccountRenamed(account=account, released=released) if account:
            await account_name_repository.lock_claims(connection, (account.name, *released))
            await account_name_repository.release_names(connection, subscription_id, released)
            if account.kind is AccountKind.DOMAIN:
                await _hold_domain(connection, subscription_id, account.name)
            elif not await account_name_repository.hold_group_name(connection, subscription_id, account.name):
                raise _RollbackWithResultError(NameTaken())
        case RenameHeld(pending_domain=pending_domain, released=released) if pending_domain:
            await account_name_repository.release_names(connection, subscription_id, released)
            if not await account_name_repository.claim_domain(
                connection, subscription_id, pending_domain.name
            ):
                raise _RollbackWithResultError(NameTaken())
        case RenameWithdrawn(released=released):
            await account_name_repository.release_names(connection, subscription_id, released)
        case DomainConfirmed(domain=domain) if domain:
            await _hold_domain(connection, subscription_id, domain)
        case DomainLost(purpose="ACCOUNT", domain=domain) if domain:
            await account_name_repository.set_domain_status(connection, subscription_id, domain, "LOST")
        case DomainLost(domain=domain) if domain:
            await account_name_repository.release_names(connection, subscription_id, (domain,))


async def _hold_domain(connection: Connection, subscription_id: str, domain: str) -> None:
    if not await account_name_repository.hold_domain(connection, subscription_id, domain):
        raise _RollbackWithResultError(DomainsLost(domains=(domain,)))


async def _keep_answer(connection: Connection, transition: Transition) -> None:
    if transition.answer:
        sequence = transition.first_sequence - 1 + len(transition.events)
        await subscription_repository.save_answer(
            connection, transition.subscription_id, sequence, transition.answer
        )


def _documents(transition: Transition) -> tuple[EventDocument, ...]:
    return tuple(event_document(transition.subscription_id, event) for event in transition.events)


def _is_local() -> bool:
    return activity.in_activity() and activity.info().is_local
