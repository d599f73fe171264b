"""Input limits: values beyond them would fail later, so validation refuses them."""

from pathlib import Path
from typing import Any

import pytest
from support.scenario_builder import BOOK, book_of, catalogue, on, request_body
from support.scenario_builder import problems as problems_of_a_request

from adapters.files import TooLargeError, read_text
from adapters.settings import read_catalogue
from adapters.settings_error import SettingsError
from subscription.account_names import domain_name
from subscription.apply import apply_all
from subscription.catalogue import Catalogue
from subscription.commands import Command, parse_command
from subscription.decide import Decision, decide, start_trial
from subscription.forecast import Quote, quote_cancellation
from subscription.invoice import InvoicedLine, InvoicedSubscription, invoice_for
from subscription.refusals import RefusalCode
from subscription.request import Request, parse_request
from subscription.state import Subscription, provisioning

NOW = on("2027-01-01 00:00")
BIGINT, EXACT_IN_JSON = 2**63, 2**53
DEAREST: dict[str, Any] = {
    "plans": {"lite": {"annual": 0}, "basic": {"annual": 0}, "premium": {"list": 5 * 10**9, "annual": 0}},
    "account": {"max_members": 100_000},
    "trial": {"max_members": None},
}


def paid(book_catalogue: Catalogue = BOOK.versions[0], members: int = 10) -> Subscription:
    """Build a subscription with an annual contract on the highest plan from New Year's Day."""
    book = book_of(book_catalogue)
    request = parse_request(request_body(plan="premium", members=members), book, NOW)
    assert isinstance(request, Request)
    started = start_trial(NOW, request.account.account, request.agreed_terms, book_catalogue, "token")
    state = apply_all(provisioning("subscription", request), (started,))
    switch = parse_command("switch_to_paid", {"date": "2027-01-01", "term": "ANNUAL"})
    assert isinstance(switch, Command)
    decision = decide(state, switch, NOW, book)
    assert isinstance(decision, Decision)
    return apply_all(state, decision.events)


# -- money: amounts that fit the column type and a JSON number ---------------------------------------


def test_r30_maximum_contract_fits_ledger_and_invoice() -> None:
    dearest = catalogue(**DEAREST)
    state = paid(dearest, members=100_000)
    last_day = on("2027-12-31 00:00")
    quote = quote_cancellation(state, last_day.date(), last_day, book_of(dearest))
    assert isinstance(quote, Quote)
    repaid = next(line for line in quote.ledger if line.kind == "DISCOUNT_REPAYMENT")
    # 11 months and 30 of 31 days of 5 × 10^9 × 10^5 KRW.
    assert repaid.amount == 11 * 5 * 10**14 + 5 * 10**14 * 30 // 31
    assert all(line.amount * 110 // 100 < 2**53 for line in quote.ledger)
    invoiced = [InvoicedLine.of(line) for line in quote.ledger]
    invoice = invoice_for(
        "customer",
        last_day.date().replace(day=1),
        [InvoicedSubscription(subscription_id=f"s{n}", entries=tuple(invoiced)) for n in range(100)],
        number="2028-1",
        issued_on=last_day.date(),
        vat_percent=100,
        supplier=dearest.invoice.supplier,
    )
    assert invoice.total < BIGINT


@pytest.mark.parametrize(
    "changes",
    [
        {"plans": {"premium": {"list": 10**12}}},
        {"account": {"max_members": 10**9}},
        {"plans": {"premium": {"list": 5 * 10**9}}, "account": {"max_members": 100_001}},
        {"plans": {"premium": {"rank": 10**400}}},
        {"domain": {"then_every_minutes": 10**12}},
        {"domain": {"check_intervals": [{"every_minutes": 10**12, "up_to_hours": 1}]}},
        {"domain": {"check_intervals": [{"every_minutes": 5, "up_to_hours": 10**12}]}},
        {"domain": {"cname_target": "not a name"}},
        {"domain": {"cname_target": "a..b"}},
        {"plans": {"premium": {"title": "a\0b"}}},
        {"plans": {"premium": {"title": "\u202eevil"}}},
        {"invoice": {"supplier": {"name": "a\x1bb"}}},
        {"invoice": {"supplier": {"address": "a\nb"}}},
        {"invoice": {"supplier": {"registration_number": "\u2028"}}},
        {"terms": [{"id": f"t{number}", "version": "1", "required": False} for number in range(101)]},
    ],
)
def test_r19_catalogue_with_impossible_values_is_refused(changes: dict[str, Any]) -> None:
    """Cases: a domain check in a million years, an amount or a text that the database cannot store."""
    with pytest.raises(ValueError, match=r"validation error"):
        catalogue(**changes)


# -- look-alike and invisible names ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "\u202eaerok emca", "\u2066Acme\u2069", "Acme\u200e", "\u061cAcme", "Acme\u200b", "\ufeffAcme",
        "Ac\u00adme", "Acme\U000e0041", "Acme\u2028Korea", "Acme\u2029", "Acme\nBcc: a@b.kr", "Acme\0",
        "Acme\x1b[31m", "Acme\x85", "Acme\ue000", "\ufdd0", "\u200d", "\u3164", "\u115f\u1160", "\u2800",
        "\u0301", " \u00a0\u3000", "",
    ],
)  # fmt: skip
def test_r8_company_name_has_no_invisible_characters(name: str) -> None:
    assert problems_of_a_request(company_name=name) == [("company_name", RefusalCode.INVALID_COMPANY_NAME)]


