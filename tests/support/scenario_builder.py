"""Builder for scenarios of one subscription, for the tests of the rules.

    subscription = ScenarioBuilder.requested("2026-12-20 10:00", plan="basic", members=10)
    subscription.at("2027-01-01 09:00").send("switch_to_paid", term="ANNUAL").at("2028-01-01")

Commands are parsed from their wire format. All due deadlines are processed before a decision (R23).
"""

import copy
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from subscription.activity_contracts import PriceBookInput
from subscription.apply import apply
from subscription.business_calendar import KST, day_of
from subscription.catalogue import Catalogue, PriceBook, parse_catalogue
from subscription.commands import Command, parse_command
from subscription.decide import Decision, ExternalFacts, decide, start_trial
from subscription.due_events import next_due_event
from subscription.events import Event
from subscription.forecast import Quote, quote_cancellation
from subscription.ledger import LedgerLine
from subscription.password_hash_policy import PLACEHOLDER
from subscription.price_needs import PriceNeeds
from subscription.refusals import Refusal, RefusalCode
from subscription.request import Request, parse_request
from subscription.scenario import agreed_terms
from subscription.state import Subscription, provisioning
from subscription.timeline import TimelineEntry, timeline_entry
from subscription.validation import parse_strict

TOKEN = "c2VjcmV0LXRva2Vu"


def on(text: str) -> datetime:
    """`on("2027-03-15 09:00")`: an instant in Korean time; without a time, the start of that day."""
    return datetime.fromisoformat(text).replace(tzinfo=KST)


def day(text: str) -> date:
    return date.fromisoformat(text)


# -- catalogues --------------------------------------------------------------------------------------


@cache
def catalogue_text() -> str:
    return (Path(__file__).parents[2] / "catalogue.toml").read_text(encoding="utf-8")


@cache
def _catalogue_table() -> dict[str, Any]:
    return tomllib.loads(catalogue_text())


@cache
def default_catalogue() -> Catalogue:
    return parse_catalogue(catalogue_text())


def catalogue(effective_from: str = "2026-11-01", **changes: Any) -> Catalogue:
    """Return the repository's catalogue with some values changed; a plan that is None is removed."""
    table = _merged(_catalogue_table(), changes)
    return parse_strict(Catalogue, {**table, "version": effective_from, "effective_from": effective_from})


def _merged(table: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = table | {
        key: _merged(table.get(key, {}), value) if isinstance(value, Mapping) else value
        for key, value in changes.items()
    }
    return {key: value for key, value in merged.items() if value is not None}


def book_of(*versions: Catalogue) -> PriceBook:
    return PriceBook(versions=versions)


BOOK = book_of(default_catalogue())

KNOWN_BOOK = PriceBookInput(
    revision=BOOK.revision,
    needs=PriceNeeds(day=day("2027-01-01"), renewal_day=day("2027-01-01"), reserved_on=None, plans=()),
)
"""A look-up that finds no newer version."""


# -- requests ----------------------------------------------------------------------------------------


def request_body(**changes: Any) -> dict[str, Any]:
    """Return a valid request in its wire format, with some fields changed."""
    return {
        "request_id": "request-1",
        "customer_id": "customer-1",
        "region": "KR",
        "platform": "VPC",
        "plan": "basic",
        "members": 10,
        "agreed_terms": [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}],
        "account": {"group": "acme"},
        "admin_id": "admin",
        "password_hash": PLACEHOLDER,
        "company_name": "Acme Korea",
        "company_phone": "02-1234-5678",
        **changes,
    }


def read(at: str = "2027-01-01 09:00", book: PriceBook = BOOK, **changes: Any) -> Request | Refusal:
    return parse_request(request_body(**changes), book, on(at))


def accepted(**changes: Any) -> Request:
    """Return the parsed request, which must be valid."""
    answer = read(**changes)
    assert isinstance(answer, Request), answer
    return answer


def problems(**changes: Any) -> list[tuple[str | None, str]]:
    """Return the problems of a request with these changes, as (field, code); empty if it is valid."""
    answer = read(**changes)
    return [(p.field, p.code) for p in answer.problems] if isinstance(answer, Refusal) else []


# -- the ledger --------------------------------------------------------------------------------------


class Posted(NamedTuple):
    """A ledger line in the notation of the tests."""

    kind: str
    first_day: str
    end_day: str
    amount: int


def fee(first_day: str, end_day: str, amount: int) -> Posted:
    return Posted("SERVICE_FEE", first_day, end_day, amount)


def repayment(first_day: str, end_day: str, amount: int) -> Posted:
    return Posted("DISCOUNT_REPAYMENT", first_day, end_day, amount)


def termination(first_day: str, end_day: str, amount: int) -> Posted:
    return Posted("EARLY_TERMINATION_FEE", first_day, end_day, amount)


def posted(lines: list[LedgerLine] | tuple[LedgerLine, ...]) -> list[Posted]:
    return [Posted(x.kind, x.first_day.isoformat(), x.end_day.isoformat(), x.amount) for x in lines]


# -- subscriptions -----------------------------------------------------------------------------------


