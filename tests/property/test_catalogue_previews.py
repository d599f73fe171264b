"""A preview of a catalogue version equals what is charged after its publication, for any subscription."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.scenario_builder import catalogue

from subscription.business_calendar import day_of, start_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.catalogue_preview import CataloguePreview, period_of
from subscription.due_events import due_events

from .generated_subscriptions import ONE_DAY, SUBSCRIPTION_SETTINGS, GeneratedSubscription, subscriptions

FACTORS = st.sampled_from([50, 90, 100, 110, 200])


@st.composite
def newer_versions(draw: st.DrawFn, book: PriceBook, today: Any) -> Catalogue:
    """Draw a version that can be published today."""
    last = book.versions[-1]
    effective_from = max(today, last.effective_from + ONE_DAY) + draw(st.integers(0, 200)) * ONE_DAY
    announced_on = max(today, last.announcement_day, effective_from - draw(st.integers(0, 90)) * ONE_DAY)
    # One plan alone must not cost less than a lower one, or more than a higher one.
    factors = {"lite": min(100, draw(FACTORS)), "premium": max(100, draw(FACTORS))}
    same = draw(FACTORS)
    if draw(st.booleans()):
        factors = {"lite": same, "basic": same, "premium": same}
    plans: dict[str, Any] = {
        name: {"list": plan.list * factor // 100, "annual": plan.annual * factor // 100}
        for name, plan in catalogue().plans.items()
        if (factor := factors.get(name))
    }
    if draw(st.booleans()):
        plans[draw(st.sampled_from(["lite", "basic"]))] = None
    return catalogue(
        f"{effective_from}",
        announced_on=announced_on,
        plans=plans,
        cancellation={"fee_percent": draw(st.sampled_from([10, 30]))},
        renewal={"price_notice_days": draw(st.sampled_from([0, 30]))},
    )


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True), st.integers(0, 60), st.data())
def test_r19_r35_every_line_equals_the_preview(
    generated: GeneratedSubscription, days: int, data: st.DataObject
) -> None:
    state, published = generated.subscription.state, generated.subscription.book
    as_of = generated.subscription.today + timedelta(days=days)
    newer = data.draw(newer_versions(published, as_of))
    assert published.refusal_of(newer, as_of) is None
    preview = CataloguePreview(period_of(published, newer, as_of))
    effect = preview.add(state)

    summary, end = preview.summary(), start_of(preview.summary().until)
    charged = [
        {
            line.key: line.amount
            for event in due_events(state, end, book)
            for line in event.lines
            if line.effective_at >= start_of(as_of)
        }
        for book in (published, published.with_versions([newer]))
    ]
    changed = {line.key: line for line in effect.lines} if effect else {}
    assert all(charged[0].get(key, 0) == line.before for key, line in changed.items())
    foreseen = charged[0] | {key: line.after for key, line in changed.items()}
    assert {key: amount for key, amount in foreseen.items() if amount} == charged[1]
    assert (summary.before, summary.after) == tuple(sum(lines.values()) for lines in charged)
    assert sum(month.after for month in summary.by_plan_and_month) == summary.after
    if effect and effect.change and effect.lines:
        assert effect.change.date <= min(day_of(line.effective_at) for line in effect.lines)
