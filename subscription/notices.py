"""Selection of the notices that are due to a customer on a given day.

The policy, `[notices]` of the catalogue, has the numbers of days before an event on which customers are
notified. The notice that is due is the one with the smallest number of days that has been reached: with
notices seven, three and one day before, the three-day notice is due three and two days before. A missed run
is therefore made up by a later one, until the event happens or the next notice replaces the missed one.
Future events are never calculated here: they come from running the rules forward on a copy of the state.

The deletion of all data has its own notice (R34). On each day at most one notice announces the same end: of
the notices that contain it, the one whose day was reached last.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise

from subscription.account import AccountKind
from subscription.business_calendar import Day, day_of, start_of
from subscription.catalogue import NoticePolicy, PriceBook
from subscription.contract import ContractTerm
from subscription.domain_verification import PendingDomain
from subscription.due_events import advance
from subscription.events import Canceled, ContractRenewed, Event, SwitchedToPaid, TrialEnded
from subscription.forecast import future_events
from subscription.ledger import LedgerLine, LineKind
from subscription.model import Frozen
from subscription.notice_outbox import Addressee, NoticeKind
from subscription.price_rises import PriceRise, price_rises
from subscription.state import ReservedCancellation, State, Subscription

NoticeKey = tuple[NoticeKind, date, int]

_END_NOTICES = (
    NoticeKind.TRIAL_ENDING,
    NoticeKind.CONTRACT_ENDING,
    NoticeKind.PRICE_RISE,
    NoticeKind.DELETION_DUE,
)
"""The notices of the end of a trial, of a contract and of the subscription. A later kind has precedence."""


class BaseNotice(Frozen):
    """The common contents of the emails of notices.

    `event_date` is the business date of the event, or the date since which a domain is not verified.
    `happens` is the future event, and `lines` are the charges at that time. `sequence` is 0 for a notice of
    the daily job.
    """

    kind: NoticeKind
    event_date: Day
    threshold_days: int = 0
    sequence: int = 0
    state: Subscription
    happens: Event | None = None
    lines: tuple[LedgerLine, ...] = ()
    pending_domain: PendingDomain | None = None

    @property
    def charged(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def penalty(self) -> int:
        """Return the early-termination charges among the charges (R30)."""
        return sum(line.amount for line in self.lines if line.kind is not LineKind.SERVICE_FEE)


class Notice(BaseNotice):
    """A notice of the daily job.

    `threshold_days` is the number of days of the policy that has been reached. `then` is the event after
    `happens`. `state` is the subscription at the start of the day.
    """

    threshold_days: int
    then: Event | None = None
    price_rise: PriceRise | None = None

    @property
    def key(self) -> NoticeKey:
        """Return the key of the notice; a subscription gets each key once."""
        return self.kind, self.event_date, self.threshold_days


def notices_due(state: Subscription, day: date, book: PriceBook) -> tuple[Notice, ...]:
    """Return the notices that are due on `day`, but not before the subscription's last event."""
    today = max(day, day_of(state.last_at)) if state.last_at else day
    state = advance(state, start_of(today), book)
    if not state.state.accepts_commands:
        return ()
    policy = book.notice_policy
    return (*_event_notices(state, today, policy, book), *_domain_notices(state, today, policy))


def recipients(
    state: Subscription, contact_email: str | None, policy: NoticePolicy
) -> Mapping[Addressee, str]:
    """Return the addresses that notices are sent to; none if no address can be used.

    The administrator's mailbox belongs to the product and cannot be read while the subscription is suspended.
    Then only the contact address receives notices, if there is one.
    """
    administrator = administrator_address(state, policy)
    if contact_email is None or contact_email.casefold() == (administrator or "").casefold():
        return {Addressee.ADMINISTRATOR: administrator} if administrator else {}
    if administrator is None or state.state is State.SUSPENDED:
        return {Addressee.CONTACT: contact_email}
    return {Addressee.ADMINISTRATOR: administrator, Addressee.CONTACT: contact_email}


def administrator_address(state: Subscription, policy: NoticePolicy) -> str | None:
    """Return the administrator's mail address: at the account's domain, or below the group mail domain.

    Return None if the domain is lost: then the address belongs to another organization (R12).
    """
    assert state.account is not None
    if state.domain_lost:
        return None
    name = state.account.name
    domain = name if state.account.kind is AccountKind.DOMAIN else f"{name}.{policy.group_mail_domain}"
    return f"{_local_part(state.admin_id or '')}@{domain}"


def _local_part(admin_id: str) -> str:
    """Return the ID, in quotes if it needs them: first, last or repeated dots are valid in an ID (R6)."""
    is_dot_atom = all(admin_id.split("."))
    return admin_id if is_dot_atom else f'"{admin_id}"'


def _event_notices(
    state: Subscription, today: date, policy: NoticePolicy, book: PriceBook
) -> Iterator[Notice]:
    last_day = today + _lookahead(policy)
    upcoming = (*_upcoming_occasions(state, last_day, book), *_price_rises(state, today, last_day, book))
    reached = (
        notice.model_copy(update={"threshold_days": days})
        for notice in upcoming
        if (days := _reached_days(notice, today, policy)) is not None
    )
    return _without_repetition(reached)


def _reached_days(notice: Notice, today: date, policy: NoticePolicy) -> int | None:
    """Return the smallest number of days of the policy that has been reached; None if none is."""
    left = (notice.event_date - today).days
    reached = [
        days for days in _days_before(notice, policy) if left <= days and not _is_confirmed(notice, days)
    ]
    return min(reached) if left > 0 and reached else None


