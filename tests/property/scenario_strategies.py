"""Strategies for random catalogues and relevant random scenarios.

A scenario is drawn while the oracle runs in parallel, because only the oracle knows the boundary times:
period ends, trial and grace ends, the last dates for a reservation. The oracle never filters: commands that
it would refuse are also drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from property.oracle import KST, ONE_DAY, OracleSubscription, days_between, months_after, start_of

ONE_SECOND = timedelta(seconds=1)
LONGEST_LIFE = timedelta(days=3 * 366)

# Instants are also written in other time zones: no date may be derived from a foreign zone.
ODD_ZONES = (
    UTC,
    timezone(timedelta(hours=5, minutes=45)),
    timezone(-timedelta(hours=9, minutes=30)),
    timezone(timedelta(hours=14)),
    timezone(-timedelta(hours=12)),
)
TIMES_OF_DAY = (
    timedelta(0),
    ONE_SECOND,
    timedelta(hours=8, minutes=59, seconds=59),
    timedelta(hours=9),
    timedelta(hours=10),
    timedelta(hours=12),
    timedelta(hours=23, minutes=59, seconds=59),
)
GROUPS = ("acme", "a1", "red-panda", "0-9", "x" * 22)
DOMAINS = ("acme.co.kr", "mail.example.com", "a-b.kr", "xn--3e0b707e.kr")

PRICES = st.one_of(
    st.sampled_from([0, 1, 7, 31, 365, 3_000, 3_600, 7_200, 12_000]),
    st.integers(0, 20_000),
    st.integers(0, 2_000_000_000),
)


@st.composite
def catalogues(draw: st.DrawFn, *, shortest_trial: int = 0) -> dict[str, Any]:
    """Draw a valid catalogue, as `tomllib` would return it."""
    names = draw(
        st.lists(
            st.sampled_from(["lite", "basic", "premium", "team-2", "x"]), min_size=1, max_size=4, unique=True
        )
    )
    ranks = sorted(draw(st.sets(st.integers(1, 50), min_size=len(names), max_size=len(names))))
    plans: dict[str, Any] = {}
    list_price = annual_price = 0
    for name, rank in zip(names, ranks, strict=True):
        list_price = max(list_price, draw(st.one_of(PRICES, st.just(list_price))))
        annual_price = max(
            annual_price,
            draw(st.one_of(st.just(list_price), st.just(list_price * 5 // 6), st.integers(0, list_price))),
        )
        plans[name] = {"title": name.title(), "rank": rank, "list": list_price, "annual": annual_price}

    account: dict[str, Any] = {"rename_lock_hours": draw(st.sampled_from([0, 1, 24]))}
    # Without it, the default of the rules applies.
    max_members = draw(st.sampled_from([None, 1, 3, 50, 100_000]))
    if max_members is not None:
        account["max_members"] = max_members

    limits = {"max_members": st.sampled_from([1, 10, 50, 1_000]), "per_customer": st.integers(1, 3)}
    trial_limits = draw(st.fixed_dictionaries({}, optional=limits))

    terms = [{"id": "service", "version": "2026-01", "required": True}]
    if draw(st.booleans()):
        terms.append({"id": "marketing", "version": "7", "required": draw(st.booleans())})

    return {
        "version": "2026-11",
        "effective_from": date(2026, 11, 1),
        "timezone": "Asia/Seoul",
        "currency": "KRW",
        "trial": {
            "days": draw(st.sampled_from([n for n in (30, 30, 30, 7, 45, 1, 0) if n >= shortest_trial])),
            "grace_days": draw(st.sampled_from([30, 30, 30, 0, 1, 45])),
            **trial_limits,
        },
        "cancellation": {"fee_percent": draw(st.one_of(st.sampled_from([10, 0, 100]), st.integers(0, 100)))},
        "account": account,
        "terms": terms,
        # The order of a catalogue has no meaning; only the rank has.
        "plans": {name: plans[name] for name in draw(st.permutations(names))},
    }


@st.composite
def written_instants(draw: st.DrawFn, instant: datetime) -> str:
    """Draw a notation of the instant in ISO 8601, sometimes in a foreign zone."""
    zone = draw(st.sampled_from([KST] * 12 + list(ODD_ZONES)))
    written = instant.astimezone(zone).isoformat()
    return written.replace("+00:00", "Z") if draw(st.booleans()) else written


@st.composite
def request_instants(draw: st.DrawFn) -> datetime:
    """Draw an instant from December 2026 to the end of 2031; month ends and leap days are more frequent."""
    month = months_after(date(2026, 12, 1), draw(st.integers(0, 60)))
    day = draw(
        st.one_of(
            st.sampled_from([month, months_after(month, 1) - ONE_DAY, date(2028, 1, 30), date(2028, 2, 29)]),
            st.integers(0, 27).map(lambda n: month + n * ONE_DAY),
        )
    )
    return start_of(day) + draw(
        st.one_of(
            st.just(timedelta(0)),
            st.sampled_from(TIMES_OF_DAY),
            st.integers(0, 86_399).map(lambda n: n * ONE_SECOND),
        )
    )


@st.composite
def requests(draw: st.DrawFn, catalogue: Mapping[str, Any]) -> dict[str, Any]:
    """Draw a request without the fields that are optional in a scenario."""
    max_members = catalogue["account"].get("max_members", 100_000)
    max_members = min(max_members, catalogue["trial"].get("max_members", max_members))
    request: dict[str, Any] = {
        "at": draw(request_instants().flatmap(written_instants)),
        "plan": draw(st.sampled_from(list(catalogue["plans"]))),
    }
    members = draw(st.sampled_from([None, 1, 2, 7, 10, 29, max_members]))
    if members is not None:
        request["members"] = min(members, max_members)
    if draw(st.booleans()):
        request["account"] = {"group": draw(st.sampled_from(GROUPS))}
    else:
        request["account"] = {"domain": draw(st.sampled_from(DOMAINS))}
    return request


def landmarks(subscription: OracleSubscription) -> list[datetime]:
    """Return the future instants at which an event happens or could happen."""
    tomorrow = subscription.today + ONE_DAY
    marks = [start_of(tomorrow), start_of(months_after(subscription.today.replace(day=1), 1))]
    if subscription.unpaid:
        marks += [subscription.requested_at, subscription.requested_at + ONE_DAY] * 2 + [
            subscription.trial_end
        ] * 2
        marks += [
            start_of(subscription.latest_switch_day()),
            start_of(subscription.latest_cancel_day()),
            subscription.grace_end,
        ]
    if subscription.state == "ACTIVE":
        marks += [start_of(subscription.period_end)] * 6
    if subscription.cancel_day is not None:
        marks += [start_of(subscription.cancel_day)] * 2
    if subscription.switch is not None:
        marks += [start_of(subscription.switch.day)] * 6
    return sorted(mark for mark in marks if mark >= subscription.clock)


@st.composite
def moments(draw: st.DrawFn, subscription: OracleSubscription) -> datetime:
    """Draw the time of the next command: at or near a landmark, now, or any time later."""
    how = draw(st.sampled_from(["on", "on", "beside", "after", "at once", "soon", "some day", "some day"]))
    mark = draw(st.sampled_from(landmarks(subscription)))
    if how == "on":
        moment = mark
    elif how == "beside":
        moment = mark + draw(st.sampled_from([-1, 1])) * ONE_SECOND
    elif how == "after":
        moment = mark + draw(st.integers(-2, 2)) * ONE_DAY + draw(st.sampled_from(TIMES_OF_DAY))
    elif how == "at once":
        moment = subscription.clock
    elif how == "soon":
        moment = subscription.clock + draw(st.integers(1, 600)) * timedelta(minutes=1)
    else:
        farthest = 12
        if subscription.state == "ACTIVE":
            farthest = 150 if subscription.term == "ANNUAL" else 40
        day = subscription.today + draw(st.integers(0, farthest)) * ONE_DAY
        moment = start_of(day) + draw(st.sampled_from(TIMES_OF_DAY))
    return max(moment, subscription.clock)


def between(first: date, last: date) -> st.SearchStrategy[date]:
    """Return any of those days, or the first one if `last` is before `first`."""
    return st.integers(0, max(0, (last - first).days)).map(lambda n: first + n * ONE_DAY)


def terms() -> st.SearchStrategy[str]:
    """Return a term, rarely one that is not for sale."""
    return st.sampled_from(["ANNUAL"] * 12 + ["MONTHLY"] * 9 + ["WEEKLY"])


@st.composite
def chosen_plans(draw: st.DrawFn, subscription: OracleSubscription) -> str:
    """Draw a plan, rarely one that is not for sale."""
    return draw(st.sampled_from([*list(subscription.plans) * 5, "nonesuch"]))


@st.composite
def chosen_members(draw: st.DrawFn, subscription: OracleSubscription) -> int:
    """Draw a number of members near the current one, rarely an invalid one."""
    near = [subscription.members + n for n in (-3, -1, 0, 1, 2, 5)]
    possible = [n for n in (1, *near, subscription.max_members) if 1 <= n <= subscription.max_members]
    return draw(st.sampled_from([*possible * 3, 0, subscription.max_members + 1]))


@st.composite
def switches(draw: st.DrawFn, subscription: OracleSubscription) -> dict[str, Any]:
    """Draw a switch for today, near its limits, or between them."""
    today, latest = subscription.today, subscription.latest_switch_day()
    days = [today] * 14 + [today + ONE_DAY, latest] * 3 + [latest - ONE_DAY] * 2
    days += [latest + ONE_DAY, latest + ONE_DAY, today - ONE_DAY, months_after(today.replace(day=1), 1)]
    wish: dict[str, Any] = {
        "date": draw(st.sampled_from(days) | st.sampled_from(days) | between(today, latest)).isoformat(),
        "term": draw(terms()),
    }
    if draw(st.integers(0, 2)) == 0:
        wish["plan"] = draw(chosen_plans(subscription))
    if draw(st.integers(0, 2)) == 0:
        wish["members"] = draw(chosen_members(subscription))
    return wish


@st.composite
def renewal_options(draw: st.DrawFn, subscription: OracleSubscription) -> dict[str, Any] | None:
    """Draw any renewal option, also a lower one, or none."""
    if draw(st.integers(0, 5)) == 0:
        return None
    option: dict[str, Any] = {"term": draw(terms())}
    if draw(st.booleans()):
        option["plan"] = draw(chosen_plans(subscription))
    if draw(st.booleans()):
        option["members"] = draw(chosen_members(subscription))
    return option


@st.composite
def upgrades(draw: st.DrawFn, subscription: OracleSubscription) -> dict[str, Any]:
    """Draw a change that mostly is an upgrade in one or more fields, but also equal or lower."""
    present_rank = subscription.plans[subscription.plan]["rank"]
    higher = [name for name, plan in subscription.plans.items() if plan["rank"] > present_rank]
    more = [
        n
        for n in (subscription.members + 1, subscription.members + 10, subscription.max_members)
        if n <= subscription.max_members
    ]
    wish: dict[str, Any] = {}
    useful = ["plan"] if higher else []
    useful += ["members"] if more else []
    useful += ["term"] if subscription.term == "MONTHLY" else []
    if not useful or draw(st.integers(0, 4)) == 0:
        useful = ["plan", "members", "term"]
    ways = draw(st.sets(st.sampled_from(useful), min_size=1))
    if "plan" in ways:
        wish["plan"] = draw(
            st.sampled_from([*higher * 9, subscription.plan, *subscription.plans, "nonesuch"])
        )
    if "members" in ways:
        wish["members"] = draw(
            st.sampled_from(
                [*more * 6, subscription.members, subscription.members - 1, subscription.max_members + 1]
            )
        )
    if "term" in ways:
        wish["term"] = draw(st.sampled_from(["ANNUAL"] * 12 + ["MONTHLY", "WEEKLY"]))
    if subscription.term == "ANNUAL" and draw(st.integers(0, 7)) == 0:
        wish["term"] = "MONTHLY"
    return wish


@st.composite
def cancellations(draw: st.DrawFn, subscription: OracleSubscription) -> dict[str, Any]:
    """Draw a cancellation for today, near its limits and the period's end, or between them."""
    today = subscription.today
    # Without a contract the period's dates have no meaning; after erasure no date has.
    latest = today + 60 * ONE_DAY if subscription.state == "ERASED" else subscription.latest_cancel_day()
    days = [latest] * 3 + [latest - ONE_DAY, latest + ONE_DAY, today - ONE_DAY, today + ONE_DAY]
    days += [today, today]
    if subscription.state == "ACTIVE":
        end = subscription.period_end
        days += [end, end, end - ONE_DAY, end + ONE_DAY, months_after(today.replace(day=1), 1)]
        if today == subscription.period_first:
            days += [today] * 12
        if subscription.term == "ANNUAL":
            days += [today, *(today + n * ONE_DAY for n in (2, 15, 40, 100))] * 2
    return {"date": draw(st.sampled_from(days) | st.sampled_from(days) | between(today, latest)).isoformat()}


