"""Notice emails in Korean and English, as plain text and as HTML."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment

from adapters.translation import Language, Translator, template_environment
from subscription.catalogue import PriceBook
from subscription.confirmations import Confirmation
from subscription.contract import Rate
from subscription.domain_verification import verification_records
from subscription.event_messages import event_message
from subscription.model import Frozen
from subscription.notice_outbox import Addressee
from subscription.notices import BaseNotice

_SEPARATOR = "\n\n" + "-" * 70 + "\n\n"


class NoticeEmail(Frozen):
    """A notice email to one recipient, as plain text (`body`) and as HTML."""

    recipient: str
    subject: str
    body: str
    html: str


class NoticeEmails:
    """Renders the emails of notices.

    `console_url` is the public URL of the console; without it, the emails contain no link.
    """

    def __init__(self, console_url: str | None = None) -> None:
        self._console_url = console_url

    def render(self, notice: BaseNotice, book: PriceBook, addressee: Addressee, address: str) -> NoticeEmail:
        """Render the email of a notice.

        The text contains dates instead of a number of days, because an email may arrive late.
        """
        url = self._console_url and f"{self._console_url}/subscriptions/{notice.state.subscription_id}"
        frame = {"notice": notice, "addressee": addressee, "account": notice.state.admin_account, "url": url}
        parts = {language: _content(language, notice, book) for language in Language}
        return NoticeEmail(
            recipient=address,
            subject=f"[NAVER WORKS] {' / '.join(subject for subject, _ in parts.values())}",
            body=_SEPARATOR.join(
                _environment(language).get_template("email.txt").render(text=text, **frame)
                for language, (_, text) in parts.items()
            )
            + "\n",
            html="\n".join(
                (
                    _HTML_HEAD,
                    *(
                        _environment(language, html=True)
                        .get_template("email.html")
                        .render(language=language, subject=subject, blocks=_blocks(text), **frame)
                        for language, (subject, text) in parts.items()
                    ),
                    "</body>\n</html>\n",
                )
            ),
        )


_HTML_HEAD = """\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>NAVER WORKS</title>
</head>
<body style="margin: 0; padding: 16px; font: 16px/1.6 sans-serif">"""
"""The begin of every HTML email. It sets no colors, so that the mail program's dark mode applies."""


class _Block(Frozen):
    """A paragraph of the plain text: its lines, or the items of a list."""

    is_list: bool
    lines: tuple[str, ...]


def _blocks(text: str) -> Sequence[_Block]:
    """Split the plain text into the paragraphs and lists of the HTML email."""
    blocks = []
    for paragraph in text.split("\n\n"):
        lines = tuple(paragraph.splitlines())
        is_list = all(line.startswith("- ") for line in lines)
        blocks.append(_Block(is_list=is_list, lines=tuple(line[2:] for line in lines) if is_list else lines))
    return blocks


def _content(language: Language, notice: BaseNotice, book: PriceBook) -> tuple[str, str]:
    """Render subject and text: the template's first line, and the lines after the empty second line."""
    subject, _, text = (
        _environment(language)
        .get_template(f"{notice.kind.lower()}.txt")
        .render(_variables(language, notice, book))
        .partition("\n\n")
    )
    return subject, re.sub("\n{3,}", "\n\n", text.strip("\n"))


def _variables(language: Language, notice: BaseNotice, book: PriceBook) -> dict[str, Any]:
    """Return the variables of a template: of every notice, and of confirmations."""
    state, pending = notice.state, notice.pending_domain

    def title(rate: Rate) -> str:
        return book.plan_terms(rate.plan, rate.first_day).title

    variables: dict[str, Any] = {
        "notice": notice,
        "contract": state.contract,
        "renewal": state.renewal,
        "reserved": state.reservation,
        "rate": getattr(notice.happens, "rate", None),
        "title": title,
        "titles": {plan: terms.title for version in book.versions for plan, terms in version.plans.items()},
        "proof": verification_records(pending.name, pending.token, book.domain_policy.cname_target)
        if pending
        else None,
    }
    if isinstance(notice, Confirmation):
        variables |= {
            "event": notice.event,
            "changed": event_message(notice.event, Translator(language, variables["titles"])),
            "rate": getattr(notice.event, "rate", variables["rate"]),
        }
    return variables


@cache
def _environment(language: Language, *, html: bool = False) -> Environment:
    environment = template_environment(
        "adapters.email", language, autoescape=html, trim_blocks=html, lstrip_blocks=html
    )
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
