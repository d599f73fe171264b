"""A machine of hypothesis that lives a subscription on the real service and by the rules, side by side.

Whatever is asked, however it is written and whenever it comes: after each step the service has answered,
recorded and shows what the rules say, and the ledger is also that of the oracle, as far as that reaches.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack
from datetime import date, datetime, timedelta, timezone
from typing import Any, ClassVar, TypeVar

import oracle
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from scenario_strategies import ODD_ZONES, catalogues
from temporalio.client import Client, WorkflowQueryFailedError

from activities.catalogues import publish
from starter.embedded.stack import EmbeddedStack
from subscription.calendar import KST, first_of_next_month, start_of
from subscription.catalogue import Catalogue, PriceBook, required_terms
from subscription.commands import COMMANDS
from subscription.deadlines import next_deadline
from subscription.decide import latest_cancellation, latest_switch
from subscription.effects import Answer
from subscription.forecast import Quote
from subscription.refusals import Refused, RefusedError
from subscription.request import Request, read_request
from subscription.state import Subscription
from subscription.status import Status

from .house import catalogue, fresh, open_house
from .lives import Life
from .reckoning import Reckoning

T = TypeVar("T")

A_MICROSECOND, A_DAY = timedelta(microseconds=1), timedelta(days=1)
PROCESS_ZONES = ("UTC", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns", "Asia/Seoul", "Pacific/Chatham")
LONGEST_LIFE = timedelta(days=12 * 366)

PACES = (
    "at once",
    "a microsecond",
    "hours",
    "days",
    "days",
    "months",
    "years",
    "midnight",
    "before midnight",
)
PACES += ("first of the month", "due", "due", "due", "just before due", "just after due")
DAYS = ("today", "today", "tomorrow", "yesterday", "later", "later", "latest", "latest", "past the latest")
DAYS += ("first of the month", "period end", "period end", "leap day", "year 1", "year 9999")
ASKED = ("switch_to_paid", "switch_to_paid", "cancel", "upgrade", "upgrade", "change_renewal_option")
ASKED += ("change_renewal_option", "withdraw_reservation", "rename_account", "check_domain")

# Each is put into a field of a command that would have been in order.
BAD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10.0,
    1e308,
    2**63,
    2**200,
    "10",
    "",
    "a\0b",
    "x" * 500,
    [],
    {},
)
BAD_VALUES += (
    "2027-02-29",
    "2027-2-3",
    "9999-12-31T23:59:60Z",
    "\u202eabc",
    "'; DROP TABLE",
    "<b>",
    "WEEKLY",
)
FIELDS = ("date", "term", "plan", "members", "agreed_terms", "confirmation", "group", "domain", "id", "by")

beginnings = st.one_of(
    st.sampled_from(
        [
            datetime(2027, 1, 31, tzinfo=KST),
            datetime(2028, 2, 29, tzinfo=KST),
            datetime(2027, 12, 31, 23, 59, 59, 999999, KST),
            datetime(2027, 11, 30, 0, 0, 0, 1, KST),
        ]
    ),
    st.datetimes(datetime(2027, 1, 1), datetime(2031, 12, 31)).map(lambda moment: moment.replace(tzinfo=KST)),
)
written_zones = st.sampled_from([KST, KST, *ODD_ZONES, timezone(timedelta(hours=5, minutes=45))])
members_wished = st.sampled_from([None, None, None, -1, 0, 1, 1, 2, 7, 7, 20, 10**6])
plans_wished = st.sampled_from([None, None, None, "lowest", "highest", "highest", "unsold"])


class LifeMachine(RuleBasedStateMachine):
    """One life in a house of its own. Hypothesis runs it in a thread; the house lives on the loop.

    `tally` counts what all machines have come to.
    """

    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self, stack: EmbeddedStack, temporal: Client, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._stack, self._temporal, self._loop = stack, temporal, loop
        self._open = AsyncExitStack()
        self._published = self._asked_after_the_end = 0
        self._outdated = False
        self._accepted: list[tuple[str, dict[str, Any]]] = []
        self._oracle_knows_access = True

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    # -- the beginning and the end -------------------------------------------------------------------

    @initialize(
        sold=catalogues(),
        at=beginnings,
        zone=st.sampled_from(PROCESS_ZONES),
        written=written_zones,
        plan=st.integers(0, 3),
        members=st.integers(1, 30),
        on_a_domain=st.sampled_from([False, False, True]),
        pays=st.sampled_from(["ANNUAL", "ANNUAL", "MONTHLY", None]),
    )
    def begins(
        self,
        sold: dict[str, Any],
        at: datetime,
        zone: str,
        written: timezone,
        plan: int,
        members: int,
        on_a_domain: bool,
        pays: str | None,
    ) -> None:
        os.environ["TZ"] = zone
        time.tzset()
        self.sold = Catalogue.model_validate(sold)
        book = PriceBook(versions=(catalogue(), self.sold))
        name, self.neighbour = fresh("model"), fresh("neighbour")
        plans = list(sold["plans"])
        wish = {
            "plan": plans[plan % len(plans)],
            "members": min(members, self.sold.account.max_members),
            "account": {"domain": f"{name}.example"} if on_a_domain else {"group": name},
        }
        self.oracle: oracle.Life | None = oracle.Life({**wish, "at": at.isoformat()}, sold)
        self.house = self._run(self._open.enter_async_context(open_house(self._stack, self._temporal)))
        self._run(publish(self.house.owner, self.sold))
        terms = [{"id": term.id, "version": term.version} for term in required_terms(self.sold)]
        body = self.house.request_body(
            **wish, agreed_terms=terms, simulated_at=at.astimezone(written).isoformat()
        )
        beside = self.house.request_body(account={"group": self.neighbour}, plan=plans[0], agreed_terms=terms)
        answer = self._run(self.house.client.request(body))
        self._run(self.house.client.request({**beside, "members": 1, "simulated_at": at.isoformat()}))
        request = read_request(body, book, at)
        assert isinstance(request, Request), request
        self.life = Life(self.house.client, self._temporal, answer.subscription_id, body)
        self._start, self._ahead = at, at - self._run(self.life.clock.now())
        self.rules = Reckoning(answer.subscription_id, request, at, book, frozenset({self.neighbour}))
        assert answer.trial_ends_at == self.rules.state.trial_ends_at
        self._passes_to(at)
        self._all_is_equal()
        if pays:
            switch = {"date": at.date().isoformat(), "term": pays, "at": at.isoformat()}
            self._told("switch_to_paid", switch, by_signal=False, of_the_oracle=("switch_to_paid", switch))

    def teardown(self) -> None:
        os.environ.pop("TZ", None)
        time.tzset()
        try:
            if hasattr(self, "rules"):
                self._run(self._the_workflow_shows_the_same())
        finally:
            self._run(self._open.aclose())

    @property
    def _goes_on(self) -> bool:
        """Whether there is more to be seen: of what is over, a few answers are enough."""
        return self._asked_after_the_end < 4

    @precondition(lambda self: not self._goes_on)
    @rule()
    def rests(self) -> None:
        """Something must always be possible."""

    # -- time ----------------------------------------------------------------------------------------

    @precondition(lambda self: self._goes_on)
    @rule(pace=st.sampled_from(PACES), number=st.integers(0, 40))
    def time_passes(self, pace: str, number: int) -> None:
        self._passes_to(self._moment(pace, number))
        self._all_is_equal()

    @precondition(lambda self: self._goes_on and not self.rules.state.claims)
    @rule(pace=st.sampled_from(PACES), number=st.integers(0, 40))
    def time_passes_on_the_clock(self, pace: str, number: int) -> None:
        """As above, and the timers of the workflow fire, instead of somebody asking."""
        moment = self._moment(pace, number)
        self._run(self.life.clock.advance_to(moment - self._ahead))
        self._passes_to(moment)
        self._all_is_equal()

    # -- what is asked -------------------------------------------------------------------------------

    @precondition(lambda self: self._goes_on)
    @rule(
        command=st.sampled_from(ASKED),
        pace=st.sampled_from(PACES),
        number=st.integers(0, 40),
        day=st.sampled_from(DAYS),
        plan=plans_wished,
        members=members_wished,
        term=st.sampled_from([None, "MONTHLY", "ANNUAL", "ANNUAL"]),
        zone=written_zones,
        named=st.booleans(),
        by_signal=st.sampled_from([False, False, True]),
    )
    def asks(
        self,
        command: str,
        pace: str,
        number: int,
        day: str,
        plan: str | None,
        members: int | None,
        term: str | None,
        zone: timezone,
        named: bool,
        by_signal: bool,
    ) -> None:
        self._passes_to(self._moment(pace, number))
        argument = self._argument(command, day, number, plan, members, term)
        if named:
            argument["id"] = fresh("id")
        argument["at"] = self.rules.now.astimezone(zone).isoformat()
        self._told(command, argument, by_signal=by_signal, of_the_oracle=(command, argument))

    @precondition(lambda self: self._goes_on and self._accepted)
    @rule(
        which=st.integers(0, 50),
        changed=st.sampled_from([None, None, "another", "by"]),
        by_signal=st.booleans(),
    )
    def asks_again(self, which: int, changed: str | None, by_signal: bool) -> None:
        """What was accepted under an id, under it again: the same, another command, another `by` (R22)."""
        command, argument = self._accepted[which % len(self._accepted)]
        if changed == "by":
            argument = {**argument, "by": "somebody else"}
        if changed == "another":
            command, argument = "rename_account", {"group": fresh("again"), "id": argument["id"]}
        self._told(command, {**argument, "at": self.rules.now.isoformat()}, by_signal=by_signal)

    @precondition(lambda self: self._goes_on)
    @rule(
        command=st.sampled_from([*COMMANDS]),
        field=st.sampled_from(FIELDS),
        value=st.sampled_from(BAD_VALUES),
        day=st.sampled_from(DAYS),
        by_signal=st.booleans(),
    )
    def asks_with_a_wrong_field(
        self, command: str, field: str, value: Any, day: str, by_signal: bool
    ) -> None:
        argument = self._argument(command, day, 3, None, 1, "ANNUAL")
        self._told(command, {**argument, field: value, "at": self.rules.now.isoformat()}, by_signal=by_signal)

    @precondition(lambda self: not self.rules.state.state.over)
    @rule(
        argument=st.sampled_from([None, [], "now", 5, True, [{}]]), command=st.sampled_from([*COMMANDS, "no"])
    )
    def signals_what_is_no_argument(self, argument: Any, command: str) -> None:
        if argument is None and command in ("change_renewal_option", "withdraw_reservation", "check_domain"):
            return  # which null is an argument of
        self._told(command, argument, by_signal=True)

    @precondition(lambda self: self._goes_on)
    @rule(command=st.sampled_from(ASKED), years=st.sampled_from([-1, 30, 7_000]), by_signal=st.booleans())
    def asks_for_another_time(self, command: str, years: int, by_signal: bool) -> None:
        argument = self._argument(command, "today", 1, None, 1, "ANNUAL")
        at = self.rules.now.replace(month=1, day=1, year=self.rules.now.year + years)
        self._told(command, {**argument, "at": at.isoformat()}, by_signal=by_signal)

    @precondition(lambda self: self.rules.state.claims)
    @rule(by_signal=st.booleans())
    def proves_its_domains(self, by_signal: bool) -> None:
        proofs = self._run(self.life.status()).proofs
        with ExitStack() as published:
            for proof in proofs:
                published.enter_context(self.house.dns.published_txt(proof.txt_name, proof.txt_value))
            argument = {"at": self.rules.now.isoformat()}
            confirmed = ("confirm_domain", {})
            self._told("check_domain", argument, by_signal=by_signal, proved=True, of_the_oracle=confirmed)
        assert not self.rules.state.claims

    @precondition(lambda self: self._goes_on and self._published < 3)
    @rule(after=st.integers(1, 400), factor=st.sampled_from([0, 2, 3]), trimmed=st.booleans())
    def a_catalogue_is_published(self, after: int, factor: int, trimmed: bool) -> None:
        """Other prices, one plan less, another fee: what holds from which day on is for the rules to say."""
        last = self.rules.book.versions[-1]
        self._published += 1
        plans = {
            name: plan.model_copy(update={"list": plan.list * factor, "annual": plan.annual * factor})
            for name, plan in sorted(last.plans.items(), key=lambda each: each[1].rank)
        }
        if trimmed and len(plans) > 1:
            plans.popitem()
        newer = last.model_copy(
            update={
                "version": f"newer-{self._published}",
                "effective_from": max(last.effective_from, self.rules.now.date()) + after * A_DAY,
                "plans": plans,
                "cancellation": last.cancellation.model_copy(update={"fee_percent": 50}),
            }
        )
        self._run(publish(self.house.owner, Catalogue.model_validate(newer.model_dump())))
        self.rules.publish(newer)
        self.oracle, self._outdated = None, True
        self._all_is_equal()

    @precondition(lambda self: self._goes_on)
    @rule(day=st.sampled_from(DAYS), number=st.integers(0, 400))
    def is_quoted(self, day: str, number: int) -> None:
        wanted = self._day("cancel", day, number)
        # The record has no clock of its own: it quotes as of what happened last.
        assert self.rules.state.last_at is not None
        self.rules.passes_to(self.rules.now)
        by_rules = Reckoning.quote(self._as_of_the_last_event(), wanted)
        assert self._run(self._outcome(self.life.client.quote_cancellation(self.life.id, wanted))) == by_rules

    # -- both sides ----------------------------------------------------------------------------------

    def _told(
        self,
        command: str,
        argument: Any,
        *,
        by_signal: bool,
        proved: bool = False,
        of_the_oracle: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        """Tell both sides, and see that they answer and become the same.

        `of_the_oracle` is the same in the oracle's words; without them it can follow refusals alone.
        """
        by_signal = by_signal and not self.rules.state.state.over
        self._asked_after_the_end += self.rules.state.state.over
        happened = len(self.rules.timeline)
        answered = self.rules.asked(command, argument, proved=proved)
        if by_signal:
            self._run(self.life.handle.signal(command, argument))
            self._passes_to(self.rules.now)
            if isinstance(answered, Refused):
                self._is_in_the_timeline(command, answered)
        else:
            got = self._run(self._outcome(self.life.client.command(self.life.id, command, argument)))
            assert _comparable(got) == _comparable(answered), (command, argument)
        self.tally["signals" if by_signal else "updates"] += 1
        self.tally[answered.code if isinstance(answered, Refused) else "accepted"] += 1
        if not isinstance(answered, Refused):
            self._outdated &= not answered.events
            self._oracle_knows_access &= command != "rename_account"
            if of_the_oracle is None and len(self.rules.timeline) > happened and command != "rename_account":
                self.oracle = None
            if isinstance(argument, dict) and argument.get("id"):
                self._accepted.append((command, argument))
        if of_the_oracle:
            self._oracle_agrees(*of_the_oracle, not isinstance(answered, Refused))
        self._passes_to(self.rules.now)
        self._all_is_equal()

    def _is_in_the_timeline(self, command: str, refused: Refused) -> None:
        """The moment of a refusal is the clock's, which may be anything since the last event."""
        entry = self._run(self.life.client.timeline(self.life.id))[len(self.rules.timeline)]
        assert self.rules.state.last_at is not None
        assert (entry.event, self.rules.state.last_at <= entry.at <= self.rules.now) == ("REFUSED", True)
        self.rules.refused_in_the_timeline(command, refused, entry.at)

    def _passes_to(self, moment: datetime) -> None:
        before = len(self.rules.timeline)
        self.rules.passes_to(moment)
        self._run(self.life.client.settle(self.life.id, self.rules.now))
        self._outdated &= len(self.rules.timeline) == before
        if self.oracle:
            self.oracle.run_to(self.rules.now)

    def _all_is_equal(self) -> None:
        shown = self._run(self._shown())
        assert shown == {
            "status": _without_secrets(self.rules.status),
            "timeline": self.rules.timeline,
            "ledger": self.rules.ledger,
            "upcoming": self.rules.upcoming(),
        }
        assert self.oracle is None or self._ledger_is_the_oracles()

    async def _shown(self) -> dict[str, Any]:
        client, subscription_id = self.life.client, self.life.id
        return {
            "status": _without_secrets(await client.status(subscription_id)),
            "timeline": await client.timeline(subscription_id),
            "ledger": await client.ledger(subscription_id),
            "upcoming": await client.upcoming(subscription_id),
        }

    async def _the_workflow_shows_the_same(self) -> None:
        """What the workflow itself answers, not the record; and no task of it has failed."""
        state, handle = self.rules.state, self.life.handle
        if state.state.over:
            await self.life.has_closed()
            return
        try:
            snapshot = await handle.query("snapshot", result_type=Subscription)
            assert _bare(snapshot) == _bare(state)
            assert await handle.query("timeline") == [
                entry.model_dump(mode="json") for entry in self.rules.timeline[-100:]
            ]
            if not self._outdated:
                day = self._day("cancel", "latest", 0)
                asked = {"date": day.isoformat(), "at": self.rules.now.isoformat()}
                assert await _quoted(handle.query("quote_cancellation", asked, result_type=Quote)) == _said(
                    self.rules.quote(day)
                )
            assert await self.life.failed_tasks() == []
        finally:
            await handle.terminate("the machine has stopped")

    async def _outcome(self, asked: Coroutine[Any, Any, T]) -> T | Refused:
        try:
            return await asked
        except RefusedError as refusal:
            return refusal.refused

    def _as_of_the_last_event(self) -> Reckoning:
        past = object.__new__(Reckoning)
        past.__dict__ = {**self.rules.__dict__, "now": self.rules.state.last_at}
        return past

    # -- the oracle ----------------------------------------------------------------------------------

    def _oracle_agrees(self, command: str, argument: dict[str, Any], accepted: bool) -> None:
        if self.oracle is None or command in ("rename_account", "check_domain"):
            return
        wish = {key: value for key, value in argument.items() if key not in ("at", "id", "agreed_terms")}
        if command != "confirm_domain" or self._oracle_knows_access:
            assert self.oracle.obey(command, None if wish == {"term": None} else wish) == accepted

    def _ledger_is_the_oracles(self) -> bool:
        assert self.oracle is not None
        columns = ("kind", "from", "to", "plan", "members", "amount", "effective_at")
        written = [line.model_dump(mode="json") for line in self.rules.ledger]
        ledger = [{column: line[column] for column in columns} for line in written]
        same_access = not self._oracle_knows_access or self.oracle.access == self.rules.state.access
        return (self.oracle.ledger, self.oracle.state, same_access) == (ledger, self.rules.state.state, True)

    # -- words for moments, days and arguments -------------------------------------------------------

    def _moment(self, pace: str, number: int) -> datetime:
        now = self.rules.now
        deadline = next_deadline(self.rules.state)
        due = deadline.at if deadline else now
        moment = {
            "at once": now,
            "a microsecond": now + A_MICROSECOND,
            "hours": now + timedelta(hours=number),
            "days": now + number * A_DAY,
            "months": now + number * 5 * A_DAY,
            "years": now + number * 20 * A_DAY,
            "midnight": start_of(now.date() + number * A_DAY),
            "before midnight": start_of(now.date() + number * A_DAY) - A_MICROSECOND,
            "first of the month": start_of(first_of_next_month(now.date())),
            "due": due,
            "just before due": due - A_MICROSECOND,
            "just after due": due + A_MICROSECOND,
        }[pace]
        if self.rules.state.contract is None:  # or it would lapse before anything is asked of it
            moment = min(moment, due + A_MICROSECOND)
        return min(max(now, moment), self._start + LONGEST_LIFE)

    def _day(self, command: str, word: str, number: int) -> date:
        state, today = self.rules.state, self.rules.now.date()
        latest = today
        if state.state.commandable:
            switches = command == "switch_to_paid" and state.grace_ends_at is not None
            latest = latest_switch(state) if switches else latest_cancellation(state, today)
        return {
            "today": today,
            "tomorrow": today + A_DAY,
            "yesterday": today - A_DAY,
            "later": today + number * A_DAY,
            "latest": latest,
            "past the latest": latest + A_DAY,
            "first of the month": first_of_next_month(today),
            "period end": state.contract.end_day if state.contract else latest,
            "leap day": date(2032, 2, 29),
            "year 1": date(1, 1, 1),
            "year 9999": date(9999, 12, 31),
        }[word]

    def _argument(
        self, command: str, day: str, number: int, plan: str | None, members: int | None, term: str | None
    ) -> dict[str, Any]:
        ranked = sorted(self.sold.plans, key=lambda name: self.sold.plans[name].rank)
        chosen = plan and {"lowest": ranked[0], "highest": ranked[-1], "unsold": "nonesuch"}[plan]
        wish = {"plan": chosen, "members": members and max(1, self.rules.state.members + members)}
        choice = {name: value for name, value in wish.items() if value is not None}
        match command:
            case "switch_to_paid":
                date_ = self._day(command, day, number).isoformat()
                return {"date": date_, "term": term or "MONTHLY", **choice}
            case "change_renewal_option":
                return {"term": term, **choice} if term else {"term": None}
            case "upgrade":
                today = self.rules.now.date()
                sold = self.rules.book.in_force(today)
                terms = [{"id": t.id, "version": t.version} for t in required_terms(sold)] if sold else []
                return {**choice, **({"term": term} if term else {}), "agreed_terms": terms}
            case "cancel":
                return {
                    "date": self._day(command, day, number).isoformat(),
                    "confirmation": self.rules.status.account or "nobody",
                }
            case "rename_account":
                names: list[dict[str, str]] = [
                    {"group": fresh("renamed")},
                    {"group": self.neighbour},
                    {"domain": f"{fresh('renamed')}.example"},
                    self.life.request["account"],
                ]
                return dict(names[number % len(names)])
        return {}


def _comparable(outcome: Answer | Refused) -> Any:
    return outcome if isinstance(outcome, Answer) else (outcome.code, outcome.message, outcome.field)


def _without_secrets(status: Status) -> Status:
    proofs = tuple(proof.model_copy(update={"txt_value": "", "cname_name": ""}) for proof in status.proofs)
    return status.model_copy(update={"proofs": proofs})


def _bare(state: Subscription) -> Subscription:
    """Without what only the service knows: secrets, the next look at the DNS, ids that it gave by itself."""
    now = state.last_at
    blank = {"token": "", "since": now, "next_look_at": now}
    return state.model_copy(
        update={
            "answered": {},
            "claim": state.claim and state.claim.model_copy(update=blank),
            "rename_claim": state.rename_claim and state.rename_claim.model_copy(update=blank),
        }
    )


async def _quoted(asked: Coroutine[Any, Any, Quote]) -> Quote | str:
    try:
        return await asked
    except WorkflowQueryFailedError as failure:
        return str(failure)


def _said(quote: Quote | Refused) -> Quote | str:
    return quote.message if isinstance(quote, Refused) else quote
