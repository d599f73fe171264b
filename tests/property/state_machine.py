"""A Hypothesis state machine that generates subscriptions: commands, their notation and their times."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.service_env import catalogue, open_service_env, publish, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack
from property import oracle
from property.scenario_strategies import catalogues
from subscription.catalogue import Catalogue, PriceBook
from subscription.commands import COMMANDS
from subscription.request import Request, parse_request
from subscription.scenario import agreed_terms

from . import command_strategies
from .command_strategies import A_DAY, argument_of, day_of_wish, moment_of
from .expected_results import ExpectedSubscription
from .service_vs_rules import SideBySide

LONGEST_LIFE = timedelta(days=12 * 366)
MOST_CATALOGUES, ENOUGH_AFTER_THE_END = 3, 4
HOME = os.environ.get("TZ")


a_whole_command = rule(
    command=command_strategies.commands,
    pace=command_strategies.paces,
    number=command_strategies.numbers,
    day=command_strategies.days,
    plan=command_strategies.plans,
    members=command_strategies.members,
    term=command_strategies.terms,
    zone=command_strategies.written_zones,
    named=st.booleans(),
)


def while_it_continues(machine: "SubscriptionMachine") -> bool:
    return not machine.is_enough


def _set_time_zone(zone: str | None) -> None:
    """Set the time zone of this process and its worker, which must have no effect."""
    os.environ.pop("TZ", None)
    if zone is not None:
        os.environ["TZ"] = zone
    time.tzset()


def beside_the_shipped(sold: dict[str, Any]) -> dict[str, Any]:
    """Return the drawn catalogue with plans and ranks that differ from those of the shipped one before it."""
    plans = {f"new-{name}": {**plan, "rank": plan["rank"] + 100} for name, plan in sold["plans"].items()}
    return {**sold, "plans": plans}


class SubscriptionMachine(RuleBasedStateMachine):
    """One subscription in its own environment, which runs on the event loop; Hypothesis runs in a thread."""

    def __init__(self, stack: EmbeddedStack, temporal: Client, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._stack, self._temporal, self._loop = stack, temporal, loop
        self._open = AsyncExitStack()
        self._both: SideBySide | None = None

    @property
    def both(self) -> SideBySide:
        assert self._both is not None
        return self._both

    @property
    def expected(self) -> ExpectedSubscription:
        return self.both.rules

    # -- the beginning and the end -------------------------------------------------------------------

    @initialize(
        sold=catalogues(),
        at=command_strategies.beginnings,
        zone=command_strategies.process_zones,
        written=command_strategies.written_zones,
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
        _set_time_zone(zone)
        sold = beside_the_shipped(sold)
        self.taken, name = unique_name("neighbour"), unique_name("model")
        limits = (sold["account"].get("max_members"), sold["trial"].get("max_members"))
        wish = {
            "plan": list(sold["plans"])[plan % len(sold["plans"])],
            "members": min([members, *(limit for limit in limits if limit is not None)]),
            "account": {"domain": f"{name}.example"} if on_a_domain else {"group": name},
        }
        opened = self._opened(Catalogue.model_validate(sold), at, written, wish)
        service_env, subscription, rules = asyncio.run_coroutine_threadsafe(opened, self._loop).result(
            timeout=60
        )
        other = oracle.OracleSubscription({**wish, "at": at.isoformat()}, sold)
        self._end = at + LONGEST_LIFE
        self._both = SideBySide(self._loop, service_env, subscription, rules, other)
        if pays:
            switch = {"date": at.date().isoformat(), "term": pays, "at": at.isoformat()}
            self.both.send("switch_to_paid", switch, of_the_oracle=("switch_to_paid", switch))

    async def _opened(
        self, sold: Catalogue, at: datetime, written: timezone, wish: dict[str, Any]
    ) -> tuple[Any, SubscriptionDriver, ExpectedSubscription]:
        """Open an environment with this catalogue and a taken name; request the subscription."""
        service_env = await self._open.enter_async_context(open_service_env(self._stack, self._temporal))
        await publish(service_env.owner, sold)
        book = PriceBook(versions=(catalogue(), sold))
        terms = {"agreed_terms": agreed_terms(book, at)}
        plan = {"plan": wish["plan"], "members": 1}
        beside = service_env.request_body(
            account={"group": self.taken}, simulated_at=at.isoformat(), **plan, **terms
        )
        body = service_env.request_body(simulated_at=at.astimezone(written).isoformat(), **wish, **terms)
        await service_env.client.request(beside)
        answer = await service_env.client.request(body)
        request = parse_request(body, book, at)
        assert isinstance(request, Request), request
        rules = ExpectedSubscription(answer.subscription_id, request, at, book, frozenset({self.taken}))
        assert answer.trial_ends_at == rules.state.trial_ends_at
        return (
            service_env,
            SubscriptionDriver(service_env.client, self._temporal, answer.subscription_id, body),
            rules,
        )

    def teardown(self) -> None:
        _set_time_zone(HOME)
        try:
            if self._both:
                self._both.part()
        finally:
            asyncio.run_coroutine_threadsafe(self._open.aclose(), self._loop).result(timeout=60)

    @property
    def is_enough(self) -> bool:
        """Return whether an ended subscription has received enough commands."""
        return self.both.commands_after_the_end >= ENOUGH_AFTER_THE_END

    @precondition(lambda self: self.is_enough)
    @rule()
    def rests(self) -> None:
        """Do nothing: a state machine must always have a possible rule."""

    # -- time ----------------------------------------------------------------------------------------

    @precondition(while_it_continues)
    @rule(pace=command_strategies.paces, number=command_strategies.numbers)
    def time_passes(self, pace: str, number: int) -> None:
        self.both.advance_to(self._moment(pace, number))

    @precondition(lambda self: not self.is_enough and not self.expected.state.pending_domains)
    @rule(pace=command_strategies.paces, number=command_strategies.numbers)
    def time_passes_on_the_clock(self, pace: str, number: int) -> None:
        self.both.advance_to(self._moment(pace, number), on_the_clock=True)

    def _moment(self, pace: str, number: int) -> datetime:
        return min(moment_of(self.expected, pace, number), max(self._end, self.expected.now))

    # -- commands ------------------------------------------------------------------------------------

    @precondition(while_it_continues)
    @a_whole_command
    def sends(self, **wish: Any) -> None:
        self._send(**wish)

    @precondition(while_it_continues)
    @a_whole_command
    def sends_command(self, pace: str, **wish: Any) -> None:
        """Send a second kind of command: Hypothesis chooses rules equally often, and commands matter most."""
        self._send(pace="now", **wish)

    @precondition(while_it_continues)
    @a_whole_command
    def signals(self, **wish: Any) -> None:
        self._send(by_signal=True, **wish)

    def _send(
        self,
        command: str,
        pace: str,
        number: int,
        zone: timezone,
        named: bool,
        by_signal: bool = False,
        **wish: Any,
    ) -> None:
        self.both.advance_to(self._moment(pace, number))
        argument = argument_of(self.expected, command, number=number, taken=self.taken, **wish)
        argument["at"] = self.expected.now.astimezone(zone).isoformat()
        if named:
            argument["id"] = unique_name("id")
        self.both.send(command, argument, by_signal=by_signal, of_the_oracle=(command, argument))

    @precondition(lambda self: not self.is_enough and self.both.accepted)
    @rule(
        which=st.integers(0, 50),
        changed=st.sampled_from([None, None, "another", "by"]),
        by_signal=st.booleans(),
    )
    def sends_again(self, which: int, changed: str | None, by_signal: bool) -> None:
        """Reuse the ID of an accepted command: the same command, another command, another `by` (R22)."""
        command, argument = self.both.accepted[which % len(self.both.accepted)]
        if changed == "by":
            argument = {**argument, "by": "somebody else"}
        if changed == "another":
            command, argument = "rename_account", {"group": unique_name("again"), "id": argument["id"]}
        self.both.send(command, {**argument, "at": self.expected.now.isoformat()}, by_signal=by_signal)

    @precondition(while_it_continues)
    @rule(
        command=command_strategies.commands,
        field=command_strategies.fields,
        value=command_strategies.bad_values,
        years=st.sampled_from([0, 0, 0, -1, 30, 7_000]),
        by_signal=st.booleans(),
    )
    def sends_malformed(self, command: str, field: str, value: Any, years: int, by_signal: bool) -> None:
        """Send a command with an invalid field, or with a time that the clock cannot reach."""
        argument = argument_of(self.expected, command, day="tomorrow", number=3)
        at = self.expected.now
        if years:
            at = at.replace(month=1, day=1, year=at.year + years)
        else:
            argument |= {field: value}
        self.both.send(command, {**argument, "at": at.isoformat()}, by_signal=by_signal)

    @precondition(lambda self: not self.expected.state.state.is_terminal)
    @rule(
        argument=st.sampled_from([[], "now", 5, True, [{}], {"colour": "red"}]),
        command=st.sampled_from([*COMMANDS, "no_such_command"]),
    )
    def signals_what_is_no_argument(self, argument: Any, command: str) -> None:
        self.both.send(command, argument, by_signal=True)

    @precondition(lambda self: not self.expected.state.state.is_terminal)
    @rule(more=st.integers(-2, 3))
    def members_are_added_or_removed(self, more: int) -> None:
        self.both.report_members(max(1, self.expected.state.members + more))

    @precondition(lambda self: self.expected.state.pending_domains)
    @rule(by_signal=st.booleans())
    def proves_its_domains(self, by_signal: bool) -> None:
        self.both.prove(by_signal=by_signal)
        assert not self.expected.state.pending_domains

    @precondition(lambda self: self.expected.state.pending_domains)
    @rule(by_signal=st.booleans())
    def loses_its_domains(self, by_signal: bool) -> None:
        self.both.lose(by_signal=by_signal)
        assert not self.expected.state.pending_domains

    @precondition(while_it_continues)
    @rule(day=command_strategies.days, number=st.integers(0, 400))
    def is_quoted(self, day: str, number: int) -> None:
        self.both.quote(day_of_wish(self.expected, "cancel", day, number))

    # -- catalogues ----------------------------------------------------------------------------------

    @precondition(lambda self: not self.is_enough and len(self.expected.book.versions) < 2 + MOST_CATALOGUES)
    @rule(
        after=st.integers(1, 400),
        notice=st.integers(0, 60),
        factor=st.sampled_from([0, 2, 3]),
        trimmed=st.booleans(),
    )
    def a_catalogue_is_published(self, after: int, notice: int, factor: int, trimmed: bool) -> None:
        """Publish other prices, one plan less, another fee; the rules decide from which day they apply."""
        last = self.expected.book.versions[-1]
        plans = {
            name: plan.model_copy(update={"list": plan.list * factor, "annual": plan.annual * factor})
            for name, plan in sorted(last.plans.items(), key=lambda each: each[1].rank)
        }
        if trimmed and len(plans) > 1:
            plans.popitem()
        today = self.expected.now.date()
        effective_from = max(last.effective_from, today) + after * A_DAY
        earliest = max(last.announcement_day, today)
        newer = last.model_copy(
            update={
                "version": f"revision-{self.expected.book.revision + 1}",
                "effective_from": effective_from,
                "announced_on": max(earliest, effective_from - notice * A_DAY),
                "plans": plans,
                "cancellation": last.cancellation.model_copy(update={"fee_percent": 50}),
            }
        )
        self.both.publish(newer)