class ScenarioBuilder:
    """One subscription, simulated by the rules alone."""

    def __init__(self, request: Request, at: datetime, book: PriceBook = BOOK) -> None:
        catalogue_then = book.in_force(day_of(at))
        assert catalogue_then is not None
        self.book = book
        self.now = at
        self.provisioned: Subscription = provisioning("sub-1", request)
        self.state: Subscription = self.provisioned
        self.events: list[Event] = []
        self.timeline: list[TimelineEntry] = []
        self.ledger: list[LedgerLine] = []
        self.answers: list[Decision | Refusal] = []
        self.members_in_use: int | None = None
        account = request.account.account
        self._happen(start_trial(at, account, request.agreed_terms, catalogue_then, TOKEN))

    @classmethod
    def requested(cls, at: str | datetime, book: PriceBook = BOOK, **changes: Any) -> Self:
        moment = on(at) if isinstance(at, str) else at
        request = parse_request(request_body(**changes), book, moment)
        assert isinstance(request, Request), request
        return cls(request, moment, book)

    @classmethod
    def paid(cls, first_day: str, term: str, book: PriceBook = BOOK, **changes: Any) -> Self:
        """Return a subscription that was requested and switched to paid at 09:00 on the first day."""
        subscription = cls.requested(f"{first_day} 09:00", book, **changes)
        return subscription.send("switch_to_paid", term=term)

    def copy(self) -> Self:
        """Return a copy, which can continue differently."""
        twin = copy.copy(self)
        twin.events, twin.timeline = list(self.events), list(self.timeline)
        twin.ledger, twin.answers = list(self.ledger), list(self.answers)
        return twin

    def at(self, moment: str | datetime) -> Self:
        """Advance the time, and process all deadlines up to that instant."""
        self.now = on(moment) if isinstance(moment, str) else moment
        while event := next_due_event(self.state, self.now, self.book):
            self._happen(event)
        return self

    def send(self, command: str, **argument: Any) -> Self:
        """Send a command that must be accepted. Defaults: the date of today, the correct confirmation."""
        answer = self.answered(command, **argument)
        assert isinstance(answer, Decision), answer
        return self

    def expect_refusal(self, command: str, **argument: Any) -> Refusal:
        """Send a command that must be refused and change nothing; return the refusal."""
        before = self.state
        answer = self.answered(command, **argument)
        assert isinstance(answer, Refusal), answer
        assert self.state == before
        return answer

    def proves(self, *domains: str) -> Self:
        """Check the domains now; the verification records of these are found."""
        return self.checks(verified=domains)

    def loses(self, *domains: str) -> Self:
        """Check the domains now; another subscription has verified these."""
        return self.checks(lost=domains)

    def checks(self, verified: tuple[str, ...] = (), lost: tuple[str, ...] = ()) -> Self:
        """Check the domains now, with this result."""
        found = ExternalFacts(verified=verified, lost=lost)
        answer = self.decide_parsed(self.read("check_domain", {}), found)
        assert isinstance(answer, Decision), answer
        return self

    def answered(self, command: str, **argument: Any) -> Decision | Refusal:
        facts = ExternalFacts(token=TOKEN, members_in_use=self.members_in_use)
        return self.decide_parsed(self.read(command, argument), facts)

    def read(self, command: str, argument: Mapping[str, Any]) -> Command | Refusal:
        """Parse a command from its wire format, with defaults for missing fields."""
        return parse_command(command, {**self._left_out(command), **argument})

    def decide_parsed(self, command: Command | Refusal, found: ExternalFacts) -> Decision | Refusal:
        """Decide a parsed command, and apply its events."""
        answer: Decision | Refusal = (
            command
            if isinstance(command, Refusal)
            else decide(self.state, command, self.now, self.book, found)
        )
        self.answers.append(answer)
        if isinstance(answer, Decision):
            for event in answer.events:
                self._happen(event)
        return answer

    def quoted(self, date: str | date) -> Quote | Refusal:
        requested_day = day(date) if isinstance(date, str) else date
        return quote_cancellation(self.state, requested_day, self.now, self.book)

    @property
    def today(self) -> date:
        return day_of(self.now)

    @property
    def message(self) -> str:
        """Return the message of the last decision."""
        return self.answers[-1].message

    @property
    def last_refusal(self) -> RefusalCode | None:
        answer = self.answers[-1]
        return answer.code if isinstance(answer, Refusal) else None

    @property
    def ledger_tuples(self) -> list[Posted]:
        return posted(self.ledger)

    @property
    def event_names(self) -> list[str]:
        return [event.event for event in self.events]

    @property
    def period(self) -> tuple[str, str, str]:
        """Return the contract's term, first day and half-open end."""
        contract = self.state.contract
        assert contract is not None
        return contract.term.value, contract.first_day.isoformat(), contract.end_day.isoformat()

    def _left_out(self, command: str) -> dict[str, Any]:
        match command:
            case "switch_to_paid":
                return {"date": self.today.isoformat()}
            case "cancel":
                return {"date": self.today.isoformat(), "confirmation": self.state.admin_account or ""}
            case "upgrade":
                return {"agreed_terms": agreed_terms(self.book, self.now)}
            case _:
                return {}

    def _happen(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self.events.append(event)
        self.timeline.append(timeline_entry(event, self.state))
        self.ledger.extend(event.lines)
