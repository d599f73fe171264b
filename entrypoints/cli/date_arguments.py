"""Date arguments; `today` is the date of the subscription's own clock (R33)."""

from datetime import date, datetime, timedelta

from entrypoints.cli.options import RELATIVE_DAYS
from entrypoints.cli.session import Session


def subscription_now(session: Session, subscription_id: str) -> datetime:
    """What the subscription's own clock shows, in Korea."""
    from subscription.business_calendar import KST

    return session.ask(lambda client: client.clock(subscription_id).now()).astimezone(KST)


def parse_day(session: Session, subscription_id: str, text: str) -> date:
    """The date that an option's text means."""
    if text in RELATIVE_DAYS:
        return subscription_now(session, subscription_id).date() + timedelta(days=RELATIVE_DAYS[text])
    return date.fromisoformat(text)


def parse_instant(session: Session, subscription_id: str, text: str) -> datetime:
    """The moment that an argument's text means; a date means its start."""
    from subscription.business_calendar import KST, start_of

    if "T" in text or " " in text:
        return datetime.fromisoformat(text).astimezone(KST)
    return start_of(parse_day(session, subscription_id, text))
