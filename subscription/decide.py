"""Decisions: the events that a command produces, or its refusal (R10, R13, R16, R24-R29, R32, R36)."""

from datetime import date, datetime, timedelta
from typing import Literal

from subscription.account import Account, AccountKind
from subscription.business_calendar import add_months, day_of
from subscription.catalogue import Catalogue, Plan, PriceBook, rename_lock
from subscription.commands import (
    Cancel,
    ChangeRenewalOption,
    CheckDomain,
    Command,
    Expected,
    RenameAccount,
    SwitchToPaid,
    Upgrade,
    WithdrawReservation,
)
from subscription.contract import ContractTerm, Rate, RenewalTerms, rate_of
from subscription.domain_verification import new_pending_domain
from subscription.due_events import cancellation_event, first_contract, switch_event
from subscription.event_messages import accepted_message
from subscription.events import (
    AccountRenamed,
    CancellationReserved,
    DomainConfirmed,
    DomainLost,
    Event,
    MonthlyCost,
    RenameHeld,
    RenameWithdrawn,
    RenewalOptionChanged,
    ReservationWithdrawn,
    SwitchReserved,
    TrialStarted,
    Upgraded,
)
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import TermAgreement, missing_terms_message
from subscription.state import ReservedCancellation, ReservedSwitch, State, Subscription


class Decision(Frozen):
    """The events of an accepted command, and the message for the caller."""

    events: tuple[Event, ...]
    message: str


class ExternalFacts(Frozen):
    """Results of external lookups that some commands need.

    `token` is the verification token for a domain that a rename would claim (R12). `verified` are the domains
    whose verification record has just been found (R13), `lost` those that another subscription has verified.
    `members_in_use` is the number that the product reports, including the administrator (R36); None if it is
    not known.
    """

    token: str = ""
    verified: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    members_in_use: int | None = None


NO_FACTS = ExternalFacts()


def decide(
    state: Subscription,
    command: Command,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts = NO_FACTS,
) -> Decision | Refusal:
    """Return the decision on a command. All deadlines up to `now` must have been applied to `state` (R23)."""
    try:
        _require_commandable(state)
        _check_expected(state, command.expects, now, book)
        events = _events_for(state, command, now, book, facts)
        return Decision(events=events, message=accepted_message(state, events))
    except RefusalError as refusal:
        return refusal.refused


def needs_members_in_use(command: Command, now: datetime) -> bool:
    """Return whether the decision on this command depends on the members in use (R36)."""
    match command:
        case SwitchToPaid():
            return command.date == day_of(now)
        case ChangeRenewalOption():
            return command.option is not None
        case _:
            return False


def start_trial(
    now: datetime,
    account: Account,
    agreed_terms: tuple[TermAgreement, ...],
    catalogue: Catalogue,
    token: str,
) -> TrialStarted:
    """Return the start of the trial. Every plan has one (R2); the catalogue sets its length (R14, R15)."""
    trial_ends_at = now + timedelta(days=catalogue.trial.days)
    return TrialStarted(
        at=now,
        trial_ends_at=trial_ends_at,
        grace_ends_at=trial_ends_at + timedelta(days=catalogue.trial.grace_days),
        agreed_terms=agreed_terms,
        pending_domain=new_pending_domain(account.name, token, now)
        if account.kind is AccountKind.DOMAIN
        else None,
    )


def domain_check_events(
    state: Subscription, verified: tuple[str, ...], lost: tuple[str, ...], now: datetime
) -> tuple[Event, ...]:
    """Return the events that follow from a check of the pending domains (R10, R12).

    A domain that is lost stays lost, although its own verification record may have been found as well.
    """
    events: list[Event] = []
    if claimed := state.pending_domain:
        if claimed.name in lost:
            events.append(DomainLost(at=now, purpose="ACCOUNT", domain=claimed.name))
        elif claimed.name in verified:
            events.append(DomainConfirmed(at=now, domain=claimed.name))
    if wanted := state.pending_rename_domain:
        if wanted.name in lost:
            events.append(DomainLost(at=now, purpose="RENAME", domain=wanted.name))
        elif wanted.name in verified:
            events.append(_renamed(state, AccountKind.DOMAIN, wanted.name, now))
    return tuple(events)


