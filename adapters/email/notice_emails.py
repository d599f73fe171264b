"""Notice emails in Korean and English."""

from functools import cache

from jinja2 import Environment

from adapters.translation import Language, Translator, template_environment
from subscription.catalogue import PriceBook
from subscription.contract import Rate
from subscription.domain_verification import verification_records
from subscription.model import Frozen
from subscription.notices import Notice, recipient

_SEPARATOR = "\n\n" + "-" * 70 + "\n\n"


class NoticeEmail(Frozen):
    """A plain-text notice email and its recipient."""

    recipient: str
    subject: str
    body: str


def render_notice_email(notice: Notice, book: PriceBook) -> NoticeEmail:
    """Render the email of a notice.

    The text contains dates instead of a number of days, because an email may arrive late.
    """
    subjects, bodies = zip(*(_render(language, notice, book) for language in Language), strict=True)
    return NoticeEmail(
        recipient=recipient(notice.state, book.notice_policy),
        subject=f"[NAVER WORKS] {' / '.join(subjects)}",
        body=_SEPARATOR.join(bodies) + "\n",
    )


def _render(language: Language, notice: Notice, book: PriceBook) -> tuple[str, str]:
    """Render subject and body: the template's first line, and the lines after the empty second line."""
    state, pending = notice.state, notice.pending_domain

    def title(rate: Rate) -> str:
        return book.plan_terms(rate.plan, rate.first_day).title

    templates = _environment(language)
    subject, _, text = (
        templates.get_template(f"{notice.kind.lower()}.txt")
        .render(
            notice=notice,
            contract=state.contract,
            renewal=state.renewal,
            reserved=state.reservation,
            title=title,
            proof=verification_records(pending.name, pending.token, book.domain_policy.cname_target)
            if pending
            else None,
        )
        .partition("\n\n")
    )
    body = templates.get_template("email.txt").render(account=state.admin_account, text=text, notice=notice)
    return subject, body


@cache
def _environment(language: Language) -> Environment:
    environment = template_environment("adapters.email", language)  # emails are plain text
    translator = Translator(language)
    environment.filters |= {
        "day": translator.long_day,
        "last_day": translator.long_end_day,
        "moment": translator.long_moment,
        "krw": translator.krw,
        "members": translator.members,
        "term": translator.term,
    }
    return environment