@st.composite
def counts_of_members(draw: st.DrawFn, subscription: OracleSubscription) -> dict[str, Any]:
    """Draw a report of the members in use: as many as the seats, fewer or more."""
    near = [subscription.members + n for n in (-2, -1, 0, 0, 1, 4)]
    return {"count": max(1, draw(st.sampled_from(near)))}


@st.composite
def commands(draw: st.DrawFn, subscription: OracleSubscription) -> tuple[str, Any]:
    """Draw the next command, preferably one that is useful in the current state."""
    reserved = subscription.cancel_day is not None or subscription.switch is not None
    if subscription.unpaid:
        weights = {
            "switch_to_paid": 8 if reserved else 18,
            "cancel": 3,
            "upgrade": 1,
            "change_renewal_option": 1,
        }
    elif subscription.state == "ACTIVE":
        weights = {"switch_to_paid": 1, "cancel": 5, "upgrade": 7, "change_renewal_option": 6}
        if subscription.today == subscription.period_first:
            weights["cancel"] = 9
    else:
        weights = {"switch_to_paid": 1, "cancel": 1, "upgrade": 1, "change_renewal_option": 1}
    weights["withdraw_reservation"] = 5 if reserved else 1
    weights["confirm_domain"] = 3 if subscription.awaits_proof else 1
    weights["members_in_use"] = 2
    weights["lose_domain"] = 2 if subscription.awaits_proof else 1

    command = draw(st.sampled_from([name for name, weight in weights.items() for _ in range(weight)]))
    argument: Any = {}
    if command == "switch_to_paid":
        argument = draw(switches(subscription))
    elif command == "cancel":
        argument = draw(cancellations(subscription))
    elif command == "upgrade":
        argument = draw(upgrades(subscription))
    elif command == "change_renewal_option":
        argument = draw(renewal_options(subscription))
    elif command == "members_in_use":
        argument = draw(counts_of_members(subscription))
    return command, argument