def _require_commandable(state: Subscription) -> None:
    if state.state is State.PROVISIONING:
        raise refusal(RefusalCode.NOT_YET_STARTED)
    if not state.state.accepts_commands:
        raise refusal(RefusalCode.SUBSCRIPTION_ENDED)


def _check_expected(state: Subscription, expected: Expected | None, now: datetime, book: PriceBook) -> None:
    """Refuse a command that was previewed for another state, another day or another price book."""
    if expected is None:
        return
    if (expected.sequence, expected.date) != (state.sequence, day_of(now)):
        raise refusal(RefusalCode.CHANGED_MEANWHILE)
    if expected.revision is not None and expected.revision != book.revision:
        raise refusal(RefusalCode.CHANGED_MEANWHILE, judged_by_catalogue=True)


def _events_for(
    state: Subscription, command: Command, now: datetime, book: PriceBook, facts: ExternalFacts
) -> tuple[Event, ...]:
    match command:
        case SwitchToPaid():
            return (_switch(state, command, now, book, facts),)
        case ChangeRenewalOption():
            return (_renewal_option(state, command, now, book, facts),)
        case Upgrade():
            return (_upgrade(state, command, now, book),)
        case Cancel():
            return (_cancel(state, command, now),)
        case WithdrawReservation():
            return (_withdraw(state, now),)
        case RenameAccount():
            return (_rename(state, command, now, book, facts),)
        case CheckDomain():
            return _check_domain(state, now, facts)
    raise TypeError(f"no rule for {type(command).__name__}")


# -- switch to paid (R16, R17) -----------------------------------------------------------------------


def _switch(
    state: Subscription, command: SwitchToPaid, now: datetime, book: PriceBook, facts: ExternalFacts
) -> Event:
    today = day_of(now)
    if state.state is State.ACTIVE:
        raise refusal(RefusalCode.ALREADY_PAID)
    _check_date(command.date, today, latest_switch(state))
    plan, members = command.plan or state.plan, command.members or state.members
    _check_choice(state, plan, members, today, book)
    switch = ReservedSwitch(
        date=command.date, reserved_on=today, term=command.term, plan=plan, members=members
    )
    if command.date == today:
        _check_seats(members, facts)
        return switch_event(state, switch, now, book)
    if isinstance(state.reservation, ReservedCancellation):
        raise refusal(RefusalCode.CANCELLATION_RESERVED, "date", date=state.reservation.date)
    return SwitchReserved(
        at=now, switch=switch, replaced=state.reservation.date if state.reservation else None
    )


def latest_switch(state: Subscription) -> date:
    """Return the last date whose start lies before the end of the grace period (R16)."""
    assert state.grace_ends_at is not None
    return day_of(state.grace_ends_at - timedelta(microseconds=1))


# -- the contract: renewal and upgrade (R24-R26) -----------------------------------------------------


def _renewal_option(
    state: Subscription, command: ChangeRenewalOption, now: datetime, book: PriceBook, facts: ExternalFacts
) -> Event:
    _check_paid(state, "RENEWAL_OPTION")
    if option := command.option:
        plan, members = option.plan or state.plan, option.members or state.members
        _check_choice(state, plan, members, day_of(now), book)
        _check_seats(members, facts)
    return RenewalOptionChanged(at=now, option=command.option)


def _upgrade(state: Subscription, command: Upgrade, now: datetime, book: PriceBook) -> Event:
    _check_paid(state, "UPGRADE")
    assert state.contract is not None
    today = day_of(now)
    plan, members = command.plan or state.plan, command.members or state.members
    term = command.term or state.contract.term
    _check_choice(state, plan, members, today, book)
    if book.is_lower(plan, state.plan, today):
        raise _lowered("plan")
    higher_plan = plan != state.plan
    more_members = _is_increase("members", state.members, members)
    to_annual = _is_increase("term", state.contract.term.months, term.months)
    if not (higher_plan or more_members or to_annual):
        raise refusal(RefusalCode.NOT_AN_UPGRADE, judged_by_catalogue=True)
    _check_terms(command.agreed_terms, today, book)
    raised = _adjusted_renewal_option(
        state.renewal, plan if higher_plan else None, members if more_members else None, today, book
    )
    if higher_plan or to_annual:
        rate = rate_of(plan, book.prices(plan, today), members, term, today)
    else:  # the contract keeps its prices (R19)
        rate = state.rate.with_members(members, today)
    return Upgraded(
        at=now,
        rate=rate,
        contract=first_contract(term, today, book) if to_annual else state.contract,
        agreed_terms=command.agreed_terms,
        raised_option=raised,
        raised_cost=_raised_cost(state, raised, rate, book),
    )


