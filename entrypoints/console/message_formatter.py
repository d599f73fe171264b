"""Texts of a subscription's events and values in the language of a page."""

from adapters.translation import Translator
from subscription.adjustment import AdjustmentReason
from subscription.catalogue import PriceBook
from subscription.contract import Contract, ContractTerm, RenewalTerms
from subscription.deadlines import Deadline, DeadlineKind
from subscription.event_messages import SENTENCES, event_message, messages_of
from subscription.events import (
    Canceled,
    ContractRenewed,
    Erased,
    Event,
    ServiceFeesPosted,
    SwitchedToPaid,
    TrialEnded,
)
from subscription.labels import (
    DEADLINES,
    deadline_label,
    renewal_label,
    reservation_label,
)
from subscription.ledger import LedgerLine, LineKind
from subscription.notice_outbox import NoticeKind, NoticeState
from subscription.record_labels import ADJUSTMENT_REASONS, CHANNELS, LINE_KINDS
from subscription.state import Access, ReservedCancellation, ReservedSwitch, State
from subscription.timeline import RecordedEntry

_ABOUT_CHARGES = frozenset(
    SENTENCES[key] for key in ("SERVICE_FEES", "NO_SERVICE_FEES", "LAST_CHARGES", "LAST_CHARGES.NONE")
)


