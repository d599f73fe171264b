"""`worksub keys` and `worksub webhooks`, including their error messages."""

from typing import Any

import asyncpg
from support.cli_runner import Cli
from support.webhook_receiver import receiving

from adapters.postgres.pool import create_pool
from adapters.webhooks.dispatcher import run_webhook_dispatcher
from dev_stack.postgres_server import API_LOGIN, WORKER, as_login
from starter.api_keys import ApiKeyStore

from .conftest import Service


async def test_keys_are_created_listed_rotated_and_revoked(service: Service, cli: Cli) -> None:
    created = await cli.json("keys", "create", "--customer", "C-cli", "--label", "billing", "--days", "30")
    prefix, token = created["key"]["prefix"], created["token"]
    turned = await cli.json("keys", "rotate", prefix, "--overlap", "0")
    assert turned["key"]["expires_at"] is not None
    listed = (await cli.json("keys", "list", "--customer", "C-cli"))["keys"]
    assert {each["prefix"]: each["label"] for each in listed} == {
        prefix: "billing",
        turned["key"]["prefix"]: "billing",
    }
    url = as_login(service.settings["DATABASE_URL"], API_LOGIN)
    async with create_pool(url, "worksub_api", connections=1) as pool:
        assert await ApiKeyStore(pool).opening(token) is None
        opened = await ApiKeyStore(pool).opening(turned["token"])
        assert opened is not None
        assert opened.caller.customer_id == "C-cli"
    shown = await cli.run("keys", "list")
    assert turned["token"] not in shown.out
    assert prefix in shown.out
    await cli.json("keys", "revoke", turned["key"]["prefix"])
    gone = await cli.run("keys", "revoke", turned["key"]["prefix"], "--json")
    assert (gone.code, gone.error["code"]) == (1, "KEY_NOT_FOUND")
    for wrong in (
        (),
        ("--customer", "a b"),
        ("--customer", "C", "--operators"),
        ("--operators", "--days", "0"),
    ):
        assert (await cli.run("keys", "create", *wrong)).code == 2


async def test_webhooks_are_managed(service: Service, cli: Cli) -> None:
    refused = await cli.run("webhooks", "add", "http://127.0.0.1/", "--all", "--json")
    assert (refused.code, refused.error["field"]) == (2, "url")
    private_targets_cli = cli.with_settings(WORKSUB_WEBHOOK_TARGETS="any")
    url = as_login(service.settings["DATABASE_URL"], WORKER)
    async with (
        receiving() as receiver,
        create_pool(url, "worksub_worker", connections=3) as pool,
        run_webhook_dispatcher(pool, allow_private_targets=True, poll_seconds=0.1),
    ):
        created = await private_targets_cli.json("webhooks", "add", receiver.url, "--customer", "C-cli")
        endpoint = created["endpoint_id"]
        tried = await private_targets_cli.json("webhooks", "test", endpoint)
        assert (tried["state"], tried["last_error"]) == ("DELIVERED", None)
        assert receiver.verifies(created["secret"])
        assert "test event" in (await cli.run("webhooks", "deliveries", endpoint)).out
        receiver.status = 404
        failed = await private_targets_cli.run("webhooks", "test", endpoint, "--json")
        assert (failed.code, failed.json["last_error"]) == (1, "the endpoint answered 404")
    [listed] = (await cli.json("webhooks", "list"))["endpoints"]
    assert (listed["url"], listed["waiting"]) == (receiver.url, 1)
    for command, status in (("pause", "PAUSED"), ("resume", "ENABLED")):
        await cli.json("webhooks", command, endpoint)
        assert [each["status"] for each in (await cli.json("webhooks", "list"))["endpoints"]] == [status]
    unknown = await private_targets_cli.run(
        "webhooks", "add", receiver.url, "--all", "--event", "TRIAL_STARTS", "--json"
    )
    assert (unknown.code, unknown.error["field"]) == (2, "event")
    waiting = (await cli.json("webhooks", "deliveries", endpoint, "--state", "waiting"))["deliveries"]
    assert [each["event"] for each in waiting] == [None]
    assert (await cli.json("webhooks", "replay", endpoint)) == {"queued": 0}
    assert (await cli.json("webhooks", "rotate", endpoint))["secret"].startswith("whsec_")
    await cli.json("webhooks", "remove", endpoint)
    gone = await cli.run("webhooks", "deliveries", endpoint, "--json")
    assert (gone.code, gone.error["code"]) == (1, "ENDPOINT_NOT_FOUND")


async def test_doctor_reports_failed_deliveries(service: Service, cli: Cli) -> None:
    private_targets_cli = cli.with_settings(WORKSUB_WEBHOOK_TARGETS="any")
    created = await private_targets_cli.json("webhooks", "add", "http://127.0.0.1:9/", "--customer", "C-cli")
    ids = [await service.subscribed() for _ in range(3)]
    owner = await asyncpg.connect(service.stack.addresses.database_url)
    try:
        await owner.execute(
            """
            INSERT INTO webhook_deliveries
                   (endpoint_id, subscription_id, sequence, state, queued_at, completed_at)
            VALUES ($1, $2, 1, 'PARKED', clock_timestamp() - interval '3 days', clock_timestamp()),
                   ($1, $3, 1, 'WAITING', clock_timestamp() - interval '61 minutes', NULL),
                   ($1, $4, 1, 'WAITING', clock_timestamp() - interval '59 minutes', NULL)
            """,
            created["endpoint_id"],
            *ids,
        )
    finally:
        await owner.close()
    found = await _webhooks_finding(cli)
    assert found["verdict"] == "NOTE"
    assert found["text"].startswith("Waiting for more than an hour: 1. Parked after three days: 1.")
    await cli.json("webhooks", "remove", created["endpoint_id"])
    assert (await _webhooks_finding(cli))["verdict"] == "OK"


async def _webhooks_finding(cli: Cli) -> dict[str, Any]:
    findings = (await cli.json("doctor"))["findings"]
    return next(finding for finding in findings if finding["what"] == "webhooks")