def _raised_cost(
    state: Subscription, raised: RenewalTerms | None, rate: Rate, book: PriceBook
) -> MonthlyCost | None:
    """Return the monthly cost of the renewal option before and after it is raised, at today's prices."""
    if raised is None or state.renewal is None:
        return None
    return MonthlyCost(
        before=_monthly(state.renewal, state.plan, state.members, rate.first_day, book),
        after=_monthly(raised, rate.plan, rate.members, rate.first_day, book),
    )


def _monthly(option: RenewalTerms, plan: str, members: int, today: date, book: PriceBook) -> int:
    chosen = option.plan or plan
    count = option.members or members
    return rate_of(chosen, book.prices(chosen, today), count, option.term, today).monthly


def _is_increase(field: str, current: int, requested: int) -> bool:
    if requested < current:
        raise _lowered(field)
    return requested > current


def _lowered(field: str) -> RefusalError:
    return refusal(
        RefusalCode.LOWERED_BY_UPGRADE, field, reason=field.upper(), judged_by_catalogue=field == "plan"
    )


def _adjusted_renewal_option(
    option: RenewalTerms | None, plan: str | None, members: int | None, today: date, book: PriceBook
) -> RenewalTerms | None:
    """Return the renewal option raised to the upgrade where it is lower (R25); None if nothing is lower."""
    if option is None:
        return None
    raised: dict[str, str | int] = {}
    if plan and option.plan and book.is_lower(option.plan, plan, today):
        raised["plan"] = plan
    if members and option.members and option.members < members:
        raised["members"] = members
    return option.model_copy(update=raised) if raised else None


def _check_paid(state: Subscription, reason: Literal["RENEWAL_OPTION", "UPGRADE"]) -> None:
    if state.state is not State.ACTIVE:
        raise refusal(RefusalCode.NOT_YET_PAID, reason=reason)


def _check_choice(state: Subscription, plan: str, members: int, today: date, book: PriceBook) -> None:
    """Check that a new plan is on sale and the members are below the cap.

    The current plan and number of members can always be kept (R19).
    """
    sold: Plan | None = book.plan_on_sale(plan, today)
    catalogue = book.in_force(today)
    if plan != state.plan and sold is None:
        if catalogue is None:
            raise refusal(RefusalCode.PLAN_NOT_SOLD, "plan", reason="NONE", judged_by_catalogue=True)
        raise refusal(
            RefusalCode.PLAN_NOT_SOLD, "plan", judged_by_catalogue=True, plans=catalogue.plans_by_rank
        )
    if catalogue and members > max(state.members, catalogue.account.max_members):
        raise refusal(
            RefusalCode.TOO_MANY_MEMBERS,
            "members",
            judged_by_catalogue=True,
            most_members=catalogue.account.max_members,
        )


def _check_seats(members: int, facts: ExternalFacts) -> None:
    """Check that the members in use have seats (R36). What happens at a deadline is never refused."""
    if facts.members_in_use is not None and members < facts.members_in_use:
        raise refusal(RefusalCode.MEMBERS_IN_USE, "members", members=facts.members_in_use)


def _check_terms(agreed: tuple[TermAgreement, ...], today: date, book: PriceBook) -> None:
    catalogue = book.in_force(today)
    if catalogue and (lacking := missing_terms_message(agreed, catalogue)):
        reason, terms = lacking
        raise refusal(
            RefusalCode.TERMS_NOT_AGREED,
            "agreed_terms",
            reason=f"{reason}_IN_UPGRADE",
            judged_by_catalogue=True,
            terms=terms,
        )


