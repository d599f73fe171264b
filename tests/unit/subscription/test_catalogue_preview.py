"""Previews of a catalogue version, with amounts worked out by hand (R19, R35).

Lite costs 3,600 (list) and 3,000 (annual). From 1 July 2027, announced on 15 May, it costs 4,000 and 3,300.
"""

from datetime import timedelta
from typing import Any

import pytest
from support.scenario_builder import BOOK, ScenarioBuilder, catalogue, day

from subscription.catalogue import Catalogue
from subscription.catalogue_preview import (
    MOST_LISTED,
    CataloguePreview,
    CostChange,
    NoticeCount,
    PreviewSummary,
    SubscriptionEffect,
    period_of,
    preview_id,
)
from subscription.notice_outbox import NoticeKind
from subscription.notices import NoticeKey, notices_due
from subscription.state import Subscription

AS_OF = "2027-05-15"
LATE = {"announced_on": "2027-06-20"}


def dearer(**changes: Any) -> Catalogue:
    rise = {"announced_on": AS_OF, "plans": {"lite": {"list": 4_000, "annual": 3_300}}}
    return catalogue("2027-07-01", **{**rise, **changes})


def monthly(first_day: str = "2027-01-10", members: int = 10, plan: str = "lite") -> Subscription:
    return ScenarioBuilder.paid(first_day, "MONTHLY", plan=plan, members=members).at(AS_OF).state


def previewed(
    newer: Catalogue, *states: Subscription
) -> tuple[list[SubscriptionEffect | None], PreviewSummary]:
    preview = CataloguePreview(period_of(BOOK, newer, day(AS_OF)))
    return [preview.add(state) for state in states], preview.summary()


def notice_days(effect: SubscriptionEffect) -> list[tuple[str, int]]:
    return [(f"{notice.due_on}", notice.threshold_days) for notice in effect.notices]


def test_r35_rise_is_shown_with_its_day_amounts_and_emails() -> None:
    [effect], summary = previewed(dearer(), monthly())
    assert effect is not None
    assert effect.change == CostChange(date=day("2027-07-10"), monthly_before=36_000, monthly_after=40_000)
    assert [(line.key.split("/")[-1], line.before, line.after) for line in effect.lines[:3]] == [
        ("2027-07-01", 36_000, 10_451),  # 9/31 × 36,000 = 10,451.6
        ("2027-07-10", 0, 28_387),  # 22/31 × 40,000 = 28,387.1
        ("2027-08-01", 36_000, 40_000),
    ]
    # Until 15 June 2028, the fees of July 2027 to May 2028 are posted.
    assert effect.difference == 10_451 + 28_387 - 36_000 + 10 * 4_000
    assert notice_days(effect) == [("2027-06-10", 30), ("2027-07-03", 7)]
    assert summary.notices == (
        NoticeCount(due_on=day("2027-06-10"), threshold_days=30, notices=1),
        NoticeCount(due_on=day("2027-07-03"), threshold_days=7, notices=1),
    )
    july = next(month for month in summary.by_plan_and_month if month.month == day("2027-07-01"))
    assert (july.plan, july.before, july.after) == ("lite", 36_000, 38_838)


def test_r35_late_announcement_postpones_the_rise() -> None:
    [effect], _ = previewed(dearer(announced_on="2027-06-20"), monthly())
    assert effect is not None
    assert effect.change is not None
    assert effect.change.date == day("2027-08-10")


def test_r35_first_email_waits_for_the_announcement() -> None:
    newer = dearer(announced_on="2027-06-20", renewal={"price_notice_days": 0})
    [effect], _ = previewed(newer, monthly())
    assert effect is not None
    assert notice_days(effect) == [("2027-06-20", 30), ("2027-07-03", 7)]


def emails_sent(state: Subscription, newer: Catalogue) -> list[tuple[str, int]]:
    """Return the emails about rises of the daily job, after the publication of the version."""
    book, sent = BOOK.with_versions([newer]), dict[NoticeKey, str]()
    for number in range(100):
        today = day(AS_OF) + timedelta(days=number)
        for notice in notices_due(state, today, book):
            if notice.kind is NoticeKind.PRICE_RISE:
                sent.setdefault(notice.key, f"{today}")
    return [(today, days) for (_, _, days), today in sent.items()]


@pytest.mark.parametrize(
    "changes",
    [{}, {"announced_on": "2027-06-20"}, {"announced_on": "2027-06-20", "renewal": {"price_notice_days": 0}}],
)
def test_r34_previewed_emails_are_those_of_the_daily_job(changes: dict[str, Any]) -> None:
    newer, state = dearer(**changes), monthly()
    [effect], _ = previewed(newer, state)
    assert effect is not None
    assert notice_days(effect) == emails_sent(state, newer) != []


def test_r35_shorter_notice_at_the_same_prices_is_a_rise() -> None:
    """The published version is announced too late for 10 July; the new one needs no notice."""
    late = BOOK.with_versions([dearer(**LATE)])
    newer = catalogue(
        "2027-07-05",
        plans={"lite": {"list": 4_000, "annual": 3_300}},
        renewal={"price_notice_days": 0},
        **LATE,
    )
    effect = CataloguePreview(period_of(late, newer, day(AS_OF))).add(monthly())
    assert effect is not None
    assert effect.change == CostChange(date=day("2027-07-10"), monthly_before=36_000, monthly_after=40_000)


def test_r19_annual_contract_pays_less_from_its_renewal() -> None:
    annual = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10)
    state = annual.send("change_renewal_option", term="ANNUAL").at(AS_OF).state
    [effect], summary = previewed(dearer(plans={"lite": {"list": 3_000, "annual": 2_500}}), state)
    assert effect is not None
    assert effect.change == CostChange(date=day("2028-01-01"), monthly_before=30_000, monthly_after=25_000)
    assert (effect.difference, effect.notices) == (-5 * 5_000, ())
    assert (summary.paying_more, summary.paying_less, summary.largest_rises) == (0, 1, ())


def test_r19_plan_that_is_no_longer_sold_is_named() -> None:
    chooses_basic = ScenarioBuilder.paid("2027-01-10", "MONTHLY", plan="lite")
    chooses_basic.send("change_renewal_option", term="MONTHLY", plan="basic").at(AS_OF)
    effects, summary = previewed(
        catalogue("2027-07-01", announced_on=AS_OF, plans={"basic": None}),
        monthly(plan="basic"),
        chooses_basic.state,
        monthly(),
    )
    assert [effect and (effect.withdrawn_plans, effect.change) for effect in effects] == [
        (("basic",), None),
        (("basic",), None),
        None,
    ]
    assert summary.on_withdrawn_plans == 2
    assert summary.before == summary.after > 0


def test_only_the_largest_rises_are_listed() -> None:
    members = range(1, MOST_LISTED + 6)
    _, summary = previewed(dearer(), *(monthly(members=number) for number in members))
    assert [rise.members for rise in summary.largest_rises] == [*range(MOST_LISTED + 5, 5, -1)]
    assert all(rise.lines == () for rise in summary.largest_rises)
    assert summary.paying_more == len(members)


def test_preview_id_depends_on_the_file_and_the_published_versions() -> None:
    newer = dearer()
    ids = {
        preview_id(BOOK, newer),
        preview_id(BOOK, newer.without_texts()),
        preview_id(BOOK, dearer(renewal={"price_notice_days": 29})),
        preview_id(BOOK.with_versions([catalogue("2027-06-01")]), newer),
    }
    assert len(ids) == 4
    published = BOOK.model_copy(update={"versions": tuple(v.without_texts() for v in BOOK.versions)})
    assert preview_id(published, newer) in ids
