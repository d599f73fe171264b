"""Before and after of a switch, a renewal option or an upgrade, as its confirmation page shows it."""

from entrypoints.console.available_actions import CommandPreview, cost_of
from starter.client import CurrentState
from subscription.business_calendar import Day, day_of, first_of_month
from subscription.commands import ChangeRenewalOption, Command, SwitchToPaid, Upgrade
from subscription.contract import Contract, ContractTerm
from subscription.decide import ExternalFacts
from subscription.invoice import vat_on
from subscription.model import Frozen
from subscription.refusals import Refusal
from subscription.term_comparison import TermComparison, compare_terms
from subscription.vat_estimate import invoice_policy, vat_on_lines


class ContractSide(Frozen):
    """A contract before or after the change. `vat` is that of a whole month; before a contract, all are 0."""

    plan: str
    members: int
    term: ContractTerm | None
    first_day: Day | None
    end_day: Day | None
    price: int
    monthly: int
    vat: int


class NextCharge(Frozen):
    date: Day
    amount: int


class ChangeSummary(Frozen):
    """Both sides of a change that counts from `starts_on`, and the cost of its contract from then on.

    `vat_percent` is the rate of the month in which the change begins. `next_charge` is the next one after the
    change, of any kind; None if the cost begins only with a later contract.
    """

    starts_on: Day
    before: ContractSide
    after: ContractSide
    total: int
    total_vat: int
    vat_percent: int
    fee_percent: int
    next_charge: NextCharge | None


def summary_of(
    current: CurrentState, command: Command | Refusal, foreseen: CommandPreview | Refusal
) -> ChangeSummary | None:
    """Return both sides of a command that the rules accept; None if it leads to no contract."""
    cost = cost_of(current, command)
    if cost is None or isinstance(foreseen, Refusal):
        return None
    state, percent = current.state, invoice_policy(first_of_month(cost.date), current.book).vat_percent
    return ChangeSummary(
        starts_on=cost.date,
        before=_side(state.plan, state.members, state.contract, cost.monthly_now, percent),
        after=_side(cost.plan, cost.members, cost.contract, cost.monthly, percent),
        total=cost.total,
        total_vat=vat_on_lines(cost.ledger, current.book),
        vat_percent=percent,
        fee_percent=cost.contract.fee_percent,
        next_charge=None if isinstance(command, ChangeRenewalOption) else _next_charge(foreseen),
    )


def compare_command_terms(current: CurrentState, command: Command | Refusal) -> TermComparison | None:
    """Return both terms of a switch or an upgrade; None if there is nothing to compare."""
    if not isinstance(command, SwitchToPaid | Upgrade):
        return None
    facts = ExternalFacts(members_in_use=current.members_in_use)
    return compare_terms(current.state, command, current.now, current.book, facts)


def _side(plan: str, members: int, contract: Contract | None, monthly: int, percent: int) -> ContractSide:
    return ContractSide(
        plan=plan,
        members=members,
        term=contract.term if contract else None,
        first_day=contract.first_day if contract else None,
        end_day=contract.end_day if contract else None,
        price=monthly // members,
        monthly=monthly,
        vat=vat_on(monthly, percent),
    )


def _next_charge(foreseen: CommandPreview) -> NextCharge | None:
    events = (*foreseen.caused, *foreseen.coming.events)
    charge = next((event for event in events if event.lines), None)
    if charge is None:
        return None
    return NextCharge(date=day_of(charge.at), amount=sum(line.amount for line in charge.lines))
