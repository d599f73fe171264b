"""Inputs and results of every activity, shared by workflows and activities.

These are the only words that TIME and WORLD share. `ACTIVITIES` names them; a test holds that each one
is implemented with exactly this signature.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from subscription.adjustment import AdjustAsOf, AdjustResult
from subscription.business_calendar import Instant
from subscription.catalogue import Catalogue
from subscription.events import Erased, Event
from subscription.invoice import InvoicesIssued, IssueInvoices
from subscription.model import Frozen
from subscription.notice_outbox import DeliverNotices, NoticesDelivered, NoticesTold, TellNotices
from subscription.reconciliation import FinishReconciliation, Reconciled, ReconcilePage, ReconcileReport
from subscription.refusals import Refused
from subscription.retention import HistoriesPurged, PurgeHistories, PurgeRows, RowsPurged
from subscription.state import State, Subscription
from subscription.timeline import Answer, ErasureCertificate, TimelineEntry


class Provision(Frozen):
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
    refused: Refused


ProvisionResult = Annotated[Provisioned | RequestRefused, Field(discriminator="outcome")]


class AnswerToKeep(Frozen):
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
    answer: AnswerToKeep | None = None
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


class BookOutdated(Frozen):
    """Nothing was written: the prices were judged by an older book; these versions are newer (R19)."""

    outcome: Literal["BOOK_OUTDATED"] = "BOOK_OUTDATED"
    newer: tuple[Catalogue, ...]


RecordResult = Annotated[Recorded | NameTaken | BookOutdated, Field(discriminator="outcome")]


class KnownEdition(Frozen):
    edition: int


class NewerCatalogues(Frozen):
    newer: tuple[Catalogue, ...]


class AnswerWanted(Frozen):
    """The answer to a command that was accepted under this id. An id of before `since` may be used again."""

    subscription_id: str
    command_id: str
    fingerprint: str
    since: Instant | None = None


class AnswerRecalled(Frozen):
    """The original answer; `reused` if the id belongs to another command; neither if the id is new."""

    answer: Answer | None = None
    reused: bool = False


class TokenWanted(Frozen):
    subscription_id: str
    domain: str


class Token(Frozen):
    token: str


class ProofWanted(Frozen):
    """Look for the proof of each of these domains, each with its own token (R12)."""

    tokens: Mapping[str, str]
    cname_target: str


class ProofFound(Frozen):
    proved: tuple[str, ...]


class Erase(Frozen):
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


class DeleteHistories(Frozen):
    """Delete every earlier run of this workflow; `run_ids` are those that it knows of (R31).

    `erased_at` asks for a certificate; a request that was refused has nothing to certify. `forgotten` is how
    many runs there were before the first of `run_ids`, which are found in the server's lists.
    """

    run_ids: tuple[str, ...]
    forgotten: int = 0
    erased_at: Instant | None = None


class HistoriesDeleted(Frozen):
    runs: int


ACTIVITIES: Mapping[str, tuple[type[Frozen], Any]] = {
    "provision_subscription": (Provision, ProvisionResult),
    "record_transition": (Transition, RecordResult),
    "newer_catalogues": (KnownEdition, NewerCatalogues),
    "recall_answer": (AnswerWanted, AnswerRecalled),
    "issue_domain_token": (TokenWanted, Token),
    "look_for_proof": (ProofWanted, ProofFound),
    "erase_subscription": (Erase, ErasureCertificate),
    "delete_histories": (DeleteHistories, HistoriesDeleted),
    "adjust_ledger": (AdjustAsOf, AdjustResult),
    "issue_invoices": (IssueInvoices, InvoicesIssued),
    "reconcile_record": (ReconcilePage, Reconciled),
    "reconcile_running": (ReconcilePage, Reconciled),
    "reconcile_closed": (ReconcilePage, Reconciled),
    "reconcile_adjustments": (ReconcilePage, Reconciled),
    "reconcile_invoices": (ReconcilePage, Reconciled),
    "finish_reconciliation": (FinishReconciliation, ReconcileReport),
    "purge_histories": (PurgeHistories, HistoriesPurged),
    "purge_rows": (PurgeRows, RowsPurged),
    "tell_notices": (TellNotices, NoticesTold),
    "deliver_notices": (DeliverNotices, NoticesDelivered),
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
