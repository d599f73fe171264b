"""The export over HTTP: streamed, limited, and incomplete in a way that the client detects (R37)."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import pytest
from support.api_client import ApiClient, ApiServer, open_api_server
from support.polling import wait_for
from support.service_env import ServiceEnv

from adapters.export_archive import Row, RowSet
from adapters.postgres.pool import Connection
from starter.command_rate_limits import CommandRates
from subscription.business_calendar import KST


@dataclass
class StuckProduct:
    """A product that hands over its rows only when it is released; or fails instead."""

    released: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    async def row_sets(self, connection: Connection, subscription_id: str) -> Sequence[RowSet]:
        return [RowSet("calendar", ["day"], self._batches)]

    async def _batches(self) -> AsyncIterator[Sequence[Row]]:
        yield [{"day": "2027-03-01"}]
        await self.released.wait()
        if self.fails:
            raise OSError("the product does not answer")


async def last_export_at(client: ApiClient, subscription_id: str) -> str | None:
    tomorrow = datetime.now(KST).date() + timedelta(days=1)
    quote = await client.gets(f"/subscriptions/{subscription_id}/quote", on=f"{tomorrow}")
    last: str | None = quote["last_export_at"]
    return last


async def test_r37_customer_and_operator_download_the_archive(
    service_env: ServiceEnv, acme: ApiClient, operator: ApiClient
) -> None:
    subscription_id = await acme.requests(service_env)
    for client in (acme, operator):
        answer = await client.http.get(f"/v1/subscriptions/{subscription_id}/export")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["cache-control"] == "no-store"
        filename = f'attachment; filename="subscription-{subscription_id}.zip"'
        assert answer.headers["content-disposition"] == filename
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        assert archive.testzip() is None
        [row] = json.loads(archive.read("subscription.json"))
        assert (row["subscription_id"], row["customer_id"]) == (subscription_id, "C-acme")


async def test_r37_quote_shows_the_last_complete_export(
    api_server: ApiServer, service_env: ServiceEnv
) -> None:
    product = StuckProduct(fails=True)
    async with open_api_server(service_env, product=product) as server:
        acme = await server.visitor("C-acme")
        subscription_id = await acme.requests(service_env)
        path = f"/v1/subscriptions/{subscription_id}/export"
        product.released.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await acme.http.get(path)
        assert await last_export_at(acme, subscription_id) is None
        product.fails = False
        content = (await acme.http.get(path)).content
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(content)).read("manifest.json"))
    assert [file["rows"] for file in manifest["files"] if "calendar" in file["name"]] == [1, 1]
    shown = await last_export_at(await api_server.visitor("C-acme"), subscription_id)
    assert shown is not None
    assert shown > manifest["taken_at"]


async def test_r37_exports_of_a_subscription_are_limited(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env, export_rates=CommandRates("1/minute")) as server:
        acme = await server.visitor("C-acme")
        path = f"/subscriptions/{await acme.requests(service_env)}/export"
        assert (await acme.http.get(f"/v1{path}")).status_code == 200
        refused = await acme.gets(path, 429)
        assert refused["code"] == "RATE_LIMITED"
        other = f"/v1/subscriptions/{await acme.requests(service_env)}/export"
        assert (await acme.http.get(other)).status_code == 200


async def test_r37_disconnected_client_frees_its_export(service_env: ServiceEnv) -> None:
    """Two exports of a customer wait for the product; a third one is refused until their clients leave."""
    product = StuckProduct()
    async with open_api_server(service_env, product=product) as server:
        acme, other = await server.visitor("C-acme"), await server.visitor("C-other")
        path = f"/v1/subscriptions/{await acme.requests(service_env)}/export"
        async with AsyncExitStack() as open_exports:
            for _ in range(2):
                begun = await open_exports.enter_async_context(acme.http.stream("GET", path))
                assert begun.status_code == 200
            assert (await acme.http.get(path)).status_code == 429
            theirs = f"/v1/subscriptions/{await other.requests(service_env)}/export"
            async with other.http.stream("GET", theirs) as begun:
                assert begun.status_code == 200

        async def is_free() -> bool:
            async with acme.http.stream("GET", path) as again:
                return again.status_code == 200

        await wait_for("the exports of the clients that left have ended", is_free)
    assert (
        await service_env.owner.fetchval(
            "SELECT count(*) FROM exports WHERE subscription_id = $1", path.split("/")[3]
        )
        == 0
    )
