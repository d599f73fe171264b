"""`python -m benchmarks.console_pages`: size and time to first byte of each page of the console.

The worker and `worksub api` run as separate processes, as under `worksub dev`.
"""

import argparse
import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import httpx
from temporalio.client import Client

from adapters.password_hashing import hashed
from adapters.postgres.pool import create_pool
from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from adapters.temporal.data_converter import data_converter
from adapters.temporal.task_queue import is_worked_on
from dev_stack.child_server import port_is_free
from dev_stack.reserved_ports import DefaultPorts
from dev_stack.service_processes import api_process, chosen_addresses, worker_process
from dev_stack.stack import EmbeddedStack
from entrypoints.console.rendering import asset
from starter.client import SubscriptionClient
from starter.setup import set_up
from subscription.business_calendar import day_of
from subscription.contract import ContractTerm

_CUSTOMER = "C-1001"
_A_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class PageWeight:
    page: str
    kilobytes: float
    """The compressed size, as transferred to a browser."""
    first_byte: float
    """Milliseconds, the median."""
    nineteen_of_twenty: float


@asynccontextmanager
async def _service() -> AsyncIterator[tuple[SubscriptionClient, str]]:
    with ExitStack() as running:
        name = running.enter_context(TemporaryDirectory(prefix="worksub-pages-"))
        directory = Path(name)
        ports = running.enter_context(DefaultPorts(lambda sentence: None))
        async with EmbeddedStack(directory / "stack", search_attributes={}) as stack:
            addresses, at = stack.addresses, chosen_addresses(ports)
            temporal = await Client.connect(addresses.temporal_address, data_converter=data_converter())
            await set_up(temporal, addresses.database_url, read_catalogue(DEFAULT_CATALOGUE))

            async def is_listening() -> bool:
                return not port_is_free(int(at.api_address.rpartition(":")[2]))

            async with (
                worker_process(directory / "worker", addresses, at) as worker,
                api_process(directory / "api", addresses, at) as api,
                create_pool(addresses.reader_url, "worksub_reader", connections=2) as reading,
            ):
                await worker.wait_until(lambda: is_worked_on(temporal))
                await api.wait_until(is_listening)
                yield SubscriptionClient(temporal, reading), at.console_url


async def _a_year(client: SubscriptionClient) -> str:
    """Create a subscription with one paid year and thirteen charges, and return its ID."""
    catalogue = read_catalogue(DEFAULT_CATALOGUE)
    answer = await client.request(
        {
            "request_id": "pages",
            "customer_id": _CUSTOMER,
            "region": "KR",
            "platform": "VPC",
            "plan": "basic",
            "members": 20,
            "agreed_terms": [{"id": term.id, "version": term.version} for term in catalogue.terms],
            "account": {"group": "hanbit"},
            "admin_id": "admin",
            "password_hash": hashed("Correct4Horse"),
            "company_name": "Hanbit Trading",
            "company_phone": "02-1234-5678",
        }
    )
    clock = client.clock(answer.subscription_id)
    await client.switch_to_paid(answer.subscription_id, day_of(await clock.now()), ContractTerm.ANNUAL)
    await clock.advance_to(await clock.now() + _A_YEAR)
    await client.settle(answer.subscription_id)
    return answer.subscription_id


async def _signed_in(browser: httpx.AsyncClient) -> str:
    """Sign in, begin a request, and return the address of its first step."""
    page = (await browser.get("/sign-in")).text
    csrf_token = page.split('name="csrf_token" value="')[1].split('"')[0]
    form = {"csrf_token": csrf_token, "as": "customer", "customer_id": _CUSTOMER}
    (await browser.post("/sign-in/developer", data=form, follow_redirects=True)).raise_for_status()
    return (await browser.get("/request")).headers["location"]


async def _measure_page(browser: httpx.AsyncClient, page: str, path: str, times: int) -> PageWeight:
    size, waits = 0, []
    for _ in range(times):
        begun = time.perf_counter()
        async with browser.stream("GET", path) as answer:
            waits.append(1000 * (time.perf_counter() - begun))
            answer.raise_for_status()
            async for _ in answer.aiter_raw():
                pass
            size = answer.num_bytes_downloaded
    return PageWeight(page, size / 1000, median(waits), quantiles(waits, n=20)[-1])


async def measure_pages(times: int) -> list[PageWeight]:
    async with _service() as (client, url):
        there = f"/subscriptions/{await _a_year(client)}"
        pages = {
            "Sign-in": "/sign-in?next=/",
            "My Product": "/subscriptions",
            "A subscription: Overview": there,
            "A subscription: Billing": f"{there}/billing",
            "A subscription: Activity": f"{there}/activity",
            "A subscription: Settings": f"{there}/settings",
            "Upgrade": f"{there}/upgrade",
            "Change Renewal Option": f"{there}/renewal",
            "Cancel Subscription": f"{there}/cancel",
            "Change the Name": f"{there}/rename",
            "Sign-in to NAVER WORKS Admin": "/works/sign-in",
            "The sheet": asset("console.css"),
            "The script": asset("console.js"),
        }
        headers = {"accept-language": "en", "accept-encoding": "gzip"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as browser:
            sign_in = await _measure_page(browser, "Sign-in", pages.pop("Sign-in"), times)
            pages["Request: 1 Select Product"] = await _signed_in(browser)
            return [
                sign_in,
                *[await _measure_page(browser, name, path, times) for name, path in pages.items()],
            ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console_pages", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="number of requests per page (100)")
    weights = asyncio.run(measure_pages(parser.parse_args().times))
    print("| page | kB | first byte, ms | 19 of 20 within, ms |\n|---|---|---|---|")
    for weight in weights:
        times = f"{weight.first_byte:.0f} | {weight.nineteen_of_twenty:.0f}"
        print(f"| {weight.page} | {weight.kilobytes:.1f} | {times} |")
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()


if __name__ == "__main__":
    main()
