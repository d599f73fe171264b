"""A second, independent model of a subscription, which the real rules are compared with.

It shares neither code nor concepts with them: no events and no deadlines. It iterates over the calendar one
midnight at a time, writes the rate of every paid day into a diary, and sums the diary in exact fractions.
It is slow on purpose. It supports one catalogue version, well-formed scenarios, and commands without `id`.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from math import floor
from typing import Any

KST = timezone(timedelta(hours=9))
ONE_DAY = timedelta(days=1)
MONTHS_OF_TERM = {"MONTHLY": 1, "ANNUAL": 12}

Document = Mapping[str, Any]


def as_date(value: object) -> date:
    """Return a calendar date; YAML may have parsed it already."""
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError(f"not a date: {value!r}")


def as_instant(value: object) -> datetime:
    """Return an instant in Korean time; YAML may have parsed it already."""
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        raise ValueError(f"not an instant: {value!r}")
    return instant.astimezone(KST)


def start_of(day: date) -> datetime:
    """Return 00:00 KST on that day."""
    return datetime(day.year, day.month, day.day, tzinfo=KST)


def days_in_month(day: date) -> int:
    """Return the number of days in the calendar month of that day."""
    return monthrange(day.year, day.month)[1]


def months_after(day: date, months: int) -> date:
    """Return the same day of a later month, clamped to the length of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = date(year, month + 1, 1)
    return first.replace(day=min(day.day, days_in_month(first)))


def days_between(first: date, end: date) -> list[date]:
    """Return every day from `first` up to, not including, `end`."""
    return [first + i * ONE_DAY for i in range((end - first).days)]


def cost_of(price: int, members: int, days: list[date]) -> Fraction:
    """Return the cost by R20, day by day: each day costs its share of its own calendar month."""
    return sum((Fraction(price * members, days_in_month(day)) for day in days), Fraction(0))


@dataclass(frozen=True)
class Rate:
    """The rate of one day."""

    plan: str
    members: int
    price: int


@dataclass(frozen=True)
class Switch:
    """A reserved switch to paid."""

    day: date
    term: str
    plan: str
    members: int


