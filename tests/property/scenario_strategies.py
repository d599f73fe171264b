"""Random catalogues, and random lives that are worth judging.

A life is drawn with the oracle running beside it, for only it knows where the ties are: period ends, trial
and grace ends, the last dates that a reservation may have. The oracle never filters: what it would refuse is
drawn too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from property.oracle import KST, ONE_DAY, OracleSubscription, days_between, months_after, start_of

ONE_SECOND = timedelta(seconds=1)
LONGEST_LIFE = timedelta(days=3 * 366)

# Instants are also written as they would be elsewhere: no date may be read off a foreign clock.
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
    """A valid catalogue, as `tomllib` would read it."""
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
    # Without it the rules' own default holds.
    max_members = draw(st.sampled_from([None, 1, 3, 50, 100_000]))
    if max_members is not None:
        account["max_members"] = max_members

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
        },
        "cancellation": {"fee_percent": draw(st.one_of(st.sampled_from([10, 0, 100]), st.integers(0, 100)))},
        "account": account,
        "terms": terms,
        # A catalogue's order says nothing; only the rank does.
        "plans": {name: plans[name] for name in draw(st.permutations(names))},
    }


@st.composite
def written_instants(draw: st.DrawFn, instant: datetime) -> str:
    """The instant in ISO, now and then in a foreign zone."""
    zone = draw(st.sampled_from([KST] * 12 + list(ODD_ZONES)))
    written = instant.astimezone(zone).isoformat()
    return written.replace("+00:00", "Z") if draw(st.booleans()) else written


@st.composite
def request_instants(draw: st.DrawFn) -> datetime:
    """From December 2026 to the end of 2031; month ends and leap days more often than chance has them."""
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
    """What somebody asks for; the fields that a scenario may leave out are left out."""
    max_members = catalogue["account"].get("max_members", 100_000)
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
    """The instants ahead at which something happens, or could."""
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
    """When the next thing is asked: on a landmark, beside it, right away, or any time later."""
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
    """Any of those days, or the first if they lie the wrong way round."""
    return st.integers(0, max(0, (last - first).days)).map(lambda n: first + n * ONE_DAY)


def terms() -> st.SearchStrategy[str]:
    """A term, seldom one that is not for sale."""
    return st.sampled_from(["ANNUAL"] * 12 + ["MONTHLY"] * 9 + ["WEEKLY"])


@st.composite
def chosen_plans(draw: st.DrawFn, subscription: OracleSubscription) -> str:
    """A plan, seldom one that is not for sale."""
    return draw(st.sampled_from([*list(subscription.plans) * 5, "nonesuch"]))


@st.composite
def chosen_members(draw: st.DrawFn, subscription: OracleSubscription) -> int:
    """A number of members round the present one, seldom one that cannot be."""
    near = [subscription.members + n for n in (-3, -1, 0, 1, 2, 5)]
    possible = [n for n in (1, *near, subscription.max_members) if 1 <= n <= subscription.max_members]
    return draw(st.sampled_from([*possible * 3, 0, subscription.max_members + 1]))


@st.composite
def switches(draw: st.DrawFn, subscription: OracleSubscription) -> dict[str, Any]:
    """A switch for today, near its limits, or between them."""
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
    """Any terms, lower ones too, or none."""
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
    """Mostly upwards in one way or more; also sideways and down."""
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
    """A cancellation for today, near its limits and the period's end, or between."""
    today = subscription.today
    # Before a contract the period's dates mean nothing, and after the life nothing does.
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
def commands(draw: st.DrawFn, subscription: OracleSubscription) -> tuple[str, Any]:
    """What is asked next, leaning towards what makes sense in the present state."""
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
    return command, argument


# Ties and clamped months need several commands to agree; free draws seldom come to them. So most lives open
# with a story, in chapters, and then go on freely.
STORIES: dict[str, tuple[str, ...]] = {
    "anything": (),
    "pays": ("switch",),
    "stays annual": ("switch", "choose annual"),
    "outgrows the option": ("switch", "choose", "upgrade"),
    "lives by the 31st": ("switch late in a month", "choose in a later month"),
    "commits and regrets": ("switch", "commit", "leave today"),
    "leaves and returns": ("leave later", "switch"),
    "tries to do both": ("leave later", "switch later", "leave later"),
    "tries the limits": ("switch at the limit", "withdraw", "leave at the limit"),
}


@st.composite
def chapters(draw: st.DrawFn, subscription: OracleSubscription, chapter: str) -> tuple[datetime, str, Any]:
    """One command of a story: when, what, and how."""
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
    """A whole scenario, in values that JSON can carry."""
    request = draw(requests(catalogue))
    subscription = OracleSubscription(request, catalogue)
    horizon = subscription.requested_at + LONGEST_LIFE

    steps: list[dict[str, Any]] = []
    story = list(STORIES[draw(st.sampled_from(["anything", *STORIES]))])
    after_the_end = draw(st.sampled_from([1, 0, 2]))
    # Left to itself a draw is short, and a short life seldom comes to a bill.
    for _ in range(draw(st.sampled_from([4, 6, 8, 10, 3, 5, 7, 9, 2, 1, 0]))):
        told = (
            draw(chapters(subscription, story.pop(0))) if story and subscription.state != "ERASED" else None
        )
        moment = min(told[0] if told else draw(moments(subscription)), horizon)
        subscription.run_to(moment)
        if subscription.state == "ERASED":
            if after_the_end == 0:
                break
            after_the_end -= 1
        command, argument = told[1:] if told else draw(commands(subscription))
        steps.append({"at": draw(written_instants(moment)), command: argument})
        subscription.obey(command, argument)

    # The last step is also a moment at which to stop looking: what it caused at once must show.
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
    """A catalogue and a scenario that was drawn for it."""
    return catalogues().flatmap(lambda catalogue: st.tuples(st.just(catalogue), scenarios(catalogue)))
