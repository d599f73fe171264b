"""The bar that lets a subscription's own time pass, where it has a test clock."""

from datetime import timedelta

from starlette.responses import Response

from starter.console.detail import shown
from starter.console.visit import Visit
from starter.test_clock import TestClockUnavailable
from subscription.deadlines import next_deadline


async def advance(visit: Visit) -> Response:
    """By a day, by a month, or to the next date on which something happens."""
    standing = await visit.desk.standing(visit.subscription_id)
    match visit.form.get("by"):
        case "month":
            target = standing.now + timedelta(days=30)
        case "next" if deadline := next_deadline(standing.state):
            target = deadline.at
        case _:
            target = standing.now + timedelta(days=1)
    clock = await visit.desk.clock(visit.subscription_id)
    try:
        await clock.advance_to(target)
    except TestClockUnavailable:
        said = visit.words.say("This server cannot move a subscription's clock.")
        return await shown(visit, problems={"": said}, status=409)
    await visit.desk.settle(visit.subscription_id)
    standing = await visit.desk.standing(visit.subscription_id)
    said = visit.words.say("It is %(now)s now.", now=visit.words.moment(max(standing.now, target)))
    return await visit.go(f"/subscriptions/{visit.subscription_id}", said)
