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
from adapters.temporal.task_queue import is_worked_on
from dev_stack.service_processes import worker_process
from dev_stack.stack import EmbeddedStack
from entrypoints.cli.connections import dev_client
from entrypoints.cli.erasure_check import count_events, count_on_disk, count_rows, runs_of
from entrypoints.cli.progress import clock_progress
from entrypoints.cli.views.billing import ledger_table, quotes_table
from entrypoints.cli.views.layout import Indented
from entrypoints.cli.views.subscription import (
    answer_view,
    certificates_view,
    problems_table,
    remaining_data_table,
    timeline_table,
    verification_records_view,
)
from entrypoints.cli.yaml_documents import read_documents
from starter.client import SubscriptionClient
from starter.setup import set_up
from subscription.business_calendar import KST, first_of_next_month, start_of
from subscription.catalogue import Catalogue
from subscription.contract import ContractTerm
from subscription.erasure_certificate import ErasureCertificate
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.ledger import LedgerLine
from subscription.messages import PLAIN
from subscription.model import Frozen
from subscription.password_policy import password_problems
from subscription.phone import phone_number
from subscription.refusals import Problem, RefusalError
from subscription.timeline import TimelineEntry

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
    """Occurrences of the customer's data in one place before and after the erasure."""

    place: str
    before: int
    after: int


class DemoSummary(Frozen):
    """Result of the demo."""

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
    """Run a subscription from request to erasure on real servers in a temporary directory.

    The steps are printed on `console`.

    Raises `StackError` if the servers do not start.
    """
    started = time.monotonic()
    with TemporaryDirectory(prefix="worksub-demo-") as directory:
        async with _servers(console, Path(directory), catalogue) as servers:
            summary = await _DemoRun(console, servers, started).run()
    return summary


@dataclass(frozen=True)
class _Servers:
    stack: EmbeddedStack
    temporal: Client
    client: SubscriptionClient


@asynccontextmanager
async def _servers(console: Console, directory: Path, catalogue: Catalogue) -> AsyncIterator[_Servers]:
    """Start Temporal, PostgreSQL, a DNS server, and the worker as a separate process."""
    async with AsyncExitStack() as running:
        with console.status("") as status:
            stack = await running.enter_async_context(
                EmbeddedStack(directory, search_attributes={}, on_progress=status.update)
            )
            temporal = await dev_client(stack.addresses)
            await set_up(temporal, stack.addresses.database_url, catalogue)
            status.update("Starting the worker…")
            worker = await running.enter_async_context(worker_process(directory / "worker", stack.addresses))
            await worker.wait_until(lambda: is_worked_on(temporal))
            pool = await running.enter_async_context(
                create_pool(stack.addresses.reader_url, "worksub_reader")
            )
        client = SubscriptionClient(temporal, pool)
        yield _Servers(stack, temporal, client)


