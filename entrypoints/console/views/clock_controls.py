"""Test clock controls (local stack only)."""

from datetime import datetime, timedelta

from starlette.responses import Response

from entrypoints.console.confirmation_digest import is_as_shown
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_detail import clock_shown, shown
from starter.subscription_clock import ClockNotSupportedError
from subscription.deadlines import next_deadline


async def advance(visit: PageContext) -> Response:
    """Advance the test clock by a day, by a month, or to the next deadline, from the time the page showed."""
    standing = await visit.desk.standing(visit.subscription_id)
    shown_at = visit.form.get("now", "")
    if not is_as_shown(visit, clock_shown(visit, standing, shown_at)):
        said = visit.words.say("Something has happened since you opened the page. The clock was not moved.")
        return await shown(visit, problems={"": said}, status=409)
    match visit.form.get("by"):
        case "month":
            target = datetime.fromisoformat(shown_at) + timedelta(days=30)
        case "next" if deadline := next_deadline(standing.state):
            target = deadline.at
        case _:
            target = datetime.fromisoformat(shown_at) + timedelta(days=1)
    if target > standing.now:
        try:
            await (await visit.desk.clock(visit.subscription_id)).advance_to(target)
        except ClockNotSupportedError:
            said = visit.words.say("This server cannot move a subscription's clock.")
            return await shown(visit, problems={"": said}, status=409)
        await visit.desk.settle(visit.subscription_id)
    standing = await visit.desk.standing(visit.subscription_id)
    said = visit.words.say("It is %(now)s now.", now=visit.words.moment(max(standing.now, target)))
    return await visit.go(f"/subscriptions/{visit.subscription_id}", said)
