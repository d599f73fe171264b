"""Event messages: every event field appears in the message, in every language."""

import re
from typing import Any, get_args

import pytest
from support.scenario_builder import BOOK, ScenarioBuilder, day, on

from adapters.translation import Language, Translator
from entrypoints.console.message_formatter import MessageFormatter
from subscription.account import AccountKind
from subscription.commands import parse_command
from subscription.contract import Contract, ContractTerm, Rate, RenewalTerms
from subscription.event_messages import SENTENCES, event_message, messages_of
from subscription.events import (
    AccountRenamed,
    Canceled,
    CancellationReserved,
    CommandRefused,
    ContractRenewed,
    DomainConfirmed,
    DomainLost,
    Erased,
    Event,
    MonthlyCost,
    RenameHeld,
    RenameWithdrawn,
    RenewalOptionChanged,
    ReservationWithdrawn,
    ServiceFeesPosted,
    SwitchedToPaid,
    SwitchReserved,
    TrialEnded,
    TrialStarted,
    Upgraded,
)
from subscription.forecast import upcoming
from subscription.ledger import service_fees
from subscription.messages import KINDS, places_in
from subscription.prices import PriceBasis, PriceOrigin
from subscription.refusals import Refusal, RefusalCode
from subscription.state import ReservedCancellation, ReservedSwitch

AT = on("2027-03-20 09:00")
CONTRACT = Contract(
    term=ContractTerm.ANNUAL,
    first_day=day("2026-12-20"),
    end_day=day("2027-12-20"),
    chain_first_day=day("2026-12-20"),
    fee_percent=10,
)
ORIGIN = PriceOrigin(version="2026-11", basis=PriceBasis.IN_FORCE, decided_on=day("2026-12-20"))
RATE = Rate(
    first_day=day("2027-03-20"),
    plan="premium",
    members=15,
    list_price=12_000,
    annual_price=10_000,
    list_origin=ORIGIN,
    annual_origin=ORIGIN,
    term=ContractTerm.ANNUAL,
)
SWITCH = ReservedSwitch(
    date=day("2027-04-01"), reserved_on=day("2027-03-15"), term=ContractTerm.ANNUAL, plan="basic", members=10
)
OPTION = RenewalTerms(term=ContractTerm.ANNUAL, plan="premium", members=15)
FEES = service_fees("s", (RATE,), day("2027-03-20"), day("2027-04-01"), AT)
REFUSED = Refusal.of(RefusalCode.DATE_TOO_LATE, "date", latest=day("2028-01-01"))