class MessageFormatter:
    """Format events and domain values in one language. Plans are shown by their titles."""

    def __init__(self, translator: Translator, book: PriceBook) -> None:
        titles = {plan: offer.title for version in book.versions for plan, offer in version.plans.items()}
        self._translator = Translator(translator.language, titles)

    def plan(self, plan: str) -> str:
        return self._translator.plan(plan)

    def term(self, term: ContractTerm | str) -> str:
        return self._translator.term(term)

    def state(self, state: State | str) -> str:
        gettext = self._translator.gettext
        return {
            State.PROVISIONING: gettext("Starting"),
            State.TRIAL: gettext("Free trial"),
            State.SUSPENDED: gettext("Suspended"),
            State.ACTIVE: gettext("Active"),
            State.CANCELED: gettext("Canceled"),
            State.ERASED: gettext("Erased"),
            State.REJECTED: gettext("Rejected"),
        }[State(state)]

    def access(self, access: Access | str) -> str:
        gettext = self._translator.gettext
        return {
            Access.FULL: gettext("Full"),
            Access.RESTRICTED: gettext("Restricted"),
            Access.NONE: gettext("None"),
        }[Access(access)]

    def issuer(self, entry: RecordedEntry) -> str:
        """Return the name of the issuer, if there is one, and the channel."""
        channel = self._translator.gettext(CHANNELS[entry.channel])
        return f"{entry.by} · {channel}" if entry.by else channel

    def deadline(self, deadline: Deadline) -> str:
        return self._translator.message(deadline_label(deadline))

    def deadline_kind(self, kind: DeadlineKind) -> str:
        """Return the label of a kind of deadline, without a month."""
        gettext = self._translator.gettext
        return gettext("Service fees") if kind is DeadlineKind.SERVICE_FEES else gettext(DEADLINES[kind])

    def line_kind(self, kind: LineKind | str) -> str:
        return self._translator.gettext(LINE_KINDS[LineKind(kind)])

    def notice(self, kind: NoticeKind | str) -> str:
        """Return the label of a kind of notice."""
        gettext = self._translator.gettext
        return {
            NoticeKind.TRIAL_ENDING: gettext("The trial ends"),
            NoticeKind.DELETION_DUE: gettext("All data will be deleted"),
            NoticeKind.SWITCH_DUE: gettext("A reserved switch is due"),
            NoticeKind.CONTRACT_ENDING: gettext("The contract period ends"),
            NoticeKind.PRICE_RISE: gettext("The price rises"),
            NoticeKind.DOMAIN_UNVERIFIED: gettext("The domain is not verified"),
            NoticeKind.RENAME_UNVERIFIED: gettext("The new domain is not verified"),
            NoticeKind.TRIAL_STARTED: gettext("Your free trial of NAVER WORKS has started"),
            NoticeKind.TRIAL_ENDED: gettext("Your free trial of NAVER WORKS has ended"),
            NoticeKind.SWITCH_RESERVED: gettext("The switch to a paid plan is reserved"),
            NoticeKind.SWITCHED_TO_PAID: gettext("NAVER WORKS has switched to a paid plan"),
            NoticeKind.RENEWAL_OPTION_CHANGED: gettext("Your renewal option has changed"),
            NoticeKind.UPGRADED: gettext("Your upgrade of NAVER WORKS is in effect"),
            NoticeKind.CONTRACT_RENEWED: gettext("Your next contract for NAVER WORKS has begun"),
            NoticeKind.CANCELLATION_RESERVED: gettext("The cancellation is reserved"),
            NoticeKind.RESERVATION_WITHDRAWN: gettext("Your reservation is withdrawn"),
            NoticeKind.DOMAIN_CONFIRMED: gettext("The ownership of your domain is verified"),
            NoticeKind.DOMAIN_LOST: gettext("The ownership of your domain could not be verified"),
            NoticeKind.ACCOUNT_RENAMED: gettext("Your account has a new name"),
            NoticeKind.RENAME_HELD: gettext("Your new domain name is reserved"),
            NoticeKind.RENAME_WITHDRAWN: gettext("The change of your account name is withdrawn"),
        }[NoticeKind(kind)]

    def notice_state(self, state: NoticeState | str) -> str:
        gettext = self._translator.gettext
        return {
            NoticeState.WAITING: gettext("Waiting to be sent"),
            NoticeState.SENT: gettext("Sent"),
            NoticeState.OUTDATED: gettext("Not sent, because it no longer applies"),
            NoticeState.UNDELIVERABLE: gettext("Not deliverable"),
        }[NoticeState(state)]

    def reason(self, reason: AdjustmentReason) -> str:
        return self._translator.gettext(ADJUSTMENT_REASONS[reason])

    def erased(self, what: str) -> str:
        """Return the label of a kind of deleted data, by its name in an erasure certificate (R31)."""
        gettext = self._translator.gettext
        return {
            "account_names": gettext("Account names"),
            "administrators": gettext("Administrators"),
            "companies": gettext("Company information"),
            "console_sessions": gettext("Sessions in NAVER WORKS Admin"),
            "domain_tokens": gettext("Domain verifications"),
            "event_private_data": gettext("Names in activity log"),
            "exports": gettext("Times of exports"),
            "members": gettext("Members"),
            "notice_emails": gettext("Emails"),
            "workflow_runs": gettext("Request history"),
            "workspaces": gettext("Workspaces"),
        }.get(what, what)

    def last_day(self, period: LedgerLine | Contract) -> str:
        return self._translator.end_day(period.end_day)

    def option(self, option: RenewalTerms | None) -> str:
        """Return the terms of the next contract, capitalized as in a list of facts."""
        text = self._translator.message(renewal_label(option))
        return text[0].upper() + text[1:]

    def reservation(self, reserved: ReservedSwitch | ReservedCancellation) -> str:
        return self._translator.message(reservation_label(reserved))

    def event(self, event: Event, *, to_come: bool = False) -> str:
        """Return the complete message of an event; `to_come` is True for an event in the future."""
        return event_message(event, self._translator, to_come=to_come)

    def forecast_label(self, event: Event) -> str:
        """Return the label of the deadline that will cause an event."""
        return self.deadline(Deadline(at=event.at, what=_deadline_kind(event)))

    def forecast_detail(self, event: Event) -> str:
        """Return the message of an event in the future, without the charges; empty for service fees."""
        sentences = (each for each in messages_of(event, to_come=True) if each.template not in _ABOUT_CHARGES)
        return " ".join(map(self._translator.message, sentences))


def _deadline_kind(event: Event) -> DeadlineKind:
    """Return the kind of the deadline that causes an event of a forecast."""
    match event:
        case ServiceFeesPosted():
            return DeadlineKind.SERVICE_FEES
        case SwitchedToPaid():
            return DeadlineKind.SWITCH_TO_PAID
        case TrialEnded() | Canceled(because="TRIAL_ENDED"):
            return DeadlineKind.TRIAL_END
        case Canceled(because="GRACE_ENDED"):
            return DeadlineKind.GRACE_END
        case Canceled():
            return DeadlineKind.CANCELLATION
        case ContractRenewed():
            return DeadlineKind.CONTRACT_END
        case Erased():
            return DeadlineKind.ERASURE
        case _:
            raise ValueError(f"No deadline causes {event.event}")
