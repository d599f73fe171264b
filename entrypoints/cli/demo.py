"""`worksub demo`: one subscription from request to erasure on real servers."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.text import Text
from temporalio.client import Client

from adapters.password_hashing import hashed
from adapters.postgres.pool import create_pool
from adapters.temporal.executions import is_worked_on
from dev_stack.service_processes import worker_process
from dev_stack.stack import EmbeddedStack
from entrypoints.cli.connections import client_of
from entrypoints.cli.erasure_check import events_naming, occurrences_on_disk, rows_naming, runs_of
from entrypoints.cli.progress import clock_progress
from entrypoints.cli.views.layout import Indented
from entrypoints.cli.views.tables import (
    answer_view,
    certificates_view,
    ledger_table,
    members_words,
    problems_table,
    proofs_view,
    quotes_table,
    remains_table,
    timeline_table,
)
from entrypoints.cli.yaml_documents import read_documents
from starter.client import SubscriptionClient
from starter.setup import set_up
from subscription.business_calendar import KST, first_of_next_month, start_of
from subscription.catalogue import Catalogue
from subscription.contract import ContractTerm
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.password_policy import password_problems
from subscription.phone import phone_number
from subscription.refusals import Problem, RefusalError
from subscription.timeline import ErasureCertificate, TimelineEntry

REQUEST_FILE = Path(__file__).parents[2] / "examples" / "request.yaml"

_PASSWORD = "Correct4Horse"
_BAD_PASSWORD = "abc11111"
_MISTAKES = {
    "plan": "gold",
    "members": 0,
    "agreed_terms": [{"id": "service", "version": "2019-04"}],
    "account": {"group": "-Admin-"},
    "company_phone": "112",
    "discount": "half",
}
_BUSINESS_HOURS = timedelta(hours=10)


class RemainingData(Frozen):
    """How often something of the customer could be read in one place, before the erasure and after it."""

    place: str
    before: int
    after: int


class DemoSummary(Frozen):
    """What the demonstration came to."""

    subscription_id: str
    refused: tuple[Problem, ...]
    timeline: tuple[TimelineEntry, ...]
    ledger: tuple[LedgerLine, ...]
    certificates: tuple[ErasureCertificate, ...]
    remains: tuple[RemainingData, ...]
    seconds: float

    @property
    def nothing_is_left(self) -> bool:
        return not any(remains.after for remains in self.remains)


async def run_demo(console: Console, catalogue: Catalogue) -> DemoSummary:
    """Live a whole life on real servers in a temporary directory, for people to watch on `console`.

    Raises `StackError` if the servers do not start.
    """
    begun = time.monotonic()
    with TemporaryDirectory(prefix="worksub-demo-") as directory:
        async with _servers(console, Path(directory), catalogue) as servers:
            summary = await _DemoRun(console, servers, begun).live()
    return summary


@dataclass(frozen=True)
class _Servers:
    stack: EmbeddedStack
    temporal: Client
    client: SubscriptionClient
    temporal_file: Path


@asynccontextmanager
async def _servers(console: Console, directory: Path, catalogue: Catalogue) -> AsyncIterator[_Servers]:
    """Temporal, PostgreSQL, DNS, and the worker as a process of its own."""
    async with AsyncExitStack() as running:
        with console.status("") as status:
            stack = await running.enter_async_context(
                EmbeddedStack(directory, search_attributes={}, on_progress=status.update)
            )
            temporal = await client_of(stack.addresses)
            await set_up(temporal, stack.addresses.database_url, catalogue)
            status.update("Starting the worker…")
            worker = await running.enter_async_context(worker_process(directory / "worker", stack.addresses))
            await worker.wait_until(lambda: is_worked_on(temporal))
            pool = await running.enter_async_context(
                create_pool(stack.addresses.people_url, "worksub_reader")
            )
        client = SubscriptionClient(temporal, pool)
        yield _Servers(stack, temporal, client, directory / "temporal" / "temporal.db")


class _DemoRun:
    def __init__(self, console: Console, servers: _Servers, begun: float) -> None:
        self._console = console
        self._servers = servers
        self._client = servers.client
        self._begun = begun
        self._numbers = count(1)
        self._id = ""

    async def live(self) -> DemoSummary:
        [document] = read_documents(REQUEST_FILE)
        request = {**document.fields, "password_hash": hashed(_PASSWORD)}
        refused = await self._ask_for_the_impossible(request)
        await self._request(request)
        token = await self._prove_the_domain()
        await self._switch_to_paid()
        await self._let_months_pass(3)
        await self._upgrade()
        await self._let_months_pass(2)
        await self._reserve_a_cancellation_and_withdraw_it()
        personal = _personal_values(request, token)
        runs = await runs_of(self._servers.temporal, self._workflow_id)
        before = await self._remains(personal, runs)
        await self._cancel()
        runs |= await runs_of(self._servers.temporal, self._workflow_id)
        after = await self._remains(personal, runs)
        remains = tuple(
            RemainingData(place=place, before=before[place], after=after[place]) for place in before
        )
        return await self._sum_up(refused, remains)

    # -- the acts ------------------------------------------------------------------------------------

    async def _ask_for_the_impossible(self, request: Mapping[str, Any]) -> tuple[Problem, ...]:
        self._headline("A faulty request is refused, field by field, and leaves nothing behind")
        problems = password_problems(_BAD_PASSWORD)
        try:
            await self._client.request({**request, **_MISTAKES})
        except RefusalError as refusal:
            problems = (*refusal.refused.problems, *problems)
        self._show(problems_table(problems))
        return problems

    async def _request(self, request: Mapping[str, Any]) -> None:
        self._headline(f"The request of {REQUEST_FILE.parent.name}/{REQUEST_FILE.name} is accepted")
        answer = await self._client.request(request)
        self._id = answer.subscription_id
        status = await self._client.status(self._id)
        self._say(
            f"Subscription {self._id} of {request['company_name']}: {status.plan} for "
            f"{members_words(status.members)}, administered by {status.account}."
        )
        self._say(f"Its free trial ends on {answer.trial_ends_at:%Y-%m-%d at %H:%M} KST.")

    async def _prove_the_domain(self) -> str:
        self._headline("The domain's ownership is proved over DNS")
        [proof] = (await self._client.status(self._id)).proofs
        self._show(answer_view(await self._client.check_domain(self._id)))
        self._show(proofs_view([proof]))
        self._servers.stack.dns.publish_txt(proof.txt_name, proof.txt_value)
        self._say("The owner publishes the TXT record, and asks again:")
        self._show(answer_view(await self._client.check_domain(self._id)))
        return proof.txt_value.rpartition("=")[2]

    async def _switch_to_paid(self) -> None:
        self._headline("The switch to a paid annual plan is reserved for a later date of the trial")
        day = await self._today() + timedelta(days=14)
        self._show(answer_view(await self._client.switch_to_paid(self._id, day, ContractTerm.ANNUAL)))
        await self._run_to(start_of(day) + _BUSINESS_HOURS)
        self._show(timeline_table((await self._client.timeline(self._id))[-1:]))

    async def _let_months_pass(self, months: int) -> None:
        self._headline(f"{months} months pass on the subscription's own clock, and are charged for")
        known = len(await self._client.ledger(self._id))
        day = await self._today()
        for _ in range(months):
            day = first_of_next_month(day)
        await self._run_to(start_of(day.replace(day=15)) + _BUSINESS_HOURS)
        self._show(ledger_table((await self._client.ledger(self._id))[known:]))

    async def _upgrade(self) -> None:
        self._headline("An upgrade counts from its own day")
        status = await self._client.status(self._id)
        terms = await self._client.required_terms(self._id)
        answer = await self._client.upgrade(
            self._id,
            [{"id": term.id, "version": term.version} for term in terms],
            plan="premium",
            members=status.members + 5,
        )
        self._show(answer_view(answer))

    async def _reserve_a_cancellation_and_withdraw_it(self) -> None:
        self._headline("A cancellation is reserved, and withdrawn")
        day = first_of_next_month(await self._today())
        await self._cancel_on(day)
        self._show(answer_view(await self._client.withdraw_reservation(self._id)))

    async def _cancel(self) -> None:
        self._headline("What canceling would cost is quoted for any date; then it is canceled today")
        today, contract = await self._today(), (await self._client.status(self._id)).contract
        assert contract is not None
        days = (today, first_of_next_month(today), contract.end_day)
        self._show(quotes_table([await self._client.quote_cancellation(self._id, day) for day in days]))
        self._console.print()
        await self._cancel_on(today)
        with self._console.status("Erasing…"):
            # One certificate is for the database, one for the workflow's histories, which are deleted last.
            while True:
                if len(await self._client.certificates(self._id)) == 2:
                    break
                await asyncio.sleep(0.05)

    async def _sum_up(self, refused: tuple[Problem, ...], remains: tuple[RemainingData, ...]) -> DemoSummary:
        summary = DemoSummary(
            subscription_id=self._id,
            refused=refused,
            timeline=tuple(await self._client.timeline(self._id)),
            ledger=tuple(await self._client.ledger(self._id)),
            certificates=tuple(await self._client.certificates(self._id)),
            remains=remains,
            seconds=round(time.monotonic() - self._begun, 1),
        )
        self._headline("What stays: the timeline, and the ledger")
        self._show(timeline_table(summary.timeline))
        self._show(ledger_table(summary.ledger))
        self._headline("What is gone: everything that named the customer")
        self._show(certificates_view(summary.certificates))
        self._show(remains_table((each.place, each.before, each.after) for each in remains))
        self._console.print()
        self._say(
            "Searched for: the company, its phone number, the domain and its token, the administrator and "
            "the password's hash; and, last, for the password itself."
        )
        self._say(f"All of it took {summary.seconds:.0f} seconds.")
        return summary

    # -- the clock -----------------------------------------------------------------------------------

    async def _now(self) -> datetime:
        return (await self._client.clock(self._id).now()).astimezone(KST)

    async def _today(self) -> date:
        return (await self._now()).date()

    async def _run_to(self, target: datetime) -> None:
        with clock_progress(self._console, await self._now(), target) as on_progress:
            await self._client.clock(self._id).advance_to(target, on_progress)
            await self._client.settle(self._id)

    async def _cancel_on(self, day: date) -> None:
        account = (await self._client.status(self._id)).account
        assert account is not None
        self._show(answer_view(await self._client.cancel(self._id, day, account)))

    # -- what can be read ----------------------------------------------------------------------------

    @property
    def _workflow_id(self) -> str:
        return WORKFLOW_ID_PREFIX + self._id

    async def _remains(self, personal: Sequence[str], runs: set[str]) -> dict[str, int]:
        """How often something of the customer can be read, by place; last, the password itself in all."""
        rows, events, on_disk = await self._found(personal, runs)
        return {
            "rows in all tables of PostgreSQL": rows,
            "events in the histories of all its runs": events,
            "places in the bytes of Temporal's database file": on_disk,
            "the password itself, in all of these": sum(await self._found([_PASSWORD], runs)),
        }

    async def _found(self, values: Sequence[str], runs: set[str]) -> tuple[int, int, int]:
        servers = self._servers
        return (
            await rows_naming(servers.stack.addresses.database_url, values),
            await events_naming(servers.temporal, self._workflow_id, runs, values),
            await occurrences_on_disk(servers.stack.temporal, servers.temporal_file, values),
        )

    # -- what people see -----------------------------------------------------------------------------

    def _headline(self, text: str) -> None:
        self._console.print()
        self._console.print(Rule(Text(f"{next(self._numbers)}. {text}", style="bold"), align="left"))

    def _say(self, text: str) -> None:
        self._show(Text(text))

    def _show(self, part: RenderableType) -> None:
        self._console.print(Indented(part), crop=False)


def _personal_values(request: Mapping[str, Any], token: str) -> list[str]:
    """All that names the customer, as it is kept."""
    return [
        request["company_name"],
        phone_number(request["company_phone"]),
        request["account"]["domain"],
        token,
        request["admin_id"],
        request["password_hash"],
    ]