# One event of each kind, and for each field a second value.
CASES: list[tuple[Event, dict[str, Any]]] = [
    (
        TrialStarted(at=AT, trial_ends_at=AT, grace_ends_at=AT, agreed_terms=()),
        {"trial_ends_at": on("2027-05-01 09:00")},
    ),
    (TrialEnded(at=AT, grace_ends_at=AT), {"grace_ends_at": on("2027-05-01 09:00")}),
    (
        SwitchReserved(at=AT, switch=SWITCH),
        {"switch": SWITCH.model_copy(update={"members": 11}), "replaced": day("2027-04-02")},
    ),
    (
        SwitchedToPaid(at=AT, contract=CONTRACT, rate=RATE),
        {
            "contract": CONTRACT.model_copy(update={"end_day": day("2027-12-21")}),
            "rate": RATE.model_copy(update={"annual_price": 9_000}),
            "cleared": ReservedCancellation(date=day("2027-04-02")),
        },
    ),
    (RenewalOptionChanged(at=AT, option=None), {"option": OPTION}),
    (
        Upgraded(at=AT, contract=CONTRACT, rate=RATE, agreed_terms=()),
        {
            "contract": CONTRACT.model_copy(update={"end_day": day("2027-12-21")}),
            "rate": RATE.model_copy(update={"first_day": day("2027-03-21")}),
        },
    ),
    (
        Upgraded(
            at=AT,
            contract=CONTRACT,
            rate=RATE,
            agreed_terms=(),
            raised_option=OPTION,
            raised_cost=MonthlyCost(before=15_000, after=150_000),
        ),
        {
            "raised_option": OPTION.model_copy(update={"members": None}),
            "raised_cost": MonthlyCost(before=15_000, after=160_000),
        },
    ),
    (
        ServiceFeesPosted(at=AT, billed_until=day("2027-04-01"), posted=()),
        {"billed_until": day("2027-04-02"), "posted": FEES},
    ),
    (
        ContractRenewed(at=AT, contract=CONTRACT, rate=RATE),
        {
            "contract": CONTRACT.model_copy(update={"first_day": day("2026-12-21")}),
            "rate": RATE.model_copy(update={"plan": "basic"}),
        },
    ),
    (
        CancellationReserved(at=AT, date=day("2027-04-01")),
        {"date": day("2027-04-02"), "replaced": day("2027-05-01")},
    ),
    (
        ReservationWithdrawn(at=AT, withdrawn=SWITCH),
        {"withdrawn": ReservedCancellation(date=SWITCH.date)},
    ),
    (
        Canceled(at=AT, because="ASKED", billed_until=None, posted=()),
        {"because": "RESERVED", "posted": FEES, "cleared": SWITCH},
    ),
    (Erased(at=AT), {}),
    (DomainConfirmed(at=AT), {}),
    (DomainLost(at=AT, purpose="ACCOUNT"), {"purpose": "RENAME"}),
    (AccountRenamed(at=AT, kind=AccountKind.GROUP), {"kind": AccountKind.DOMAIN}),
    (RenameHeld(at=AT), {}),
    (RenameWithdrawn(at=AT), {}),
    (
        CommandRefused.of(AT, "cancel", REFUSED),
        {"command": "upgrade", "code": "ALREADY_PAID", "parameters": {"latest": "2028-02-01"}},
    ),
]

# Fields omitted from a message: another message or the entry's time shows them, or only programs do.
OMITTED_FIELDS = {
    "at": "the time of the entry",
    "event": "the kind",
    "agreed_terms": "kept as evidence",
    "pending_domain": "private",
    "account": "private",
    "domain": "private",
    "released": "private",
    "reason": "the same sentence in other words",
    "problems": "said after the refusal",
    "message": "the refusal in English",
    ("TRIAL_STARTED", "grace_ends_at"): "said when the trial ends",
    ("CANCELED", "billed_until"): "the day of the cancellation",
    ("REFUSED", "count"): "said by the refusal's own sentence, as its parameter `more`",
}


def message_in(event: Event, language: Language | None, *, to_come: bool = False) -> str:
    if language is None:
        return event_message(event, to_come=to_come)
    return MessageFormatter(Translator(language), BOOK).event(event, to_come=to_come)


@pytest.mark.parametrize("language", [None, *Language])
@pytest.mark.parametrize(("event", "others"), CASES)
def test_event_messages_contain_every_field(
    event: Event, others: dict[str, Any], language: Language | None
) -> None:
    for field, value in others.items():
        changed = event.model_copy(update={field: value})
        if isinstance(changed, CommandRefused) and language is None:
            continue  # the English message is that of the refusal
        for to_come in (False, True):
            assert message_in(changed, language, to_come=to_come) != message_in(
                event, language, to_come=to_come
            ), field


def test_omitted_event_fields_are_declared() -> None:
    kinds = get_args(get_args(Event)[0])
    for kind in kinds:
        tried = {field for event, others in CASES if type(event) is kind for field in others}
        name = kind.model_fields["event"].default
        for field in kind.model_fields.keys() - tried:
            assert field in OMITTED_FIELDS or (name, field) in OMITTED_FIELDS, f"{name}.{field}"
    assert {type(event) for event, _ in CASES} == set(kinds)


