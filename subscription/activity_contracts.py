"""Inputs and results of every activity, shared by workflows and activities.

These are the only words that TIME and WORLD share. `ACTIVITIES` names them; a test holds that each one
is implemented with exactly this signature.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from subscription.adjustment import AdjustmentInput, AdjustmentResult
from subscription.business_calendar import Instant
from subscription.catalogue import Catalogue
from subscription.events import Erased, Event
from subscription.invoice import InvoicesIssued, IssueInvoices
from subscription.model import Frozen
from subscription.notice_outbox import (
    DeliverNoticesInput,
    DeliverNoticesResult,
    QueueNoticesInput,
    QueueNoticesResult,
)
from subscription.reconciliation import (
    FinishReconciliation,
    ReconcilePage,
    ReconcilePageResult,
    ReconcileReport,
)
from subscription.refusals import Refusal
from subscription.retention import PurgeHistoriesInput, PurgeHistoriesResult, PurgeRowsInput, PurgeRowsResult
from subscription.state import State, Subscription
from subscription.timeline import Answer, ErasureCertificate, TimelineEntry


class ProvisionInput(Frozen):
    """Take the name, create account, administrator and workspace, record that the trial has started."""

    subscription_id: str
    request: Mapping[str, Any]
    accepted_at: Instant


class Provisioned(Frozen):
    """`state` is what the record holds, whichever attempt wrote it, with its latest timeline entries.

    `fingerprint` is that of its request.
    """

    outcome: Literal["PROVISIONED"] = "PROVISIONED"
    state: Subscription
    timeline: tuple[TimelineEntry, ...]
    fingerprint: str
    catalogues: tuple[Catalogue, ...]
    seal: str = ""


class RequestRefused(Frozen):
    """The request is refused, and nothing of it is left (R9)."""

    outcome: Literal["REFUSED"] = "REFUSED"
    refused: Refusal


ProvisionResult = Annotated[Provisioned | RequestRefused, Field(discriminator="outcome")]


class StoredAnswer(Frozen):
    """The answer to a command with an id, and the fingerprint that tells another body under it (R22)."""

    command_id: str
    fingerprint: str
    answer: Answer


class Transition(Frozen):
    """What is written as one transaction, keyed by subscription and sequence.

    `events` are numbered from `first_sequence` on, `state` is the state after them. `edition` says by
    which price book they were judged. `by` says who asked for each event; it is empty where nobody did.
    """

    subscription_id: str
    first_sequence: int
    events: tuple[Event, ...]
    state: Subscription
    edition: int
    answer: StoredAnswer | None = None
    by: tuple[str | None, ...] = ()

    def asked_by(self, sequence: int) -> str | None:
        """Who asked for the event of this number."""
        position = sequence - self.first_sequence
        return self.by[position] if position < len(self.by) else None


class Recorded(Frozen):
    """`events` are what was recorded, where the argument itself does not come into the history.

    `seal` proves then that a worker has recorded them.
    """

    outcome: Literal["RECORDED"] = "RECORDED"
    events: tuple[Event, ...] = ()
    seal: str = ""


class NameTaken(Frozen):
    """Nothing was written: another live subscription holds the name (R5)."""

    outcome: Literal["NAME_TAKEN"] = "NAME_TAKEN"


class PriceBookOutdated(Frozen):
    """Nothing was written: the prices were judged by an older book; these versions are newer (R19)."""

    outcome: Literal["BOOK_OUTDATED"] = "BOOK_OUTDATED"
    newer: tuple[Catalogue, ...]


RecordResult = Annotated[Recorded | NameTaken | PriceBookOutdated, Field(discriminator="outcome")]


class NewerCataloguesInput(Frozen):
    edition: int


class NewerCataloguesResult(Frozen):
    newer: tuple[Catalogue, ...]


class StoredAnswerInput(Frozen):
    """The answer to a command that was accepted under this id. An id of before `since` may be used again."""

    subscription_id: str
    command_id: str
    fingerprint: str
    since: Instant | None = None


class AnswerRecalled(Frozen):
    """The original answer; `reused` if the id belongs to another command; neither if the id is new."""

    answer: Answer | None = None
    reused: bool = False


class DomainTokenInput(Frozen):
    subscription_id: str
    domain: str


class DomainTokenResult(Frozen):
    token: str


class DomainCheckInput(Frozen):
    """Look for the proof of each of these domains, each with its own token (R12)."""

    tokens: Mapping[str, str]
    cname_target: str


class DomainCheckResult(Frozen):
    proved: tuple[str, ...]


class EraseInput(Frozen):
    """Delete all data of a subscription and certify it (R31)."""

    subscription_id: str
    sequence: int
    event: Erased
    state: Subscription


class CustomerEvent(Frozen):
    """An entry of a timeline among all events of a customer; `number` goes up in the order of recording."""

    number: int
    subscription_id: str
    sequence: int
    at: Instant
    event: str
    state: State
    message: str


class DeleteHistoriesInput(Frozen):
    """Delete every earlier run of this workflow; `run_ids` are those that it knows of (R31).

    `erased_at` asks for a certificate; a request that was refused has nothing to certify. `forgotten` is how
    many runs there were before the first of `run_ids`, which are found in the server's lists.
    """

    run_ids: tuple[str, ...]
    forgotten: int = 0
    erased_at: Instant | None = None


class DeleteHistoriesResult(Frozen):
    runs: int


ACTIVITIES: Mapping[str, tuple[type[Frozen], Any]] = {
    "provision_subscription": (ProvisionInput, ProvisionResult),
    "record_transition": (Transition, RecordResult),
    "newer_catalogues": (NewerCataloguesInput, NewerCataloguesResult),
    "recall_answer": (StoredAnswerInput, AnswerRecalled),
    "issue_domain_token": (DomainTokenInput, DomainTokenResult),
    "look_for_proof": (DomainCheckInput, DomainCheckResult),
    "erase_subscription": (EraseInput, ErasureCertificate),
    "delete_histories": (DeleteHistoriesInput, DeleteHistoriesResult),
    "adjust_ledger": (AdjustmentInput, AdjustmentResult),
    "issue_invoices": (IssueInvoices, InvoicesIssued),
    "reconcile_record": (ReconcilePage, ReconcilePageResult),
    "reconcile_running": (ReconcilePage, ReconcilePageResult),
    "reconcile_closed": (ReconcilePage, ReconcilePageResult),
    "reconcile_adjustments": (ReconcilePage, ReconcilePageResult),
    "reconcile_invoices": (ReconcilePage, ReconcilePageResult),
    "finish_reconciliation": (FinishReconciliation, ReconcileReport),
    "purge_histories": (PurgeHistoriesInput, PurgeHistoriesResult),
    "purge_rows": (PurgeRowsInput, PurgeRowsResult),
    "tell_notices": (QueueNoticesInput, QueueNoticesResult),
    "deliver_notices": (DeliverNoticesInput, DeliverNoticesResult),
}

CALLERS: Mapping[str, tuple[str, ...]] = {
    name: callers
    for callers, names in {
        ("SubscriptionWorkflow",): (
            "provision_subscription",
            "record_transition",
            "newer_catalogues",
            "recall_answer",
            "issue_domain_token",
            "look_for_proof",
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
        ("NoticesWorkflow",): ("tell_notices",),
        ("NoticesWorkflow", "NoticesDeliveryWorkflow"): ("deliver_notices",),
    }.items()
    for name in names
}
"""The workflow types that schedule an activity; a call from any other workflow is refused."""
