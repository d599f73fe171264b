"""Inputs and results of every activity, shared by workflows and activities.

Workflows and activities share no other types. `workflows/activity_stubs.py` has the signatures.
"""

from collections.abc import Mapping
from typing import Any, Literal

from subscription.business_calendar import Instant
from subscription.catalogue import PriceBook
from subscription.event_documents import EventDocument
from subscription.events import Erased, Event
from subscription.issuer import SYSTEM, Issuer
from subscription.model import Frozen
from subscription.price_needs import PriceNeeds
from subscription.refusals import Refusal
from subscription.state import State, Subscription
from subscription.timeline import Answer, TimelineEntry


class ProvisionInput(Frozen):
    """Reserve the name, create account, administrator and workspace, and record the start of the trial."""

    subscription_id: str
    request: Mapping[str, Any]
    accepted_at: Instant


class Provisioned(Frozen):
    """The recorded result of provisioning.

    `state` and `timeline` (its latest entries) are read from the database, whichever attempt wrote them.
    `fingerprint` is that of the request, `book` has the catalogue versions that the subscription needs.
    """

    outcome: Literal["PROVISIONED"] = "PROVISIONED"
    state: Subscription
    timeline: tuple[TimelineEntry, ...]
    fingerprint: str
    book: PriceBook
    signature: str = ""


class RequestRefused(Frozen):
    """The request is refused, and none of its data remains (R9)."""

    outcome: Literal["REFUSED"] = "REFUSED"
    refused: Refusal


ProvisionResult = Provisioned | RequestRefused


class StoredAnswer(Frozen):
    """The response to a command with an ID. The fingerprint detects another body under the same ID (R22)."""

    command_id: str
    fingerprint: str
    answer: Answer


class Transition(Frozen):
    """A state transition, written in one transaction and keyed by subscription and sequence.

    `events` are numbered from `first_sequence` on; `state` is the state after them. `revision` identifies the
    price book of the decision. `issuers` are those of the events' commands; deadlines have none.
    `claims` are the domains that no other subscription may have verified: then nothing is written (R12).
    """

    subscription_id: str
    first_sequence: int
    events: tuple[Event, ...]
    state: Subscription
    revision: int
    answer: StoredAnswer | None = None
    issuers: tuple[Issuer, ...] = ()
    claims: tuple[str, ...] = ()

    def issuer(self, sequence: int) -> Issuer:
        """Return the issuer of the command that caused the event of this number."""
        position = sequence - self.first_sequence
        return self.issuers[position] if position < len(self.issuers) else SYSTEM


class Recorded(Frozen):
    """The transition is recorded.

    `events` are the documents of the recorded events if the history does not contain the activity's input (a
    local activity). In this case `signature` proves that a worker has recorded them.
    """

    outcome: Literal["RECORDED"] = "RECORDED"
    events: tuple[EventDocument, ...] = ()
    signature: str = ""


class NameTaken(Frozen):
    """Nothing was written: another active subscription holds the name (R5)."""

    outcome: Literal["NAME_TAKEN"] = "NAME_TAKEN"


class PriceBookOutdated(Frozen):
    """Nothing was written: the decision used a price book without the newest versions (R19)."""

    outcome: Literal["PRICE_BOOK_OUTDATED"] = "PRICE_BOOK_OUTDATED"


class DomainsLost(Frozen):
    """Nothing was written: other subscriptions have verified these domains first (R12)."""

    outcome: Literal["DOMAINS_LOST"] = "DOMAINS_LOST"
    domains: tuple[str, ...]


RecordResult = Recorded | NameTaken | PriceBookOutdated | DomainsLost


class PriceBookInput(Frozen):
    """Load the price book, unless `revision` is still the newest one."""

    revision: int
    needs: PriceNeeds


class PriceBookResult(Frozen):
    """The catalogue versions that the subscription needs; None if its book has the newest one."""

    book: PriceBook | None


class StoredAnswerInput(Frozen):
    """Load the response to a command accepted under this ID. An ID used before `since` may be used again."""

    subscription_id: str
    command_id: str
    fingerprint: str
    since: Instant | None = None


class StoredAnswerResult(Frozen):
    """The original response, or `reused` if the ID belongs to another command; neither if the ID is new."""

    answer: Answer | None = None
    reused: bool = False


class DomainTokenInput(Frozen):
    subscription_id: str
    domain: str


class DomainTokenResult(Frozen):
    token: str


class DomainCheckInput(Frozen):
    """Look up the verification records of these domains, each with its own token (R12)."""

    subscription_id: str
    tokens: Mapping[str, str]
    cname_target: str


class DomainCheckResult(Frozen):
    """The domains with a verification record, and those that other subscriptions have verified first."""

    verified: tuple[str, ...]
    lost: tuple[str, ...] = ()


class MembersInUseInput(Frozen):
    subscription_id: str


class MembersInUseResult(Frozen):
    """The members in use of the product, including the administrator, who uses one seat (R36)."""

    members: int


class EraseInput(Frozen):
    """Delete all data of a subscription and certify it (R31)."""

    subscription_id: str
    sequence: int
    event: Erased
    state: Subscription


class CustomerEvent(Frozen):
    """A timeline entry among all events of a customer. `number` increases in the order of recording."""

    number: int
    subscription_id: str
    sequence: int
    at: Instant
    event: str
    state: State
    message: str


class DeleteHistoriesInput(Frozen):
    """Delete every earlier run of this workflow (R31).

    `run_ids` are the runs that the workflow has stored. `forgotten` is the number of runs before the first of
    them; the activity finds those in the server's list of workflows. `erased_at` requests a certificate; it
    is None for a refused request, which has nothing to certify.
    """

    run_ids: tuple[str, ...]
    forgotten: int = 0
    erased_at: Instant | None = None


class DeleteHistoriesResult(Frozen):
    runs: int


CALLERS: Mapping[str, tuple[str, ...]] = {
    name: callers
    for callers, names in {
        ("SubscriptionWorkflow",): (
            "provision_subscription",
            "record_transition",
            "post_charges",
            "get_price_book",
            "get_stored_answer",
            "issue_domain_token",
            "check_domain_records",
            "count_members_in_use",
            "erase_subscription",
            "delete_histories",
        ),
        ("AdjustmentWorkflow",): ("adjust_ledger",),
        ("InvoicesWorkflow",): ("issue_invoices",),
        ("ReconcileWorkflow",): (
            "reconcile_record",
            "reconcile_running",
            "reconcile_closed",
            "reconcile_adjustments",
            "reconcile_invoices",
            "finish_reconciliation",
        ),
        ("PurgeWorkflow",): ("purge_histories", "purge_rows"),
        ("NoticesWorkflow",): ("queue_notices",),
        ("BulkWorkflow",): ("load_bulk_items", "send_bulk_command", "record_bulk_state"),
    }.items()
    for name in names
}
"""The workflow types that may schedule each activity; a call from any other workflow is refused."""
