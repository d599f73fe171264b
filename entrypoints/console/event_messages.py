"""Translated event messages."""

from collections.abc import Mapping
from datetime import timedelta

from adapters.language import Language
from entrypoints.console.i18n import Translator
from entrypoints.console.refusal_messages import refusal_words
from subscription.adjustment import AdjustmentReason
from subscription.catalogue import PriceBook
from subscription.contract import Contract, ContractTerm, Rate, RenewalTerms
from subscription.deadlines import Deadline, DeadlineKind
from subscription.event_messages import SENTENCES, Statement, statements_of
from subscription.events import CommandRefused, Event
from subscription.ledger import LedgerLine, LineKind
from subscription.messages import fill_template
from subscription.state import Access, ReservedCancellation, ReservedSwitch, State


class MessageFormatter:
    """Format events and domain values in one language. Plans are shown by their titles."""

    def __init__(self, words: Translator, book: PriceBook) -> None:
        self.words = words
        titles = {plan: offer.title for version in book.versions for plan, offer in version.plans.items()}
        self._writer = _Titled(words.language, titles)

    def plan(self, plan: str) -> str:
        return self._writer.plan(plan)

    def term(self, term: ContractTerm | str) -> str:
        return self._writer.term(term)

    def state(self, state: State | str) -> str:
        say = self.words.say
        return {
            State.PROVISIONING: say("Starting"),
            State.TRIAL: say("Free trial"),
            State.SUSPENDED: say("Suspended"),
            State.ACTIVE: say("Active"),
            State.CANCELED: say("Canceled"),
            State.ERASED: say("Erased"),
            State.REJECTED: say("Rejected"),
        }[State(state)]

    def access(self, access: Access | str) -> str:
        say = self.words.say
        return {
            Access.FULL: say("Full"),
            Access.RESTRICTED: say("Restricted"),
            Access.NONE: say("None"),
        }[Access(access)]

    def deadline(self, deadline: Deadline) -> str:
        say = self.words.say
        return {
            DeadlineKind.SERVICE_FEES: say("Service fees are charged"),
            DeadlineKind.CANCELLATION: say("Reserved cancellation"),
            DeadlineKind.SWITCH_TO_PAID: say("Reserved switch to paid"),
            DeadlineKind.TRIAL_END: say("The trial ends"),
            DeadlineKind.GRACE_END: say("The grace period ends and the service is canceled"),
            DeadlineKind.CONTRACT_END: say("The contract period ends"),
            DeadlineKind.ERASURE: say("Erasure"),
        }[deadline.what]

    def line_kind(self, kind: LineKind | str) -> str:
        say = self.words.say
        return {
            LineKind.SERVICE_FEE: say("Service fee"),
            LineKind.DISCOUNT_REPAYMENT: say("Repayment of the annual discount"),
            LineKind.EARLY_TERMINATION_FEE: say("Early-termination fee"),
        }[LineKind(kind)]

    def erased(self, what: str) -> str:
        """Return the label of a kind of deleted data, by its name in an erasure certificate (R31)."""
        say = self.words.say
        return {
            "account_names": say("Account names"),
            "administrators": say("Administrators"),
            "companies": say("Company information"),
            "console_sessions": say("Sessions in NAVER WORKS Admin"),
            "domain_tokens": say("Domain verifications"),
            "event_private_data": say("Names in activity log"),
            "members": say("Members"),
            "notice_emails": say("Emails"),
            "workflow_runs": say("Request history"),
            "workspaces": say("Workspaces"),
        }.get(what, what)

    def reason(self, reason: AdjustmentReason) -> str:
        say = self.words.say
        return {
            AdjustmentReason.WRONG_CHARGE: say("wrong charge"),
            AdjustmentReason.SERVICE_OUTAGE: say("service outage"),
            AdjustmentReason.GOODWILL: say("goodwill"),
            AdjustmentReason.REVERSAL: say("reversal"),
        }[reason]

    def last_day(self, period: LedgerLine | Contract) -> str:
        return self.words.day(period.end_day - timedelta(days=1))

    def option(self, option: RenewalTerms | None) -> str:
        """Return the terms of the next contract (R24)."""
        say = self.words.say
        if option is None:
            return say("No renewal option: a monthly contract follows, on the same plan and members.")
        return say(
            "%(term)s, %(plan)s, %(members)s",
            term=self.term(option.term),
            plan=self.plan(option.plan) if option.plan else say("the plan at that time"),
            members=self.words.members(option.members) if option.members else say("the members at that time"),
        )

    def rate(self, rate: Rate) -> str:
        return self.words.say(
            "%(plan)s for %(members)s at %(price)s a member a month",
            plan=self.plan(rate.plan),
            members=self.words.members(rate.members),
            price=self.words.won(rate.price),
        )

    def period(self, contract: Contract, rate: Rate) -> str:
        return self.words.say(
            "%(term)s, %(rate)s, from %(first)s to %(last)s",
            term=self.term(contract.term),
            rate=self.rate(rate),
            first=self.words.day(contract.first_day),
            last=self.words.day(contract.end_day - timedelta(days=1)),
        )

    def reservation(self, reserved: ReservedSwitch | ReservedCancellation) -> str:
        say, day = self.words.say, self.words.day(reserved.date)
        if isinstance(reserved, ReservedCancellation):
            return say("Cancellation reserved for %(date)s", date=day)
        return say(
            "Switch to a paid %(term)s (%(plan)s, %(members)s) reserved for %(date)s",
            term=self.term(reserved.term),
            plan=self.plan(reserved.plan),
            members=self.words.members(reserved.members),
            date=day,
        )

    def event(self, event: Event, *, to_come: bool = False) -> str:
        """Return the complete message of an event; `to_come` is True for an event in the future."""
        said = [self._sentence(each) for each in statements_of(event, to_come=to_come)]
        if isinstance(event, CommandRefused):
            said += dict.fromkeys(refusal_words(each, self.words) for each in event.refusals)
        return " ".join(said)

    def _sentence(self, statement: Statement) -> str:
        return fill_template(
            self.words.translated(SENTENCES[statement.key]), statement.parameters, self._writer
        )


class _Titled(Translator):
    """Translator that formats a plan as its title."""

    def __init__(self, language: Language, titles: Mapping[str, str]) -> None:
        super().__init__(language)
        self._titles = titles

    def plan(self, plan: str) -> str:
        return self._titles.get(plan, plan)