@pytest.mark.parametrize(("event", "others"), CASES)
def test_korean_messages_are_complete(event: Event, others: dict[str, Any]) -> None:
    for each in (event, *(event.model_copy(update={field: value}) for field, value in others.items())):
        for language in (None, *Language):
            for to_come in (False, True):
                words = message_in(each, language, to_come=to_come)
                assert "%(" not in words
                assert bool(re.search("[가-힣]", words)) == (language is Language.KO), words


def test_message_parameters_have_known_types() -> None:
    assert all(places_in(template) <= KINDS.keys() for template in SENTENCES.values())
    for event, _ in CASES:
        for to_come in (False, True):
            for message in messages_of(event, to_come=to_come):
                assert places_in(message.template) == message.parameters.keys(), message.template


def test_r25_upgrade_message_states_the_effective_date() -> None:
    subscription = (
        ScenarioBuilder.paid("2026-12-20", "ANNUAL", members=10)
        .at("2027-03-20")
        .send("upgrade", plan="premium", members=15)
    )
    assert event_message(subscription.events[-1]) == (
        "Upgraded to premium for 15 members at 10,000 KRW per member per month from 2027-03-20; the annual "
        "contract continues to 2027-12-20."
    )
    assert message_in(subscription.events[-1], Language.EN) == (
        "Upgraded to Premium for 15 members at ₩10,000 per member per month from Mar 20, 2027; the annual "
        "contract continues to Dec 19, 2027."
    )


def test_r25_raised_option_message_states_the_price() -> None:
    """5 members on lite cost 5 x 3,000, 15 members on premium 15 x 10,000, in an annual contract."""
    subscription = ScenarioBuilder.paid("2026-12-20", "ANNUAL", plan="lite", members=5)
    subscription.send("change_renewal_option", term="ANNUAL", plan="lite", members=5)
    subscription.at("2027-03-20").send("upgrade", plan="premium", members=15)
    assert event_message(subscription.events[-1]).endswith(
        "The renewal option is raised to match: an annual contract on premium for 15 members. At current "
        "prices the monthly fee is 150,000 KRW instead of 15,000 KRW."
    )
    assert "월 15,000원에서 월 150,000원" in message_in(subscription.events[-1], Language.KO)


def test_r32_console_names_the_replaced_reservation() -> None:
    subscription = (
        ScenarioBuilder.paid("2027-01-01", "MONTHLY")
        .send("cancel", date="2027-05-01")
        .send("cancel", date="2027-06-01")
    )
    assert message_in(subscription.events[-1], Language.EN) == (
        "The cancellation is reserved for Jun 1, 2027, in place of the one for May 1, 2027."
    )


def test_forecast_messages_use_the_future_tense() -> None:
    subscription = ScenarioBuilder.requested("2026-12-01 09:00")
    words = [
        coming.entry.message for coming in upcoming(subscription.state, subscription.now, subscription.book)
    ]
    assert words == [
        "The trial ends and use is suspended; without a switch to a paid plan the service is canceled on "
        "2027-01-30 at 09:00 KST.",
        "The subscription is canceled at the end of the grace period. Nothing is charged. All data will be "
        "permanently deleted.",
        "All data is permanently deleted.",
    ]
    paid = ScenarioBuilder.paid("2027-01-01", "MONTHLY")
    for coming in upcoming(paid.state, paid.now, paid.book):
        assert not re.search(r"\b(was|were|has|have)\b|[Ss]witched|Upgraded|Canceled", coming.entry.message)


def test_timeline_refusal_names_command_once_in_korean() -> None:
    refused = parse_command("switch_to_paid", {"term": "ANNUAL"})
    assert isinstance(refused, Refusal)
    event = CommandRefused.of(AT, "switch_to_paid", refused)
    assert event_message(event) == "switch_to_paid was refused: date: This field is required."
    assert message_in(event, Language.KO) == (
        "요청이 거부되었습니다(유료 전환): 입력한 내용이 올바르지 않습니다. 필수 항목입니다."
    )
