"""One subscription on the running service and by the rules, with the same commands and compared results.

The ledger is also compared with the oracle's, as far as the oracle supports the scenario: one catalogue,
well-formed commands, no renames.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import ExitStack
from datetime import date, datetime
from typing import Any, TypeVar

from support.service_env import ServiceEnv, publish
from support.subscription_driver import SubscriptionDriver
from temporalio.client import WorkflowQueryFailedError

from dev_stack.scenario_runner import set_members_in_use
from property import oracle
from starter.client import CancellationQuote
from subscription.catalogue import Catalogue
from subscription.forecast import Quote, quote_cancellation
from subscription.refusals import Refusal, RefusalError
from subscription.scenario import CONFIRM_DOMAIN, DOMAIN_STEPS, LOSE_DOMAIN
from subscription.state import Subscription
from subscription.status import Status
from subscription.timeline import Answer, RecordedEntry, TimelineEntry

from .expected_results import ExpectedSubscription

T = TypeVar("T")


class SideBySide:
    """The service and the rules with the same commands.

    `accepted` has the accepted commands with an ID; `commands_after_the_end` counts commands after the end.
    Call its methods from a thread other than that of the event loop on which the service runs.
    """

    tally: Counter[str] = Counter()  # noqa: RUF012

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service_env: ServiceEnv,
        subscription: SubscriptionDriver,
        rules: ExpectedSubscription,
        other: oracle.OracleSubscription,
    ) -> None:
        self.service_env, self.subscription, self.rules = service_env, subscription, rules
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        self.commands_after_the_end = 0
        self._loop = loop
        self._oracle: oracle.OracleSubscription | None = other
        self._oracle_knows_access = True
        self._is_outdated = False
        self._ahead = rules.now - self._run(subscription.clock.now())
        self.advance_to(rules.now)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    # -- actions on both -----------------------------------------------------------------------------

    def advance_to(self, moment: datetime, *, on_the_clock: bool = False) -> None:
        """Advance the time: by a call that settles deadlines, or by the test clock and its timers."""
        if on_the_clock:
            self._run(self.subscription.clock.advance_to(moment - self._ahead))
        self._settle(moment)
        self._compare()

    def publish(self, newer: Catalogue) -> None:
        """Publish a catalogue. The workflow loads it when it records an event; the oracle never does."""
        self._run(publish(self.service_env.owner, newer))
        self.rules.publish(newer)
        self._oracle, self._is_outdated = None, True
        self._compare()

    def report_members(self, count: int) -> None:
        """Set the members in use of the product, which the next commands are decided with (R36)."""
        self._run(self._set_members_in_use(count))
        self.rules.members_in_use = count
        if self._oracle:
            self._oracle.members_in_use = count

    async def _set_members_in_use(self, count: int) -> None:
        async with self.service_env.owner.acquire() as connection:
            await set_members_in_use(connection, self.subscription.id, count)

    def prove(self, *, by_signal: bool) -> None:
        """Publish the verification records of all domains while the service receives `check_domain`."""
        with ExitStack() as published:
            for proof in self._run(self.subscription.status()).proofs:
                published.enter_context(self.service_env.dns.published_txt(proof.txt_name, proof.txt_value))
            self._check_domains(CONFIRM_DOMAIN, by_signal=by_signal)

    def lose(self, *, by_signal: bool) -> None:
        """Take all pending domains, as another subscription does that verifies them, and check them."""
        claims = "UPDATE account_names SET status = 'LOST' WHERE subscription_id = $1 AND status = 'CLAIMED'"
        self._run(self.service_env.owner.execute(claims, self.subscription.id))
        self._check_domains(LOSE_DOMAIN, by_signal=by_signal)

    def _check_domains(self, step: str, *, by_signal: bool) -> None:
        argument = {"at": self.rules.now.isoformat()}
        self.send("check_domain", argument, by_signal=by_signal, domain_step=step, of_the_oracle=(step, {}))

    def send(
        self,
        command: str,
        argument: Any,
        *,
        by_signal: bool = False,
        domain_step: str = "",
        of_the_oracle: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        """Send a command; `of_the_oracle` is its form for the oracle, None if it must be refused."""
        over, happened = self.rules.state.state.is_terminal, len(self.rules.timeline)
        self.commands_after_the_end += over
        by_signal = by_signal and not over
        answered = self.rules.outcome_of(command, argument, by_signal=by_signal, domain_step=domain_step)
        if by_signal:
            self._run(self.subscription.handle.signal(command, argument))
            self._settle(self.rules.now)
            if isinstance(answered, Refusal):
                self._is_in_the_timeline(command, answered)
        else:
            got = self._run(
                _outcome(self.subscription.client.command(self.subscription.id, command, argument))
            )
            assert _comparable(got) == _comparable(answered), (command, argument)
        self.tally[answered.code if isinstance(answered, Refusal) else f"accepted: {command}"] += 1
        if not isinstance(answered, Refusal):
            self._is_outdated &= not answered.events
            self._oracle_knows_access &= command != "rename_account"
            if of_the_oracle is None and len(self.rules.timeline) > happened:
                self._oracle = None
            if isinstance(argument, dict) and argument.get("id"):
                self.accepted.append((command, argument))
        if of_the_oracle:
            self._oracle_answers(*of_the_oracle, not isinstance(answered, Refusal))
        self._settle(self.rules.now)
        self._compare()

    def quote(self, day: date) -> None:
        """Compare a quote. The database has no clock of its own: it quotes as of the last event."""
        rules = self.rules
        assert rules.state.last_at is not None
        by_rules = quote_cancellation(rules.state, day, rules.state.last_at, rules.book)
        got = self._run(_outcome(self.subscription.client.quote_cancellation(self.subscription.id, day)))
        assert _comparable(got) == _comparable(by_rules)

    # -- comparisons ---------------------------------------------------------------------------------

    def _settle(self, moment: datetime) -> None:
        before = len(self.rules.timeline)
        self.rules.advance_to(moment)
        self._run(self.subscription.client.settle(self.subscription.id, self.rules.now))
        self._is_outdated &= len(self.rules.timeline) == before
        if self._oracle:
            self._oracle.run_to(self.rules.now)

    def _is_in_the_timeline(self, command: str, refused: Refusal) -> None:
        """Check the refusal; its time is that of the clock, which can be any time since the last event."""
        entry = self._run(self.subscription.client.timeline(self.subscription.id))[len(self.rules.timeline)]
        assert entry.event == "REFUSED"
        assert self.rules.state.last_at is not None
        assert self.rules.state.last_at <= entry.at <= self.rules.now
        self.rules.refused_in_the_timeline(command, refused, entry.at)

    def _compare(self) -> None:
        rules = self.rules
        shown = self._run(self._shown())
        by_rules = (_without_secrets(rules.status), rules.timeline, rules.ledger, rules.upcoming())
        assert shown == by_rules
        if self._oracle:
            columns = ("kind", "from", "to", "plan", "members", "amount", "effective_at")
            written = [line.model_dump(mode="json") for line in rules.ledger]
            assert self._oracle.ledger == [{column: line[column] for column in columns} for line in written]
            assert self._oracle.state == rules.state.state
            assert not self._oracle_knows_access or self._oracle.access == rules.state.access

    async def _shown(self) -> tuple[Any, ...]:
        client, subscription_id = self.subscription.client, self.subscription.id
        return (
            _without_secrets(await client.status(subscription_id)),
            [_without_issuer(entry) for entry in await client.timeline(subscription_id)],
            await client.ledger(subscription_id),
            await client.upcoming(subscription_id),
        )

    def _oracle_answers(self, command: str, argument: dict[str, Any], accepted: bool) -> None:
        if self._oracle is None or command in ("rename_account", "check_domain"):
            return
        wish = {key: value for key, value in argument.items() if key not in ("at", "id", "agreed_terms")}
        if command not in DOMAIN_STEPS or self._oracle_knows_access:
            assert self._oracle.obey(command, None if wish == {"term": None} else wish) == accepted

    # -- the end -------------------------------------------------------------------------------------

    def part(self) -> None:
        """Check that the workflow shows the same as the database and has no failed tasks, and end it."""
        self._run(self._part())

    async def _part(self) -> None:
        if self.rules.state.state.is_terminal:
            await self.subscription.has_closed()
            return
        handle = self.subscription.handle
        try:
            snapshot = await handle.query("snapshot", result_type=Subscription)
            assert _bare(snapshot) == _bare(self.rules.state)
            latest = [entry.model_dump(mode="json") for entry in self.rules.timeline[-10:]]
            assert await handle.query("timeline") == latest
            if not self._is_outdated:
                assert await self._quoted() == _comparable(self.rules.quote(self.rules.now.date()))
            assert await self.subscription.failed_tasks() == []
        finally:
            await handle.terminate("the comparison is complete")

    async def _quoted(self) -> Any:
        now = self.rules.now
        argument = {"date": now.date().isoformat(), "at": now.isoformat()}
        try:
            return await self.subscription.handle.query("quote_cancellation", argument, result_type=Quote)
        except WorkflowQueryFailedError as failure:
            return str(failure)


async def _outcome(call: Coroutine[Any, Any, T]) -> T | Refusal:
    try:
        return await call
    except RefusalError as refusal:
        return refusal.refused


def _comparable(outcome: Answer | Quote | Refusal) -> Any:
    """Return what the rules decide of an outcome; a quote of the service also has the last export."""
    match outcome:
        case Refusal():
            return outcome.code, outcome.message, outcome.field
        case CancellationQuote():
            return Quote(**{name: getattr(outcome, name) for name in Quote.model_fields})
    return outcome


def _without_issuer(entry: RecordedEntry) -> TimelineEntry:
    """Return the entry as the rules write it. They do not know the channel of a command."""
    return TimelineEntry.model_validate(entry.model_dump(exclude={"channel", "by"}))


def _without_secrets(status: Status) -> Status:
    blank = {"txt_value": "", "cname_name": "", "mx_exchange": ""}
    proofs = tuple(proof.model_copy(update=blank) for proof in status.proofs)
    return status.model_copy(update={"proofs": proofs})


def _bare(state: Subscription) -> Subscription:
    """Return the state without the data that only the service has: secrets, the next domain check."""
    blank = {"token": "", "since": state.last_at, "next_check_at": state.last_at}
    return state.model_copy(
        update={
            "pending_domain": state.pending_domain and state.pending_domain.model_copy(update=blank),
            "pending_rename_domain": state.pending_rename_domain
            and state.pending_rename_domain.model_copy(update=blank),
        }
    )