class _DemoRun:
    def __init__(self, console: Console, servers: _Servers, started: float) -> None:
        self._console = console
        self._servers = servers
        self._client = servers.client
        self._started = started
        self._numbers = count(1)
        self._id = ""

    async def run(self) -> DemoSummary:
        [document] = read_documents(REQUEST_FILE)
        request = {**document.fields, "password_hash": hashed(_PASSWORD)}
        refused = await self._send_invalid_request(request)
        await self._request(request)
        token = await self._verify_domain()
        await self._switch_to_paid()
        await self._advance_months(3)
        await self._upgrade()
        await self._advance_months(2)
        await self._reserve_and_withdraw_cancellation()
        personal = _personal_values(request, token)
        runs = await runs_of(self._servers.temporal, self._workflow_id)
        before = await self._remains(personal, runs)
        await self._cancel()
        runs |= await runs_of(self._servers.temporal, self._workflow_id)
        after = await self._remains(personal, runs)
        remains = tuple(
            RemainingData(place=place, before=before[place], after=after[place]) for place in before
        )
        return await self._summarize(refused, remains)

    # -- steps ---------------------------------------------------------------------------------------

    async def _send_invalid_request(self, request: Mapping[str, Any]) -> tuple[Problem, ...]:
        self._headline("An invalid request is refused with one message per field, and nothing is stored")
        problems = password_problems(_BAD_PASSWORD)
        try:
            await self._client.request({**request, **_MISTAKES})
        except RefusalError as refusal:
            problems = (*refusal.refused.problems, *problems)
        self._show(problems_table(problems))
        return problems

    async def _request(self, request: Mapping[str, Any]) -> None:
        self._headline(f"The request {REQUEST_FILE.parent.name}/{REQUEST_FILE.name} is accepted")
        answer = await self._client.request(request)
        self._id = answer.subscription_id
        status = await self._client.status(self._id)
        self._print(
            f"Subscription {self._id} of {request['company_name']}: {status.plan} for "
            f"{PLAIN.members(status.members)}, administered by {status.account}."
        )
        self._print(f"Its free trial ends on {answer.trial_ends_at:%Y-%m-%d at %H:%M} KST.")

    async def _verify_domain(self) -> str:
        self._headline("The ownership of the domain is verified over DNS")
        [proof] = (await self._client.status(self._id)).proofs
        self._show(answer_view(await self._client.check_domain(self._id)))
        self._show(verification_records_view([proof]))
        self._servers.stack.dns.publish_txt(proof.txt_name, proof.txt_value)
        self._print("The owner publishes the TXT record and requests another check:")
        self._show(answer_view(await self._client.check_domain(self._id)))
        return proof.txt_value.rpartition("=")[2]

    async def _switch_to_paid(self) -> None:
        self._headline("A switch to a paid annual contract is reserved for a later date of the trial")
        day = await self._today() + timedelta(days=14)
        self._show(answer_view(await self._client.switch_to_paid(self._id, day, ContractTerm.ANNUAL)))
        await self._run_to(start_of(day) + _BUSINESS_HOURS)
        self._show(timeline_table((await self._client.timeline(self._id))[-1:]))

    async def _advance_months(self, months: int) -> None:
        self._headline(f"The subscription's clock advances by {months} months, and their fees are charged")
        charged_before = len(await self._client.ledger(self._id))
        day = await self._today()
        for _ in range(months):
            day = first_of_next_month(day)
        await self._run_to(start_of(day.replace(day=15)) + _BUSINESS_HOURS)
        self._show(ledger_table((await self._client.ledger(self._id))[charged_before:]))

    async def _upgrade(self) -> None:
        self._headline("An upgrade takes effect on the same day")
        status = await self._client.status(self._id)
        terms = await self._client.required_terms(self._id)
        answer = await self._client.upgrade(
            self._id,
            [{"id": term.id, "version": term.version} for term in terms],
            plan="premium",
            members=status.members + 5,
        )
        self._show(answer_view(answer))

    async def _reserve_and_withdraw_cancellation(self) -> None:
        self._headline("A cancellation is reserved and withdrawn")
        day = first_of_next_month(await self._today())
        await self._cancel_on(day)
        self._show(answer_view(await self._client.withdraw_reservation(self._id)))

    async def _cancel(self) -> None:
        self._headline(
            "The cost of canceling is quoted for three dates; then the subscription is canceled today"
        )
        today, contract = await self._today(), (await self._client.status(self._id)).contract
        assert contract is not None
        days = (today, first_of_next_month(today), contract.end_day)
        self._show(quotes_table([await self._client.quote_cancellation(self._id, day) for day in days]))
        self._console.print()
        await self._cancel_on(today)
        with self._console.status("Erasing…"):
            # One certificate covers the database, the other the workflow histories, which are deleted last.
            while True:
                if len(await self._client.certificates(self._id)) == 2:
                    break
                await asyncio.sleep(0.05)

    async def _summarize(
        self, refused: tuple[Problem, ...], remains: tuple[RemainingData, ...]
    ) -> DemoSummary:
        summary = DemoSummary(
            subscription_id=self._id,
            refused=refused,
            timeline=tuple(await self._client.timeline(self._id)),
            ledger=tuple(await self._client.ledger(self._id)),
            certificates=tuple(await self._client.certificates(self._id)),
            remains=remains,
            seconds=round(time.monotonic() - self._started, 1),
        )
        self._headline("Kept: the timeline and the ledger")
        self._show(timeline_table(summary.timeline))
        self._show(ledger_table(summary.ledger))
        self._headline("Deleted: all data that identified the customer")
        self._show(certificates_view(summary.certificates))
        self._show(remaining_data_table((place.place, place.before, place.after) for place in remains))
        self._console.print()
        self._print(
            "Searched for: the company, its phone number, the domain and its token, the administrator and "
            "the password hash; in the last row, the password itself."
        )
        self._print(f"The demo took {summary.seconds:.0f} seconds.")
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

    # -- remaining data ------------------------------------------------------------------------------

    @property
    def _workflow_id(self) -> str:
        return WORKFLOW_ID_PREFIX + self._id

    async def _remains(self, personal: Sequence[str], runs: set[str]) -> dict[str, int]:
        """Count occurrences of the customer's data by place. The last entry counts the password."""
        rows, events, on_disk = await self._occurrences(personal, runs)
        return {
            "rows in all PostgreSQL tables": rows,
            "events in the histories of all workflow runs": events,
            "positions in Temporal's database file": on_disk,
            "the password, in all of the above": sum(await self._occurrences([_PASSWORD], runs)),
        }

    async def _occurrences(self, values: Sequence[str], runs: set[str]) -> tuple[int, int, int]:
        servers = self._servers
        return (
            await count_rows(servers.stack.addresses.database_url, values),
            await count_events(servers.temporal, self._workflow_id, runs, values),
            await count_on_disk(servers.stack.temporal, values),
        )

    # -- output -------------------------------------------------------------------------------------

    def _headline(self, text: str) -> None:
        self._console.print()
        self._console.print(Rule(Text(f"{next(self._numbers)}. {text}", style="bold"), align="left"))

    def _print(self, text: str) -> None:
        self._show(Text(text))

    def _show(self, part: RenderableType) -> None:
        self._console.print(Indented(part), crop=False)


def _personal_values(request: Mapping[str, Any], token: str) -> list[str]:
    """Return the values that identify the customer, as they are stored."""
    return [
        request["company_name"],
        phone_number(request["company_phone"]),
        request["account"]["domain"],
        token,
        request["admin_id"],
        request["password_hash"],
    ]
