"""Lives that hypothesis draws, with what was wished for, asked and answered in each.

A drawn wish says what a person would say ("cancel on the latest date"); it becomes a command when its
moment has come, so that most wishes are possible and the rest are only just not.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from support.scenario_builder import BOOK, TOKEN, ScenarioBuilder, catalogue, day, request_body
from support.sizes import IS_LARGE, SIZES

from subscription.business_calendar import KST, first_of_next_month, start_of
from subscription.commands import Command
from subscription.deadlines import next_deadline
from subscription.decide import ExternalFacts, latest_cancellation, latest_switch
from subscription.refusals import Refusal
from subscription.request import Request, parse_request
from subscription.state import State

settings.register_profile(
    "lives",
    max_examples=SIZES.rule_cases,
    deadline=None,
    derandomize="CI" in os.environ and not IS_LARGE,
    suppress_health_check=[HealthCheck.too_slow],
)
LIVES = settings.get_profile("lives")

ONE_DAY = timedelta(days=1)
SECRET = "zq"  # stands in every name of a person or an account here, and nowhere else

# Prices rise, the fee doubles and lite goes in the middle of many of these lives.
CHANGING = BOOK.with_versions(
    [
        catalogue("2028-03-01", plans={"lite": {"list": 4_000, "annual": 3_300}}),
        catalogue("2028-08-15", plans={"lite": None}, cancellation={"fee_percent": 20}),
    ]
)


# -- lives -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    pace: str
    number: int
    command: str
    date: str
    plan: str | None
    members: int | None
    term: str


class Told(NamedTuple):
    """A command as it was really sent, to be sent again in another life."""

    at: datetime
    command: Command | Refusal
    found: ExternalFacts


@dataclass
class Lived:
    subscription: ScenarioBuilder
    request: Request
    requested_at: datetime
    told: list[Told] = field(default_factory=list)

    def sends(self, name: str, argument: dict[str, Any]) -> None:
        """Send a command now."""
        proved = tuple(claim.name for claim in self.subscription.state.claims) if name == "proof" else ()
        command = self.subscription.read("check_domain" if name == "proof" else name, argument)
        told = Told(self.subscription.now, command, ExternalFacts(token=TOKEN, proved=proved))
        self.told.append(told)
        self.subscription.hears(told.command, told.found)

    def again(self, woken_at: Iterable[datetime] = (), zone: tzinfo = KST) -> ScenarioBuilder:
        """The same commands at the same moments, in a process that wakes at other moments as well."""
        subscription = ScenarioBuilder(
            self.request, self.requested_at.astimezone(zone), self.subscription.book
        )
        awake = sorted(moment for moment in woken_at if moment > self.requested_at)
        for told in self.told:
            while awake and awake[0] < told.at:
                subscription.at(awake.pop(0).astimezone(zone))
            subscription.at(told.at.astimezone(zone)).hears(told.command, told.found)
        return subscription.at(self.subscription.now.astimezone(zone))


def moment_of(subscription: ScenarioBuilder, wish: Wish) -> datetime:
    deadline = next_deadline(subscription.state)
    due = deadline.at if deadline else subscription.now + ONE_DAY
    month_ends = start_of(first_of_next_month(subscription.today))
    moments = {
        "now": subscription.now,
        "hours": subscription.now + timedelta(hours=wish.number),
        "days": subscription.now + timedelta(days=wish.number),
        "midnight": start_of(subscription.today + timedelta(days=wish.number)),
        # A trial would lapse.
        "months": subscription.now + timedelta(days=wish.number * (9 if subscription.state.contract else 1)),
        "due": due,
        "just before due": due - timedelta(microseconds=1),
        "last of the month": month_ends - timedelta(minutes=1),
        "first of the month": month_ends + timedelta(minutes=1),
    }
    return max(subscription.now, moments[wish.pace])


def date_of(subscription: ScenarioBuilder, wish: Wish) -> date:
    latest = latest_date(subscription, wish.command)
    contract = subscription.state.contract
    dates = {
        "today": subscription.today,
        "tomorrow": subscription.today + ONE_DAY,
        "yesterday": subscription.today - ONE_DAY,
        "later": subscription.today + timedelta(days=wish.number),
        "first of the month": first_of_next_month(subscription.today),
        "latest": latest,
        "past the latest": latest + ONE_DAY,
        "period end": contract.end_day if contract else latest,
    }
    return dates[wish.date]


def latest_date(subscription: ScenarioBuilder, command: str) -> date:
    if not subscription.state.state.accepts_commands:
        return subscription.today
    return (
        latest_switch(subscription.state)
        if command == "switch_to_paid"
        else latest_cancellation(subscription.state, subscription.today)
    )


def argument_of(subscription: ScenarioBuilder, wish: Wish) -> dict[str, Any]:
    members = max(1, subscription.state.members + wish.members) if wish.members is not None else None
    choice = {"plan": wish.plan, "members": members}
    match wish.command:
        case "switch_to_paid":
            return {"date": f"{date_of(subscription, wish)}", "term": wish.term, **choice}
        case "change_renewal_option":
            return {"term": wish.term, **choice} if wish.number % 4 else {"term": None}
        case "upgrade":
            return {**choice, "term": wish.term if wish.number % 2 else None}
        case "cancel":
            return {"date": f"{date_of(subscription, wish)}"}
        case "rename_account":
            name = f"{SECRET}-{wish.number % 3}"
            return {"domain": f"{name}.kr"} if wish.number % 2 else {"group": name}
        case _:
            return {}


PACES = ["now", "hours", "days", "midnight", "months", "months", "due", "due", "just before due"]
PACES += ["last of the month", "first of the month"]
ASKED = ["switch_to_paid", "switch_to_paid", "cancel", "cancel", "withdraw_reservation", "upgrade", "upgrade"]
ASKED += ["change_renewal_option", "change_renewal_option", "rename_account", "proof", "check_domain"]
DATES = ["tomorrow", "later", "later", "later", "latest", "latest", "first of the month", "period end"]
DATES += ["today", "yesterday", "past the latest"]
# What is of no use in a state, and what is asked in its place most of the time.
UNPAID = {"upgrade": "switch_to_paid", "change_renewal_option": "switch_to_paid"}
PAID = {"switch_to_paid": "upgrade"}


def fitting(subscription: ScenarioBuilder, wish: Wish) -> Wish:
    if wish.number % 5 == 0:
        return wish
    other = PAID if subscription.state.state is State.ACTIVE else UNPAID
    if subscription.state.reservation is None:
        other = {"withdraw_reservation": "cancel", **other}
    else:
        other = {"check_domain": "withdraw_reservation", **other}
    return replace(wish, command=other.get(wish.command, wish.command))


terms = st.sampled_from(["ANNUAL", "MONTHLY"])
plans = st.sampled_from([None, None, "lite", "basic", "premium"])
wishes = st.builds(
    Wish,
    pace=st.sampled_from(PACES),
    number=st.integers(0, 45),
    command=st.sampled_from(ASKED),
    date=st.sampled_from(DATES),
    plan=plans,
    members=st.sampled_from([None, None, -1, 1, 7]),
    term=terms,
)
LEAP_DAY, MONTH_END = datetime(2028, 2, 29, 13, tzinfo=KST), datetime(2027, 1, 31, tzinfo=KST)
beginnings = st.one_of(
    st.sampled_from([LEAP_DAY, MONTH_END]),
    st.datetimes(datetime(2027, 1, 1), datetime(2028, 12, 31)).map(lambda moment: moment.replace(tzinfo=KST)),
    st.dates(day("2027-01-01"), day("2028-12-31")).map(start_of),
)
accounts = st.sampled_from([{"group": f"{SECRET}-own"}, {"domain": f"{SECRET}-own.kr"}])
books = st.sampled_from([BOOK, CHANGING])


@st.composite
def subscriptions(draw: st.DrawFn, most: int = 12, switched: bool = False) -> Lived:
    """A life up to some moment; `switched` begins it with a switch to paid that is soon due."""
    at, book = draw(beginnings), draw(books)
    body = request_body(
        account=draw(accounts),
        admin_id=f"{SECRET}.keeper",
        members=draw(st.sampled_from([1, 10])),
        plan="lite",
    )
    if book.plan_on_sale("lite", at.date()) is None:
        body["plan"] = "basic"
    request = parse_request(body, book, at)
    assert isinstance(request, Request), request
    lived = Lived(ScenarioBuilder(request, at, book), request, at)
    if switched or draw(st.integers(0, 2)):
        soon = lived.subscription.today + timedelta(days=draw(st.integers(0, 40)))
        lived.sends("switch_to_paid", {"date": f"{soon}", "term": draw(terms)})
        if soon > lived.subscription.today:
            lived.subscription.at(start_of(soon))
    for drawn in draw(st.lists(wishes, max_size=most)):
        lived.subscription.at(moment_of(lived.subscription, drawn))
        wish = fitting(lived.subscription, drawn)
        lived.sends(wish.command, argument_of(lived.subscription, wish))
        if lived.subscription.state.state.over:
            break
    # What an immediate cancellation has made due is done too.
    lived.subscription.at(lived.subscription.now)
    return lived