class OracleSubscription:
    """One subscription from its request on; `run_to` advances the time and `obey` sends a command."""

    def __init__(self, request: Document, catalogue: Document) -> None:
        self.plans: dict[str, Any] = dict(catalogue["plans"])
        self.max_members: int = catalogue.get("account", {}).get("max_members", 100_000)
        self.fee_percent: int = catalogue["cancellation"]["fee_percent"]

        self.requested_at = as_instant(request["at"])
        trial: dict[str, int] = catalogue["trial"]
        self.trial_end = self.requested_at + trial["days"] * timedelta(hours=24)
        self.grace_end = self.trial_end + trial["grace_days"] * timedelta(hours=24)
        self.plan: str = request["plan"]
        self.members: int = request.get("members", 1)
        self.awaits_proof = "domain" in request.get("account", {})
        self.domain_lost = False
        self.members_in_use = 1

        self.state = "TRIAL"
        self.cancel_day: date | None = None
        self.switch: Switch | None = None

        self.term = ""
        self.option: dict[str, Any] | None = None
        self.chain_first = date.min
        self.chain_length = 0
        self.period_first = date.min
        self.period_end = date.min
        self.renewal_began_period = False

        self.diary: dict[date, Rate] = {}
        self.ledger: list[dict[str, Any]] = []

        # A trial or grace period of length zero is due at the instant of the request.
        self.clock = self.requested_at - timedelta(microseconds=1)
        self.run_to(self.requested_at)

    @property
    def today(self) -> date:
        """Return the KST date of the subscription's clock."""
        return self.clock.date()

    @property
    def access(self) -> str:
        """Return the access column of the table of states."""
        if self.state not in ("TRIAL", "ACTIVE") or self.domain_lost:
            return "NONE"
        return "RESTRICTED" if self.awaits_proof else "FULL"

    @property
    def unpaid(self) -> bool:
        """Return whether the subscription is in trial or grace."""
        return self.state in ("TRIAL", "SUSPENDED")

    def latest_switch_day(self) -> date:
        """Return the last date whose start is before the end of the grace period (R16)."""
        day = self.grace_end.date()
        return day if start_of(day) < self.grace_end else day - ONE_DAY

    def latest_cancel_day(self) -> date:
        """Return the latest date of a cancellation (R28)."""
        if self.unpaid:
            return self.grace_end.date()
        return self.period_end if self.term == "ANNUAL" else months_after(self.today, 12)

    # Time

    def run_to(self, moment: datetime) -> None:
        """Process all deadlines up to and including the instant."""
        stops = [start_of(day) for day in days_between(self.today, moment.astimezone(KST).date() + ONE_DAY)]
        stops += [self.trial_end, self.grace_end]
        for stop in sorted(set(stops)):
            if self.clock < stop <= moment:
                self.clock = stop
                self._do_what_is_due()
        self.clock = max(self.clock, moment.astimezone(KST))

    def _do_what_is_due(self) -> None:
        """Process all deadlines of this instant, in the order of R23."""
        if self.state == "ERASED":
            return
        midnight = self.clock == start_of(self.today)

        if midnight and self.today.day == 1:
            self._post_service_fees(months_after(self.today, -1), self.today)
        if midnight and self.cancel_day == self.today:
            self._end()
        if midnight and self.switch is not None and self.switch.day == self.today:
            self._begin_first_contract(self.switch.term, self.switch.plan, self.switch.members)
        if self.clock == self.trial_end and self.state == "TRIAL":
            self.state = "SUSPENDED"
        if self.clock == self.grace_end and self.unpaid:
            self._end()
        if midnight and self.state == "ACTIVE" and self.period_end == self.today:
            self._renew()

        self._note_rate_of_today()

    def _note_rate_of_today(self) -> None:
        """Overwrite the rate of today, because the last change of a day applies (R21)."""
        if self.state == "ACTIVE":
            price = self.plans[self.plan]["annual" if self.term == "ANNUAL" else "list"]
            self.diary[self.today] = Rate(self.plan, self.members, price)

    def _begin_first_contract(self, term: str, plan: str, members: int) -> None:
        self.state = "ACTIVE"
        self.cancel_day = None
        self.switch = None
        self.plan = plan
        self.members = members
        self._begin_chain(term)
        self.renewal_began_period = False

    def _begin_chain(self, term: str) -> None:
        self.term = term
        self.chain_first = self.today
        self.chain_length = 0
        self._begin_period()

    def _begin_period(self) -> None:
        self.chain_length += 1
        self.period_first = self.today
        self.period_end = months_after(self.chain_first, self.chain_length * MONTHS_OF_TERM[self.term])

    def _renew(self) -> None:
        """Renew the contract (R24). The renewal option itself stays unchanged for later renewals."""
        next_term = "MONTHLY"
        if self.option is not None and self.cancel_day is None:
            next_term = self.option["term"]
            self.plan = self.option.get("plan", self.plan)
            self.members = self.option.get("members", self.members)
        if next_term == self.term:
            self._begin_period()
        else:
            self._begin_chain(next_term)
        self.renewal_began_period = True

    # Money

    def _post(self, kind: str, first: date, end: date, plan: str, members: int, exact: Fraction) -> None:
        amount = floor(exact)
        if amount == 0:
            return
        self.ledger.append(
            {
                "kind": kind,
                "from": first.isoformat(),
                "to": end.isoformat(),
                "plan": plan,
                "members": members,
                "amount": amount,
                "effective_at": self.clock.isoformat(),
            }
        )

    def _post_service_fees(self, first: date, end: date) -> None:
        """Post one line for every run of adjacent days with the same rate (R21)."""
        runs: list[list[date]] = []
        for day in days_between(first, end):
            if day not in self.diary:
                continue
            before = day - ONE_DAY
            if runs and runs[-1][-1] == before and self.diary[before] == self.diary[day]:
                runs[-1].append(day)
            else:
                runs.append([day])
        for run in runs:
            rate = self.diary[run[0]]
            exact = cost_of(rate.price, rate.members, run)
            self._post("SERVICE_FEE", run[0], run[-1] + ONE_DAY, rate.plan, rate.members, exact)

    def _end(self) -> None:
        """Cancel today; the erasure follows at the same instant (R31)."""
        self._post_service_fees(self.today.replace(day=1), self.today)
        if self.state == "ACTIVE" and self.term == "ANNUAL":
            self._post_cancellation_fees()
        self.state = "ERASED"
        self.cancel_day = None
        self.switch = None

    def _post_cancellation_fees(self) -> None:
        """Post the fees of a cancellation (R30)."""
        # "The day after the end": at midnight it is still the end, and later the first day of the renewal.
        # The first day of any other contract is not a day after an end.
        at_the_end = self.today == self.period_end
        if at_the_end or (self.today == self.period_first and self.renewal_began_period):
            return

        discount = Fraction(0)
        for day in days_between(self.period_first, self.today):
            rate = self.diary[day]
            prices = self.plans[rate.plan]
            discount += cost_of(prices["list"], rate.members, [day])
            discount -= cost_of(prices["annual"], rate.members, [day])
        self._post("DISCOUNT_REPAYMENT", self.period_first, self.today, self.plan, self.members, discount)

        remaining = days_between(self.today, self.period_end)
        cost = cost_of(self.plans[self.plan]["annual"], self.members, remaining)
        fee = cost * Fraction(self.fee_percent, 100)
        self._post("EARLY_TERMINATION_FEE", self.today, self.period_end, self.plan, self.members, fee)

    # Commands

    def obey(self, command: str, argument: Any) -> bool:
        """Decide and execute a command at the current instant; return whether it was accepted."""
        wish = {key: value for key, value in (argument or {}).items() if value is not None}
        if command == "change_renewal_option":
            accepted = self._change_renewal_option(None if argument is None else wish)
        elif command == "switch_to_paid":
            accepted = self._switch_to_paid(wish)
        elif command == "upgrade":
            accepted = self._upgrade(wish)
        elif command == "cancel":
            accepted = self._cancel(wish)
        elif command == "withdraw_reservation":
            accepted = self._withdraw_reservation()
        elif command in ("confirm_domain", "lose_domain"):
            accepted = self._decide_domain(is_lost=command == "lose_domain")
        elif command == "members_in_use":
            self.members_in_use = wish["count"]
            accepted = True
        else:
            raise ValueError(f"not a command: {command!r}")
        self._note_rate_of_today()
        return accepted

    def _is_sold(self, plan: object, members: object, term: object) -> bool:
        """Return whether this plan and term exist, and the number of members is allowed."""
        if not isinstance(members, int) or isinstance(members, bool):
            return False
        return plan in self.plans and term in MONTHS_OF_TERM and 1 <= members <= self.max_members

    def _switch_to_paid(self, wish: dict[str, Any]) -> bool:
        day = as_date(wish["date"])
        term = wish.get("term")
        plan = wish.get("plan", self.plan)
        members = wish.get("members", self.members)
        if not self.unpaid or not self._is_sold(plan, members, term):
            return False
        if not self.today <= day <= self.latest_switch_day():
            return False
        if day == self.today:
            if members < self.members_in_use:
                return False
            self._begin_first_contract(str(term), plan, members)
            return True
        if self.cancel_day is not None:
            return False
        self.switch = Switch(day, str(term), plan, members)
        return True

    def _change_renewal_option(self, option: dict[str, Any] | None) -> bool:
        if self.state != "ACTIVE":
            return False
        if option is not None:
            plan = option.get("plan", self.plan)
            members = option.get("members", self.members)
            if not self._is_sold(plan, members, option.get("term")) or members < self.members_in_use:
                return False
        self.option = option
        return True

    def _upgrade(self, wish: dict[str, Any]) -> bool:
        plan = wish.get("plan", self.plan)
        members = wish.get("members", self.members)
        term = wish.get("term", self.term)
        if self.state != "ACTIVE" or not self._is_sold(plan, members, term):
            return False

        rank = self.plans[plan]["rank"]
        plan_step = rank - self.plans[self.plan]["rank"]
        members_step = members - self.members
        term_step = MONTHS_OF_TERM[term] - MONTHS_OF_TERM[self.term]
        steps = [plan_step, members_step, term_step]
        if min(steps) < 0 or max(steps) == 0:
            return False

        self.plan = plan
        self.members = members
        if term_step > 0:
            self._begin_chain(term)
            self.renewal_began_period = False
        if self.option is not None:
            if plan_step > 0 and "plan" in self.option and self.plans[self.option["plan"]]["rank"] < rank:
                self.option["plan"] = plan
            if members_step > 0 and "members" in self.option and self.option["members"] < members:
                self.option["members"] = members
        return True

    def _cancel(self, wish: dict[str, Any]) -> bool:
        day = as_date(wish["date"])
        if self.state == "ERASED" or not self.today <= day <= self.latest_cancel_day():
            return False
        if day == self.today:
            self._end()
            return True
        if self.switch is not None:
            return False
        self.cancel_day = day
        return True

    def _withdraw_reservation(self) -> bool:
        if self.cancel_day is None and self.switch is None:
            return False
        self.cancel_day = None
        self.switch = None
        return True

    def _decide_domain(self, *, is_lost: bool) -> bool:
        """Decide who holds the domain: this subscription or, if it is lost, another one (R12)."""
        if self.state == "ERASED" or not self.awaits_proof:
            return False
        self.awaits_proof = False
        self.domain_lost = is_lost
        return True


def command_of(step: Document) -> tuple[str, Any]:
    """Return the only command of a step, and its argument."""
    [command] = [key for key in step if key != "at"]
    return command, step[command]


def evaluate(scenario: Document, catalogue: Document) -> dict[str, Any]:
    """Run the whole scenario; return its result."""
    subscription = OracleSubscription(scenario["request"], catalogue)
    accepted = []
    for step in scenario.get("steps") or []:
        subscription.run_to(as_instant(step["at"]))
        accepted.append(subscription.obey(*command_of(step)))
    subscription.run_to(as_instant(scenario["until"]))
    return {
        "accepted": accepted,
        "ledger": subscription.ledger,
        "state": subscription.state,
        "access": subscription.access,
    }
