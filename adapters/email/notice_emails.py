"""Notice emails in Korean and English."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from subscription.business_calendar import day_of
from subscription.catalogue import PriceBook
from subscription.contract import ContractTerm, Rate
from subscription.domain_verification import verification_records
from subscription.event_text import format_krw, format_members
from subscription.model import Frozen
from subscription.notices import Notice, recipient


class NoticeEmail(Frozen):
    """A plain-text notice email and its recipient."""

    recipient: str
    subject: str
    body: str


_Filters = Mapping[str, Callable[[Any], Any]]


def render_notice_email(notice: Notice, book: PriceBook) -> NoticeEmail:
    """Render the email of a notice.

    The text contains dates instead of a number of days, because an email may arrive late.
    """
    facts = _facts(notice, book)
    korean, english = (_render(language, notice, facts) for language in (_KOREAN, _ENGLISH))
    return NoticeEmail(
        recipient=recipient(notice.state, book.notice_policy),
        subject=f"[NAVER WORKS] {korean[0]} / {english[0]}",
        body=_ENGLISH.get_template("email.txt").render(
            korean=korean[1], english=english[1], subscription_id=notice.state.subscription_id
        )
        + "\n",
    )


def _facts(notice: Notice, book: PriceBook) -> dict[str, Any]:
    state, pending_domain = notice.state, notice.pending_domain

    def title(rate: Rate) -> str:
        return book.plan_terms(rate.plan, rate.first_day).title

    return {
        "notice": notice,
        "account": state.admin_account,
        "contract": state.contract,
        "annual": state.contract is not None and state.contract.term is ContractTerm.ANNUAL,
        "renewal": state.renewal,
        "reserved": state.reservation,
        "title": title,
        "proof": verification_records(
            pending_domain.name, pending_domain.token, book.domain_policy.cname_target
        )
        if pending_domain
        else None,
    }


def _render(language: Environment, notice: Notice, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Render subject and text: the template's first line, and the lines after the empty second line."""
    name = f"{notice.kind.lower()}.{language.globals['language']}.txt"
    subject, _, text = language.get_template(name).render(facts).partition("\n\n")
    return subject, text


def _language(name: str, filters: _Filters) -> Environment:
    environment = Environment(  # nosec B701  # emails are plain text
        loader=PackageLoader("adapters.email"), autoescape=False, undefined=StrictUndefined
    )
    environment.globals["language"] = name
    environment.filters |= {"last_day": lambda end: filters["day"](end - timedelta(days=1)), **filters}
    return environment


def _monthly(rate: Rate) -> int:
    """Return the amount in KRW for a whole month (R20)."""
    return rate.price * rate.members


def _korean_day(day: date) -> str:
    day = day_of(day) if isinstance(day, datetime) else day
    return f"{day.year}년 {day.month}월 {day.day}일({'월화수목금토일'[day.weekday()]})"


def _english_day(day: date) -> str:
    # Not strftime: its day and month names depend on the locale of the process.
    day = day_of(day) if isinstance(day, datetime) else day
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year} ({_WEEKDAYS[day.weekday()]})"


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_KOREAN = _language(
    "ko",
    {
        "day": _korean_day,
        "moment": lambda at: f"{_korean_day(at)} {at:%H:%M}",
        "members": lambda number: f"{number:,}명",
        "won": lambda amount: f"{amount:,}원",
        "monthly": _monthly,
        "term": lambda term: "연 단위" if term is ContractTerm.ANNUAL else "월 단위",
    },
)
_ENGLISH = _language(
    "en",
    {
        "day": _english_day,
        "moment": lambda at: f"{_english_day(at)} at {at:%H:%M} Korean time",
        "members": format_members,
        "won": format_krw,
        "monthly": _monthly,
        "term": lambda term: term.lower(),
    },
)
