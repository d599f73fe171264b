"""Decisions: the events that a command produces, or its refusal (R10, R13, R16, R24-R29, R32)."""

from datetime import date, datetime, timedelta
from typing import Literal

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
    confirmation_for,
)
from subscription.contract import ContractTerm, Rate, RenewalTerms, rate_of
from subscription.deadlines import cancellation_event, first_contract, switch_event
from subscription.domain_verification import new_pending_domain
from subscription.event_text import accepted_message
from subscription.events import (
    AccountRenamed,
    CancellationReserved,
    DomainConfirmed,
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
from subscription.request import Account, AccountKind, TermAgreement, missing_terms_message
from subscription.state import ReservedCancellation, ReservedSwitch, State, Subscription


class Decision(Frozen):
    """What a command causes, and that in words."""

    events: tuple[Event, ...]
    message: str


class ExternalFacts(Frozen):
    """What the service found out in the world, where a command cannot be judged without it.

    `token` is the secret for a domain that a rename would hold (R12); `proved` are the domains whose
    proof was found just now (R13).
    """

    token: str = ""
    proved: tuple[str, ...] = ()


NO_FACTS = ExternalFacts()


def decide(
    state: Subscription,
    command: Command,
    now: datetime,
    book: PriceBook,
    found: ExternalFacts = NO_FACTS,
) -> Decision | Refusal:
    """Judge a command on a state on which all that is due at `now` has been done (R23)."""
    try:
        _check_commandable(state)
        _check_expected(state, command.expects, now, book)
        events = _events_for(state, command, now, book, found)
        return Decision(events=events, message=accepted_message(state, events))
    except RefusalError as refusal:
        return refusal.refused


def start_trial(
    now: datetime,
    account: Account,
    agreed_terms: tuple[TermAgreement, ...],
    catalogue: Catalogue,
    token: str,
) -> TrialStarted:
    """Whatever the plan, a subscription begins as a trial (R2), as long as the catalogue says (R14, R15)."""
    trial_ends_at = now + timedelta(days=catalogue.trial.days)
    return TrialStarted(
        at=now,
        trial_ends_at=trial_ends_at,
        grace_ends_at=trial_ends_at + timedelta(days=catalogue.trial.grace_days),
        agreed_terms=agreed_terms,
        claim=new_pending_domain(account.name, token, now) if account.kind is AccountKind.DOMAIN else None,
    )


def domain_verified_events(state: Subscription, proved: tuple[str, ...], now: datetime) -> tuple[Event, ...]:
    """What follows from having found these domains proved (R10, R11)."""
    events: list[Event] = []
    if state.claim and state.claim.name in proved:
        events.append(DomainConfirmed(at=now))
    if state.rename_claim and state.rename_claim.name in proved:
        events.append(_renamed(state, AccountKind.DOMAIN, state.rename_claim.name, now))
    return tuple(events)


def _check_commandable(state: Subscription) -> None:
    if state.state is State.PROVISIONING:
        raise refusal(RefusalCode.NOT_YET_STARTED)
    if not state.state.accepts_commands:
        raise refusal(RefusalCode.SUBSCRIPTION_ENDED)


def _check_expected(state: Subscription, expected: Expected | None, now: datetime, book: PriceBook) -> None:
    """Refuse what was confirmed for another state, another day or another price book."""
    if expected is None:
        return
    if (expected.sequence, expected.date) != (state.sequence, day_of(now)):
        raise refusal(RefusalCode.CHANGED_MEANWHILE)
    if expected.edition is not None and expected.edition != book.edition:
        raise refusal(RefusalCode.CHANGED_MEANWHILE, judged_by_catalogue=True)


def _events_for(
    state: Subscription, command: Command, now: datetime, book: PriceBook, found: ExternalFacts
) -> tuple[Event, ...]:
    match command:
        case SwitchToPaid():
            return (_switch(state, command, now, book),)
        case ChangeRenewalOption():
            return (_renewal_option(state, command, now, book),)
        case Upgrade():
            return (_upgrade(state, command, now, book),)
        case Cancel():
            return (_cancel(state, command, now),)
        case WithdrawReservation():
            return (_withdraw(state, now),)
        case RenameAccount():
            return (_rename(state, command, now, book, found),)
        case CheckDomain():
            return _check_domain(state, now, found)
    raise TypeError(f"no rule for {type(command).__name__}")


# -- switching to paid (R16, R17) --------------------------------------------------------------------


def _switch(state: Subscription, command: SwitchToPaid, now: datetime, book: PriceBook) -> Event:
    today = day_of(now)
    if state.state is State.ACTIVE:
        raise refusal(RefusalCode.ALREADY_PAID)
    _check_date(command.date, today, latest_switch(state))
    plan, members = command.plan or state.plan, command.members or state.members
    _check_choice(state, plan, members, today, book)
    switch = ReservedSwitch(date=command.date, term=command.term, plan=plan, members=members)
    if command.date == today:
        return switch_event(state, switch, now, book)
    if isinstance(state.reservation, ReservedCancellation):
        raise refusal(RefusalCode.CANCELLATION_RESERVED, "date", date=state.reservation.date)
    return SwitchReserved(
        at=now, switch=switch, replaced=state.reservation.date if state.reservation else None
    )


def latest_switch(state: Subscription) -> date:
    """The last date whose start lies before the grace ends (R16)."""
    assert state.grace_ends_at is not None
    return day_of(state.grace_ends_at - timedelta(microseconds=1))


# -- the contract: renewal and upgrade (R24-R26) -----------------------------------------------------


def _renewal_option(
    state: Subscription, command: ChangeRenewalOption, now: datetime, book: PriceBook
) -> Event:
    _check_paid(state, "RENEWAL_OPTION")
    if option := command.option:
        _check_choice(state, option.plan or state.plan, option.members or state.members, day_of(now), book)
    return RenewalOptionChanged(at=now, option=command.option)


def _upgrade(state: Subscription, command: Upgrade, now: datetime, book: PriceBook) -> Event:
    _check_paid(state, "UPGRADE")
    assert state.contract is not None
    today = day_of(now)
    plan, members = command.plan or state.plan, command.members or state.members
    term = command.term or state.contract.term
    _check_choice(state, plan, members, today, book)
    offer = book.plan_terms(plan, today)
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
    rate = rate_of(plan, offer, members, term, today)
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
    """A month of the renewal option as it was and as it is raised, both at the prices of today."""
    if raised is None or state.renewal is None:
        return None
    return MonthlyCost(
        before=_monthly(state.renewal, state.plan, state.members, rate.first_day, book),
        after=_monthly(raised, rate.plan, rate.members, rate.first_day, book),
    )


def _monthly(option: RenewalTerms, plan: str, members: int, today: date, book: PriceBook) -> int:
    chosen = option.plan or plan
    count = option.members or members
    return rate_of(chosen, book.plan_terms(chosen, today), count, option.term, today).price * count


def _is_increase(field: str, present: int, asked: int) -> bool:
    if asked < present:
        raise _lowered(field)
    return asked > present


def _lowered(field: str) -> RefusalError:
    return refusal(
        RefusalCode.LOWERED_BY_UPGRADE, field, reason=field.upper(), judged_by_catalogue=field == "plan"
    )


def _adjusted_renewal_option(
    option: RenewalTerms | None, plan: str | None, members: int | None, today: date, book: PriceBook
) -> RenewalTerms | None:
    """The renewal option with what this upgrade has overtaken raised (R25); None if nothing is."""
    if option is None:
        return None
    overtaken: dict[str, str | int] = {}
    if plan and option.plan and book.is_lower(option.plan, plan, today):
        overtaken["plan"] = plan
    if members and option.members and option.members < members:
        overtaken["members"] = members
    return option.model_copy(update=overtaken) if overtaken else None


def _check_paid(state: Subscription, what: Literal["RENEWAL_OPTION", "UPGRADE"]) -> None:
    if state.state is not State.ACTIVE:
        raise refusal(RefusalCode.NOT_YET_PAID, reason=what)


def _check_choice(state: Subscription, plan: str, members: int, today: date, book: PriceBook) -> None:
    """A plan must be sold to be newly chosen, and members have a cap; what one has can be kept (R19)."""
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


# -- cancelling and withdrawing (R27-R29) ------------------------------------------------------------


def _cancel(state: Subscription, command: Cancel, now: datetime) -> Event:
    today = day_of(now)
    assert state.account is not None
    assert state.admin_id is not None
    if command.confirmation != confirmation_for(state.admin_id, state.account):
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
    """The last date for which a cancellation can be reserved (R28)."""
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


def _check_date(asked: date, today: date, latest: date) -> None:
    if asked < today:
        raise refusal(RefusalCode.DATE_IN_THE_PAST, "date", today=today)
    if asked > latest:
        raise refusal(RefusalCode.DATE_TOO_LATE, "date", latest=latest)


# -- the account and its domain (R10, R13) -----------------------------------------------------------


def _rename(
    state: Subscription, command: RenameAccount, now: datetime, book: PriceBook, found: ExternalFacts
) -> Event:
    wanted, held = command.account, state.rename_claim
    if wanted == state.account:
        if held is None:
            raise refusal(RefusalCode.NAME_UNCHANGED)
        return RenameWithdrawn(at=now, released=(held.name,))
    _check_rename_lock(state, now, book)
    if wanted.kind is AccountKind.GROUP:
        return _renamed(state, wanted.kind, wanted.name, now)
    if held and held.name == wanted.name:
        return RenameHeld(at=now, claim=held)
    return RenameHeld(
        at=now, claim=new_pending_domain(wanted.name, found.token, now), released=(held.name,) if held else ()
    )


def _check_rename_lock(state: Subscription, now: datetime, book: PriceBook) -> None:
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
    """The new name takes effect, and every other one that was held is free at that moment (R10)."""
    held = [state.account.name] if state.account else []
    if state.rename_claim:
        held.append(state.rename_claim.name)
    return AccountRenamed(
        at=now,
        kind=kind,
        account=Account(kind=kind, name=name),
        released=tuple(other for other in held if other != name),
    )


def _check_domain(state: Subscription, now: datetime, found: ExternalFacts) -> tuple[Event, ...]:
    if not state.claims:
        raise refusal(RefusalCode.NO_PROOF_AWAITED)
    return domain_verified_events(state, found.proved, now)