@pytest.mark.parametrize(
    "name",
    [
        "주식회사 한빛", "Müller & Söhne", "Ünïcödé", "شرکت می‌خواهم", "ක්‍රියා", "日本株式会社", "👩‍💻 Works",
        "<b>Acme</b>", "'; DROP TABLE companies; --", "A" * 100, "네이버\u00a0클라우드",
    ],
)  # fmt: skip
def test_r8_company_name_allows_any_language(name: str) -> None:
    assert problems_of_a_request(company_name=name) == []


@pytest.mark.parametrize(
    "address",
    [
        "it@acme.example\nBcc: a@b.kr", "it@acme.example\0", "\u202eit@acme.example", "it@acme.example ",
        '"it desk"@acme.example', "it@[127.0.0.1]", "it@localhost", "it@-acme.example", "it@a..example",
        "a@b.kr,c@d.kr", "<it@acme.example>", "mailto:it@acme.example", "i\u0301t@acme.example",
        "it@" + ".".join(["a" * 63] * 4) + ".kr", "@" * 1_000_000,
    ],
)  # fmt: skip
def test_r8_hostile_contact_email_is_refused(address: str) -> None:
    found = problems_of_a_request(contact_email=address)
    assert found == [("contact_email", RefusalCode.INVALID_EMAIL)]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("faß.example", "xn--fa-hia.example"),
        ("한글.한국", "xn--bj0bj06e.xn--3e0b707e"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        # A homograph of "apple" is displayed in Punycode.
        ("\u0430\u0440\u0440\u04cf\u0435.com", "xn--80ak6aa92e.com"),
        ("acme\u3002kr", "acme.kr"),
        ("\uff41cme.kr", "acme.kr"),
    ],
)
def test_r4_a_domain_is_kept_and_shown_in_ascii(written: str, kept: str) -> None:
    assert domain_name(written) == kept


@pytest.mark.parametrize(
    "name",
    [
        "a\u200db.kr", "xn--.kr", "xn--a.kr", "xn--99zzzzz9999999.kr", "a" * 64 + ".kr", "한" * 60 + ".kr",
        ".".join(["a" * 63] * 4), "acme", "a..kr", "a.kr.", "-a.kr", "a-.kr", "a.1", "*.kr", "_a.kr",
        "a b.kr", "a\0.kr", "\u0301a.kr", "1.1.1.1", "xn--zz.\u202ekr",
    ],
)  # fmt: skip
def test_r4_invalid_domain_is_refused(name: str) -> None:
    found = problems_of_a_request(account={"domain": name})
    assert found == [("account.domain", RefusalCode.INVALID_DOMAIN_NAME)]


@pytest.mark.parametrize(
    "name", ["\u0430cme", "\uff41\uff43\uff4d\uff45", "acme\u200b", "\u0661\u0662", "\u017fs"]
)
def test_r4_lookalike_group_name_is_refused(name: str) -> None:
    assert problems_of_a_request(account={"group": name}) == [
        ("account.group", RefusalCode.INVALID_GROUP_NAME)
    ]


# -- files -------------------------------------------------------------------------------------------


def test_endless_file_is_not_read_completely() -> None:
    with pytest.raises(TooLargeError, match="larger than 16 MB"):
        read_text(Path("/dev/zero"))
    with pytest.raises(SettingsError, match="The catalogue /dev/zero is larger than 16 MB"):
        read_catalogue(Path("/dev/zero"))


def test_a_catalogue_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    text = (Path(__file__).parents[2] / "catalogue.toml").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8-sig")
    assert read_catalogue(file).version == "2026-11"
    file.write_text(text, encoding="utf-16")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_catalogue(file)