# -- cancellation and withdrawal (R27-R29) -----------------------------------------------------------


def _cancel(state: Subscription, command: Cancel, now: datetime) -> Event:
    today = day_of(now)
    if command.confirmation != state.admin_account:
        raise refusal(RefusalCode.CONFIRMATION_DIFFERS, "confirmation")
    _check_date(command.date, today, latest_cancellation(state, today))
    if command.date == today:
        return cancellation_event(state, now, "ASKED")
    if isinstance(state.reservation, ReservedSwitch):
        raise refusal(RefusalCode.SWITCH_RESERVED, "date", date=state.reservation.date)
    return CancellationReserved(
        at=now, date=command.date, replaced=state.reservation.date if state.reservation else None
    )


def latest_cancellation(state: Subscription, today: date) -> date:
    """Return the last date for which a cancellation can be reserved (R28)."""
    if state.contract is None:
        assert state.grace_ends_at is not None
        return day_of(state.grace_ends_at)
    if state.contract.term is ContractTerm.ANNUAL:
        return state.contract.end_day
    return add_months(today, 12)


def _withdraw(state: Subscription, now: datetime) -> Event:
    if state.reservation is None:
        raise refusal(RefusalCode.NOTHING_RESERVED)
    return ReservationWithdrawn(at=now, withdrawn=state.reservation)


def _check_date(requested: date, today: date, latest: date) -> None:
    if requested < today:
        raise refusal(RefusalCode.DATE_IN_THE_PAST, "date", today=today)
    if requested > latest:
        raise refusal(RefusalCode.DATE_TOO_LATE, "date", latest=latest)


# -- the account and its domain (R10, R13) -----------------------------------------------------------


def _rename(
    state: Subscription, command: RenameAccount, now: datetime, book: PriceBook, facts: ExternalFacts
) -> Event:
    account, reserved = command.account, state.pending_rename_domain
    if account == state.account:
        if reserved is None:
            raise refusal(RefusalCode.NAME_UNCHANGED)
        return RenameWithdrawn(at=now, released=(reserved.name,))
    _check_rename_lock(state, now, book)
    if account.kind is AccountKind.GROUP:
        return _renamed(state, account.kind, account.name, now)
    if reserved and reserved.name == account.name:
        return RenameHeld(at=now, pending_domain=reserved)
    return RenameHeld(
        at=now,
        pending_domain=new_pending_domain(account.name, facts.token, now),
        released=(reserved.name,) if reserved else (),
    )


def _check_rename_lock(state: Subscription, now: datetime, book: PriceBook) -> None:
    """Refuse a rename within the lock (R10).

    A subscription on a lost domain is never locked: its domain is that of the request, so it was not renamed.
    """
    catalogue = book.in_force(day_of(now))
    if catalogue is None or state.renamed_at is None:
        return
    free_at = state.renamed_at + rename_lock(catalogue)
    if now < free_at:
        raise refusal(
            RefusalCode.RENAMED_TOO_RECENTLY, judged_by_catalogue=True, free_at=_whole_second(free_at)
        )


def _whole_second(moment: datetime) -> datetime:
    """Return the first whole second that does not begin before the moment."""
    return (moment + timedelta(seconds=1, microseconds=-1)).replace(microsecond=0)


def _renamed(state: Subscription, kind: AccountKind, name: str, now: datetime) -> AccountRenamed:
    """Return the rename. Every other name that this subscription has reserved is released with it (R10)."""
    reserved = [state.account.name] if state.account else []
    if state.pending_rename_domain:
        reserved.append(state.pending_rename_domain.name)
    return AccountRenamed(
        at=now,
        kind=kind,
        account=Account(kind=kind, name=name),
        released=tuple(other for other in reserved if other != name),
    )


def _check_domain(state: Subscription, now: datetime, facts: ExternalFacts) -> tuple[Event, ...]:
    if not state.pending_domains:
        raise refusal(RefusalCode.NO_PROOF_AWAITED)
    return domain_check_events(state, facts.verified, facts.lost, now)