# Simultaneous deadlines and clamped months need several matching commands, which random draws rarely produce.
# Therefore most scenarios start with a story, in chapters, and then continue at random.
STORIES: dict[str, tuple[str, ...]] = {
    "anything": (),
    "pays": ("switch",),
    "stays annual": ("switch", "choose annual"),
    "outgrows the option": ("switch", "choose", "upgrade"),
    "billed on the 31st": ("switch late in a month", "choose in a later month"),
    "commits and regrets": ("switch", "commit", "leave today"),
    "leaves and returns": ("leave later", "switch"),
    "tries to do both": ("leave later", "switch later", "leave later"),
    "fills its seats": ("fill", "switch", "choose", "fill", "choose"),
    "tries the limits": ("switch at the limit", "withdraw", "leave at the limit"),
}


@st.composite
def chapters(draw: st.DrawFn, subscription: OracleSubscription, chapter: str) -> tuple[datetime, str, Any]:
    """Draw one command of a story: its time, name and argument."""
    today, now = subscription.today, subscription.clock
    moment = now + draw(st.sampled_from([0, 0, 1, 3])) * draw(st.sampled_from([ONE_SECOND, ONE_DAY]))
    if chapter == "switch":
        wish = {"date": moment.date().isoformat(), "term": draw(st.sampled_from(["MONTHLY", "ANNUAL"]))}
        return moment, "switch_to_paid", wish
    if chapter == "switch late in a month":
        late = [
            day for day in days_between(today, subscription.latest_switch_day() + ONE_DAY) if day.day >= 29
        ]
        day = draw(st.sampled_from(late or [today]))
        return now, "switch_to_paid", {"date": day.isoformat(), "term": "MONTHLY"}
    if chapter == "fill":
        return moment, "members_in_use", draw(counts_of_members(subscription))
    if chapter == "choose annual":
        return draw(moments(subscription)), "change_renewal_option", {"term": "ANNUAL"}
    if chapter == "choose":
        option = {
            "term": "ANNUAL",
            "plan": draw(chosen_plans(subscription)),
            "members": draw(chosen_members(subscription)),
        }
        del option[draw(st.sampled_from(["term", "plan", "members", "members"]))]
        return moment, "change_renewal_option", {"term": "MONTHLY", **option}
    if chapter == "choose in a later month":
        first = today if subscription.switch is None else subscription.switch.day
        later = start_of(months_after(first, draw(st.integers(0, 4)))) + draw(st.integers(0, 9)) * ONE_DAY
        option = {
            "term": "MONTHLY",
            "members": draw(chosen_members(subscription)),
            "plan": draw(chosen_plans(subscription)),
        }
        return max(later, now), "change_renewal_option", option
    if chapter == "commit":
        return draw(moments(subscription)), "upgrade", {"term": "ANNUAL"}
    if chapter == "upgrade":
        return draw(moments(subscription)), "upgrade", draw(upgrades(subscription))
    if chapter in ("switch later", "switch at the limit"):
        latest = subscription.latest_switch_day()
        days = st.integers(-1, 1).map(lambda n: latest + n * ONE_DAY)
        day = draw(between(today, latest) if chapter == "switch later" else days)
        return now, "switch_to_paid", {"date": day.isoformat(), "term": draw(terms())}
    if chapter == "withdraw":
        return now, "withdraw_reservation", {}
    day = today
    if chapter == "leave later":
        day = draw(between(today + ONE_DAY, subscription.latest_cancel_day()))
    if chapter == "leave at the limit":
        day = subscription.latest_cancel_day() + draw(st.integers(-1, 1)) * ONE_DAY
    return now, "cancel", {"date": day.isoformat()}


