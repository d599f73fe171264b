"""Strategies for abstract commands, which become times, dates and arguments when they are sent."""

from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from support.service_env import unique_name

from property.scenario_strategies import ODD_ZONES
from subscription.business_calendar import KST, first_of_next_month, start_of
from subscription.commands import COMMANDS
from subscription.deadlines import next_deadline
from subscription.decide import latest_cancellation, latest_switch
from subscription.scenario import agreed_terms

from .expected_results import ExpectedSubscription

A_MICROSECOND, A_DAY = timedelta(microseconds=1), timedelta(days=1)

# Values that are repeated in a sample are drawn twice as often.
process_zones = st.sampled_from(
    ["UTC", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns", "Asia/Seoul", "Pacific/Chatham"]
)
written_zones = st.sampled_from([KST, KST, *ODD_ZONES])
paces = st.sampled_from(
    [
        "now",
        "a microsecond",
        "hours",
        "days",
        "days",
        "months",
        "years",
        "midnight",
        "before midnight",
        "first of the month",
        "due",
        "due",
        "due",
        "just before due",
        "just after due",
    ]
)
days = st.sampled_from(
    [
        "today",
        "today",
        "tomorrow",
        "yesterday",
        "later",
        "later",
        "latest",
        "latest",
        "past the latest",
        "first of the month",
        "period end",
        "period end",
        "leap day",
        "year 1",
        "year 9999",
    ]
)
numbers = st.integers(0, 40)
members = st.sampled_from([None, None, None, -1, 0, 1, 1, 2, 7, 7, 20, 10**6])
plans = st.sampled_from([None, None, None, "lowest", "highest", "highest", "unsold"])
terms = st.sampled_from([None, "MONTHLY", "ANNUAL", "ANNUAL"])
commands = st.sampled_from(
    [*COMMANDS, "switch_to_paid", "upgrade", "upgrade", "change_renewal_option", "change_renewal_option"]
)
beginnings = st.one_of(
    st.sampled_from(
        [
            datetime(2027, 1, 31, tzinfo=KST),
            datetime(2028, 2, 29, tzinfo=KST),
            datetime(2027, 12, 31, 23, 59, 59, 999999, KST),
            datetime(2027, 11, 30, 0, 0, 0, 1, KST),
        ]
    ),
    st.datetimes(datetime(2027, 1, 1), datetime(2031, 12, 31)).map(lambda moment: moment.replace(tzinfo=KST)),
)

# Each value replaces a field of an otherwise valid command.
fields = st.sampled_from(
    ["date", "term", "plan", "members", "agreed_terms", "confirmation", "group", "domain", "id", "by"]
)
bad_values: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, 0, -1, 10.0, 1e308, 2**63, 2**200, [], {}),
        *("10", "", "a\0b", "x" * 500, "\u202eabc", "'; DROP TABLE", "<b>", "WEEKLY"),
        *("2027-02-29", "2027-2-3", "9999-12-31T23:59:60Z"),
    ]
)


def moment_of(rules: ExpectedSubscription, pace: str, number: int) -> datetime:
    """Return a time that is not in the past, and not after a trial or grace period without a command."""
    now, deadline = rules.now, next_deadline(rules.state)
    due = deadline.at if deadline else now
    moment = {
        "now": now,
        "a microsecond": now + A_MICROSECOND,
        "hours": now + timedelta(hours=number),
        "days": now + number * A_DAY,
        "months": now + number * 5 * A_DAY,
        "years": now + number * 20 * A_DAY,
        "midnight": start_of(now.date() + number * A_DAY),
        "before midnight": start_of(now.date() + number * A_DAY) - A_MICROSECOND,
        "first of the month": start_of(first_of_next_month(now.date())),
        "due": due,
        "just before due": due - A_MICROSECOND,
        "just after due": due + A_MICROSECOND,
    }[pace]
    return max(now, moment if rules.state.contract else min(moment, due + A_MICROSECOND))


def day_of_wish(rules: ExpectedSubscription, command: str, word: str, number: int) -> date:
    state, today = rules.state, rules.now.date()
    latest = today
    if state.state.accepts_commands:
        switches = command == "switch_to_paid" and state.grace_ends_at is not None
        latest = latest_switch(state) if switches else latest_cancellation(state, today)
    return {
        "today": today,
        "tomorrow": today + A_DAY,
        "yesterday": today - A_DAY,
        "later": today + number * A_DAY,
        "latest": latest,
        "past the latest": latest + A_DAY,
        "first of the month": first_of_next_month(today),
        "period end": state.contract.end_day if state.contract else latest,
        "leap day": date(2032, 2, 29),
        "year 1": date(1, 1, 1),
        "year 9999": date(9999, 12, 31),
    }[word]


def argument_of(
    rules: ExpectedSubscription,
    command: str,
    *,
    day: str,
    number: int,
    plan: str | None = None,
    members: int | None = 1,
    term: str | None = "ANNUAL",
    taken: str = "",
) -> dict[str, Any]:
    """Return a well-formed argument for the command; `taken` is a name that another customer has."""
    choice = _choice(rules, plan, members)
    wanted = day_of_wish(rules, command, day, number).isoformat()
    match command:
        case "switch_to_paid":
            return {"date": wanted, "term": term or "MONTHLY", **choice}
        case "change_renewal_option":
            return {"term": term, **choice} if term else {"term": None}
        case "upgrade":
            agreed = {"agreed_terms": agreed_terms(rules.book, rules.now)}
            return {**choice, **({"term": term} if term else {}), **agreed}
        case "cancel":
            return {"date": wanted, "confirmation": rules.status.account or "nobody"}
        case "rename_account":
            group, domain = {"group": unique_name("renamed")}, {"domain": f"{unique_name('renamed')}.example"}
            return [group, domain, {"group": taken or "admin"}, rules.present_name()][number % 4]
    return {}


def _choice(rules: ExpectedSubscription, plan: str | None, members: int | None) -> dict[str, Any]:
    sold = rules.book.versions[-1].plans
    ranked = sorted(sold, key=lambda name: sold[name].rank)
    named = {"lowest": ranked[0], "highest": ranked[-1], "unsold": "nonesuch"}
    choice: dict[str, Any] = {"plan": named[plan]} if plan else {}
    return choice | ({"members": max(1, rules.state.members + members)} if members is not None else {})