def _is_confirmed(notice: Notice, days: int) -> bool:
    """Return whether a cancellation was reserved on this day before it, or later.

    The confirmation of the reservation contains the same information as the notice.
    """
    reserved = notice.state.reservation
    return (
        notice.kind is NoticeKind.DELETION_DUE
        and isinstance(reserved, ReservedCancellation)
        and reserved.reserved_on is not None
        and notice.event_date - timedelta(days=days) <= reserved.reserved_on
    )


def _without_repetition(notices: Iterable[Notice]) -> Iterator[Notice]:
    """Yield the notices; of several that announce the same end, only the one that was reached last.

    The notice of a trial's end also contains the deletion at the end of the grace period. A contract that is
    canceled at its end has one date for both, and so has a contract that is followed by a dearer one.
    """
    ends: dict[date | None, Notice] = {}
    for notice in notices:
        is_rise_at_switch = notice.kind is NoticeKind.PRICE_RISE and not notice.state.contract
        if notice.kind not in _END_NOTICES or is_rise_at_switch:
            yield notice
            continue
        end = notice.event_date if notice.state.contract else None
        ends[end] = max((ends.get(end, notice), notice), key=_reached_last)
    yield from ends.values()


def _reached_last(notice: Notice) -> tuple[date, int]:
    reached_on = notice.event_date - timedelta(days=notice.threshold_days)
    return reached_on, _END_NOTICES.index(notice.kind)


def _upcoming_occasions(state: Subscription, last_day: date, book: PriceBook) -> Iterator[Notice]:
    """Yield the future occasions up to `last_day`, and up to the first that begins or ends a contract.

    A reserved cancellation is an occasion even if the contract is renewed before.
    """
    lines: tuple[LedgerLine, ...] = ()
    is_renewed = False
    for event, then in pairwise(event for event, _ in future_events(state, book)):
        day = day_of(event.at)
        if day > last_day:
            return
        lines = tuple(line for line in (*lines, *event.lines) if line.effective_at == event.at)
        for kind in _kinds(event, state):
            if not is_renewed or kind is NoticeKind.DELETION_DUE:
                yield Notice(
                    kind=kind,
                    event_date=day,
                    threshold_days=0,
                    state=state,
                    happens=event,
                    then=then,
                    lines=lines,
                )
        is_renewed = is_renewed or isinstance(event, ContractRenewed)
        is_cancellation_next = is_renewed and isinstance(state.reservation, ReservedCancellation)
        if isinstance(event, SwitchedToPaid | ContractRenewed | Canceled) and not is_cancellation_next:
            return


def _price_rises(state: Subscription, today: date, last_day: date, book: PriceBook) -> Iterator[Notice]:
    if len(book.versions) > 1:  # The first version raises no price.
        for rise in price_rises(state, start_of(today), book, last_day):
            yield Notice(
                kind=NoticeKind.PRICE_RISE,
                event_date=rise.date,
                threshold_days=0,
                state=state,
                price_rise=rise,
            )


def _kinds(event: Event, state: Subscription) -> Iterator[NoticeKind]:
    match event:
        case TrialEnded():
            yield NoticeKind.TRIAL_ENDING
        case SwitchedToPaid():
            yield NoticeKind.SWITCH_DUE
        case ContractRenewed():
            if not continues_unchanged(state, event):
                yield NoticeKind.CONTRACT_ENDING
        case Canceled():
            if state.contract and state.contract.end_day == day_of(event.at):
                yield NoticeKind.CONTRACT_ENDING
            yield NoticeKind.DELETION_DUE


def continues_unchanged(state: Subscription, renewed: ContractRenewed) -> bool:
    """Return whether a monthly contract is followed by one with the same plan, members and price."""
    contract = state.contract
    return (
        contract is not None
        and contract.term is renewed.contract.term is ContractTerm.MONTHLY
        and state.rate.same_charge_as(renewed.rate)
    )


def _days_before(notice: Notice, policy: NoticePolicy) -> tuple[int, ...]:
    match notice.kind:
        case NoticeKind.TRIAL_ENDING:
            return policy.trial_days
        case NoticeKind.CONTRACT_ENDING:
            contract = notice.state.contract
            annual = contract is not None and contract.term is ContractTerm.ANNUAL
            return policy.annual_contract_days if annual else policy.monthly_contract_days
        case NoticeKind.DELETION_DUE:
            return policy.deletion_days
        case NoticeKind.PRICE_RISE:
            return policy.price_rise_days
        case _:
            return policy.reservation_days


def _lookahead(policy: NoticePolicy) -> timedelta:
    """Return the largest number of days in the policy; later events are not checked."""
    days = (
        *policy.trial_days,
        *policy.deletion_days,
        *policy.reservation_days,
        *policy.price_rise_days,
        *policy.annual_contract_days,
        *policy.monthly_contract_days,
    )
    return timedelta(days=max(days, default=0))


def _domain_notices(state: Subscription, today: date, policy: NoticePolicy) -> Iterator[Notice]:
    pending_domains = {
        NoticeKind.DOMAIN_UNVERIFIED: state.pending_domain,
        NoticeKind.RENAME_UNVERIFIED: state.pending_rename_domain,
    }
    for kind, pending_domain in pending_domains.items():
        if pending_domain is None:
            continue
        since = day_of(pending_domain.since)
        reached = [days for days in policy.unverified_domain_days if since + timedelta(days=days) <= today]
        if reached:
            yield Notice(
                kind=kind,
                event_date=since,
                threshold_days=max(reached),
                state=state,
                pending_domain=pending_domain,
            )