@st.composite
def scenarios(draw: st.DrawFn, catalogue: Mapping[str, Any]) -> dict[str, Any]:
    """Draw a whole scenario with JSON-compatible values."""
    request = draw(requests(catalogue))
    subscription = OracleSubscription(request, catalogue)
    horizon = subscription.requested_at + LONGEST_LIFE

    steps: list[dict[str, Any]] = []
    story = list(STORIES[draw(st.sampled_from(["anything", *STORIES]))])
    after_the_end = draw(st.sampled_from([1, 0, 2]))
    # Hypothesis prefers short lists, and a short scenario rarely has charges.
    for _ in range(draw(st.sampled_from([4, 6, 8, 10, 3, 5, 7, 9, 2, 1, 0]))):
        chapter_step = (
            draw(chapters(subscription, story.pop(0))) if story and subscription.state != "ERASED" else None
        )
        moment = min(chapter_step[0] if chapter_step else draw(moments(subscription)), horizon)
        subscription.run_to(moment)
        if subscription.state == "ERASED":
            if after_the_end == 0:
                break
            after_the_end -= 1
        command, argument = chapter_step[1:] if chapter_step else draw(commands(subscription))
        steps.append({"at": draw(written_instants(moment)), command: argument})
        subscription.obey(command, argument)

    # The scenario can also end at its last step: the immediate effects of this step must be visible.
    marks = [mark - early for mark in landmarks(subscription) for early in (timedelta(0), ONE_SECOND)]
    ends = [subscription.clock] * 4 + [mark for mark in marks if subscription.clock <= mark <= horizon]
    until = draw(
        st.one_of(
            st.sampled_from(ends),
            st.sampled_from(ends),
            st.integers(0, 400).map(lambda n: min(subscription.clock + n * ONE_DAY, horizon)),
            st.just(horizon),
        )
    )
    return {
        "name": "generated",
        "request": request,
        "steps": steps,
        "until": draw(written_instants(until)),
    }


def subscriptions() -> st.SearchStrategy[tuple[dict[str, Any], dict[str, Any]]]:
    """Return a strategy for a catalogue and a scenario for it."""
    return catalogues().flatmap(lambda catalogue: st.tuples(st.just(catalogue), scenarios(catalogue)))
