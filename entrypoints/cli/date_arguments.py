"""Date arguments; `today` is the date of the subscription's own clock (R33)."""

from datetime import date, datetime, timedelta

from entrypoints.cli.options import RELATIVE_DAYS
from entrypoints.cli.session import Session


def subscription_now(session: Session, subscription_id: str) -> datetime:
    """Return the time of the subscription's clock in Korean time."""
    from subscription.business_calendar import KST

    return session.run_client(lambda client: client.clock(subscription_id).now()).astimezone(KST)


def parse_day(session: Session, subscription_id: str, text: str) -> date:
    """Return the date for an option's text."""
    if text in RELATIVE_DAYS:
        return subscription_now(session, subscription_id).date() + timedelta(days=RELATIVE_DAYS[text])
    return date.fromisoformat(text)


def parse_instant(session: Session, subscription_id: str, text: str) -> datetime:
    """Return the instant for an argument's text; for a date, the start of that day."""
    from subscription.business_calendar import KST, start_of

    if "T" in text or " " in text:
        return datetime.fromisoformat(text).astimezone(KST)
    return start_of(parse_day(session, subscription_id, text))
